import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readBody } from '../../src/archive/entry.ts';
import type { Cluster, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { parseInputs } from '../../src/inputs.ts';
import { collectSnapshot } from '../../src/modes/collect.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { startApiProxy } from '../e2e/api-proxy.ts';
import type { TestCluster } from './cluster.ts';
import { type DroppingProxy, startDroppingProxy } from './dropping-proxy.ts';

const CREATED = new Date('2026-01-31T12:00:00Z');

/** Something of all that an export treats in a way of its own. */
export const SHOP = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { team: a } }
---
apiVersion: v1
kind: Namespace
metadata: { name: shop-2 }
---
apiVersion: v1
kind: Namespace
metadata: { name: quiet, labels: { transship.dev/exclude: 'true' } }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: hidden, namespace: quiet }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: shop, labels: { team: a } }
data: { text: "äöü € 😀 <&>\\u2028" }
---
apiVersion: v1
kind: Secret
metadata: { name: key, namespace: shop-2 }
stringData: { key: value }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop, labels: { team: a } }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
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
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { type: NodePort, selector: { app: web }, ports: [{ name: a, port: 80, nodePort: 30080 }, { name: b, port: 81 }] }
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
apiVersion: batch/v1
kind: Job
metadata: { name: migrate, namespace: shop-2 }
spec: { template: { spec: { restartPolicy: Never, containers: [{ name: migrate, image: example.com/m }] } } }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: 'shop:éé' }
rules: [{ apiGroups: [example.com], resources: [widgets], verbs: [get] }]
`;

/** A definition of a namespaced kind in `example.com`. */
export function crdOf(plural: string, kind: string): string {
  return `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: ${plural}.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { plural: ${plural}, singular: ${kind.toLowerCase()}, kind: ${kind} }
  versions:
  - name: v1
    served: true
    storage: true
    subresources: { status: {} }
    schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
`;
}

/** An object of the kind Widget. */
export const widget = (name: string, spec: object = {}): KubeObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name, namespace: 'shop' },
  spec,
});

/** All entries of an export, by path. */
export async function exportOf(
  from: Cluster,
  folder: string,
  given: Record<string, string> = {},
): Promise<Map<string, string>> {
  const raw = { mode: 'export', include: 'releases,resources', namespace: '*', path: folder };
  const inputs = parseInputs({ ...raw, ...given }, 'cli');
  if (inputs.mode !== 'export') throw new Error('It is another mode.');
  const context = {
    reporter: silentReporter,
    signal: new AbortController().signal,
    env: {},
    temporaryDirectory: folder,
    run: 'test',
    version: '1.0.0',
  };
  const namespaces = inputs.namespace ?? [];
  const collecting = { id: '26-01-31_12-00-00', created: CREATED, namespaces, inputs, context };
  const files = new Map<string, string>();
  for await (const entry of collectSnapshot(from, collecting).entries) {
    files.set(entry.path, (await readBody(entry, 64 * 1024 * 1024)).toString());
  }
  return files;
}

/** A cluster behind two proxies, one that drops all connections and one that counts what is asked. */
export interface ProxiedCluster {
  readonly cluster: Cluster;
  readonly tcp: DroppingProxy;
  /** Lists so far. */
  listed(): number;
  close(): Promise<void>;
}

/** Opens a cluster behind two proxies. */
export async function openProxied(bed: TestCluster, folder: string): Promise<ProxiedCluster> {
  const http = await startApiProxy(bed, folder, () => undefined);
  const tcp = await startDroppingProxy(http.url);
  const kubeconfig = join(folder, `dropping-${new URL(tcp.url).port}.json`);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'dropping',
    clusters: [{ name: 'c', cluster: { server: tcp.url } }],
    contexts: [{ name: 'dropping', context: { cluster: 'c', user: 'u' } }],
    users: [{ name: 'u', user: {} }],
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  const proxied = await openCluster({ kubeconfig });
  return {
    cluster: proxied,
    tcp,
    listed: () => http.requests.filter(({ path }) => /[?&]limit=/.test(path)).length,
    async close() {
      await proxied.close();
      await tcp.close();
      await http.stop();
    },
  };
}
