import { describe, expect, it } from 'vitest';
import { ClusterError } from '../../../src/cluster/cluster.ts';
import { TransshipError } from '../../../src/errors.ts';
import type { ImportWork } from '../../../src/resources/work.ts';
import {
  crdOf,
  filesOf,
  KINDS,
  keepReports,
  kindOf,
  linesOf,
  objectOf,
  objectsOf,
  prepare,
  targetWith,
} from './target-bed.ts';

const shop = objectOf('v1 Namespace shop');
const app = objectOf('v1 ConfigMap shop/app', { data: { a: '1' } });

async function problemOf(work: Promise<ImportWork>): Promise<TransshipError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof TransshipError) return error;
  throw new Error('It should have failed.', { cause: error });
}

describe('an import into an empty cluster', () => {
  it('has everything to create, and asks for no more than the namespaces and the kinds without any', async () => {
    const target = targetWith([]);
    const work = await prepare(
      { 'namespaces.json': [shop], 'shop/configmaps.json': [app], 'shop/secrets.json': [] },
      target,
    );
    expect(await linesOf(work)).toEqual(['new v1 Namespace shop', 'new v1 ConfigMap shop/app']);
    expect(target.requests).toEqual(['GET /api/v1/namespaces', 'GET /api/v1/namespaces']);
  });

  it('counts the objects of each file, and leaves out files without any', async () => {
    const other = objectOf('v1 ConfigMap shop/other');
    const work = await prepare({ 'shop/configmaps.json': [app, other], 'shop/secrets.json': [] }, targetWith([]));
    expect(work.files).toMatchObject([
      { path: 'shop/configmaps.json', namespace: 'shop', count: 2, isCustom: false, kind: { plural: 'configmaps' } },
    ]);
  });

  it('needs the namespaces that the snapshot does not bring itself', async () => {
    const secret = objectOf('v1 Secret bills/key');
    const lists = { 'namespaces.json': [shop], 'shop/configmaps.json': [app], 'bills/secrets.json': [secret] };
    expect((await prepare(lists, targetWith([]))).namespaces).toEqual(['bills']);
  });

  it('reads the files again for each one who asks', async () => {
    const work = await prepare({ 'shop/configmaps.json': [app] }, targetWith([]));
    expect(await linesOf(work)).toEqual(await linesOf(work));
  });

  it('gives each object its key', async () => {
    const work = await prepare({ 'shop/configmaps.json': [app] }, targetWith([]));
    const keys: string[] = [];
    for (const file of work.files) for await (const { key } of work.objects(file)) keys.push(key);
    expect(keys).toEqual(['/ConfigMap/shop/app']);
  });
});

describe('a file', () => {
  it('in the folder manifest_ is of the namespace manifest', async () => {
    const work = await prepare({ 'manifest_/configmaps.json': [objectOf('v1 ConfigMap app')] }, targetWith([]));
    expect(await linesOf(work)).toEqual(['new v1 ConfigMap manifest/app']);
  });

  it('is taken for what its objects say they are', async () => {
    const secret = objectOf('v1 Secret shop/key');
    const work = await prepare({ 'shop/configmaps.json': [secret, app] }, targetWith([]));
    expect((await linesOf(work)).sort()).toEqual(['new v1 ConfigMap shop/app', 'new v1 Secret shop/key']);
    expect(work.files.map(({ kind, count }) => [kind.kind, count]).sort()).toEqual([
      ['ConfigMap', 1],
      ['Secret', 1],
    ]);
  });

  it('of what is no resource is passed over', async () => {
    const lists = { '_snapshot.json': [], 'shop/configmaps.json': [app], manifest: [] };
    expect(await linesOf(await prepare(lists, targetWith([])))).toEqual(['new v1 ConfigMap shop/app']);
  });

  it('that is damaged stops the import, and is named', async () => {
    const files = filesOf({ 'shop/configmaps.json': [app] });
    const cut = { ...files, entry: (path: string) => ({ ...files.entry(path), body: Buffer.from('{"apiVersion":') }) };
    const { prepareResources } = await import('../../../src/resources/prepare.ts');
    const { discoveryOf } = await import('./target-bed.ts');
    const problem = await problemOf(
      prepareResources(cut, {
        cluster: targetWith([]),
        discovery: discoveryOf(KINDS),
        kinds: [],
        origin: 'snapshot',
        choice: { namespaces: [], exclude: [], alsoReleases: false },
        namespaceMap: new Map(),
        replace: false,
        recreate: false,
        restoreStatus: [],
        otherCrds: new Set(),
        concurrency: 2,
        reporter: keepReports(),
      }),
    );
    expect(problem).toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: expect.stringContaining('shop/configmaps.json'),
    });
  });
});

