import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { ResourceKind } from '../../../src/cluster/discovery.ts';
import { OPT_OUT_LABEL } from '../../../src/resources/resource.ts';
import { createFilter } from '../../../src/resources/selection.ts';
import { type DigestContext, markOf } from '../../../src/watch/mirror-digest.ts';

function kindOf(apiVersion: string, kind: string, plural: string, namespaced = true): ResourceKind {
  const [version = '', group = ''] = apiVersion.split('/').toReversed();
  const names = { group, version, apiVersion, kind, plural, singular: '', shortNames: [] };
  return { ...names, namespaced, verbs: ['list', 'watch'], versions: [version] };
}

const KINDS = {
  Pod: kindOf('v1', 'Pod', 'pods'),
  Secret: kindOf('v1', 'Secret', 'secrets'),
  ConfigMap: kindOf('v1', 'ConfigMap', 'configmaps'),
  Service: kindOf('v1', 'Service', 'services'),
  Endpoints: kindOf('v1', 'Endpoints', 'endpoints'),
  PersistentVolumeClaim: kindOf('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims'),
  Namespace: kindOf('v1', 'Namespace', 'namespaces', false),
  Deployment: kindOf('apps/v1', 'Deployment', 'deployments'),
  ReplicaSet: kindOf('apps/v1', 'ReplicaSet', 'replicasets'),
  ClusterRole: kindOf('rbac.authorization.k8s.io/v1', 'ClusterRole', 'clusterroles', false),
};

function contextOf(options: { include?: string; selector?: string; exclude?: string[]; status?: string } = {}) {
  const { include = 'releases,resources', selector, exclude = [], status } = options;
  const withReleases = include.includes('releases');
  const filter = createFilter({
    selector,
    exclude,
    kinds: Object.values(KINDS),
    alsoReleases: withReleases,
    where: 'test',
  });
  const context: DigestContext = {
    withReleases,
    filter: include.includes('resources') ? filter : undefined,
    includes: (namespace) => namespace !== 'elsewhere',
    keepStatus: (kind) => kind === status,
  };
  return context;
}

function make(kind: keyof typeof KINDS, fields: object = {}, metadata: object = {}): KubeObject {
  const { apiVersion, namespaced } = KINDS[kind];
  const name = { name: 'one', ...(namespaced && { namespace: 'shop' }) };
  const server = { uid: 'u', resourceVersion: '1', generation: 1, creationTimestamp: '2026-01-31T12:00:00Z' };
  return { apiVersion, kind, metadata: { ...name, ...server, ...metadata }, ...fields };
}

function mark(object: KubeObject, context = contextOf()): number {
  const kind = Object.values(KINDS).find((one) => one.kind === object.kind);
  if (kind === undefined) throw new Error(`There is no ${object.kind}.`);
  return markOf(structuredClone(object), kind, context);
}

const owned = (apiVersion: string, kind: string) => ({
  ownerReferences: [{ apiVersion, kind, name: 'owner', uid: 'o', controller: true }],
});

