import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectionPath } from '../../src/cluster/apply.ts';
import type { Cluster, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { type Discovery, discover } from '../../src/cluster/discovery.ts';
import { loadDiff } from '../../src/plan/diff.ts';
import type { States } from '../../src/plan/states.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import {
  type PrepareOptions,
  planResources,
  prepareResources,
  type ResourcePlan,
} from '../../src/resources/prepare.ts';
import { whySkipped } from '../../src/resources/rules.ts';
import { stripObject } from '../../src/resources/strip.ts';
import type { ImportWork } from '../../src/resources/work.ts';
import { filesOf, linesOf, snapshotKindsOf } from '../unit/resources/target-bed.ts';
import { startCluster, type TestCluster } from './cluster.ts';

let bed: TestCluster;
let cluster: Cluster;
let discovery: Discovery;

type Lists = Record<string, KubeObject[]>;

const KINDS = [
  ...['configmaps', 'secrets', 'serviceaccounts', 'services', 'persistentvolumeclaims', 'pods', 'resourcequotas'],
  ...['deployments', 'statefulsets', 'jobs', 'cronjobs', 'horizontalpodautoscalers', 'ingresses', 'networkpolicies'],
  ...['poddisruptionbudgets', 'roles', 'rolebindings'],
];

/** What applications usually write: without what the server fills in. */
const APPLICATION: KubeObject[] = [
  made('v1', 'ConfigMap', 'app', { data: { a: '1' } }),
  made('v1', 'Secret', 'key', { stringData: { password: 'x' } }),
  made('v1', 'ServiceAccount', 'bot', {}),
  made('v1', 'Service', 'web', { spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } }),
  made('v1', 'Service', 'random', { spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80 }] } }),
  made('v1', 'Service', 'pinned', {
    spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80, nodePort: 31234 }] },
  }),
  made('v1', 'PersistentVolumeClaim', 'data', {
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
  }),
  made('apps/v1', 'Deployment', 'web', {
    spec: { replicas: 1, selector: { matchLabels: { app: 'web' } }, template: podOf('web') },
  }),
  made('apps/v1', 'StatefulSet', 'db', {
    spec: { serviceName: 'db', selector: { matchLabels: { app: 'db' } }, template: podOf('db') },
  }),
  made('batch/v1', 'Job', 'once', { spec: { template: podOf('once', { restartPolicy: 'Never' }), suspend: true } }),
  made('batch/v1', 'CronJob', 'nightly', {
    spec: { schedule: '0 0 * * *', jobTemplate: { spec: { template: podOf('nightly', { restartPolicy: 'Never' }) } } },
  }),
  made('autoscaling/v2', 'HorizontalPodAutoscaler', 'web', {
    spec: {
      maxReplicas: 2,
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      metrics: [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } },
      ],
    },
  }),
  made('networking.k8s.io/v1', 'Ingress', 'web', {
    spec: { defaultBackend: { service: { name: 'web', port: { number: 80 } } } },
  }),
  made('networking.k8s.io/v1', 'NetworkPolicy', 'closed', { spec: { podSelector: {} } }),
  made('policy/v1', 'PodDisruptionBudget', 'web', {
    spec: { minAvailable: 1, selector: { matchLabels: { app: 'web' } } },
  }),
  made('rbac.authorization.k8s.io/v1', 'Role', 'reader', {
    rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
  }),
  made('rbac.authorization.k8s.io/v1', 'RoleBinding', 'reader', {
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
    subjects: [{ kind: 'ServiceAccount', name: 'bot', namespace: 'shop' }],
  }),
];

function made(apiVersion: string, kind: string, name: string, body: object): KubeObject {
  return { apiVersion, kind, metadata: { name, namespace: 'shop' }, ...structuredClone(body) };
}

function podOf(app: string, more: object = {}) {
  return { metadata: { labels: { app } }, spec: { containers: [{ name: 'main', image: 'app:1' }], ...more } };
}

beforeAll(async () => {
  bed = await startCluster({ name: 'prepare', tokens: [{ user: 'deployer' }] });
  cluster = await openCluster({ kubeconfig: bed.kubeconfig });
  discovery = await discover(cluster);
  await create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  for (const object of APPLICATION) await create(object);
}, 1_800_000);

afterAll(async () => {
  await cluster?.close();
  await bed?.stop();
});

