import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Cluster, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { discover } from '../../src/cluster/discovery.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { type CollectResourcesOptions, collectResources } from '../../src/resources/collect.ts';
import { readListFile } from '../../src/resources/list-file.ts';
import { OPT_OUT_LABEL } from '../../src/resources/resource.ts';
import { startCluster } from './cluster.ts';
import { STORAGE_CLASS } from './control-plane.ts';

const SHOP = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { team: a } }
---
apiVersion: v1
kind: Namespace
metadata: { name: secretive, labels: { ${OPT_OUT_LABEL}: 'true' } }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: hidden, namespace: secretive }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: shop }
data: { text: "äöü € 😀 <&>" }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      serviceAccountName: web
      priorityClassName: important
      containers: [{ name: web, image: example.com/web:1 }]
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: web, namespace: shop }
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: { name: important }
value: 10
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: { name: unused }
value: 5
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: outside, namespace: shop }
spec: { ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Endpoints
metadata: { name: outside, namespace: shop }
subsets: [{ addresses: [{ ip: 192.0.2.1 }], ports: [{ port: 80 }] }]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: made, namespace: shop }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Mi } } }
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: by-hand }
spec:
  accessModes: [ReadWriteOnce]
  capacity: { storage: 1Mi }
  storageClassName: ''
  hostPath: { path: /tmp/by-hand }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: by-hand, namespace: shop }
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ''
  volumeName: by-hand
  resources: { requests: { storage: 1Mi } }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: widget-reader }
rules: [{ apiGroups: [example.com], resources: [widgets], verbs: [get] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: web, namespace: shop }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: widget-reader }
subjects: [{ kind: ServiceAccount, name: web, namespace: shop }]
`;

const CRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { plural: widgets, singular: widget, kind: Widget }
  versions:
  - name: v1
    served: true
    storage: true
    subresources: { status: {} }
    schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
`;

const WIDGET = `
apiVersion: example.com/v1
kind: Widget
metadata: { name: w, namespace: shop }
spec: { size: 3 }
`;

let folder: string;
let bed: Awaited<ReturnType<typeof startCluster>>;
let cluster: Cluster;

async function collect(from: Cluster, options: Partial<CollectResourcesOptions> = {}) {
  const warnings: string[] = [];
  const collection = collectResources(from, {
    discovery: await discover(from),
    namespaces: ['shop'],
    clusterResources: 'needed',
    strict: true,
    restoreStatus: [],
    concurrency: 8,
    temporaryDirectory: folder,
    alsoReleases: false,
    reporter: { ...silentReporter, warn: (message) => warnings.push(message) },
    ...options,
  });
  const files = new Map<string, KubeObject[]>();
  for await (const { path, body } of collection.entries) {
    const objects: KubeObject[] = [];
    for await (const object of readListFile(path, body)) objects.push(object);
    files.set(path, objects);
  }
  const names = (path: string) => files.get(path)?.map(({ metadata }) => metadata.name);
  return { files, paths: [...files.keys()].sort(), names, warnings, ...collection.result() };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-export-'));
  bed = await startCluster({ name: 'source', tokens: [{ user: 'deployer' }] });
  cluster = await openCluster({ kubeconfig: bed.kubeconfig });
  await bed.kubectl(['apply', '-f', '-'], CRD);
  await bed.kubectl(['apply', '-f', '-'], SHOP);
  await bed.kubectl(['wait', '--for=condition=Established', 'crd/widgets.example.com']);
  await bed.kubectl(['apply', '-f', '-'], WIDGET);
  await bed.kubectl(['rollout', 'status', '-n', 'shop', 'deployment/web']);
  for (const claim of ['made', 'by-hand']) {
    await bed.kubectl(['wait', '-n', 'shop', '--for=jsonpath={.status.phase}=Bound', `pvc/${claim}`]);
  }
});