describe('no change', () => {
  test.each([
    ['of the resourceVersion and managed fields', { resourceVersion: '2', managedFields: [{ manager: 'x' }] }, {}],
    ['of the status', {}, { status: { replicas: 3, conditions: [{ lastUpdateTime: 'now' }] } }],
    ['of the generation alone', { generation: 2 }, {}],
    ['of what a controller notes of a rollout', { annotations: { 'deployment.kubernetes.io/revision': '7' } }, {}],
    [
      'of what kubectl apply repeats',
      { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' } },
      {},
    ],
  ])('is a change %s', (_what, metadata, fields) => {
    const spec = { replicas: 1 };
    expect(mark(make('Deployment', { spec, ...fields }, metadata))).toBe(mark(make('Deployment', { spec })));
    expect(mark(make('Deployment', { spec }))).not.toBe(0);
  });

  test.each([
    ['a Pod of a ReplicaSet', make('Pod', {}, owned('apps/v1', 'ReplicaSet'))],
    ['a ReplicaSet of a Deployment', make('ReplicaSet', {}, owned('apps/v1', 'Deployment'))],
    [
      'the Endpoints of a Service',
      make('Endpoints', {}, { labels: { 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' } }),
    ],
    [
      'the lock of a leader',
      make('ConfigMap', {}, { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}' } }),
    ],
    ['a default role', make('ClusterRole', {}, { labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' } })],
    ['what is labelled to stay', make('ConfigMap', {}, { labels: { [OPT_OUT_LABEL]: 'true' } })],
    ['a namespace that is not exported', make('Namespace', {}, { name: 'elsewhere' })],
  ])('is what becomes of %s', (_what, object) => {
    expect(mark(object)).toBe(0);
  });

  test('is what the inputs leave out', () => {
    expect(mark(make('ConfigMap'), contextOf({ exclude: ['configmaps/o*'] }))).toBe(0);
    expect(mark(make('ConfigMap'), contextOf({ selector: 'team=a' }))).toBe(0);
    expect(mark(make('ConfigMap'), contextOf({ include: 'releases' }))).toBe(0);
  });
});

describe('a change', () => {
  test.each([
    ['of a label', make('ConfigMap'), make('ConfigMap', {}, { labels: { a: 'b' } })],
    ['of data', make('ConfigMap', { data: { a: '1' } }), make('ConfigMap', { data: { a: '2' } })],
    [
      'of binary data',
      make('ConfigMap', { binaryData: { a: 'AA==' } }),
      make('ConfigMap', { binaryData: { a: 'AQ==' } }),
    ],
    ['of a finalizer', make('ConfigMap'), make('ConfigMap', {}, { finalizers: ['example.com/keep'] })],
    ['that begins a deletion', make('ConfigMap'), make('ConfigMap', {}, { deletionTimestamp: '2026-01-31T12:00:00Z' })],
    [
      'of the volume of a claim',
      make('PersistentVolumeClaim', { spec: {} }),
      make('PersistentVolumeClaim', { spec: { volumeName: 'v' } }),
    ],
    [
      'of the selector of a Service that stays behind',
      make('Service', { spec: { selector: { a: 'b' } } }, { labels: { [OPT_OUT_LABEL]: 'true' } }),
      make('Service', { spec: {} }, { labels: { [OPT_OUT_LABEL]: 'true' } }),
    ],
    [
      'of the opt-out of a Namespace',
      make('Namespace'),
      make('Namespace', {}, { labels: { [OPT_OUT_LABEL]: 'true' } }),
    ],
    ['of a Pod that comes to have no controller', make('Pod', {}, owned('apps/v1', 'ReplicaSet')), make('Pod')],
    [
      'of who asked for a port',
      make('Service', { spec: { ports: [{ port: 80, nodePort: 30000 }] } }),
      make(
        'Service',
        { spec: { ports: [{ port: 80, protocol: 'TCP', nodePort: 30000 }] } },
        {
          managedFields: [
            { fieldsV1: { 'f:spec': { 'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { 'f:nodePort': {} } } } } },
          ],
        },
      ),
    ],
  ])('is one %s', (_what, before, after) => {
    expect(mark(after)).not.toBe(mark(before));
  });

  test('is one of the status where that is exported', () => {
    const context = contextOf({ status: 'Deployment' });
    const [before, after] = [1, 2].map((replicas) => mark(make('Deployment', { status: { replicas } }), context));
    expect(after).not.toBe(before);
  });

  test.each(['Secret', 'ConfigMap'] as const)(
    'is one of a record of a release in a %s, whatever else is exported',
    (kind) => {
      const record = (release: string, status = 'deployed') =>
        make(kind, { type: 'helm.sh/release.v1', data: { release } }, { labels: { owner: 'helm', status } });
      for (const include of ['releases', 'releases,resources', 'resources']) {
        const context = contextOf({ include });
        const all = [record('a'), record('b'), record('a', 'superseded')].map((one) => mark(one, context));
        expect(new Set(all).size).toBe(3);
        expect(all).not.toContain(0);
      }
    },
  );

  test('is none of a record when neither releases nor what is beside it changes', () => {
    const labels = { owner: 'helm' };
    const [before, after] = ['1', '2'].map((resourceVersion) =>
      mark(make('Secret', { type: 'helm.sh/release.v1' }, { labels, resourceVersion })),
    );
    expect(after).toBe(before);
  });
});
