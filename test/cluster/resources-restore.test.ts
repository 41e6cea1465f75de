import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, ClusterError, type KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { type Discovery, discover, type ResourceKind } from '../../src/cluster/discovery.ts';
import { findObject } from '../../src/cluster/find.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { type RestoreOptions, restoreResources } from '../../src/resources/restore.ts';
import { type Piece, type WorkOptions, workOf } from '../unit/resources/make-work.ts';
import { kindOf, objectOf } from '../unit/resources/target-bed.ts';
import { createAuthority } from './certificates.ts';
import { startCluster, type TestCluster } from './cluster.ts';
import { type Fault, type ProxiedRequest, startFaultyProxy } from './faulty-proxy.ts';
import { writeKubeconfig } from './kubeconfig.ts';

let bed: TestCluster;
let cluster: Cluster;
let discovery: Discovery;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-resources-'));
  bed = await startCluster({ name: 'target' });
  cluster = await openCluster({ kubeconfig: bed.kubeconfig, concurrency: 16 });
  discovery = await discover(cluster);
}, 600_000);

afterAll(async () => {
  await cluster?.close();
  await bed?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Imports objects, and returns what the result and the reporter said. */
async function restore(
  pieces: readonly Piece[],
  {
    work: workOptions,
    during,
    ...options
  }: Partial<RestoreOptions> & { work?: WorkOptions; during?: () => unknown } = {},
) {
  const warnings: string[] = [];
  const reporter = {
    ...silentReporter,
    warn: (message: string) => void warnings.push(message),
  };
  const work = workOf(discovery.findKind, pieces, workOptions);
  const restoring = restoreResources(work, {
    cluster,
    discovery,
    restoreStatus: () => false,
    timeout: 20_000,
    concurrency: 16,
    reporter,
    ...options,
  });
  await restoring.before();
  await during?.();
  await restoring.after();
  const { resources, failures } = restoring.result();
  const sum = (outcome: 'created' | 'updated' | 'unchanged' | 'skipped' | 'failed') =>
    resources.reduce((total, row) => total + row[outcome], 0);
  const counts = {
    created: sum('created'),
    updated: sum('updated'),
    unchanged: sum('unchanged'),
    skipped: sum('skipped'),
    failed: sum('failed'),
  };
  return { counts, failures, warnings, resources };
}

const made = (created: number) => ({ created, updated: 0, unchanged: 0, skipped: 0, failed: 0 });

async function read(path: string): Promise<KubeObject> {
  const found = await findObject(cluster, path);
  if (found === undefined) throw new Error(`There is no ${path}.`);
  return found;
}

function configMap(id: string, data: Record<string, string> = { a: '1' }, metadata = {}): KubeObject {
  return objectOf(`v1 ConfigMap ${id}`, { data, metadata });
}

async function create(path: string, object: KubeObject): Promise<KubeObject> {
  return cluster.json<KubeObject>({ method: 'POST', path, query: { fieldManager: 'somebody' }, body: object });
}

async function createNamespace(name: string): Promise<void> {
  await create('/api/v1/namespaces', objectOf(`v1 Namespace ${name}`));
}

/** A CRD that takes anything, and the kind it defines. */
function define(
  plural: string,
  kind: string,
  more: Record<string, unknown> = {},
): { crd: KubeObject; kind: ResourceKind } {
  const group = 'tests.example.com';
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const crd = objectOf(`apiextensions.k8s.io/v1 CustomResourceDefinition ${plural}.${group}`, {
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{ name: 'v1', served: true, storage: true, schema, ...more }],
    },
  });
  return { crd, kind: kindOf(`${group}/v1 ${plural} ${kind}`) };
}

const POD = {
  spec: { containers: [{ name: 'a', image: 'a' }], terminationGracePeriodSeconds: 0 },
};