describe('a choice', () => {
  const lists = {
    'namespaces.json': [shop, objectOf('v1 Namespace bills')],
    'shop/configmaps.json': [app],
    'bills/configmaps.json': [objectOf('v1 ConfigMap bills/app')],
  };

  it('of namespaces leaves out others, their Namespaces, claimed volumes and bindings', async () => {
    const subjects = (namespace: string) => [{ kind: 'ServiceAccount', name: 'bot', namespace }];
    const work = await prepare(
      {
        ...lists,
        'clusterroles.json': [objectOf('rbac.authorization.k8s.io/v1 ClusterRole reader')],
        'clusterrolebindings.json': [
          objectOf('rbac.authorization.k8s.io/v1 ClusterRoleBinding of-bills', { subjects: subjects('bills') }),
          objectOf('rbac.authorization.k8s.io/v1 ClusterRoleBinding of-shop', { subjects: subjects('shop') }),
          objectOf('rbac.authorization.k8s.io/v1 ClusterRoleBinding of-users', {
            subjects: [{ kind: 'User', name: 'eve' }],
          }),
          objectOf('rbac.authorization.k8s.io/v1 ClusterRoleBinding of-group', {
            subjects: [{ kind: 'Group', name: 'system:serviceaccounts:shop' }],
          }),
        ],
        'persistentvolumes.json': [
          objectOf('v1 PersistentVolume free'),
          objectOf('v1 PersistentVolume of-bills', { spec: { claimRef: { namespace: 'bills', name: 'a' } } }),
        ],
      },
      targetWith([]),
      { choice: { namespaces: ['sh*'] } },
    );
    expect((await linesOf(work)).sort()).toEqual([
      'new rbac.authorization.k8s.io/v1 ClusterRole reader',
      'new rbac.authorization.k8s.io/v1 ClusterRoleBinding of-group',
      'new rbac.authorization.k8s.io/v1 ClusterRoleBinding of-shop',
      'new v1 ConfigMap shop/app',
      'new v1 Namespace shop',
      'new v1 PersistentVolume free',
    ]);
  });

  it('of every namespace takes everything, bindings of users too', async () => {
    const subjects = [{ kind: 'User', name: 'eve' }];
    const binding = objectOf('rbac.authorization.k8s.io/v1 ClusterRoleBinding of-users', { subjects });
    const all = { ...lists, 'clusterrolebindings.json': [binding] };
    const work = await prepare(all, targetWith([]), { choice: { namespaces: ['*'] } });
    expect(await linesOf(work)).toHaveLength(5);
  });

  it('of a namespace that the snapshot lacks is refused with the nearest one', async () => {
    const problem = await problemOf(prepare(lists, targetWith([]), { choice: { namespaces: ['shpo'] } }));
    expect(problem).toMatchObject({
      code: 'INPUT',
      message: 'namespace: "shpo" matches nothing in the snapshot. It has objects of: bills, shop.',
      hint: 'Did you mean shop?',
    });
  });

  it('may name a namespace of which only releases travel', async () => {
    const both = { ...lists, '_releases/tools/web/1.json': [] };
    const choice = { namespaces: ['tools', 'shop'], alsoReleases: true };
    const work = await prepare(both, targetWith([]), { choice });
    expect(await linesOf(work)).toEqual(['new v1 Namespace shop', 'new v1 ConfigMap shop/app']);
  });

  it('of labels chooses among what is in namespaces, and leaves what others need', async () => {
    const web = objectOf('v1 ConfigMap shop/web', { metadata: { labels: { team: 'web' } } });
    const work = await prepare({ ...lists, 'shop/configmaps.json': [app, web] }, targetWith([]), {
      choice: { selector: 'team=web' },
    });
    expect((await linesOf(work)).sort()).toEqual([
      'new v1 ConfigMap shop/web',
      'new v1 Namespace bills',
      'new v1 Namespace shop',
    ]);
  });

  it('can leave out a kind or one object, and hears of what it did not find', async () => {
    const reporter = keepReports();
    const exclude = ['namespaces', 'bills/configmap/a*', 'secrets/key'];
    const work = await prepare(lists, targetWith([]), { choice: { exclude }, reporter });
    expect(await linesOf(work)).toEqual(['new v1 ConfigMap shop/app']);
    expect(reporter.lines).toEqual(['warn: exclude has "secrets/key", which matches no object.']);
  });

  it('of a status to restore keeps just that one', async () => {
    const job = objectOf('batch/v1 Job shop/a', { status: { succeeded: 1 } });
    const claim = objectOf('v1 PersistentVolumeClaim shop/a', { status: { phase: 'Bound' } });
    const files = { 'shop/jobs.json': [job], 'shop/persistentvolumeclaims.json': [claim] };
    const work = await prepare(files, targetWith([]), { restoreStatus: ['jobs'] });
    const kept = (await objectsOf(work)).map(({ kind, status }) => [kind, status]).sort();
    expect(kept).toEqual([
      ['Job', { succeeded: 1 }],
      ['PersistentVolumeClaim', undefined],
    ]);
  });

  it('of a kind without status that nobody knows is refused', async () => {
    expect(await problemOf(prepare(lists, targetWith([]), { restoreStatus: ['jbos'] }))).toMatchObject({
      code: 'INPUT',
    });
  });
});

