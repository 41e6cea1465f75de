import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Cluster, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { type Mirror, type MirrorOptions, openMirror } from '../../src/watch/mirror.ts';
import { makeHelm } from '../e2e/helm.ts';
import { startCluster } from './cluster.ts';
import { crdOf, exportOf, openProxied, SHOP, widget } from './mirror-bed.ts';
import { ensureTools } from './tools.ts';

const CHART = fileURLToPath(new URL('../fixtures/charts/hooks', import.meta.url));
const MINUTE = 60;
let folder: string;
let bed: Awaited<ReturnType<typeof startCluster>>;
let cluster: Cluster;
let mirror: Mirror;
/** Lists that the mirror of the whole cluster has left to the server. */
const lists: string[] = [];
let minute: ReturnType<typeof dropForAMinute>;

async function open(on: Cluster, options: Partial<MirrorOptions> = {}): Promise<Mirror> {
  return openMirror(on, {
    namespaces: ['*'],
    include: ['releases', 'resources'],
    drivers: ['secret', 'configmap'],
    temporaryDirectory: folder,
    onChange: () => {},
    reporter: silentReporter,
    signal: new AbortController().signal,
    ...options,
  });
}

/** Waits until an export of a mirror is the one of its cluster; both change until the cluster comes to rest. */
async function expectEqual(
  of: Mirror,
  given: Record<string, string> = {},
  from = cluster,
): Promise<ReadonlyMap<string, string>> {
  let ours = new Map<string, string>();
  const differences = async () => {
    const theirs = await exportOf(from, folder, given);
    ours = await exportOf(of.cluster, folder, given);
    return [...new Set([...theirs.keys(), ...ours.keys()])].filter((path) => ours.get(path) !== theirs.get(path));
  };
  await expect.poll(differences, { timeout: 30_000, interval: 300 }).toEqual([]);
  return ours;
}

const write = (method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object) =>
  cluster.json<KubeObject>({
    method,
    path,
    body,
    contentType: method === 'PATCH' ? 'application/merge-patch+json' : undefined,
  });

/** Makes a role for everything. */
async function grant(kind: 'Role' | 'ClusterRole', name: string, verbs: readonly string[], namespace?: string) {
  const rules = [{ apiGroups: ['*'], resources: ['*'], verbs }];
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind, metadata: { name, namespace }, rules };
  await bed.kubectl(['apply', '-f', '-'], JSON.stringify(role));
}

const config = (name: string, data: object = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });
const shop = '/api/v1/namespaces/shop';

/** What changes in the namespace of the minute: something comes, something changes, something goes. */
async function change(turn: number): Promise<void> {
  const maps = '/api/v1/namespaces/shaken/configmaps';
  await write('POST', maps, config(`map-${turn}`, { turn: `${turn}` }));
  if (turn > 2) await write('PATCH', `${maps}/map-${turn - 2}`, { data: { changed: `${turn}` } });
  if (turn % 3 === 0 && turn > 9) await write('DELETE', `${maps}/map-${turn - 9}`);
}

/** A mirror behind two proxies, one that drops all connections each second and one that counts what is asked. */
async function dropForAMinute() {
  await write('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shaken' } });
  const proxied = await openProxied(bed, folder);
  // The kinds of the core group will do: each of fifty would reconnect each second.
  const resources = { exclude: ['*.*'] };
  const shaken = await open(proxied.cluster, { namespaces: ['shaken*'], include: ['resources'], resources });
  const before = proxied.listed();
  const seen: number[] = [];
  for (let second = 0; second < MINUTE; second += 1) {
    await Promise.all([sleep(1000), change(second)]);
    proxied.tcp.drop();
    seen.push(shaken.changed());
  }
  const stats = shaken.stats();
  const relisted = proxied.listed() - before;
  return { ...proxied, shaken, stats, relisted, seen };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-mirror-'));
  const { helm4 } = await ensureTools(['helm4']);
  bed = await startCluster({ name: 'mirror', tokens: [{ user: 'lister' }, { user: 'shopkeeper' }] });
  cluster = await openCluster({ kubeconfig: bed.kubeconfig });
  await bed.kubectl(['apply', '-f', '-'], crdOf('widgets', 'Widget'));
  await bed.kubectl(['apply', '-f', '-'], SHOP);
  await bed.kubectl(['wait', '--for=condition=Established', 'crd/widgets.example.com']);
  await write('POST', '/apis/example.com/v1/namespaces/shop/widgets', widget('w', { large: 'x'.repeat(200_000) }));
  minute = dropForAMinute();
  minute.catch(() => {});
  const helm = makeHelm(helm4, bed.kubeconfig, folder);
  await helm.run(['install', 'first', CHART, '-n', 'shop', '--no-hooks']);
  await helm.run(['upgrade', 'first', CHART, '-n', 'shop', '--no-hooks']);
  await helm.run(['install', 'mapped', CHART, '-n', 'shop-2', '--no-hooks'], { HELM_DRIVER: 'configmap' });
  await bed.kubectl(['rollout', 'status', '-n', 'shop', 'deployment/web']);
  const counted: Cluster = {
    ...cluster,
    listPages(path, options) {
      lists.push(path);
      return cluster.listPages(path, options);
    },
    listData(path, options) {
      lists.push(path);
      return cluster.listData(path, options);
    },
  };
  mirror = await open(counted);
  lists.length = 0;
});