describe('new objects', () => {
  test('of all waves come at once into a cluster that has none of it, custom resources right after their definition', async () => {
    const { crd, kind } = define('gadgets', 'Gadget');
    const label = { metadata: { labels: { app: 'a' } } };
    const { counts, failures, resources } = await restore(
      [
        crd,
        objectOf('v1 Namespace waves', { metadata: { labels: { team: 'a' } } }),
        ...Array.from({ length: 40 }, (_, index) => objectOf(`tests.example.com/v1 Gadget waves/g${index}`)),
        // The namespace has no service account of its own yet: the server refuses a Pod until it does.
        objectOf('v1 Pod waves/single', POD),
        objectOf('v1 ServiceAccount waves/default'),
        objectOf('v1 ServiceAccount waves/robot'),
        objectOf('v1 Secret waves/token', {
          type: 'kubernetes.io/service-account-token',
          metadata: { annotations: { 'kubernetes.io/service-account.name': 'robot' } },
        }),
        objectOf('scheduling.k8s.io/v1 PriorityClass urgent', { value: 10 }),
        objectOf('v1 Pod waves/urgent', { spec: { ...POD.spec, priorityClassName: 'urgent' } }),
        objectOf('apps/v1 Deployment waves/web', {
          spec: { selector: { matchLabels: { app: 'a' } }, template: { ...POD, ...label } },
        }),
        objectOf('v1 ResourceQuota waves/quota', { spec: { hard: { pods: '1' } } }),
        configMap('bare/a'),
      ],
      { work: { custom: [kind], namespaces: ['bare'] } },
    );
    expect(failures).toEqual([]);
    expect(counts.failed + counts.skipped).toBe(0);
    expect(counts.created + counts.updated + counts.unchanged).toBe(52);
    expect(resources.find((row) => row.kind === 'Gadget')).toEqual({
      apiVersion: 'tests.example.com/v1',
      kind: 'Gadget',
      resource: 'gadgets',
      exported: 0,
      created: 40,
      updated: 0,
      unchanged: 0,
      deleted: 0,
      skipped: 0,
      failed: 0,
    });
    expect((await read('/api/v1/namespaces/waves')).metadata.labels).toMatchObject({ team: 'a' });
    expect((await read('/api/v1/namespaces/bare/configmaps/a')).metadata.managedFields).toMatchObject([
      { manager: 'transship', operation: 'Update' },
    ]);
    expect((await read('/api/v1/namespaces/waves/secrets/token')).metadata.name).toBe('token');
  });

  test('fail where the server would drop a field that it does not know', async () => {
    await createNamespace('strict');
    const { counts, failures } = await restore([
      objectOf('v1 Secret strict/newer', { data: {}, fromTheFuture: 'x' }),
      configMap('strict/known'),
    ]);
    expect(counts).toEqual({ created: 1, updated: 0, unchanged: 0, skipped: 0, failed: 1 });
    expect(failures).toMatchObject([
      { object: 'Secret strict/newer', outcome: 'failed', message: expect.stringContaining('fromTheFuture') },
    ]);
  });

  test('wait for a namespace of the same name to be gone', async () => {
    await createNamespace('ending');
    await create(
      '/api/v1/namespaces/ending/configmaps',
      configMap('ending/held', {}, { finalizers: ['tests.example.com/hold'] }),
    );
    await bed.kubectl(['delete', 'namespace', 'ending', '--wait=false']);
    const { uid } = (await read('/api/v1/namespaces/ending')).metadata;
    const restoring = restore([configMap('ending/a')], { work: { namespaces: ['ending'] } });
    await cluster.json({
      method: 'PATCH',
      path: '/api/v1/namespaces/ending/configmaps/held',
      contentType: 'application/merge-patch+json',
      body: { metadata: { finalizers: null } },
    });
    expect((await restoring).counts).toEqual(made(2));
    expect((await read('/api/v1/namespaces/ending')).metadata.uid).not.toBe(uid);
  });

  test('of a namespace that never goes are skipped, and the others come', async () => {
    await createNamespace('stuck');
    await create(
      '/api/v1/namespaces/stuck/configmaps',
      configMap('stuck/held', {}, { finalizers: ['tests.example.com/hold'] }),
    );
    await bed.kubectl(['delete', 'namespace', 'stuck', '--wait=false']);
    const { counts, failures } = await restore([configMap('stuck/a'), configMap('default/beside-stuck')], {
      work: { namespaces: ['stuck'] },
      timeout: 1_000,
    });
    expect(counts).toEqual({ created: 1, updated: 0, unchanged: 0, skipped: 1, failed: 1 });
    expect(failures).toEqual([
      {
        object: 'Namespace stuck',
        outcome: 'failed',
        message: expect.stringContaining('Timed out after 1 s waiting for Namespace stuck to be gone.'),
      },
      {
        object: 'ConfigMap stuck/a',
        outcome: 'skipped',
        message: expect.stringMatching(/^Namespace stuck could not be created: Timed out/),
      },
    ]);
    await cluster.json({
      method: 'PATCH',
      path: '/api/v1/namespaces/stuck/configmaps/held',
      contentType: 'application/merge-patch+json',
      body: { metadata: { finalizers: null } },
    });
  });

  test('that are refused for good are told in the words of the server, with what to do', async () => {
    await createNamespace('refusing');
    const service = (name: string) =>
      objectOf(`v1 Service refusing/${name}`, { spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 30_123 }] } });
    await create('/api/v1/namespaces/refusing/services', service('first'));
    await create(
      '/api/v1/namespaces/refusing/resourcequotas',
      objectOf('v1 ResourceQuota refusing/q', { spec: { hard: { secrets: '0' } } }),
    );
    // The API server goes by what its own watch of the quota has seen, some moments after it has a status.
    let probes = 0;
    const probe = () => create('/api/v1/namespaces/refusing/secrets', objectOf(`v1 Secret refusing/probe-${probes++}`));
    await expect.poll(() => probe().then(JSON.stringify, String), { timeout: 10_000 }).toContain('exceeded quota');
    const { failures } = await restore([
      service('second'),
      objectOf('v1 Secret refusing/s'),
      objectOf('v1 ConfigMap refusing/UPPER'),
    ]);
    expect(failures).toEqual([
      {
        object: 'ConfigMap refusing/UPPER',
        outcome: 'failed',
        message: expect.stringMatching(/^ConfigMap "UPPER" is invalid: metadata.name: Invalid value/),
      },
      {
        object: 'Secret refusing/s',
        outcome: 'failed',
        message: expect.stringMatching(/exceeded quota: q, .* Raise the quota at the target, or/),
      },
      {
        object: 'Service refusing/second',
        outcome: 'failed',
        message: expect.stringMatching(/provided port is already allocated. Another Service of the target/),
      },
    ]);
  });

  test('that the cluster makes of its own accord take the state of the snapshot; others that appear are told', async () => {
    await createNamespace('appears');
    await expect.poll(() => findObject(cluster, '/api/v1/namespaces/appears/serviceaccounts/default')).toBeDefined();
    await create('/api/v1/namespaces/appears/configmaps', configMap('appears/same'));
    await create('/api/v1/namespaces/appears/configmaps', configMap('appears/other', { a: '2' }));
    const { counts, failures } = await restore([
      objectOf('v1 ServiceAccount appears/default', { imagePullSecrets: [{ name: 'registry' }] }),
      configMap('appears/same'),
      configMap('appears/other'),
    ]);
    expect(counts).toEqual({ created: 0, updated: 1, unchanged: 1, skipped: 0, failed: 1 });
    expect(failures).toEqual([
      {
        object: 'ConfigMap appears/other',
        outcome: 'failed',
        message: expect.stringMatching(/^It appeared at the target during the import, and differs in data.a\. Run/),
      },
    ]);
    const account = await read('/api/v1/namespaces/appears/serviceaccounts/default');
    expect(account.imagePullSecrets).toEqual([{ name: 'registry' }]);
  });
});

