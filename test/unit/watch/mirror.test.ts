import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Cluster, KubeObject, ListOptions } from '../../../src/cluster/cluster.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { OPT_OUT_LABEL } from '../../../src/resources/resource.ts';
import { type MirrorOptions, openMirror } from '../../../src/watch/mirror.ts';
import { kubeconfigOf, openTestCluster } from '../cluster/misbehaving-server.ts';
import { eventually, manualClock } from './manual-clock.ts';
import { type ServedKind, startWatchServer } from './watch-server.ts';

const CONFIG_MAPS = '/api/v1/configmaps';
const GRACE = 10_000;

const CORE: ServedKind = { group: '', version: 'v1', kind: '', plural: '', namespaced: true };
const NAMESPACE: ServedKind = { ...CORE, kind: 'Namespace', plural: 'namespaces', namespaced: false };
const SECRET: ServedKind = { ...CORE, kind: 'Secret', plural: 'secrets' };
const LEASE: ServedKind = { ...CORE, group: 'coordination.k8s.io', kind: 'Lease', plural: 'leases' };
const CRD: ServedKind = {
  ...NAMESPACE,
  group: 'apiextensions.k8s.io',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
};
const WIDGET: ServedKind = { ...CORE, group: 'example.com', kind: 'Widget', plural: 'widgets' };

function config(name: string, namespace = 'shop', fields: object = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { name }, ...fields };
}

function namespaceOf(name: string, labels: Record<string, string> = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

function definition(generation = 1): KubeObject {
  const metadata = { name: 'widgets.example.com', generation };
  return { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata };
}

const widget = (name: string): KubeObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name, namespace: 'shop' },
});