describe('a namespace map', () => {
  it('moves objects and what refers to them', async () => {
    const binding = objectOf('rbac.authorization.k8s.io/v1 ClusterRoleBinding reader', {
      subjects: [{ kind: 'ServiceAccount', name: 'bot', namespace: 'shop' }],
    });
    const lists = { 'namespaces.json': [shop], 'shop/configmaps.json': [app], 'clusterrolebindings.json': [binding] };
    const work = await prepare(lists, targetWith([]), { map: { shop: 'store' } });
    const objects = await objectsOf(work);
    expect(objects.map(({ kind, metadata }) => [kind, metadata.namespace, metadata.name]).sort()).toEqual([
      ['ClusterRoleBinding', undefined, 'reader'],
      ['ConfigMap', 'store', 'app'],
      ['Namespace', undefined, 'store'],
    ]);
    expect(objects.find(({ kind }) => kind === 'ClusterRoleBinding')?.subjects).toEqual([
      { kind: 'ServiceAccount', name: 'bot', namespace: 'store' },
    ]);
    expect(work.files.map(({ namespace }) => namespace)).toContain('store');
  });

  it('says in one warning what it left, the first twenty', async () => {
    const reporter = keepReports();
    const maps = Array.from({ length: 25 }, (_, index) =>
      objectOf(`v1 ConfigMap shop/app-${index}`, { data: { url: 'http://db.shop.svc' } }),
    );
    await prepare({ 'shop/configmaps.json': maps }, targetWith([]), { map: { shop: 'store' }, reporter });
    expect(reporter.lines).toHaveLength(1);
    const lines = reporter.lines[0]?.split('\n') ?? [];
    expect(lines[0]).toBe('warn: ConfigMap app-0 still names namespace shop: data.url has "db.shop.svc".');
    expect(lines.at(-1)).toBe('and 5 more.');
    expect(lines).toHaveLength(21);
  });

  it('that brings two objects to one place is refused, and names them', async () => {
    const lists = { 'shop/configmaps.json': [app], 'bills/configmaps.json': [objectOf('v1 ConfigMap bills/app')] };
    const problem = await problemOf(prepare(lists, targetWith([]), { map: { bills: 'shop' } }));
    expect(problem).toMatchObject({
      code: 'INPUT',
      message: expect.stringContaining('ConfigMap shop/app: from bills and shop'),
    });
  });

  it('that joins namespaces takes one of what each of them has', async () => {
    const lists = {
      'namespaces.json': [objectOf('v1 Namespace bills'), shop],
      'bills/serviceaccounts.json': [
        objectOf('v1 ServiceAccount bills/default'),
        objectOf('v1 ServiceAccount bills/bot'),
      ],
      'shop/serviceaccounts.json': [objectOf('v1 ServiceAccount shop/default')],
    };
    const work = await prepare(lists, targetWith([]), { map: { bills: 'shop' } });
    expect(await linesOf(work)).toEqual([
      'new v1 Namespace shop',
      'new v1 ServiceAccount shop/bot',
      'new v1 ServiceAccount shop/default',
    ]);
    expect(work.files.map(({ path, count }) => [path, count])).toEqual([
      ['namespaces.json', 1],
      ['bills/serviceaccounts.json', 1],
      ['shop/serviceaccounts.json', 1],
    ]);
  });
});