describe('objects that exist', () => {
  test('lose the fields that a later snapshot lacks, and keep those of others', async () => {
    await createNamespace('later');
    const path = '/api/v1/namespaces/later/configmaps/app';
    await restore([configMap('later/app', { a: '1', b: '1' }, { labels: { old: 'x' } })]);
    await cluster.json({
      method: 'PATCH',
      path,
      query: { fieldManager: 'somebody' },
      contentType: 'application/merge-patch+json',
      body: { data: { theirs: '1' } },
    });
    const later = { object: configMap('later/app', { a: '2' }), standing: 'different' as const };
    expect((await restore([later])).counts.updated).toBe(1);
    expect((await read(path)).data).toEqual({ a: '2', theirs: '1' });
    expect((await read(path)).metadata.labels).toBeUndefined();
    expect((await restore([later])).counts.unchanged).toBe(1);
  });

  test('that are equal or kept cost no request', async () => {
    const silent = { ...cluster, json: () => Promise.reject(new Error('There was a request.')) };
    const pieces = (['equal', 'kept'] as const).map((standing) => ({
      object: configMap(`default/${standing}`),
      standing,
    }));
    expect((await restore(pieces, { cluster: silent })).counts.unchanged).toBe(2);
  });

  test('are deleted and created where the server refuses the change, and what they own stays theirs', async () => {
    await createNamespace('anew');
    const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'job', controller: true, blockOwnerDeletion: true };
    const job = (image: string) =>
      objectOf('batch/v1 Job anew/job', {
        spec: {
          suspend: true,
          template: { spec: { containers: [{ name: 'a', image }], restartPolicy: 'Never' } },
        },
      });
    const data = configMap('anew/data', { a: '1' }, { ownerReferences: [owner] });
    await restore([job('a'), data]);
    const before = await read('/apis/batch/v1/namespaces/anew/jobs/job');
    const { uid } = (await read('/api/v1/namespaces/anew/configmaps/data')).metadata;

    const { counts, failures } = await restore([
      { object: job('b'), standing: 'different', recreate: true },
      { object: data, standing: 'equal' },
    ]);
    expect(failures).toEqual([]);
    expect(counts).toMatchObject({ updated: 1, unchanged: 1 });
    const after = await read('/apis/batch/v1/namespaces/anew/jobs/job');
    expect(after.spec).toMatchObject({ template: { spec: { containers: [{ image: 'b' }] } } });
    expect(after.metadata.uid).not.toBe(before.metadata.uid);
    const { metadata } = await read('/api/v1/namespaces/anew/configmaps/data');
    expect(metadata.uid).toBe(uid);
    expect(metadata.ownerReferences).toEqual([{ ...owner, uid: after.metadata.uid }]);
  });
});

