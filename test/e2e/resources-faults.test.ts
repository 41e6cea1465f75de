import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Fault, ProxiedRequest } from '../cluster/faulty-proxy.ts';
import { type Api, openApi } from './api.ts';
import { type ApiProxy, startApiProxy, statusAnswer } from './api-proxy.ts';
import { objectFiles, readArchiveFiles } from './archive-files.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { type BreakableProxy, startBreakableProxy } from './breakable-proxy.ts';
import { rewriteKubeconfig } from './kubeconfigs.ts';
import { asList } from './live-object.ts';
import { makePlace, type Place } from './place.ts';
import { failuresOf, rowOf } from './resource-rows.ts';
import { runTransship, type TransshipRun } from './run-transship.ts';

/** Enough that an export lists some pages. */
const CROWD = 1200;
/** Enough that an import is in the middle of it for a while. */
const COUNT = 400;
/** How many requests an import has under way. */
const UNDER_WAY = 16;

// One cluster is source and target: what is exported from a namespace is imported into another one.
let bed: Bed;
let cluster: RunningCluster;
let api: Api;
/** The namespace that is exported. */
let crowd: Place;
/** The namespace that is imported under a new name by each test. */
let group: Place;
/** Its objects, as an export without any trouble has them. */
let wanted: Record<string, string>;
let proxy: ApiProxy | undefined;
let wire: BreakableProxy | undefined;
/** The snapshot to import. */
let archive: string;
let target: string;
let count = 0;
let serverLost: Awaited<ReturnType<typeof loseServer>>;
const LOST = 'target-lost';

beforeAll(async () => {
  bed = await prepareBed();
  cluster = await bed.start('faults');
  api = openApi(cluster);
  [crowd, group] = [await fill('crowd', CROWD), await fill('group', COUNT)];
  wanted = objectFiles(await readArchiveFiles(String((await crowd.export()).output.location)));
  archive = String((await group.export()).output.location);
  // It tries again for a long time before it gives up: that goes on beside the other tests.
  serverLost = await loseServer();
});

afterAll(async () => {
  await serverLost?.way.close();
  api?.close();
  await bed?.close();
});

beforeEach(() => {
  count += 1;
  target = `target-${count}`;
});

afterEach(async () => {
  await proxy?.stop();
  await wire?.close();
  proxy = undefined;
  wire = undefined;
});

/** Makes a namespace with so many ConfigMaps, a Secret and a Service. */
async function fill(name: string, members: number): Promise<Place> {
  const place = await makePlace(bed, cluster, api, name);
  await Promise.all(
    Array.from({ length: members }, (_, index) =>
      api.create(place.from('configmaps'), {
        metadata: { name: `member-${String(index).padStart(4, '0')}` },
        data: { text: `${index} `.repeat(150) },
      }),
    ),
  );
  await api.create(place.from('secrets'), { metadata: { name: 'secret' } });
  await api.create(place.from('services'), { metadata: { name: 'service' }, spec: { ports: [{ port: 80 }] } });
  return place;
}

/** Runs the command on a way to the server on which the chosen requests fail. */
async function onFaultyWay(
  args: readonly string[],
  choose: (request: ProxiedRequest) => Fault | undefined,
  options: Parameters<typeof runTransship>[1] & { before?: (request: ProxiedRequest) => Promise<void> } = {},
): Promise<TransshipRun> {
  proxy = await startApiProxy(cluster, crowd.folder, choose, options.before);
  return runTransship([...args, '--kubeconfig', proxy.kubeconfig], {
    env: bed.environment(cluster, 'none'),
    ...options,
  });
}

/** An import whose server goes away in the middle of it for good; resolves when it has. */
async function loseServer(): Promise<{ way: BreakableProxy; ended: Promise<TransshipRun> }> {
  const { way, kubeconfig } = await openWire('lost');
  const cut = way.breakAfter(200_000);
  const args = [...importing(LOST), '--timeout', '3s', '--kubeconfig', kubeconfig];
  const ended = runTransship(args, { env: bed.environment(cluster, 'none') });
  await cut;
  return { way, ended };
}

/** Runs the command on a way that is cut after so many bytes, while the server is killed and started again. */
async function whileServerRestarts(args: readonly string[], bytes: number): Promise<TransshipRun> {
  const { way, kubeconfig } = await openWire(`case-${count}`);
  wire = way;
  const restarted = way
    .breakAfter(bytes)
    .then(() => cluster.restartApiServer())
    .then(() => way.restore());
  const run = await runTransship([...args, '--kubeconfig', kubeconfig], { env: bed.environment(cluster, 'none') });
  await restarted;
  return run;
}