describe('a namespace of the target', () => {
  it('that is on its way out counts as missing, and what is in it as gone', async () => {
    const ending = objectOf('v1 Namespace shop', { metadata: { deletionTimestamp: '2026-01-31T12:00:00Z' } });
    const target = targetWith([ending, objectOf('v1 ConfigMap shop/app', { data: { a: '2' } })]);
    const work = await prepare({ 'shop/configmaps.json': [app] }, target);
    expect(await linesOf(work)).toEqual(['new v1 ConfigMap shop/app']);
    expect(work.namespaces).toEqual(['shop']);
  });

  it('is asked for by name where namespaces may not be listed, and taken to exist where it may not be read', async () => {
    const forbidden = new ClusterError(403, 'Forbidden', 'no');
    const target = targetWith([], {
      answer: ({ path }) =>
        path === '/api/v1/namespaces' || path.endsWith('/namespaces/shop') ? forbidden : undefined,
    });
    const lists = { 'shop/configmaps.json': [app], 'bills/configmaps.json': [objectOf('v1 ConfigMap bills/app')] };
    expect((await prepare(lists, target)).namespaces).toEqual(['bills']);
    expect(target.requests).toContain('GET /api/v1/namespaces/shop/configmaps');
    expect(target.requests).not.toContain('GET /api/v1/namespaces/bills/configmaps');
  });
});

describe('rights', () => {
  it('that are missing to compare are named all at once', async () => {
    const forbidden = new ClusterError(403, 'Forbidden', 'no');
    const target = targetWith([shop], { answer: ({ path }) => (path.includes('/shop/') ? forbidden : undefined) });
    const lists = { 'shop/configmaps.json': [app], 'shop/deployments.json': [objectOf('apps/v1 Deployment shop/web')] };
    const problem = await problemOf(prepare(lists, target));
    expect(problem.code).toBe('FORBIDDEN');
    expect(problem.message).toContain('in namespace shop: configmaps, deployments.apps');
    expect(problem.hint).toContain('list');
  });
});

describe('an API version', () => {
  const autoscaler = objectOf('autoscaling/v2beta2 HorizontalPodAutoscaler shop/web');
  const served = [...KINDS, kindOf('autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler', ['v2', 'v1'])];
  const files = { 'shop/horizontalpodautoscalers.json': [autoscaler] };

  it('that the target lacks becomes another one, with a warning', async () => {
    const reporter = keepReports();
    const work = await prepare(files, targetWith([], { kinds: served }), { served, reporter });
    expect(await linesOf(work)).toEqual(['new autoscaling/v2 HorizontalPodAutoscaler shop/web']);
    expect(reporter.lines).toEqual([
      'warn: HorizontalPodAutoscaler comes as autoscaling/v2: the target does not serve autoscaling/v2beta2, in which the snapshot has one object.',
    ]);
  });

  it('into which an object does not fit stops the import, for fields would be lost', async () => {
    const status = { kind: 'Status', message: 'is invalid: strict decoding error: unknown field "spec.metrics"' };
    const strict = new ClusterError(400, 'BadRequest', 'bad', { answer: status });
    const target = targetWith([], {
      kinds: served,
      answer: ({ method, query }) => (method === 'POST' && query?.fieldValidation === 'Strict' ? strict : undefined),
    });
    expect(await problemOf(prepare(files, target, { served }))).toMatchObject({
      code: 'NOT_SERVED',
      message: expect.stringContaining(
        'HorizontalPodAutoscaler shop/web does not fit into autoscaling/v2: unknown field "spec.metrics"',
      ),
    });
  });

  it('that is gone altogether stops the import: the kinds, how many, the first names and the way out', async () => {
    const policies = Array.from({ length: 12 }, (_, index) => objectOf(`policy/v1beta1 PodSecurityPolicy p${index}`));
    const widget = objectOf('example.com/v1 Widget shop/a');
    const lists = { 'podsecuritypolicies.json': policies, 'shop/widgets.json': [widget] };
    const problem = await problemOf(prepare(lists, targetWith([])));
    expect(problem.code).toBe('NOT_SERVED');
    expect(problem.message.split('\n')).toEqual([
      "prod can't take these:",
      `- PodSecurityPolicy of policy/v1beta1 (the API was removed or is not enabled there): 12 objects: ${Array.from({ length: 10 }, (_, index) => `PodSecurityPolicy p${index}`).join(', ')} and 2 more`,
      '- Widget of example.com/v1 (its CustomResourceDefinition or API service is missing there): 1 object: Widget.example.com shop/a',
    ]);
    expect(problem.hint).toContain('exclude: PodSecurityPolicy.policy, Widget.example.com');
  });

  it('of an extension server that is down is told from one that is missing', async () => {
    const lists = { 'shop/widgets.json': [objectOf('example.com/v1 Widget shop/a')] };
    const problem = await problemOf(prepare(lists, targetWith([]), { stale: ['example.com/v1'] }));
    expect(problem.message).toContain('the API service of example.com/v1 does not answer there');
  });
});