describe('owners and status', () => {
  test('owners that come later are linked when they are there, and those that do not come are told', async () => {
    await createNamespace('owned');
    const { crd, kind } = define('makers', 'Maker', { subresources: { status: {} } });
    const owner = { apiVersion: 'tests.example.com/v1', kind: 'Maker', name: 'maker', controller: true };
    const lost = { apiVersion: 'tests.example.com/v1', kind: 'Maker', name: 'lost' };
    const inCluster = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', name: 'view' };
    const { counts, warnings } = await restore(
      [
        crd,
        objectOf('v1 Secret owned/early', { metadata: { ownerReferences: [owner, lost, inCluster] } }),
        objectOf('tests.example.com/v1 Maker owned/maker', { status: { phase: 'Ready' } }),
        objectOf('tests.example.com/v1 Maker owned/part', { metadata: { ownerReferences: [owner] } }),
      ],
      {
        work: { custom: [kind], owners: ['rbac.authorization.k8s.io/ClusterRole//view'] },
        restoreStatus: (name) => name === 'Maker',
      },
    );
    expect(counts).toEqual(made(4));
    const makers = '/apis/tests.example.com/v1/namespaces/owned/makers';
    const maker = await read(`${makers}/maker`);
    expect(maker.status).toEqual({ phase: 'Ready' });
    const { uid } = maker.metadata;
    const view = await read('/apis/rbac.authorization.k8s.io/v1/clusterroles/view');
    expect((await read('/api/v1/namespaces/owned/secrets/early')).metadata.ownerReferences).toEqual([
      { ...owner, uid },
      { ...inCluster, uid: view.metadata.uid },
    ]);
    expect((await read(`${makers}/part`)).metadata.ownerReferences).toEqual([{ ...owner, uid }]);
    expect(warnings).toEqual([
      'The owners of these objects are not at the target, so they came without: Secret owned/early (of Maker lost).',
    ]);
  });

  test('a status is left out unless asked for, and is no field to lose where the kind has none', async () => {
    await createNamespace('status');
    const object = (name: string) =>
      objectOf(`v1 ConfigMap status/${name}`, { data: { a: '1' }, status: { phase: 'Ready' } });
    expect((await restore([object('a')])).counts).toEqual(made(1));
    const { counts, failures } = await restore([object('b')], { restoreStatus: () => true });
    expect(counts.failed).toBe(1);
    expect(failures[0]?.message).toContain('unknown field "status"');
  });
});