afterAll(async () => {
  const shaken = await minute?.catch(() => undefined);
  await shaken?.shaken.close();
  await shaken?.close();
  await mirror?.close();
  await cluster?.close();
  await bed?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('an export of a mirror', () => {
  test.each([
    ['everything', { 'cluster-resources': 'all' }],
    ['what namespaces need', { namespace: 'shop*' }],
    ['releases', { include: 'releases' }],
    ['resources', { include: 'resources' }],
    ['what is selected', { selector: 'team=a', namespace: 'shop*', 'cluster-resources': 'none' }],
    ['all but', { exclude: 'deployments,shop/services/*,first', history: '1' }],
    ['the status too', { include: 'resources', 'restore-status': 'widgets,deployments' }],
  ])('of %s is that of the cluster, entry by entry, without a list of the server', async (_what, given) => {
    const files = await expectEqual(mirror, given);
    expect(files.size).toBeGreaterThan(2);
    expect(lists).toEqual([]);
  });

  test('has what it should', async () => {
    const files = await exportOf(mirror.cluster, folder, { 'cluster-resources': 'all' });
    expect([...files.keys()]).toEqual(
      expect.arrayContaining([
        '_snapshot.json',
        '_releases/shop/first/2.json',
        '_releases/shop-2/mapped/1.json',
        'shop/endpoints.json',
        'shop/widgets.json',
        'clusterroles.json',
        'customresourcedefinitions.json',
      ]),
    );
    expect(files.get('shop/services.json')).toContain('"nodePort":30080');
    expect([...files.keys()].filter((path) => path.startsWith('quiet/'))).toEqual([]);
  });

  test('of namespaces by name is that of the cluster, for one who may do nothing else', async () => {
    const namespaces = ['shop', 'shop-2'];
    for (const namespace of namespaces) {
      await grant('Role', 'keeper', ['get', 'list', 'watch'], namespace);
      await bed.kubectl(['create', 'rolebinding', 'keeper', '-n', namespace, '--role=keeper', '--user=shopkeeper']);
    }
    const theirs = await openCluster({ kubeconfig: bed.kubeconfig, context: `${bed.name}-shopkeeper` });
    onTestFinished(() => theirs.close());
    const limited = await open(theirs, { namespaces, resources: { clusterResources: 'none' } });
    onTestFinished(() => limited.close());
    const given = { namespace: namespaces.join(','), 'cluster-resources': 'none' };
    await expectEqual(limited, given, theirs);
    await expect.poll(() => limited.stats().behind, { timeout: 20_000 }).toBe(0);
    const before = limited.changed();
    await bed.kubectl(['label', 'namespace', 'shop-2', 'seen=yes']);
    await expect.poll(() => limited.changed()).toBeGreaterThan(before);
    const files = await expectEqual(limited, given, theirs);
    expect(files.has('shop/widgets.json')).toBe(true);
  });

  test('of one who may list and not watch is that of the cluster, and a warning names what to grant', async () => {
    await grant('ClusterRole', 'lister', ['get', 'list']);
    await bed.kubectl(['create', 'clusterrolebinding', 'lister', '--clusterrole=lister', '--user=lister']);
    const theirs = await openCluster({ kubeconfig: bed.kubeconfig, context: `${bed.name}-lister` });
    onTestFinished(() => theirs.close());
    const warnings: string[] = [];
    const reporter = { ...silentReporter, warn: (message: string) => warnings.push(message) };
    const unwatched = await open(theirs, { include: ['resources'], reporter });
    onTestFinished(() => unwatched.close());
    await expectEqual(unwatched, { include: 'resources' }, theirs);
    await expect.poll(() => warnings, { timeout: 20_000 }).toHaveLength(1);
    expect(warnings[0]).toMatch(/may list but not watch .*\bsecrets\b.* Grant the verb watch on them\./);
  });
});

describe('a change', () => {
  async function expectSeen(act: () => Promise<unknown>): Promise<void> {
    const before = mirror.changed();
    await act();
    await expect.poll(() => mirror.changed(), { timeout: 20_000 }).toBeGreaterThan(before);
  }

  test.each<[string, () => Promise<unknown>]>([
    ['a new ConfigMap', () => write('POST', `${shop}/configmaps`, config('new'))],
    ['a label', () => write('PATCH', `${shop}/configmaps/new`, { metadata: { labels: { a: 'b' } } })],
    ['a ConfigMap that goes', () => write('DELETE', `${shop}/configmaps/new`)],
    [
      'a custom resource',
      () => write('PATCH', '/apis/example.com/v1/namespaces/shop/widgets/w', { spec: { size: 2 } }),
    ],
    ['a Deployment', () => write('PATCH', '/apis/apps/v1/namespaces/shop/deployments/web', { spec: { paused: true } })],
    ['the port of a Service', () => write('PATCH', `${shop}/services/outside`, { spec: { ports: [{ port: 90 }] } })],
    ['an endpoint of a Service without a selector', () => write('PATCH', `${shop}/endpoints/outside`, { subsets: [] })],
    [
      'a cluster role',
      () => write('PATCH', '/apis/rbac.authorization.k8s.io/v1/clusterroles/shop:%C3%A9%C3%A9', { rules: [] }),
    ],
    ['a namespace', () => write('PATCH', '/api/v1/namespaces/shop', { metadata: { labels: { team: 'b' } } })],
    ['a release', () => bed.kubectl(['label', 'secret', '-n', 'shop', 'sh.helm.release.v1.first.v1', 'note=x'])],
  ])('of %s is seen, and exported', async (_what, act) => {
    await expectEqual(mirror);
    await expectSeen(act);
    await expectEqual(mirror);
    expect(lists).toEqual([]);
  });

  test('of what never travels is none: pods of controllers, status, events, heartbeats', async () => {
    await write('PATCH', '/apis/apps/v1/namespaces/shop/deployments/web', { spec: { paused: false } });
    await bed.kubectl(['rollout', 'status', '-n', 'shop', 'deployment/web']);
    await minute;
    await expectEqual(mirror);
    const before = mirror.changed();
    const { objects } = mirror.stats();
    await bed.kubectl(['delete', 'pod', '-n', 'shop', '-l', 'app=web', '--wait']);
    await bed.kubectl(['rollout', 'status', '-n', 'shop', 'deployment/web']);
    await write('PATCH', '/apis/example.com/v1/namespaces/shop/widgets/w/status', { status: { seen: true } });
    await write('PATCH', `/api/v1/nodes/${bed.name}-node`, { metadata: { annotations: { heart: 'beats' } } });
    const event = { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e' }, involvedObject: { namespace: 'shop' } };
    await write('POST', `${shop}/events`, event);
    await expect.poll(() => mirror.stats().objects, { timeout: 20_000 }).toBe(objects);
    await expectEqual(mirror, { include: 'resources', 'restore-status': 'widgets' });
    expect(mirror.changed()).toBe(before);
  });
});

describe('kinds and namespaces', () => {
  test('that come are exported, and those that go are not', async () => {
    const watches = () => mirror.stats().watches;
    await expect.poll(() => mirror.stats().behind, { timeout: 20_000 }).toBe(0);
    const before = watches();
    await bed.kubectl(['apply', '-f', '-'], crdOf('gears', 'Gear'));
    await expect.poll(watches, { timeout: 60_000 }).toBe(before + 1);
    await bed.kubectl(['create', 'namespace', 'fresh']);
    const gear = { apiVersion: 'example.com/v1', kind: 'Gear', metadata: { name: 'g' }, spec: { teeth: 12 } };
    await write('POST', '/apis/example.com/v1/namespaces/fresh/gears', gear);
    const files = await expectEqual(mirror);
    expect(files.get('fresh/gears.json')).toContain('"teeth":12');
    expect(files.get('namespaces.json')).toContain('"fresh"');

    await bed.kubectl(['delete', 'namespace', 'fresh', '--wait']);
    await bed.kubectl(['delete', 'crd', 'gears.example.com', '--wait']);
    await expect.poll(watches, { timeout: 60_000 }).toBe(before);
    const later = await expectEqual(mirror);
    expect([...later.keys()].filter((path) => path.startsWith('fresh/'))).toEqual([]);
    expect(later.get('_snapshot.json')).not.toContain('gears');
  });
});

test('connections that are dropped each second for a minute lose nothing, and nothing is listed again', async () => {
  const { shaken, stats, relisted, seen, tcp, cluster: proxied } = await minute;
  expect(tcp.dropped()).toBeGreaterThan(MINUTE * 5);
  expect(stats.reconnects).toBeGreaterThan(MINUTE * 5);
  // What happens is seen between two drops.
  expect(new Set(seen).size).toBeGreaterThan(MINUTE / 2);
  const given = { namespace: 'shaken*', include: 'resources', exclude: '*.*' };
  const files = await expectEqual(shaken, given, proxied);
  expect(files.get('shaken/configmaps.json')).toContain(`map-${MINUTE - 1}`);
  expect(stats.relists).toBe(0);
  expect(relisted).toBe(0);
}, 240_000);

describe('an API server that is killed and comes back', () => {
  async function compact(): Promise<void> {
    const call = async (what: string, body: object) => {
      const answer = await fetch(`${bed.etcd}/v3/kv/${what}`, { method: 'POST', body: JSON.stringify(body) });
      return (await answer.json()) as { header?: { revision?: string } };
    };
    const { header } = await call('range', { key: Buffer.from('none').toString('base64') });
    await call('compaction', { revision: header?.revision });
  }

  test('finds all again, each collection listed again at most once', async () => {
    await expect.poll(() => mirror.stats().behind, { timeout: 20_000 }).toBe(0);
    const before = mirror.stats();
    await bed.restartApiServer();
    await write('POST', `${shop}/configmaps`, config('after-restart'));
    const files = await expectEqual(mirror);
    expect(files.get('shop/configmaps.json')).toContain('after-restart');
    await expect.poll(() => mirror.stats(), { timeout: 60_000 }).toMatchObject({ behind: 0, watches: before.watches });
    expect(mirror.stats().relists - before.relists).toBeLessThanOrEqual(before.watches);
  });

  test('with its history compacted is listed again once, and what went meanwhile is gone', async () => {
    const proxied = await openProxied(bed, folder);
    onTestFinished(() => proxied.close());
    const behind = await open(proxied.cluster, { include: ['resources'], resources: { exclude: ['*.*'] } });
    onTestFinished(() => behind.close());
    await expectEqual(behind, { include: 'resources', exclude: '*.*' }, proxied.cluster);
    await expect.poll(() => behind.stats().behind, { timeout: 20_000 }).toBe(0);
    const { watches } = behind.stats();
    proxied.tcp.block();
    await write('DELETE', `${shop}/configmaps/after-restart`);
    await write('POST', `${shop}/configmaps`, config('unseen'));
    await compact();
    await bed.restartApiServer();
    proxied.tcp.unblock();
    await expect.poll(() => behind.stats(), { timeout: 60_000 }).toMatchObject({ behind: 0 });
    const files = await expectEqual(behind, { include: 'resources', exclude: '*.*' }, proxied.cluster);
    expect(files.get('shop/configmaps.json')).toContain('unseen');
    expect(files.get('shop/configmaps.json')).not.toContain('after-restart');
    const { relists } = behind.stats();
    expect(relists).toBeGreaterThan(0);
    expect(relists).toBeLessThanOrEqual(watches);
  });
});
