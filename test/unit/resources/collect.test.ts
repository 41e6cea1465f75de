import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readBody } from '../../../src/archive/entry.ts';
import { ClusterError, type KubeObject } from '../../../src/cluster/cluster.ts';
import { discover } from '../../../src/cluster/discovery.ts';
import { type CollectResourcesOptions, collectResources, snapshotKinds } from '../../../src/resources/collect.ts';
import { keyOf, OPT_OUT_LABEL } from '../../../src/resources/resource.ts';
import { whySkipped } from '../../../src/resources/rules.ts';
import {
  forbidden,
  keepMessages,
  type SourceCluster,
  type SourceOptions,
  sent,
  sourceCluster,
} from './source-cluster.ts';

const SHOP = sent('v1 Namespace shop');
const BLOG = sent('v1 Namespace blog');

type Options = Partial<Omit<CollectResourcesOptions, 'discovery' | 'reporter'>>;

async function start(cluster: SourceCluster, options: Options = {}) {
  const reporter = keepMessages();
  const temporaryDirectory = mkdtempSync(join(tmpdir(), 'transship-test-'));
  onTestFinished(() => rmSync(temporaryDirectory, { recursive: true, force: true }));
  const discovery = await discover(cluster);
  cluster.asked.length = 0;
  const collection = collectResources(cluster, {
    discovery,
    namespaces: ['*'],
    clusterResources: 'needed',
    strict: false,
    restoreStatus: [],
    concurrency: 4,
    temporaryDirectory,
    alsoReleases: false,
    reporter,
    ...options,
  });
  return { collection, reporter, temporaryDirectory, discovery };
}

/** Exports all and reads the Lists: of each path the objects. */
async function collect(source: SourceOptions, options: Options = {}) {
  const cluster = sourceCluster(source);
  const { collection, reporter } = await start(cluster, options);
  const files = new Map<string, KubeObject[]>();
  for await (const entry of collection.entries) {
    expect(files.has(entry.path)).toBe(false);
    const body = await readBody(entry);
    expect(body.byteLength).toBe(entry.size);
    files.set(entry.path, JSON.parse(body.toString()).items);
  }
  const paths = [...files.keys()].sort();
  const { warnings, notes } = reporter;
  return { files, paths, warnings, notes, asked: cluster.asked, ...collection.result() };
}

