import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { capture } from './run-command.ts';

/** What one watch saw: an object came or went. */
export interface Change {
  readonly type: 'ADDED' | 'DELETED';
  /** etcd's revision, one counter for all kinds: the true order of changes, however fast they follow each other. */
  readonly revision: bigint;
  readonly object: KubeObject;
}

export interface Recorder {
  /** Everything that came or went since the recorder started, in the order in which it happened. */
  stop(): Promise<Change[]>;
}

const COLLECTIONS = [
  '/api/v1/configmaps',
  '/api/v1/secrets',
  '/api/v1/serviceaccounts',
  '/api/v1/pods',
  '/apis/batch/v1/jobs',
  '/apis/apps/v1/deployments',
] as const;

/** Records what comes and goes in a cluster, by raw watches that start at one known revision. */
export async function recordChanges(cluster: { kubeconfig: string }, kubectl: string): Promise<Recorder> {
  const base = ['--kubeconfig', cluster.kubeconfig];
  const list: unknown = JSON.parse(await capture(kubectl, [...base, 'get', '--raw', '/api/v1/namespaces?limit=1']));
  const start = resourceVersionOf(list);
  const sentinel = `change-recorder-${randomUUID()}`;
  const changes: Change[] = [];
  const watches = COLLECTIONS.map((path) => watch(kubectl, base, path, start, sentinel, changes));

  return {
    async stop() {
      const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: sentinelsCalled(sentinel) });
      await capture(kubectl, [...base, 'create', '-f', '-'], { input });
      await Promise.all(watches.map((one) => one.sawSentinel));
      for (const one of watches) one.child.kill();
      await Promise.all(watches.map((one) => one.closed));
      await capture(kubectl, [...base, 'delete', '--wait=false', '-f', '-'], { input });
      return changes.sort((a, b) => (a.revision < b.revision ? -1 : 1));
    },
  };
}

/** The recorder's own objects: once a watch has seen its one come, it has seen all that happened before. */
function sentinelsCalled(name: string): object[] {
  const metadata = { name, namespace: 'default' };
  const idle = { restartPolicy: 'Never', containers: [{ name: 'none', image: 'none' }] };
  const labels = { app: name };
  const running = { metadata: { labels }, spec: { ...idle, restartPolicy: 'Always' } };
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata },
    { apiVersion: 'v1', kind: 'Secret', metadata },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion: 'v1', kind: 'Pod', metadata, spec: { ...idle, schedulingGates: [{ name: 'example.com/never' }] } },
    { apiVersion: 'batch/v1', kind: 'Job', metadata, spec: { suspend: true, template: { spec: idle } } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { replicas: 0, selector: { matchLabels: labels }, template: running },
    },
  ];
}

interface Watch {
  readonly child: ChildProcess;
  readonly sawSentinel: Promise<void>;
  readonly closed: Promise<unknown>;
}

function watch(
  kubectl: string,
  base: string[],
  path: string,
  start: string,
  sentinel: string,
  changes: Change[],
): Watch {
  const query = `watch=1&resourceVersion=${start}&timeoutSeconds=600`;
  const child = spawn(kubectl, [...base, 'get', '--raw', `${path}?${query}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close');
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => {
    words += chunk.toString('utf8');
  });
  const gone = new Set<string>();
  const sawSentinel = (async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      const event: { type: string; object: KubeObject } = JSON.parse(line);
      if (event.type === 'ERROR') throw new Error(`The watch of ${path} broke: ${line}`);
      const { uid = '', name, deletionTimestamp, resourceVersion = '0' } = event.object.metadata;
      if (name === sentinel) return;
      // An object that needs time to go (a pod) counts as deleted when somebody asked for it.
      const isGone = event.type === 'DELETED' || deletionTimestamp !== undefined;
      if (event.type === 'ADDED' || (isGone && !gone.has(uid))) {
        changes.push({ type: isGone ? 'DELETED' : 'ADDED', revision: BigInt(resourceVersion), object: event.object });
      }
      if (isGone) gone.add(uid);
    }
    throw new Error(`The watch of ${path} ended early: ${words}`);
  })();
  // Awaited by stop(); a failure before that must not end the test run as unhandled.
  sawSentinel.catch(() => undefined);
  return { child, sawSentinel, closed };
}

/** The changes to one release's hooks and objects: `+ Job/x`, `- Job/x`, in order. */
export function changesOfRelease(changes: readonly Change[], namespace: string, release: string): string[] {
  return changes
    .filter(({ object: { metadata } }) => {
      const annotations = metadata.annotations ?? {};
      const isHook = annotations['helm.sh/hook'] !== undefined && metadata.name.startsWith(`${release}-`);
      return metadata.namespace === namespace && (isHook || annotations['meta.helm.sh/release-name'] === release);
    })
    .map(({ type, object }) => `${type === 'ADDED' ? '+' : '-'} ${object.kind}/${object.metadata.name}`);
}

function resourceVersionOf(list: unknown): string {
  if (typeof list === 'object' && list !== null && 'metadata' in list) {
    const { metadata } = list;
    if (typeof metadata === 'object' && metadata !== null && 'resourceVersion' in metadata) {
      return String(metadata.resourceVersion);
    }
  }
  throw new Error('The list has no resourceVersion.');
}