/** Creates as an import does. */
async function create(object: KubeObject): Promise<void> {
  const kind = discovery.findKind(object.apiVersion, object.kind);
  if (kind === undefined) throw new Error(`${object.kind} is not served.`);
  const query = { fieldManager: 'transship' };
  await cluster.json({ method: 'POST', path: collectionPath(kind, object.metadata.namespace), query, body: object });
}

/** What an export of the namespace has. */
async function exported(): Promise<Lists> {
  const lists: Lists = {};
  for (const plural of KINDS) {
    const kind = discovery.kinds.find((one) => one.plural === plural && one.group !== 'metrics.k8s.io');
    if (kind === undefined) throw new Error(`There are no ${plural}.`);
    const objects: KubeObject[] = [];
    for await (const object of cluster.list(collectionPath(kind, 'shop'))) {
      if (whySkipped(object, { withReleases: false, hasSelectorlessService: () => false }) !== undefined) continue;
      objects.push(stripObject(object, { keepStatus: () => false, hasVolume: () => false }));
    }
    lists[`shop/${plural}.json`] = objects;
  }
  return lists;
}

function prepare(lists: Lists, options: Partial<PrepareOptions> = {}): Promise<ImportWork> {
  return prepareResources(filesOf(lists), optionsOf(options));
}

async function plan(lists: Lists, options: Partial<PrepareOptions> = {}): Promise<ResourcePlan> {
  const preflight = { note() {}, noteRelease() {}, finish: async () => [] };
  return planResources(filesOf(lists), { ...optionsOf(options), explain: { differ: await loadDiff(), preflight } });
}

function optionsOf(options: Partial<PrepareOptions>): PrepareOptions {
  return {
    cluster,
    discovery,
    kinds: snapshotKindsOf(discovery.kinds),
    origin: 'snapshot 26-01-31_12-00-00 of stage',
    choice: { namespaces: [], exclude: [], alsoReleases: false },
    namespaceMap: new Map(),
    replace: false,
    recreate: false,
    restoreStatus: [],
    otherCrds: new Set(),
    concurrency: 8,
    reporter: silentReporter,
    ...options,
  };
}

/** One object of the application, changed. */
function changed(kind: string, name: string, change: (object: KubeObject) => void): KubeObject {
  const object = APPLICATION.find((one) => one.kind === kind && one.metadata.name === name);
  if (object === undefined) throw new Error(`There is no ${kind} ${name}.`);
  const copy = structuredClone(object);
  change(copy);
  return copy;
}

/** The versions of all objects that were made here: what tells that nothing was changed. */
async function versions(): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const object of APPLICATION) {
    const kind = discovery.findKind(object.apiVersion, object.kind);
    if (kind === undefined) continue;
    for await (const { metadata } of cluster.list(collectionPath(kind, 'shop'))) {
      found.set(`${kind.plural}/${metadata.name}`, metadata.generation ?? metadata.uid);
    }
  }
  return found;
}

describe('what a cluster has exported', () => {
  test('is equal to what it has, whatever the kind, and nothing is touched', async () => {
    const before = await versions();
    const lines = await linesOf(await prepare(await exported()));
    expect(lines.length).toBeGreaterThanOrEqual(APPLICATION.length);
    expect(lines.filter((line) => !line.startsWith('equal '))).toEqual([]);
    expect(await versions()).toEqual(before);
  });

  test('is new in another namespace', async () => {
    const work = await prepare(await exported(), { namespaceMap: new Map([['shop', 'store']]) });
    const lines = await linesOf(work);
    expect(lines.filter((line) => !line.startsWith('new '))).toEqual([]);
    expect(lines).toContain('new apps/v1 Deployment store/web');
    expect(work.namespaces).toEqual(['store']);
  });
});

describe('an object without what the server fills in', () => {
  test('is equal all the same', async () => {
    const wanted = APPLICATION.filter(({ kind }) => kind !== 'Secret');
    const lines = await linesOf(await prepare({ 'shop/all.json': wanted }));
    expect(lines.filter((line) => !line.startsWith('equal '))).toEqual([]);
    expect(lines).toHaveLength(wanted.length);
  });

  test('differs where a field was taken out that an import had created', async () => {
    const wanted = changed('ConfigMap', 'app', (object) => Object.assign(object, { data: { b: '1' } }));
    const bare = changed('NetworkPolicy', 'closed', () => {});
    await create(made('v1', 'ConfigMap', 'two', { data: { a: '1', b: '2' } }));
    const two = made('v1', 'ConfigMap', 'two', { data: { a: '1' } });
    await expect(prepare({ 'shop/all.json': [wanted, two, bare] })).rejects.toMatchObject({
      code: 'RESOURCE_EXISTS',
      message: expect.stringMatching(
        /^2 objects exist .*\n- ConfigMap shop\/app \(data\.b\)\n- ConfigMap shop\/two \(data\.b\)$/s,
      ),
    });
  });
});