describe('an export of resources', () => {
  test('has one List a kind and namespace, an object a line, without what the server owns', async () => {
    const cluster = sourceCluster({
      objects: [SHOP, sent('v1 ConfigMap shop/a', { data: { text: 'é\n😀' } }), sent('v1 ConfigMap shop/b')],
    });
    const { collection } = await start(cluster);
    const texts = new Map<string, string>();
    for await (const entry of collection.entries) texts.set(entry.path, (await readBody(entry)).toString());
    expect(texts).toEqual(
      new Map([
        [
          'shop/configmaps.json',
          `{"apiVersion":"v1","kind":"List","metadata":{},"items":[
{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"shop"},"data":{"text":"é\\n😀"}},
{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b","namespace":"shop"}}
]}
`,
        ],
        [
          'namespaces.json',
          `{"apiVersion":"v1","kind":"List","metadata":{},"items":[
{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}
]}
`,
        ],
      ]),
    );
    expect(collection.result()).toEqual({
      resources: [
        { apiVersion: 'v1', kind: 'ConfigMap', resource: 'configmaps', ...counts(2, 0) },
        { apiVersion: 'v1', kind: 'Namespace', resource: 'namespaces', ...counts(1, 0) },
      ],
      crds: [],
    });
  });

  test('names the group where kinds share a plural, and the core group keeps the plain name', async () => {
    const { paths } = await collect({
      objects: [SHOP, sent('v1 Service shop/a'), sent('serving.example.com/v1 Service shop/a')],
    });
    expect(paths).toEqual(['namespaces.json', 'shop/services.json', 'shop/services.serving.example.com.json']);
  });

  test('never lists what cannot travel', async () => {
    const { asked, paths } = await collect({ objects: [SHOP, sent('v1 Event shop/a')] });
    expect(paths).toEqual(['namespaces.json']);
    expect(asked.some((path) => path.endsWith('/events'))).toBe(false);
  });

  test('leaves out what a travelling release brings, uncounted', async () => {
    const owned = new Set([keyOf({ group: 'apps', kind: 'Deployment', namespace: 'shop', name: 'web' })]);
    const { paths, resources } = await collect(
      { objects: [SHOP, sent('apps/v1 Deployment shop/web')] },
      { alsoReleases: true, owned: () => owned },
    );
    expect(paths).toEqual(['namespaces.json']);
    expect(resources.map(({ resource }) => resource)).toEqual(['namespaces']);
  });

  test("does not even ask for Helm's records when releases travel", async () => {
    const { asked } = await collect({ objects: [SHOP] }, { alsoReleases: true });
    expect(asked).toContain('/api/v1/secrets type!=helm.sh/release.v1');
  });

  test('keeps the status of the kinds that were named', async () => {
    const objects = [
      SHOP,
      sent('example.com/v1 Widget shop/a', { status: { phase: 'Ready' } }),
      sent('apps/v1 Deployment shop/web', { status: { replicas: 1 } }),
    ];
    const { files } = await collect({ objects }, { restoreStatus: ['widget'] });
    expect(files.get('shop/widgets.json')?.[0]?.status).toEqual({ phase: 'Ready' });
    expect(files.get('shop/deployments.json')?.[0]).not.toHaveProperty('status');
  });

  test('puts objects that a restarted list brings late into the one List of their namespace', async () => {
    const { files, paths } = await collect({
      objects: [SHOP, BLOG, sent('v1 ConfigMap blog/a'), sent('v1 ConfigMap shop/b'), sent('v1 ConfigMap blog/late')],
      pageSize: 1,
    });
    expect(paths).toEqual(['blog/configmaps.json', 'namespaces.json', 'shop/configmaps.json']);
    expect(files.get('blog/configmaps.json')?.map(({ metadata }) => metadata.name)).toEqual(['a', 'late']);
  });

  test('is whole and in order when it is too much for memory, and leaves no file', async () => {
    const data = { text: 'ü'.repeat(100_000) };
    const objects = Array.from({ length: 60 }, (_, index) =>
      sent(`v1 ConfigMap ${index < 45 ? 'blog' : 'shop'}/c-${index}`, { data }),
    );
    const { collection, temporaryDirectory } = await start(
      sourceCluster({ objects: [SHOP, BLOG, ...objects], pageSize: 7 }),
    );
    const names: string[] = [];
    for await (const entry of collection.entries) {
      expect(readdirSync(temporaryDirectory)).toEqual([]);
      const { items } = JSON.parse((await readBody(entry)).toString());
      if (!entry.path.endsWith('configmaps.json')) continue;
      for (const item of items) {
        expect(item.data).toEqual(data);
        names.push(`${item.metadata.namespace}/${item.metadata.name}`);
      }
    }
    expect(names).toEqual(objects.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  });

  test('ends the lists under way when the reader stops', async () => {
    const reached = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    const cluster = sourceCluster({ objects: [SHOP, sent('v1 ConfigMap shop/a')] });
    const listPages = cluster.listPages;
    cluster.listPages = async function* (path, options) {
      if (!path.endsWith('/secrets')) return yield* listPages(path, options);
      const aborted = new Promise((resolve) => options?.signal?.addEventListener('abort', resolve));
      reached.resolve();
      await aborted;
      ended.resolve();
      throw new Error('aborted');
    };
    const { collection } = await start(cluster);
    for await (const entry of collection.entries) {
      expect(entry.path).toBe('shop/configmaps.json');
      await reached.promise;
      break;
    }
    await ended.promise;
  });

  test('is cancelled by its signal, also while kinds wait for others', async () => {
    const controller = new AbortController();
    const cluster = sourceCluster({
      objects: [SHOP],
      before: async (path) => {
        if (path === '/api/v1/namespaces') controller.abort();
      },
    });
    const { collection } = await start(cluster, { signal: controller.signal });
    await expect(collection.entries[Symbol.asyncIterator]().next()).rejects.toThrow(/abort|Cancelled/i);
  });

  test('passes on the failure of the API server itself', async () => {
    const refuse = (path: string) =>
      path.endsWith('/configmaps') ? new ClusterError(500, 'InternalError', 'etcd is gone') : undefined;
    await expect(collect({ objects: [SHOP], refuse })).rejects.toThrow('etcd is gone');
  });

  test('says so when it found nothing', async () => {
    const { warnings } = await collect({ objects: [SHOP] }, { clusterResources: 'none' });
    expect(warnings).toEqual(['No object was found in *.']);
  });
});

describe('what a server is asked to leave out', () => {
  test('is what the rules leave out', () => {
    const withLabels = (labels: Record<string, string>) => ({ metadata: { name: 'a', namespace: 'shop', labels } });
    const slices = ['endpointslice-controller.k8s.io', 'endpointslicemirroring-controller.k8s.io'].map((manager) =>
      sent(
        'discovery.k8s.io/v1 EndpointSlice shop/a',
        withLabels({ 'endpointslice.kubernetes.io/managed-by': manager }),
      ),
    );
    const endpoints = withLabels({ 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' });
    const left = [
      ...slices,
      sent('v1 Endpoints shop/a', endpoints),
      sent('v1 Secret shop/sh.helm.release.v1.a.v1', { type: 'helm.sh/release.v1' }),
    ];
    const reasons = left.map((object) =>
      whySkipped(object, { withReleases: true, hasSelectorlessService: () => true }),
    );
    expect(reasons).not.toContain(undefined);
  });
});

describe('namespaces given by name', () => {
  test('are listed one by one, and nothing is listed over the whole cluster but what has no namespace', async () => {
    const { paths, asked } = await collect(
      { objects: [SHOP, BLOG, sent('v1 ConfigMap shop/a'), sent('v1 ConfigMap blog/b')] },
      { namespaces: ['shop'], clusterResources: 'none' },
    );
    expect(paths).toEqual(['shop/configmaps.json']);
    expect(
      asked.filter((path) => !path.startsWith('/api/v1/namespaces/shop') && !path.includes('/namespaces/shop/')),
    ).toEqual([]);
  });

  test('must exist; the error names those that were meant', async () => {
    for (const namespaces of [['shpo'], ['shpo', 'b*']]) {
      await expect(collect({ objects: [SHOP, BLOG] }, { namespaces })).rejects.toMatchObject({
        code: 'INPUT',
        message: 'namespace names "shpo", which does not exist in stage.',
        hint: 'Did you mean shop?',
      });
    }
  });

  test('may be ones that can not be read themselves', async () => {
    const refuse = (path: string) => (/namespaces(\/shop)?$/.test(path) ? forbidden(path) : undefined);
    const objects = [SHOP, sent('v1 ConfigMap shop/a')];
    const options = { namespaces: ['shop'], clusterResources: 'none' } as const;
    const { paths, warnings } = await collect({ objects, refuse }, options);
    expect(paths).toEqual(['shop/configmaps.json']);
    expect(warnings).toEqual([]);
  });
});

describe('namespaces given by glob', () => {
  const objects = [SHOP, BLOG, sent('v1 ConfigMap blog/b'), sent('v1 ConfigMap shop/a')];

  test('are picked from one list over the cluster, with the Namespaces themselves', async () => {
    const { files, paths, asked } = await collect({ objects }, { namespaces: ['sh*'] });
    expect(paths).toEqual(['namespaces.json', 'shop/configmaps.json']);
    expect(files.get('namespaces.json')?.map(({ metadata }) => metadata.name)).toEqual(['shop']);
    expect(asked.filter((path) => path.endsWith('/configmaps'))).toEqual(['/api/v1/configmaps']);
  });

  test('are told when they match none', async () => {
    const { warnings } = await collect({ objects }, { namespaces: ['sh*', 'team-*'] });
    expect(warnings).toEqual(['namespace has "team-*", which matches no namespace.']);
  });
});

describe('what may not be read', () => {
  const refuseAll = (path: string) =>
    path.startsWith('/api/v1/') || path.startsWith('/apis/') ? forbidden(path) : undefined;
  const objects = [SHOP, BLOG, sent('v1 ConfigMap shop/a')];
  const refuse = (path: string) => (/(secrets|widgets)$|blog\/configmaps$/.test(path) ? forbidden(path) : undefined);
  const options = { namespaces: ['shop', 'blog'], clusterResources: 'none' } as const;

  test('is said in one warning that names kinds and namespaces', async () => {
    const { paths, warnings } = await collect({ objects, refuse }, options);
    expect(paths).toEqual(['shop/configmaps.json']);
    expect(warnings).toEqual([
      'The user of the context "stage" may not read secrets, widgets.example.com in shop, blog; configmaps in blog. ' +
        'These objects do not travel. Grant the verbs get and list on them.',
    ]);
  });

  test('is an error that names all of it, when strict', async () => {
    await expect(collect({ objects, refuse }, { ...options, strict: true })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message:
        'The user of the context "stage" may not read secrets, widgets.example.com in shop, blog; configmaps in blog.',
    });
  });

  test('is an error when it is all there is', async () => {
    await expect(collect({ objects, refuse: refuseAll }, { namespaces: ['shop'] })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
  });

  test('says how a glob gets by without rights over the cluster', async () => {
    await expect(collect({ objects, refuse: refuseAll })).rejects.toMatchObject({
      hint: expect.stringContaining('name the namespaces one by one'),
    });
  });

  test('takes no claim for bound to a volume that does not travel for that', async () => {
    const claim = sent('v1 PersistentVolumeClaim shop/data', { spec: { volumeName: 'disk' } });
    const volume = sent('v1 PersistentVolume disk', { spec: { claimRef: { namespace: 'shop', name: 'data' } } });
    const read = async (refuse: SourceOptions['refuse']) =>
      (await collect({ objects: [SHOP, claim, volume], ...(refuse && { refuse }) })).files.get(
        'shop/persistentvolumeclaims.json',
      )?.[0]?.spec;
    expect(await read(undefined)).toEqual({ volumeName: 'disk' });
    expect(await read((path) => (path.endsWith('/persistentvolumes') ? forbidden(path) : undefined))).toEqual({});
  });
});

describe('kinds of extension servers', () => {
  const broken = (status: number, reason: string) => (path: string, page: number) =>
    path.endsWith('/widgets') && page === 1 ? new ClusterError(status, reason, 'the backend is down') : undefined;
  const objects = [SHOP, sent('example.com/v1 Widget shop/a'), sent('example.com/v1 Widget shop/b')];

  test('that fail are told, leave no half of themselves, and stop nothing else', async () => {
    const { paths, warnings, crds } = await collect({
      objects,
      pageSize: 1,
      refuse: broken(503, 'ServiceUnavailable'),
    });
    expect(paths).toEqual(['namespaces.json']);
    expect(crds).toEqual([]);
    expect(warnings).toEqual([
      "widgets.example.com can't be listed: the backend is down. These objects do not travel. " +
        'Repair what serves them, or leave them out with exclude.',
    ]);
  });

  test('that fail are an error when strict', async () => {
    const refuse = broken(500, 'InternalError');
    await expect(collect({ objects, pageSize: 1, refuse }, { strict: true })).rejects.toMatchObject({
      code: 'CLUSTER',
    });
  });

  test.each([
    [404, 'NotFound'],
    [405, 'MethodNotAllowed'],
  ])('that answer %i have no objects', async (status, reason) => {
    const { warnings, notes } = await collect(
      { objects, pageSize: 1, refuse: broken(status, reason) },
      { strict: true },
    );
    expect(warnings).toEqual([]);
    expect(notes).toContain("widgets.example.com can't be listed, so there are none: the backend is down");
  });

  test('that do not answer discovery are told, or an error when strict, but not those that never travel', async () => {
    const { warnings } = await collect({ objects, stale: 'broken.example.com/v1' });
    expect(warnings).toEqual([expect.stringMatching(/^What should serve broken\.example\.com\/v1 does not answer: /)]);
    await expect(collect({ objects, stale: 'broken.example.com/v1' }, { strict: true })).rejects.toMatchObject({
      code: 'CLUSTER',
    });
    expect((await collect({ objects, stale: 'metrics.k8s.io/v1beta1' }, { strict: true })).warnings).toEqual([]);
  });
});

describe('objects that are labelled to stay out', () => {
  const labels = { [OPT_OUT_LABEL]: 'true' };

  test('stay out, and with a Namespace all in it; they are counted', async () => {
    const { paths, files, resources, notes } = await collect({
      objects: [
        SHOP,
        sent('v1 Namespace blog', { metadata: { name: 'blog', labels } }),
        sent('v1 ConfigMap blog/a'),
        sent('v1 ConfigMap shop/b', { metadata: { name: 'b', namespace: 'shop', labels } }),
        sent('v1 ConfigMap shop/c'),
      ],
      // The Namespaces are the last to be known.
      before: (path) =>
        path === '/api/v1/namespaces' ? new Promise((resolve) => setImmediate(resolve)) : Promise.resolve(),
    });
    expect(paths).toEqual(['namespaces.json', 'shop/configmaps.json']);
    expect(files.get('namespaces.json')?.map(({ metadata }) => metadata.name)).toEqual(['shop']);
    expect(resources).toContainEqual({ apiVersion: 'v1', kind: 'ConfigMap', resource: 'configmaps', ...counts(1, 2) });
    expect(notes).toContain('1 of configmaps stays behind: it is labelled to stay out of exports.');
  });
});

describe('a selector', () => {
  const labels = { team: 'a' };
  const objects = [
    SHOP,
    sent('v1 Service shop/plain', { spec: {} }),
    sent('v1 Endpoints shop/plain', { metadata: { name: 'plain', namespace: 'shop', labels } }),
    sent('rbac.authorization.k8s.io/v1 RoleBinding shop/readers', {
      metadata: { name: 'readers', namespace: 'shop', labels },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reader' },
    }),
    sent('rbac.authorization.k8s.io/v1 ClusterRole reader'),
  ];

  test('is left to the server, picks objects by their labels, and what they need comes along', async () => {
    const { paths, asked } = await collect({ objects }, { selector: 'team=a' });
    expect(paths).toEqual(['clusterroles.json', 'namespaces.json', 'shop/endpoints.json', 'shop/rolebindings.json']);
    expect(asked).toContain('/api/v1/configmaps team=a');
    expect(asked).toContain('/api/v1/endpoints team=a,endpoints.kubernetes.io/managed-by!=endpoint-controller');
    // A Service tells whether its endpoints can be made anew, whatever its labels.
    expect(asked).toContain('/api/v1/services');
    expect(asked).toContain('/apis/rbac.authorization.k8s.io/v1/clusterroles');
  });
});

describe('exclude', () => {
  test('spares the list of a whole kind, and is told when it matches nothing', async () => {
    const { asked, warnings } = await collect(
      { objects: [SHOP, sent('v1 ConfigMap shop/a')] },
      { exclude: ['secrets', 'configmaps/b-*'] },
    );
    expect(asked).not.toContain('/api/v1/secrets');
    expect(warnings).toEqual(['exclude has "configmaps/b-*", which matches no object.']);
  });

  test('is refused before anything is asked, as are kinds that are not there', async () => {
    const cluster = sourceCluster({ objects: [] });
    await expect(start(cluster, { exclude: ['configmap/a/b/c'] })).rejects.toMatchObject({ code: 'INPUT' });
    await expect(start(cluster, { restoreStatus: ['wigdets'] })).rejects.toMatchObject({ code: 'INPUT' });
    await expect(start(cluster, { selector: 'team in a' })).rejects.toMatchObject({ code: 'INPUT' });
    expect(cluster.asked).toEqual([]);
  });
});

describe('cluster-scoped objects', () => {
  const objects = [
    SHOP,
    sent('rbac.authorization.k8s.io/v1 RoleBinding shop/readers', {
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reader' },
    }),
    sent('rbac.authorization.k8s.io/v1 ClusterRole part', { metadata: { name: 'part', labels: { part: 'yes' } } }),
    sent('rbac.authorization.k8s.io/v1 ClusterRole reader', {
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { part: 'yes' } }] },
    }),
    sent('rbac.authorization.k8s.io/v1 ClusterRole unused'),
    sent('example.com/v1 Widget shop/a'),
    sent('example.com/v1 Gadget g'),
    sent('apiextensions.k8s.io/v1 CustomResourceDefinition widgets.example.com'),
    sent('apiextensions.k8s.io/v1 CustomResourceDefinition idle.example.com'),
  ];
  const roles = (files: Map<string, KubeObject[]>) =>
    (files.get('clusterroles.json') ?? []).map(({ metadata }) => metadata.name);

  test('that are needed travel, with what those need in turn, in the order of the server', async () => {
    const { files, paths, crds } = await collect({ objects }, { namespaces: ['shop'] });
    expect(roles(files)).toEqual(['part', 'reader']);
    expect(paths).not.toContain('gadgets.json');
    expect(crds).toEqual(['widgets.example.com']);
  });

  test('travel all when asked, with every CRD by name', async () => {
    const { files, paths, crds } = await collect({ objects }, { clusterResources: 'all' });
    expect(roles(files)).toEqual(['part', 'reader', 'unused']);
    expect(paths).toContain('gadgets.json');
    // CRDs are read elsewhere.
    expect(paths).not.toContain('customresourcedefinitions.json');
    expect(crds).toEqual(['gadgets.example.com', 'idle.example.com', 'widgets.example.com']);
  });

  test('are not even listed when none is to travel, and no CRD is named', async () => {
    const { paths, asked, crds } = await collect({ objects }, { clusterResources: 'none' });
    expect(paths).toEqual(['shop/rolebindings.json', 'shop/widgets.json']);
    expect(asked.some((path) => path.endsWith('/clusterroles'))).toBe(false);
    expect(crds).toEqual([]);
  });

  test('come without CRDs when those are excluded', async () => {
    const exclude = ['customresourcedefinitions'];
    expect((await collect({ objects }, { clusterResources: 'all', exclude })).crds).toEqual([]);
  });
});