async function setUp(kinds: readonly ServedKind[] = [NAMESPACE, SECRET]) {
  const server = await startWatchServer();
  server.kinds.push(...kinds);
  const clock = manualClock();
  const directory = await mkdtemp(join(tmpdir(), 'transship-mirror-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const stop = new AbortController();
  const warnings: string[] = [];
  let told = 0;
  const open = async (options: Partial<MirrorOptions> = {}) => {
    const mirror = await openMirror(server.cluster, {
      namespaces: ['*'],
      include: ['releases', 'resources'],
      drivers: ['secret', 'configmap'],
      temporaryDirectory: directory,
      onChange: () => {
        told += 1;
      },
      reporter: { ...silentReporter, warn: (message) => warnings.push(message) },
      signal: stop.signal,
      clock,
      ...options,
    });
    onTestFinished(() => mirror.close());
    await eventually(clock, () => mirror.stats().behind).toBe(0);
    server.asked.length = 0;
    return mirror;
  };
  const until = <T>(read: () => T, step?: number) => eventually(clock, read, step);
  const lists = () => server.asked.filter((one) => one.startsWith('list'));
  return { server, clock, directory, stop, warnings, open, until, lists, told: () => told };
}

async function listed(cluster: Cluster, path: string, options: ListOptions = {}): Promise<KubeObject[]> {
  const all: KubeObject[] = [];
  for await (const object of cluster.list(path, options)) all.push(object);
  return all;
}

async function namesIn(cluster: Cluster, path: string, options?: ListOptions): Promise<string[]> {
  return (await listed(cluster, path, options)).map(({ metadata }) => metadata.name);
}

describe('a mirror', () => {
  test('answers lists as the server does, without asking it', async () => {
    const { server, open, until, lists } = await setUp();
    for (const name of ['b', 'a', 'c']) server.put(config(name));
    const mirror = await open();
    server.put(config('a', 'shop', { data: { new: '1' } }));
    server.remove(config('c'));
    await until(() => mirror.stats().objects).toBe(2);
    const ours = await listed(mirror.cluster, CONFIG_MAPS);
    expect(lists()).toEqual([]);
    expect(ours).toEqual(await listed(server.cluster, CONFIG_MAPS));
    expect(ours.map((object) => Object.keys(object).slice(0, 2))).toEqual(ours.map(() => ['apiVersion', 'kind']));
  });

  test('has Secrets and ConfigMaps as data', async () => {
    const { server, open, lists } = await setUp();
    const labels = { owner: 'helm' };
    server.put(config('plain'));
    server.put({
      ...config('record', 'shop', { data: { release: 'é' } }),
      metadata: { name: 'record', namespace: 'shop', labels },
    });
    const mirror = await open();
    const found = [];
    for await (const page of mirror.cluster.listData(CONFIG_MAPS, { labelSelector: 'owner=helm' })) found.push(...page);
    expect(found).toMatchObject([{ kind: 'ConfigMap', metadata: { name: 'record' } }]);
    expect(found[0]?.data.get('release')).toEqual(Buffer.from('é'));
    expect(lists()).toEqual([]);
  });

  test('tells of a change that an export could have, and of no other', async () => {
    const { server, open, until, told } = await setUp();
    server.put(config('a'));
    server.put(config('b'));
    const mirror = await open();
    const before = mirror.changed();
    expect(told()).toBe(0);
    server.put(config('a', 'shop', { status: { seen: 1 } }));
    server.put(config('b', 'shop', { data: {} }));
    await until(told).toBe(1);
    expect(mirror.changed()).toBe(before + 1);
  });

  test('watches what an export lists, and nothing that never travels', async () => {
    const { server, open } = await setUp([NAMESPACE, SECRET, LEASE, { ...CORE, kind: 'Event', plural: 'events' }]);
    await open();
    expect(server.watches()).toBe(3);
  });

  test('watches only records where only releases are exported', async () => {
    const { server, open, until, lists, told } = await setUp();
    const record = { ...config('record'), metadata: { name: 'record', namespace: 'shop', labels: { owner: 'helm' } } };
    const mirror = await open({ include: ['releases'] });
    server.put(config('plain'));
    server.put(record);
    await until(told).toBe(1);
    expect(mirror.stats()).toMatchObject({ objects: 1, watches: 2 });
    expect(await namesIn(mirror.cluster, CONFIG_MAPS, { labelSelector: 'owner=helm' })).toEqual(['record']);
    expect(lists()).toEqual([]);
    expect(await namesIn(mirror.cluster, CONFIG_MAPS)).toEqual(['plain', 'record']);
    expect(lists()).toHaveLength(1);
  });

  test('keeps of a cluster only the namespaces that are exported', async () => {
    const { server, open, until, told } = await setUp();
    const mirror = await open({ namespaces: ['team-*', 'shop'] });
    for (const name of ['shop', 'team-a', 'other']) {
      server.put(namespaceOf(name));
      server.put(config('a', name));
    }
    // All Namespaces are there, for a pattern that matches none is told.
    await until(() => mirror.stats().objects).toBe(5);
    const before = told();
    server.put(namespaceOf('other', { team: 'b' }));
    server.put(config('b', 'other'));
    server.put(config('last'));
    await until(() => mirror.stats().objects).toBe(6);
    expect(told()).toBe(before + 1);
  });

  test('does not tell of a namespace that is labelled to stay, until it is not any more', async () => {
    const { server, open, until, told } = await setUp();
    server.put(namespaceOf('quiet', { [OPT_OUT_LABEL]: 'true' }));
    const mirror = await open({ include: ['resources'] });
    server.put(config('a', 'quiet'));
    await until(() => mirror.stats().objects).toBe(2);
    expect(told()).toBe(0);
    server.put(namespaceOf('quiet'));
    await until(told).toBe(1);
    server.put(config('b', 'quiet'));
    await until(told).toBe(2);
  });
});

describe('namespaces that are given by name', () => {
  test('are watched one by one, each with its own Namespace', async () => {
    const { server, open, until, told } = await setUp();
    server.put(namespaceOf('shop'));
    server.refuse = (_verb, path) => (/^\/api\/v1\/(namespaces|configmaps|secrets)$/.test(path) ? 403 : undefined);
    const mirror = await open({ namespaces: ['shop', 'store'] });
    expect(mirror.stats().watches).toBe(6);
    server.put(config('a', 'other'));
    server.put(config('a', 'store'));
    await until(told).toBe(1);
    server.put(namespaceOf('shop', { team: 'a' }));
    await until(told).toBe(2);
    server.put(namespaceOf('store'));
    await until(told).toBe(3);
    server.remove(namespaceOf('shop'));
    await until(told).toBe(4);
    expect(await namesIn(mirror.cluster, '/api/v1/namespaces/store/configmaps')).toEqual(['a']);
  });

  test('leave a list of all namespaces to the server', async () => {
    const { server, open } = await setUp();
    server.put(namespaceOf('other'));
    const mirror = await open({ namespaces: ['shop'] });
    expect(await namesIn(mirror.cluster, '/api/v1/namespaces')).toEqual(['other']);
  });
});

describe('what is not watched', () => {
  test('is asked of the server: other selections and kinds that can only be listed', async () => {
    const { server, open, lists } = await setUp([NAMESPACE, { ...SECRET, verbs: ['list'] }]);
    server.put(config('a'));
    const mirror = await open();
    await namesIn(mirror.cluster, CONFIG_MAPS, { fieldSelector: 'metadata.name=a' });
    await namesIn(mirror.cluster, '/api/v1/secrets');
    expect(lists()).toHaveLength(2);
  });

  test('for lack of rights is said once, and listed by each export without counting as a change', async () => {
    const { server, open, until, lists, warnings, told } = await setUp();
    server.put(config('a'));
    server.refuse = (verb, path) => (verb === 'watch' && !path.includes('namespaces') ? 403 : undefined);
    const mirror = await open();
    await expect
      .poll(() => warnings, { timeout: 8000 })
      .toEqual([
        'The user of the context "test" may list but not watch secrets, configmaps. Changes of these are seen only when a ' +
          'snapshot is taken for another reason. Grant the verb watch on them.',
      ]);
    expect(await namesIn(mirror.cluster, CONFIG_MAPS)).toEqual(['a']);
    expect(lists()).toEqual([`list ${CONFIG_MAPS}`]);
    expect(told()).toBe(0);
    server.refuse = () => undefined;
    await until(() => mirror.stats().watches, 600_000).toBe(3);
    await namesIn(mirror.cluster, CONFIG_MAPS);
    expect(lists().filter((one) => one === `list ${CONFIG_MAPS}`)).toHaveLength(2);
  });

  test('because the connection broke is good enough for a while, then the server is asked', async () => {
    const { server, clock, open, until, lists } = await setUp();
    server.put(config('a'));
    const mirror = await open();
    server.refuse = (verb) => (verb === 'watch' ? 500 : undefined);
    server.drop();
    await until(() => mirror.stats().behind).toBe(3);
    expect(await namesIn(mirror.cluster, CONFIG_MAPS)).toEqual(['a']);
    expect(lists()).toEqual([]);
    clock.advance(GRACE);
    expect(mirror.stats().behindFor).toBeGreaterThanOrEqual(GRACE);
    expect(await namesIn(mirror.cluster, CONFIG_MAPS)).toEqual(['a']);
    expect(lists()).toEqual([`list ${CONFIG_MAPS}`]);
  });
});

describe('a kind', () => {
  test('that comes is watched, and one that goes is not; both are changes', async () => {
    const { server, open, until, told } = await setUp([NAMESPACE, SECRET, CRD]);
    const mirror = await open();
    server.put(definition());
    server.kinds.push(WIDGET);
    server.put(widget('w'));
    await until(() => mirror.stats().watches, 200).toBe(5);
    expect(await namesIn(mirror.cluster, '/apis/example.com/v1/widgets')).toEqual(['w']);
    const before = told();
    expect(before).toBeGreaterThan(0);
    server.put(widget('v'));
    await until(told).toBe(before + 1);
    server.remove(definition());
    server.kinds.pop();
    await until(() => mirror.stats().watches, 200).toBe(4);
    expect(told()).toBeGreaterThan(before + 1);
    expect(mirror.stats().objects).toBe(0);
  });

  test('that comes is found also where CRDs may not be watched', async () => {
    const { server, open, until } = await setUp([NAMESPACE, SECRET]);
    const mirror = await open();
    server.kinds.push(WIDGET);
    await until(() => mirror.stats().watches, 60_000).toBe(4);
  });

  test('whose definition has changed is listed again: its objects may look different', async () => {
    const { server, open, until, lists } = await setUp([NAMESPACE, SECRET, CRD, WIDGET]);
    server.put(definition());
    await open();
    server.put(definition(2));
    await until(lists, 200).toEqual(['list /apis/example.com/v1/widgets']);
  });
});

describe('a mirror that can not be opened', () => {
  test('says why: no disk, no server, or an input that means nothing', async () => {
    const { server, open, directory } = await setUp();
    await expect(open({ temporaryDirectory: join(directory, 'none') })).rejects.toMatchObject({ code: 'BACKEND' });
    await expect(open({ include: ['resources'], resources: { exclude: ['gadgets'] } })).rejects.toMatchObject({
      code: 'INPUT',
    });
    await expect(open({ resources: { restoreStatus: ['gadgets'] } })).rejects.toMatchObject({ code: 'INPUT' });
    server.refuse = (verb) => (verb === 'list' ? 400 : undefined);
    await expect(open()).rejects.toMatchObject({ code: 'CLUSTER', status: 400 });
    expect(await readdir(directory)).toEqual([]);
    expect(server.watches()).toBe(0);
  });

  test('does so for a server that is not there', async () => {
    const { directory } = await setUp();
    const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: 'http://127.0.0.1:1' }) });
    const opening = openMirror(cluster, {
      namespaces: ['*'],
      include: ['resources'],
      drivers: [],
      temporaryDirectory: directory,
      onChange: () => {},
      reporter: silentReporter,
      signal: new AbortController().signal,
    });
    await expect(opening).rejects.toMatchObject({ reason: 'Unreachable' });
  });

  test('because it is cancelled says so', async () => {
    const { server, open, stop } = await setUp();
    server.refuse = () => void stop.abort();
    await expect(open()).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('the end of a mirror', () => {
  test.each(['close', 'signal'] as const)('by %s ends all watches, and lists go to the server', async (by) => {
    const { server, open, stop, lists, until } = await setUp();
    server.put(config('a'));
    const mirror = await open();
    if (by === 'close') await Promise.all([mirror.close(), mirror.close()]);
    else stop.abort();
    await until(() => server.watches()).toBe(0);
    expect(await namesIn(mirror.cluster, CONFIG_MAPS)).toEqual(['a']);
    expect(lists()).toHaveLength(1);
  });

  test('does not end the cluster that it was opened on', async () => {
    const { server, open } = await setUp();
    const mirror = await open();
    await mirror.cluster.close();
    await mirror.close();
    expect(await namesIn(server.cluster, CONFIG_MAPS)).toEqual([]);
  });
});