/** A way to the server that can be cut, and the kubeconfig that takes it. */
async function openWire(name: string): Promise<{ way: BreakableProxy; kubeconfig: string }> {
  const folder = join(crowd.folder, name);
  await mkdir(folder);
  const url = new URL(cluster.server);
  const way = await startBreakableProxy({ host: url.hostname, port: Number(url.port) });
  const server = `https://127.0.0.1:${way.port}`;
  return { way, kubeconfig: await rewriteKubeconfig(cluster, folder, (entry) => ({ ...entry, server })) };
}

const exporting = (...more: string[]) => [
  ...['export', '--include', 'resources', '-n', crowd.source, '--path', `${bed.scratch}/case-${count}`],
  ...more,
];
const importing = (to = target) => ['import', '--path', archive, '--namespace-map', `${group.source}:${to}`];
const members = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps`;
const isMemberList = ({ method, path }: ProxiedRequest) => method === 'GET' && path.startsWith(members(crowd.source));
const isMemberCreate = ({ method, path }: ProxiedRequest) => method === 'POST' && path.startsWith(members(target));

/** The export is whole: what is in it is what is in one without trouble. */
async function expectWhole(run: TransshipRun): Promise<void> {
  expect(run.exitCode, run.stderr).toBe(0);
  expect(objectFiles(await readArchiveFiles(String(run.output.location)))).toEqual(wanted);
}

/** All that is to be in the target is, each as it was at the source; and with them a Secret, a Service, the account and the namespace. */
async function expectComplete(): Promise<void> {
  const content = async (namespace: string) =>
    (await api.list(members(namespace))).map(({ metadata, data }) => [metadata.name, data]);
  expect(await content(target)).toEqual(await content(group.source));
  const again = await runTransship(importing(), { env: bed.environment(cluster, 'none') });
  expect(again.output, again.stderr).toMatchObject({ changed: false, counts: { unchanged: COUNT + 4, failed: 0 } });
}

describe('an export', () => {
  it('during which the API server is killed and comes back is whole', async () => {
    await expectWhole(await whileServerRestarts(exporting(), 150_000));
  });

  it('whose continue token expires loses and doubles nothing', async () => {
    let expired = 0;
    const run = await onFaultyWay(exporting(), (request) => {
      if (!isMemberList(request) || !request.path.includes('continue=')) return undefined;
      expired += 1;
      return expired === 2 ? statusAnswer(410, 'Expired') : undefined;
    });
    expect(expired).toBeGreaterThanOrEqual(2);
    await expectWhole(run);
  });

  it.each([429, 503])('that the server tells to wait (%i) waits as long as it says, and is whole', async (code) => {
    const times: number[] = [];
    const run = await onFaultyWay(exporting(), (request) => {
      if (!isMemberList(request) || !request.path.includes('continue=')) return undefined;
      times.push(performance.now());
      return times.length === 1 ? statusAnswer(code, 'TooManyRequests', { 'retry-after': '1' }) : undefined;
    });
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(1000);
    await expectWhole(run);
  });

  it('half of whose answers are cut is whole', async () => {
    let asked = 0;
    const run = await onFaultyWay(exporting(), (request) => {
      if (!isMemberList(request)) return undefined;
      asked += 1;
      return asked % 2 === 1 ? { kind: 'cut', after: 1000 } : undefined;
    });
    await expectWhole(run);
  });

  it.each(['archive', 'tree'])('that is killed leaves no snapshot behind (layout %s)', async (layout) => {
    let kill: () => void = () => undefined;
    let pages = 0;
    const run = await onFaultyWay(exporting('--layout', layout), () => undefined, {
      onStart: (child) => {
        kill = () => child.kill('SIGKILL');
      },
      before: async (request) => {
        pages += isMemberList(request) ? 1 : 0;
        if (pages < 3) return;
        kill();
        await new Promise(() => undefined);
      },
    });
    expect(run.exitCode).toBe(137);
    const path = `${bed.scratch}/case-${count}`;
    const env = bed.environment(cluster, 'none');
    const taken = await runTransship(['import', '--path', path], { env });
    expect(taken.exitCode, taken.stderr).toBe(1);
    const listed = await runTransship(['list', '--path', path], { env });
    const complete = asList(listed.output.snapshots).filter((one) => !JSON.stringify(one).includes('unfinished'));
    expect(complete).toEqual([]);
    // The next one is not disturbed by what lies there.
    const next = await runTransship(exporting('--layout', layout), { env });
    expect(next.exitCode, next.stderr).toBe(0);
    expect((await runTransship(['verify', '--path', path], { env })).exitCode).toBe(0);
  });
});

describe('an import', () => {
  it('during which the API server is killed and comes back is complete', async () => {
    const run = await whileServerRestarts(importing(), 200_000);
    expect(failuresOf(run)).toEqual([]);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(rowOf(run, 'ConfigMap')).toMatchObject({ created: COUNT, failed: 0 });
    await expectComplete();
  });

  it('whose answers are lost after the server has done its part is complete, and nothing counts as failed', async () => {
    let creates = 0;
    const run = await onFaultyWay(importing(), (request) => {
      creates += isMemberCreate(request) ? 1 : 0;
      return isMemberCreate(request) && creates % 10 === 0 ? { kind: 'lose-answer' } : undefined;
    });
    expect(failuresOf(run)).toEqual([]);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(rowOf(run, 'ConfigMap')).toMatchObject({ created: COUNT });
    await expectComplete();
  });

  it('whose requests are reset before the server sees them is complete', async () => {
    let creates = 0;
    const run = await onFaultyWay(importing(), (request) => {
      creates += isMemberCreate(request) ? 1 : 0;
      return isMemberCreate(request) && creates % 10 === 0 ? { kind: 'reset' } : undefined;
    });
    expect(failuresOf(run)).toEqual([]);
    expect(run.exitCode, run.stderr).toBe(0);
    await expectComplete();
  });

  it.each([429, 503])('that the server tells to wait (%i) is complete', async (code) => {
    let creates = 0;
    const run = await onFaultyWay(importing(), (request) => {
      creates += isMemberCreate(request) ? 1 : 0;
      return isMemberCreate(request) && creates % 50 === 0
        ? statusAnswer(code, code === 429 ? 'TooManyRequests' : 'ServiceUnavailable', { 'retry-after': '1' })
        : undefined;
    });
    expect(failuresOf(run)).toEqual([]);
    expect(run.exitCode, run.stderr).toBe(0);
    await expectComplete();
  });

  it('whose server does not come back in time lists what is not done, and is completed by the next one', async () => {
    target = LOST;
    const run = await serverLost.ended;
    expect(run.exitCode, run.stderr).toBe(1);
    expect(run.stderr).not.toMatch(/^\s+at .*:\d+/m);
    const there = new Set(await api.names(members(target)));
    const missing = (await api.names(members(group.source))).filter((name) => !there.has(name));
    const listed = failuresOf(run).map(({ object }) => object);
    expect(missing.length).toBeGreaterThan(50);
    expect(listed).toEqual(expect.arrayContaining(missing.map((name) => `ConfigMap ${target}/${name}`)));
    // Of those that were under way nobody knows what became of them.
    const others = ['Secret', 'Service'].length;
    expect(listed.length).toBeLessThanOrEqual(missing.length + UNDER_WAY + others);
    const { created, failed, skipped } = rowOf(run, 'ConfigMap');
    expect(created + failed + skipped).toBe(COUNT);
    const next = await runTransship(importing(), { env: bed.environment(cluster, 'none') });
    expect(next.exitCode, next.stderr).toBe(0);
    await expectComplete();
  });

  it('that is killed is completed by the next one', async () => {
    const run = await stopHalfway('SIGKILL');
    expect(run.exitCode).toBe(137);
    const there = (await api.names(members(target))).length;
    expect(there).toBeGreaterThan(50);
    expect(there).toBeLessThan(COUNT);
    const next = await runTransship(importing(), { env: bed.environment(cluster, 'none') });
    expect(next.exitCode, next.stderr).toBe(0);
    const { created, unchanged } = rowOf(next, 'ConfigMap');
    expect(created + unchanged).toBe(COUNT);
    // What was under way when it was killed may have come about after the look.
    expect(unchanged).toBeGreaterThanOrEqual(there);
    expect(unchanged).toBeLessThanOrEqual(there + UNDER_WAY);
    await expectComplete();
  });

  it('that is told to stop says so, and is completed by the next one', async () => {
    const run = await stopHalfway('SIGTERM');
    expect(run.exitCode).toBeGreaterThan(0);
    expect(run.stderr.match(/^error/gim), run.stderr).toHaveLength(1);
    expect(run.stderr).not.toMatch(/^\s+at .*:\d+/m);
    const next = await runTransship(importing(), { env: bed.environment(cluster, 'none') });
    expect(next.exitCode, next.stderr).toBe(0);
    await expectComplete();
  });

  /** From the 150th object on the server does not answer; then the signal comes. */
  async function stopHalfway(signal: 'SIGKILL' | 'SIGTERM'): Promise<TransshipRun> {
    let creates = 0;
    let stop: () => void = () => undefined;
    return onFaultyWay(importing(), () => undefined, {
      onStart: (child) => {
        stop = () => child.kill(signal);
      },
      before: async (request) => {
        creates += isMemberCreate(request) ? 1 : 0;
        if (creates < 150) return;
        // Once: a second SIGTERM means at once.
        stop();
        stop = () => undefined;
        await new Promise(() => undefined);
      },
    });
  }
});