test('endpoints travel where their Service has no selector, even if the Service is read last', async () => {
  const { files } = await collect(
    {
      objects: [
        SHOP,
        sent('v1 Endpoints shop/made', { subsets: [] }),
        sent('v1 Endpoints shop/own', { subsets: [] }),
        sent('v1 Service shop/made', { spec: { selector: { app: 'a' } } }),
        sent('v1 Service shop/own', { spec: {} }),
      ],
      pageSize: 1,
      before: (path) =>
        path.endsWith('/services') ? new Promise((resolve) => setImmediate(resolve)) : Promise.resolve(),
    },
    { concurrency: 16 },
  );
  expect(files.get('shop/endpoints.json')?.map(({ metadata }) => metadata.name)).toEqual(['own']);
});

test('one list at a time is enough', async () => {
  const { paths } = await collect(
    { objects: [SHOP, sent('v1 Endpoints shop/a'), sent('v1 ConfigMap shop/b')] },
    { concurrency: 1 },
  );
  expect(paths).toEqual(['namespaces.json', 'shop/configmaps.json']);
});

test('the kinds of a snapshot are those that can be listed and travel', async () => {
  const kinds = snapshotKinds(await discover(sourceCluster({ objects: [] })));
  expect(kinds).toContainEqual({
    group: 'apps',
    version: 'v1',
    kind: 'Deployment',
    plural: 'deployments',
    namespaced: true,
    versions: ['v1'],
  });
  expect(kinds.map(({ plural }) => plural)).not.toContain('events');
});

function counts(exported: number, skipped: number) {
  return { exported, skipped, created: 0, updated: 0, unchanged: 0, deleted: 0, failed: 0 };
}