describe('webhooks', () => {
  let server: Server | undefined;
  afterAll(() => server?.close());

  test('that do not answer yet are waited for; what one denies is tried once more at the end', async () => {
    await createNamespace('hooked');
    const authority = await createAuthority(folder, 'hooks');
    const { cert, key } = await authority.sign('hook', '/CN=hook', 'IP:127.0.0.1');
    const asked = new Map<string, number>();
    server = createServer({ cert, key }, async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const { uid, object } = JSON.parse(body).request;
      const count = (asked.get(object.metadata.name) ?? 0) + 1;
      asked.set(object.metadata.name, count);
      const allowed = object.metadata.name !== 'bad' && (object.metadata.name !== 'moody' || count > 1);
      const answer = { uid, allowed, status: { message: 'not in this house' } };
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }));
    });
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => sockets.add(socket));
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server?.close(resolve));
    const hooks = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
    await create(
      hooks,
      objectOf('admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration house', {
        webhooks: [
          {
            name: 'house.example.com',
            clientConfig: {
              url: `https://127.0.0.1:${port}/`,
              caBundle: Buffer.from(authority.cert).toString('base64'),
            },
            rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'hooked' } },
            sideEffects: 'None',
            admissionReviewVersions: ['v1'],
            failurePolicy: 'Fail',
          },
        ],
      }),
    );
    const probe = () => create('/api/v1/namespaces/hooked/configmaps', configMap('hooked/probe'));
    await expect.poll(() => probe().catch(String)).toContain('failed calling webhook');

    const names = ['bad', 'moody', ...Array.from({ length: 30 }, (_, index) => `good-${index}`)];
    const { counts, failures } = await restore(
      names.map((name) => configMap(`hooked/${name}`)),
      {
        // Its answers come with what is brought in between the two halves.
        during: () => new Promise<void>((resolve) => server?.listen(port, '127.0.0.1', resolve)),
      },
    );
    expect(failures).toEqual([
      {
        object: 'ConfigMap hooked/bad',
        outcome: 'failed',
        message: 'admission webhook "house.example.com" denied the request: not in this house.',
      },
    ]);
    expect(counts).toEqual({ created: 31, updated: 0, unchanged: 0, skipped: 0, failed: 1 });
    expect(asked.get('bad')).toBe(2);

    const closed = new Promise((resolve) => server?.close(resolve));
    // The API server keeps a connection to spare for 90 s, which Node does not count as one of HTTP before it says something.
    for (const socket of sockets) socket.destroy();
    await closed;
    const { failures: inVain } = await restore([configMap('hooked/late')], { timeout: 500 });
    expect(inVain).toEqual([
      {
        object: 'ConfigMap hooked/late',
        outcome: 'failed',
        message: expect.stringMatching(
          /failed calling webhook "house.example.com".*connection refused\. Does what answers for the webhook run\? It was tried again for 0.5 s\.$/,
        ),
      },
    ]);
    await cluster.json({ method: 'DELETE', path: `${hooks}/house` });
  });
});