describe('custom resources', () => {
  const crd = crdOf('widgets.example.com', 'Widget', ['v2', 'v1']);
  const widget = objectOf('example.com/v1 Widget shop/a');
  const lists = { 'customresourcedefinitions.json': [crd], 'shop/widgets.json': [widget] };

  it('whose CRD travels come as they are, after it', async () => {
    const work = await prepare(lists, targetWith([]));
    expect(await linesOf(work)).toEqual([
      'new apiextensions.k8s.io/v1 CustomResourceDefinition widgets.example.com',
      'new example.com/v1 Widget shop/a',
    ]);
    expect(work.files[1]).toMatchObject({
      isCustom: true,
      kind: { apiVersion: 'example.com/v1', plural: 'widgets', namespaced: true },
    });
  });

  it('need their CRD: without it they are not served', async () => {
    const choice = { exclude: ['customresourcedefinitions/widgets.example.com'] };
    expect(await problemOf(prepare(lists, targetWith([]), { choice }))).toMatchObject({ code: 'NOT_SERVED' });
  });

  it('whose CRD a release of the same import brings leave it to that', async () => {
    const otherCrds = new Set(['widgets.example.com']);
    expect(await linesOf(await prepare(lists, targetWith([]), { otherCrds }))).toEqual([
      'new example.com/v1 Widget shop/a',
    ]);
  });

  it('take the version of a CRD that stays as it is at the target, and their own when it is replaced', async () => {
    const served = [...KINDS, kindOf('example.com/v2 widgets Widget')];
    const target = () => targetWith([crdOf('widgets.example.com', 'Widget', ['v2'])], { kinds: served });
    const versions = async (replace: boolean) => linesOf(await prepare(lists, target(), { served, replace }));
    expect(await versions(false)).toContain('new example.com/v2 Widget shop/a');
    expect(await versions(true)).toContain('new example.com/v1 Widget shop/a');
  });
});

describe('owners', () => {
  const owned = (kind: string, name: string) =>
    objectOf('v1 Secret shop/key', { metadata: { ownerReferences: [{ apiVersion: 'apps/v1', kind, name }] } });

  it('that come along are named', async () => {
    const lists = {
      'shop/deployments.json': [objectOf('apps/v1 Deployment shop/web')],
      'shop/secrets.json': [owned('Deployment', 'web')],
    };
    expect((await prepare(lists, targetWith([]))).owners).toEqual(new Set(['apps/Deployment/shop/web']));
  });

  it('that the target has already are named', async () => {
    const target = targetWith([shop, objectOf('apps/v1 Deployment shop/web')]);
    expect((await prepare({ 'shop/secrets.json': [owned('Deployment', 'web')] }, target)).owners).toEqual(
      new Set(['apps/Deployment/shop/web']),
    );
  });

  it('that are nowhere are not', async () => {
    expect((await prepare({ 'shop/secrets.json': [owned('Deployment', 'web')] }, targetWith([shop]))).owners).toEqual(
      new Set(),
    );
  });

  it('are named as they are called at the target', async () => {
    const lists = {
      'shop/deployments.json': [objectOf('apps/v1 Deployment shop/web')],
      'shop/secrets.json': [owned('Deployment', 'web')],
    };
    const work = await prepare(lists, targetWith([]), { map: { shop: 'store' } });
    expect(work.owners).toEqual(new Set(['apps/Deployment/store/web']));
  });

  it('that an equal object of the target lacks are added, and need no replace', async () => {
    const there = [shop, objectOf('v1 Secret shop/key'), objectOf('apps/v1 Deployment shop/web')];
    const work = await prepare({ 'shop/secrets.json': [owned('Deployment', 'web')] }, targetWith(there));
    expect(await linesOf(work)).toEqual(['different v1 Secret shop/key']);
  });

  it('that come nowhere leave an equal object equal', async () => {
    const work = await prepare(
      { 'shop/secrets.json': [owned('Deployment', 'web')] },
      targetWith([shop, objectOf('v1 Secret shop/key')]),
    );
    expect(await linesOf(work)).toEqual(['equal v1 Secret shop/key']);
  });
});