describe('a change of an immutable field', () => {
  const jobs = () =>
    changed('Job', 'once', (job) =>
      Object.assign(job, {
        spec: { template: podOf('once', { restartPolicy: 'Never', hostNetwork: true }), suspend: true },
      }),
    );
  const claim = () =>
    changed('PersistentVolumeClaim', 'data', (one) =>
      Object.assign(one, { spec: { accessModes: ['ReadWriteMany'], resources: { requests: { storage: '1Mi' } } } }),
    );
  const binding = () =>
    changed('RoleBinding', 'reader', (one) =>
      Object.assign(one, { roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' } }),
    );
  const service = () =>
    changed('Service', 'pinned', (one) =>
      Object.assign(one, {
        spec: { ...Object(one.spec), clusterIP: 'None', type: 'ClusterIP', ports: [{ port: 80 }] },
      }),
    );

  test('is found before anything is changed', async () => {
    const lists = { 'shop/all.json': [jobs(), claim(), binding()] };
    await expect(prepare(lists, { replace: true })).rejects.toMatchObject({
      code: 'IMMUTABLE',
      message: expect.stringMatching(
        /Job shop\/once \(spec\.template.*\n.*PersistentVolumeClaim shop\/data.*\n.*RoleBinding shop\/reader \(roleRef\)/s,
      ),
    });
  });

  test('becomes a recreation where that is allowed', async () => {
    const work = await prepare({ 'shop/all.json': [jobs(), binding(), service()] }, { replace: true, recreate: true });
    expect((await linesOf(work)).sort()).toEqual([
      'recreate batch/v1 Job shop/once',
      'recreate rbac.authorization.k8s.io/v1 RoleBinding shop/reader',
      'recreate v1 Service shop/pinned',
    ]);
  });

  test('does not where the object would be refused anew', async () => {
    const broken = changed('Job', 'once', (job) =>
      Object.assign(job, { spec: { template: podOf('other', { restartPolicy: 'Always' }), suspend: true } }),
    );
    await expect(prepare({ 'shop/all.json': [broken] }, { replace: true, recreate: true })).rejects.toMatchObject({
      code: 'IMMUTABLE',
      message: expect.stringContaining('created anew it would be refused too: spec.template.spec.restartPolicy'),
    });
  });
});

describe('an object in a version that the server has removed', () => {
  const old = (metric: object, name = 'web', namespace = 'store') => ({
    ...made('autoscaling/v2beta2', 'HorizontalPodAutoscaler', name, {
      spec: {
        maxReplicas: 2,
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        metrics: [metric],
      },
    }),
    metadata: { name, namespace },
  });
  const cpu = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } };

  test('comes in one that it serves', async () => {
    const lines = await linesOf(await prepare({ 'store/horizontalpodautoscalers.json': [old(cpu)] }));
    expect(lines).toEqual(['new autoscaling/v2 HorizontalPodAutoscaler store/web']);
  });

  test('stops the import when it does not fit, in a namespace to come too', async () => {
    const odd = { ...cpu, resource: { name: 'cpu', targetAverageUtilization: 50 } };
    await expect(prepare({ 'store/horizontalpodautoscalers.json': [old(odd)] })).rejects.toMatchObject({
      code: 'NOT_SERVED',
      message: expect.stringContaining('unknown field "spec.metrics[0].resource.targetAverageUtilization"'),
    });
  });
});

describe('a user without rights', () => {
  test('is told which kinds to be let list, and needs no more than that', async () => {
    const kubeconfig = bed.kubeconfig;
    const deployer = await openCluster({ kubeconfig, context: `${bed.name}-deployer` });
    try {
      const lists = { 'shop/configmaps.json': [made('v1', 'ConfigMap', 'app', { data: { a: '1' } })] };
      await expect(prepare(lists, { cluster: deployer })).rejects.toMatchObject({
        code: 'FORBIDDEN',
        message: expect.stringContaining('in namespace shop: configmaps'),
      });
      await bed.kubectl(['create', 'role', 'lister', '-n', 'shop', '--verb=get,list,patch', '--resource=configmaps']);
      await bed.kubectl(['create', 'rolebinding', 'lister', '-n', 'shop', '--role=lister', '--user=deployer']);
      const lines = await linesOf(
        await prepare(
          { ...lists, 'shop/configmaps.json': [made('v1', 'ConfigMap', 'app', { data: { a: '1' } })] },
          { cluster: deployer },
        ),
      );
      expect(lines).toEqual(['equal v1 ConfigMap shop/app']);
    } finally {
      await deployer.close();
    }
  });
});

describe('a plan', () => {
  /** The lines that a diff removes and adds. */
  const changesIn = (diff = '') => diff.split('\n').filter((line) => /^[+-]/.test(line));

  test('of what the cluster has is empty, and bound to the same states as an import', async () => {
    const lists = await exported();
    const planned: States = new Map();
    const prepared: States = new Map();
    const { objects, problems } = await plan(lists, { states: planned });
    await prepare(lists, { states: prepared });
    expect({ objects, problems }).toEqual({ objects: [], problems: [] });
    expect(planned).toEqual(prepared);
    expect(planned.size).toBeGreaterThan(APPLICATION.length);
  });

  test('shows what would change, and whose fields it takes over', async () => {
    const scaled = (replicas: number) =>
      made('apps/v1', 'Deployment', 'scaled', {
        spec: { replicas, selector: { matchLabels: { app: 'scaled' } }, template: podOf('scaled') },
      });
    await create(scaled(0));
    const lists = { 'shop/deployments.json': [scaled(0)] };
    const before: States = new Map();
    const after: States = new Map();
    expect((await plan(lists, { states: before })).objects).toEqual([]);
    const patch = ['patch', 'deployment', 'scaled', '-n', 'shop', '--field-manager=autoscaler', '--type=merge'];
    await bed.kubectl([...patch, '-p', '{"spec":{"replicas":1}}']);
    const { objects, problems } = await plan(lists, { states: after, replace: true });
    expect(objects).toMatchObject([
      { change: 'update', name: 'scaled', conflicts: [{ manager: 'autoscaler', fields: ['spec.replicas'] }] },
    ]);
    expect(changesIn(objects[0]?.diff)).toEqual(['-  replicas: 1', '+  replicas: 0']);
    expect(problems).toEqual([]);
    expect([...after].filter(([key, state]) => before.get(key) !== state).map(([key]) => key)).toEqual([
      'object apps/Deployment/shop/scaled',
    ]);
  });

  test('shows of what is recreated only what becomes otherwise', async () => {
    const once = changed('Job', 'once', (job) =>
      Object.assign(job, {
        spec: { template: podOf('once', { restartPolicy: 'Never', hostNetwork: true }), suspend: true },
      }),
    );
    const { objects } = await plan({ 'shop/jobs.json': [once] }, { replace: true, recreate: true });
    expect(objects).toMatchObject([{ change: 'recreate', message: expect.stringContaining('spec.template') }]);
    expect(changesIn(objects[0]?.diff)).toEqual(['+      hostNetwork: true']);
  });

  test('finds what the server would refuse of what is new', async () => {
    const limits = [{ type: 'Container', max: { cpu: '1' } }];
    await create(made('v1', 'LimitRange', 'small', { spec: { limits } }));
    const cpu = { resources: { limits: { cpu: '2' } } };
    const lists = {
      'shop/all.json': [
        made('v1', 'Service', 'wrong', { spec: { ports: [{ port: 70000 }] } }),
        made('v1', 'ConfigMap', 'odd', { content: { a: '1' } }),
        made('v1', 'Pod', 'large', { spec: { containers: [{ name: 'main', image: 'app:1', ...cpu }] } }),
        made('v1', 'ConfigMap', 'good', {}),
      ],
    };
    const { objects, problems } = await plan(lists);
    expect(objects.map(({ change, name }) => `${change} ${name}`).sort()).toEqual([
      'create good',
      'create large',
      'create odd',
      'create wrong',
    ]);
    expect(problems.map(({ kind }) => kind)).toEqual(['refused', 'quota']);
    expect(problems[0]?.message).toMatch(/Service shop\/wrong: spec\.ports\[0\]\.port: Invalid value 70000: must be/);
    expect(problems[0]?.message).toContain('ConfigMap shop/odd: ');
    expect(problems[0]?.message).toContain('unknown field "content"');
    expect(problems[1]?.message).toContain('Pod shop/large: ');
  });
});
