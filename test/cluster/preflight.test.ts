import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectionPath } from '../../src/cluster/apply.ts';
import type { Cluster, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { type Discovery, discover } from '../../src/cluster/discovery.ts';
import type { Change, PlanProblem } from '../../src/plan/plan.ts';
import { createPreflight } from '../../src/preflight/preflight.ts';
import { isMap } from '../../src/values.ts';
import { objectOf } from '../unit/resources/target-bed.ts';
import { startCluster, type TestCluster } from './cluster.ts';

let bed: TestCluster;
let admin: Cluster;
let user: Cluster;
let discovery: Discovery;
/** Requests of the administrator, as `method path`. */
const sent: string[] = [];

beforeAll(async () => {
  bed = await startCluster({ name: 'preflight' });
  const opened = await openCluster({ kubeconfig: bed.kubeconfig });
  admin = {
    ...opened,
    json: (request) => {
      sent.push(`${request.method} ${request.path}`);
      return opened.json(request);
    },
  };
  user = await openCluster({ kubeconfig: bed.kubeconfig, context: bed.tokenContext });
  discovery = await discover(opened);
  for (const name of ['shop', 'pay']) await create(objectOf(`v1 Namespace ${name}`));
}, 1_800_000);

afterAll(async () => {
  await user?.close();
  await admin?.close();
  await bed?.stop();
});

function kindOf({ apiVersion, kind }: KubeObject) {
  const found = discovery.findKind(apiVersion, kind);
  if (found === undefined) throw new Error(`${kind} is not served.`);
  return found;
}

function create(object: KubeObject): Promise<KubeObject> {
  return admin.json({ method: 'POST', path: collectionPath(kindOf(object), object.metadata.namespace), body: object });
}

async function problems(
  cluster: Cluster,
  changes: readonly (readonly [Change, KubeObject])[],
  newNamespaces: readonly string[] = [],
): Promise<PlanProblem[]> {
  const preflight = createPreflight({
    ...{ cluster, discovery, concurrency: 8 },
    newNamespaces: () => new Set(newNamespaces),
  });
  for (const [change, object] of changes) preflight.note(object, kindOf(object), change);
  return preflight.finish();
}

const config = (id: string) => objectOf(`v1 ConfigMap ${id}`, { data: {} });

describe('rights', () => {
  const changes: [Change, KubeObject][] = [
    ['create', config('shop/a')],
    ['update', config('shop/known')],
    ['recreate', objectOf('batch/v1 Job shop/once')],
    ['create', objectOf('rbac.authorization.k8s.io/v1 ClusterRole reader')],
  ];

  test('of an administrator take one request', async () => {
    sent.length = 0;
    expect(await problems(admin, changes, ['new'])).toEqual([]);
    expect(sent).toEqual(['POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews']);
  });

  test('that a user lacks are told all at once', async () => {
    expect((await problems(user, changes, ['new'])).map(({ kind, message }) => [kind, message])).toEqual([
      ['missing-namespace', 'Namespace new: not at the target, and the user of this run may not create it.'],
      [
        'forbidden',
        [
          'The user of this run lacks rights at the target:',
          'in the whole cluster: create clusterroles.rbac.authorization.k8s.io',
          'in namespace shop: create, get, patch configmaps; get, delete, create jobs.batch',
        ].join('\n'),
      ],
    ]);
  });

  test('that are granted are not told, for a name, in a namespace that is not there yet, or in all', async () => {
    const bind = (role: string, ...where: string[]) =>
      bed.kubectl([
        'create',
        where.length > 0 ? 'rolebinding' : 'clusterrolebinding',
        role,
        `--${where.length > 0 ? 'role' : 'clusterrole'}=${role}`,
        '--user=token',
        ...where,
      ]);
    await bed.kubectl([
      'create',
      'role',
      'one',
      '-n',
      'shop',
      '--verb=get,patch',
      '--resource=configmaps',
      '--resource-name=known',
    ]);
    await bind('one', '-n', 'shop');
    await bed.kubectl(['create', 'role', 'maker', '-n', 'shop', '--verb=create', '--resource=configmaps']);
    await bind('maker', '-n', 'shop');
    await bed.kubectl(['create', 'clusterrole', 'jobs', '--verb=*', '--resource=jobs.batch']);
    await bind('jobs');
    const job = objectOf('batch/v1 Job new/once');
    // The authorizer learns of a new binding a moment later.
    await expect
      .poll(async () => (await problems(user, [...changes, ['create', job]])).map(({ message }) => message))
      .toEqual([
        'The user of this run lacks rights at the target:\nin the whole cluster: create clusterroles.rbac.authorization.k8s.io',
      ]);
  });
});

describe('classes', () => {
  const claim = (id: string, storageClassName?: string) =>
    objectOf(`v1 PersistentVolumeClaim ${id}`, {
      spec: { storageClassName, accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    });

  test('that the target lacks are named, with those it has', async () => {
    const ingress = objectOf('networking.k8s.io/v1 Ingress shop/web', { spec: { ingressClassName: 'nginx' } });
    const found = await problems(admin, [
      ['create', claim('shop/a', 'fast')],
      ['create', claim('shop/b', 'standard')],
      ['create', claim('shop/c')],
      ['create', ingress],
    ]);
    expect(found).toEqual([
      {
        kind: 'missing-class',
        message:
          'StorageClass fast does not exist at the target, and the snapshot does not bring it. PersistentVolumeClaim shop/a names it.',
        hint: 'There is: standard. Map it to one of these with storage-class-map, or create it first.',
      },
      expect.objectContaining({
        message: expect.stringMatching(/^IngressClass nginx does not exist .* Ingress shop\/web names it\.$/),
      }),
    ]);
  });

  test('are not judged for one who may not list them', async () => {
    const kinds = (await problems(user, [['create', claim('pay/a', 'fast')]])).map(({ kind }) => kind);
    expect(kinds).toEqual(['forbidden']);
  });
});

test('a quota is told to be too small exactly when the server refuses', async () => {
  const hard = { 'count/secrets': '1', 'requests.cpu': '1', pods: '10' };
  await create(objectOf('v1 ResourceQuota pay/small', { spec: { hard } }));
  const used = async () => {
    const quota = await admin.json<KubeObject>({ method: 'GET', path: '/api/v1/namespaces/pay/resourcequotas/small' });
    return isMap(quota.status) && isMap(quota.status.used) ? quota.status.used['count/secrets'] : undefined;
  };
  await expect.poll(used, { timeout: 20_000 }).toBe('0');
  await create(objectOf('v1 Secret pay/there'));
  const pod = (name: string, cpu: string) =>
    objectOf(`v1 Pod pay/${name}`, {
      spec: { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu } } }] },
    });
  const secret = objectOf('v1 Secret pay/more');

  expect(await problems(admin, [['create', pod('fits', '1000m')]])).toEqual([]);
  expect(
    await problems(admin, [
      ['create', secret],
      ['create', pod('large', '1001m')],
    ]),
  ).toMatchObject([
    {
      kind: 'quota',
      message: [
        'ResourceQuota pay/small has less left than what comes new needs:',
        'count/secrets: 1 needed, 0 left of 1',
        'requests.cpu: 1001m needed, 1 left of 1',
      ].join('\n'),
    },
  ]);
  await expect(create(secret)).rejects.toThrow(
    'exceeded quota: small, requested: count/secrets=1, used: count/secrets=1',
  );
  await expect(create(pod('large', '1001m'))).rejects.toThrow('exceeded quota: small, requested: requests.cpu=1001m');
  await create(pod('fits', '1000m'));
});