afterAll(async () => {
  await cluster?.close();
  await bed?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('an export of a namespace', () => {
  test('has what people have made, and the cluster-scoped objects it needs', async () => {
    const { paths, names, crds, warnings } = await collect(cluster);
    expect(paths).toEqual([
      'clusterroles.json',
      'namespaces.json',
      'persistentvolumes.json',
      'priorityclasses.json',
      'shop/configmaps.json',
      'shop/deployments.json',
      'shop/endpoints.json',
      'shop/persistentvolumeclaims.json',
      'shop/rolebindings.json',
      'shop/serviceaccounts.json',
      'shop/services.json',
      'shop/widgets.json',
      'storageclasses.json',
    ]);
    expect(names('namespaces.json')).toEqual(['shop']);
    expect(names('clusterroles.json')).toEqual(['widget-reader']);
    expect(names('priorityclasses.json')).toEqual(['important']);
    expect(names('persistentvolumes.json')).toEqual(['by-hand']);
    expect(names('storageclasses.json')).toEqual([STORAGE_CLASS.metadata.name]);
    expect(names('shop/endpoints.json')).toEqual(['outside']);
    expect(crds).toEqual(['widgets.example.com']);
    expect(warnings).toEqual([]);
  });

  test('binds claims only to volumes that travel', async () => {
    const { files } = await collect(cluster);
    const claims = (files.get('shop/persistentvolumeclaims.json') ?? []).map(({ metadata, spec }) => [
      metadata.name,
      Object(spec).volumeName,
    ]);
    expect(claims).toEqual([
      ['by-hand', 'by-hand'],
      ['made', undefined],
    ]);
  });

  test('has files that kubectl takes as they are, and each object as it was', async () => {
    const { files } = await collect(cluster);
    for (const [path, items] of files) {
      const file = join(folder, 'list.json');
      await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
      const said = await bed.kubectl(['apply', '--server-side', '--force-conflicts', '--dry-run=server', '-f', file]);
      expect(said.trim().split('\n'), path).toHaveLength(items.length);
    }
    expect(files.get('shop/configmaps.json')).toEqual([
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'settings', namespace: 'shop' },
        data: { text: 'äöü € 😀 <&>' },
      },
    ]);
  });

  test('tells how much stayed behind', async () => {
    const { resources } = await collect(cluster);
    const row = (resource: string) => resources.find((one) => one.resource === resource);
    expect(row('pods')).toMatchObject({ exported: 0, skipped: 1 });
    expect(row('replicasets')).toMatchObject({ exported: 0, skipped: 1 });
    expect(row('deployments')).toMatchObject({ apiVersion: 'apps/v1', kind: 'Deployment', exported: 1, skipped: 0 });
  });
});

test('an export of everything leaves out what is labelled to stay, and takes what nobody needs', async () => {
  const { paths, names, crds } = await collect(cluster, { namespaces: ['*'], clusterResources: 'all' });
  expect(paths.filter((path) => path.startsWith('secretive/'))).toEqual([]);
  expect(names('namespaces.json')).not.toContain('secretive');
  expect(names('priorityclasses.json')).toEqual(['important', 'unused']);
  expect(crds).toContain('widgets.example.com');
});

test('a kind of many pages is whole, and picked from by glob', async () => {
  const total = 300;
  const data = { text: 'x'.repeat(8_000) };
  const items = Array.from({ length: total }, (_, index) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `c-${index}`, namespace: 'many' },
    data,
  }));
  await bed.kubectl(['create', 'namespace', 'many']);
  await bed.kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await bed.kubectl(['delete', '-n', 'many', 'configmap', 'kube-root-ca.crt']);
  const { files } = await collect(cluster, { namespaces: ['many', 'sh*'], clusterResources: 'none' });
  const names = (files.get('many/configmaps.json') ?? []).map(({ metadata }) => metadata.name);
  expect(names.sort()).toEqual(items.map(({ metadata }) => metadata.name).sort());
});

describe('one who has rights in a namespace only', () => {
  let theirs: Cluster;

  beforeAll(async () => {
    const rights = ['--verb=get,list', '--resource=configmaps,deployments.apps,services'];
    await bed.kubectl(['create', 'role', 'reader', '-n', 'shop', ...rights]);
    await bed.kubectl(['create', 'rolebinding', 'reader', '-n', 'shop', '--role=reader', '--user=deployer']);
    theirs = await openCluster({ kubeconfig: bed.kubeconfig, context: 'source-deployer' });
  });

  afterAll(async () => {
    await theirs?.close();
    await bed.kubectl(['delete', 'role,rolebinding', '-n', 'shop', 'reader']);
  });

  test('exports what they may read, and is told in one warning what they may not', async () => {
    const { paths, warnings } = await collect(theirs, { clusterResources: 'none', strict: false });
    expect(paths).toEqual(['shop/configmaps.json', 'shop/deployments.json', 'shop/services.json']);
    expect(warnings).toEqual([
      expect.stringMatching(/^The user of the context "source-deployer" may not read .*secrets.* in shop\. /),
    ]);
  });

  test('is refused when strict, or when nothing at all may be read', async () => {
    const code = 'FORBIDDEN';
    await expect(collect(theirs, { clusterResources: 'none' })).rejects.toMatchObject({ code });
    await expect(collect(theirs, { namespaces: ['*'], strict: false })).rejects.toMatchObject({
      code,
      hint: expect.stringContaining('name the namespaces one by one'),
    });
  });
});