describe('an API server in trouble', () => {
  /** A cluster behind a proxy that lets requests fail. */
  async function through(choose: (request: ProxiedRequest) => Fault | undefined) {
    const [context] = bed.access.contexts;
    const user = context?.user ?? {};
    const pem = (name: string) => Buffer.from(user[name] ?? '', 'base64').toString();
    const credentials = { cert: pem('client-certificate-data'), key: pem('client-key-data') };
    const agent = new Agent({ ca: bed.access.ca, ...credentials, keepAlive: true });
    const proxy = await startFaultyProxy(bed.server, choose, undefined, agent);
    const access = { ...bed.access, server: proxy.url };
    const faulty = await openCluster({
      kubeconfig: writeKubeconfig([access]),
      temporaryDirectory: folder,
      concurrency: 8,
    });
    return {
      cluster: faulty,
      proxy,
      async close() {
        await faulty.close();
        agent.destroy();
        await proxy.stop();
      },
    };
  }

  const many = (namespace: string, count: number) =>
    Array.from({ length: count }, (_, index) => configMap(`${namespace}/m-${index}`, { index: `${index}` }));

  async function namesIn(namespace: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { metadata } of cluster.list(`/api/v1/namespaces/${namespace}/configmaps`)) {
      if (metadata.name !== 'kube-root-ca.crt') names.push(metadata.name);
    }
    return names.sort();
  }

  test('whose answers are lost or whose connections break costs nothing: every object is there once, and counted as created', async () => {
    await createNamespace('lossy');
    let posts = 0;
    const faults: (Fault | undefined)[] = [
      { kind: 'lose-answer' },
      undefined,
      { kind: 'reset' },
      undefined,
      { kind: 'cut', after: 10 },
      { kind: 'answer', status: 503, body: 'no server is available' },
      undefined,
    ];
    const { cluster: faulty, close } = await through(({ method }) =>
      method === 'POST' ? faults[posts++ % faults.length] : undefined,
    );
    const pieces = many('lossy', 60);
    const { counts, failures } = await restore(pieces, { cluster: faulty, concurrency: 8 });
    expect(failures).toEqual([]);
    expect(counts).toEqual(made(60));
    expect(await namesIn('lossy')).toEqual(pieces.map(({ metadata }) => metadata.name).sort());
    await close();
  });

  test('that is killed and comes back in the middle of it loses and doubles nothing', async () => {
    await createNamespace('restarted');
    let posts = 0;
    let restarted: Promise<void> | undefined;
    const own = await openCluster({ kubeconfig: bed.kubeconfig, concurrency: 16 });
    const counting: Cluster = {
      ...own,
      json: (request) => {
        if (request.method === 'POST' && ++posts === 300) restarted = bed.restartApiServer();
        return own.json(request);
      },
    };
    const pieces = many('restarted', 1500);
    const { counts, failures } = await restore(pieces, { cluster: counting, timeout: 60_000 });
    await restarted;
    expect(failures).toEqual([]);
    expect(counts).toEqual(made(1500));
    expect((await namesIn('restarted')).length).toBe(1500);
    await own.close();
  });

  test('that stays away ends the import: what was not done is listed, and a second import completes it', async () => {
    await createNamespace('away');
    let posts = 0;
    const { cluster: faulty, close } = await through(({ method }) => {
      if (method === 'POST') posts += 1;
      return posts > 50 ? { kind: 'answer', status: 503, body: 'gone' } : undefined;
    });
    const pieces = many('away', 300);
    // Its own tries are the cluster layer's business, and tested there.
    const impatient: Cluster = {
      ...faulty,
      json: (request) => (posts > 50 && request.method === 'GET' ? Promise.reject(gone()) : faulty.json(request)),
    };
    const { counts, failures } = await restore(pieces, { cluster: impatient, timeout: 1_000 });
    const there = await namesIn('away');
    expect(there.length).toBe(50);
    expect(counts.created).toBe(50);
    expect(counts.failed).toBeLessThanOrEqual(16);
    expect(counts.failed + counts.skipped).toBe(250);
    expect(new Set(failures.map(({ object }) => object)).size).toBe(250);
    expect(failures.at(-1)?.message).toMatch(/did not answer for 1 s/);
    await close();

    const rest = pieces.map((object): Piece => {
      const isThere = there.includes(object.metadata.name);
      return { object, standing: isThere ? 'equal' : 'new' };
    });
    expect((await restore(rest)).counts).toEqual({ created: 250, updated: 0, unchanged: 50, skipped: 0, failed: 0 });
  });

  test('a cancelled import stops and lists what it has not done', async () => {
    await createNamespace('cancelled');
    const controller = new AbortController();
    let posts = 0;
    const counting: Cluster = {
      ...cluster,
      json: (request) => {
        if (request.method === 'POST' && ++posts === 100) controller.abort();
        return cluster.json(request);
      },
    };
    const { counts, failures } = await restore(many('cancelled', 300), {
      cluster: counting,
      signal: controller.signal,
    });
    expect(counts.failed).toBe(0);
    expect(counts.created + counts.skipped).toBe(300);
    expect(failures.length).toBe(counts.skipped);
    expect(counts.skipped).toBeGreaterThanOrEqual(200);
    expect(failures.every(({ message }) => message.startsWith('The run was cancelled'))).toBe(true);
  });
});

function gone(): ClusterError {
  return new ClusterError(0, 'Unreachable', 'Nothing listens there.');
}
