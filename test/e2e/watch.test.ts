import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startS3, type TestS3 } from '../cluster/s3.ts';
import { type Api, openApi } from './api.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { type BreakableProxy, startBreakableProxy } from './breakable-proxy.ts';
import { makeNamespace } from './place.ts';
import { readTrees, startWatcher, type Watcher } from './watcher.ts';

const STORED = /^Stored snapshot/;
const UNCHANGED = /^Nothing new/;

/** Sets the clock a day back as soon as there is a file. */
const SHIFT = `
import { existsSync } from 'node:fs';
const DAY = 24 * 60 * 60 * 1000;
const RealDate = Date;
const shift = () => (existsSync(process.env.CLOCK_WENT_BACK) ? -DAY : 0);
globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + shift());
    else super(...args);
  }
  static now() {
    return RealDate.now() + shift();
  }
};
`;

let bed: Bed;
let cluster: RunningCluster;
let api: Api;
const watchers: Watcher[] = [];

beforeAll(async () => {
  bed = await prepareBed();
  cluster = await bed.start('watched');
  api = openApi(cluster);
});

afterAll(async () => {
  await Promise.all(watchers.map((watcher) => (watcher.child.exitCode === null ? watcher.end('SIGKILL') : undefined)));
  api?.close();
  await bed?.close();
});

/** A namespace of its own, a folder, and how to watch the one into the other. */
async function prepare(name: string) {
  await makeNamespace(api, name);
  const folder = join(bed.scratch, name);
  await mkdir(folder, { recursive: true });
  const configMaps = `/api/v1/namespaces/${name}/configmaps`;
  return {
    name,
    folder,
    watch(
      path: string,
      more: readonly string[] = [],
      env: Readonly<Record<string, string>> = {},
      manager = `${name}/keeper`,
    ): Watcher {
      const watcher = startWatcher(
        [
          ...['-n', name, '--include', 'resources', '--path', path, '--layout', 'tree', '--on-change'],
          ...['--settle', '1s', '--push-retry', '1s', '--manager', manager, ...more],
        ],
        { ...bed.environment(cluster, 'none'), ...env },
      );
      watchers.push(watcher);
      return watcher;
    },
    set: async (key: string, value: string) => {
      const path = `${configMaps}/${key}`;
      if ((await api.find(path)) === undefined)
        await api.create(configMaps, { metadata: { name: key }, data: { value } });
      else await api.patch(path, { data: { value } });
    },
    /** The values of a ConfigMap in the snapshots of a folder, in order. */
    values: async (path: string, key: string) =>
      (await readTrees(path, name)).map(({ configMaps: all }) => Object(all[key]).value as unknown),
  };
}

describe.concurrent('transship watch', () => {
  it('stores what changes soon after it has settled, and nothing else', async () => {
    const { name, folder, watch, set, values } = await prepare('changes');
    const deployments = `/apis/apps/v1/namespaces/${name}/deployments`;
    const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'web:1' }] } };
    await api.create(deployments, {
      metadata: { name: 'web' },
      spec: { replicas: 0, selector: { matchLabels: { app: 'web' } }, template },
    });
    await api.until(`${deployments}/web`, ({ status }) => Object(status).observedGeneration === 1);
    await set('a', 'one');
    const watcher = watch(folder);
    const first = await watcher.said(STORED);
    expect(first).toMatchObject({ level: 'info', snapshot: expect.any(String), changed: expect.any(Number) });
    await set('a', 'two');
    expect(await watcher.said(STORED, 2)).toMatchObject({ changed: 1 });
    expect(await values(folder, 'a')).toEqual(['one', 'two']);

    const progress = { type: 'Progressing', status: 'True', reason: 'Test', message: 'goes on' };
    await api.patch(`${deployments}/web/status`, { status: { conditions: [progress] } });
    await set('a', 'three');
    await set('a', 'four');
    await watcher.said(STORED, 3);
    // Had the status made a snapshot, there would be one more.
    expect(await values(folder, 'a')).toEqual(['one', 'two', 'four']);

    expect(await watcher.get('/healthz')).toEqual({ status: 200, text: 'ok\n' });
    expect(await watcher.get('/readyz')).toEqual({ status: 200, text: 'ok\n' });
    expect(await watcher.metric('snapshots_stored_total')).toBe(3);
    expect(await watcher.metric('is_manager')).toBe(1);
    expect(await watcher.metric('pending_snapshots')).toBe(0);
    expect(await watcher.metric('lag_seconds')).toBe(0);
    expect(await watcher.metric('watched_objects')).toBeGreaterThan(1);
    expect(await watcher.metric('last_success_timestamp_seconds')).toBeGreaterThan(Date.now() / 1000 - 600);

    expect(await watcher.end('SIGTERM')).toBe(0);
    expect(watcher.log.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
    expect(watcher.log.at(-1)).toMatchObject({ message: 'Stored 3 snapshots of watched' });

    const next = watch(folder);
    await next.said(UNCHANGED);
    expect(await next.end('SIGINT')).toBe(0);
    expect(await values(folder, 'a')).toHaveLength(3);
  });

  it('of two that start at the same instant, one runs and the other ends with an error that names it', async () => {
    const { folder, watch } = await prepare('rivals');
    const rivals = ['one/a', 'two/b'].map((manager) => watch(folder, [], {}, manager));
    const loser = await Promise.race(rivals.map((watcher) => watcher.ended.then(() => watcher)));
    const winner = rivals.find((watcher) => watcher !== loser);
    await winner?.said(STORED);
    expect(await loser.ended).toBe(1);
    expect(loser.log.at(-1)?.message).toMatch(/is kept up to date by release (a in namespace one|b in namespace two)/);
    expect(loser.log.some(({ message }) => STORED.test(message))).toBe(false);
    expect(await winner?.end('SIGTERM')).toBe(0);
    expect(await readTrees(folder, 'rivals')).toHaveLength(1);
  });

  it('gives later ids to later snapshots although the clock goes back', async () => {
    const { folder, watch, set, values } = await prepare('clock');
    const [preload, flag] = [join(bed.scratch, 'shift.mjs'), join(bed.scratch, 'went-back')];
    await writeFile(preload, SHIFT);
    await set('a', 'one');
    const watcher = watch(folder, [], { NODE_OPTIONS: `--import=${preload}`, CLOCK_WENT_BACK: flag });
    const first = await watcher.said(STORED);
    await writeFile(flag, '');
    await set('a', 'two');
    const second = await watcher.said(STORED, 2);
    await set('a', 'three');
    const third = await watcher.said(STORED, 3);
    expect(String(second.snapshot) > String(first.snapshot)).toBe(true);
    expect(String(third.snapshot) > String(second.snapshot)).toBe(true);
    expect(await watcher.end('SIGTERM')).toBe(0);

    await set('a', 'four');
    const next = watch(folder, [], { NODE_OPTIONS: `--import=${preload}`, CLOCK_WENT_BACK: flag });
    const fourth = await next.said(STORED);
    expect(String(fourth.snapshot) > String(third.snapshot)).toBe(true);
    expect(await next.end('SIGTERM')).toBe(0);
    expect(await values(folder, 'a')).toEqual(['one', 'two', 'three', 'four']);
  });

  describe.concurrent('to S3', () => {
    let s3: TestS3;
    const proxies: BreakableProxy[] = [];
    beforeAll(async () => {
      s3 = await startS3();
    });
    afterAll(async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()));
      await s3?.stop();
    });

    /** A way to the storage that can be cut. */
    async function link(name: string) {
      const { hostname, port } = new URL(s3.endpoint);
      const proxy = await startBreakableProxy({ host: hostname, port: Number(port) });
      proxies.push(proxy);
      return {
        proxy,
        path: `s3://${s3.bucket}/${name}`,
        env: { ...s3.env, AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${proxy.port}`, AWS_MAX_ATTEMPTS: '1' },
        folder: join(s3.folder, 'buckets', s3.bucket, name),
      };
    }

    it('keeps what changes while the storage is away, and stores all of it in order afterwards', async () => {
      const { watch, set, values } = await prepare('outage');
      const { proxy, path, env, folder } = await link('outage');
      await set('a', 'zero');
      const watcher = watch(path, [], env);
      await watcher.said(STORED);
      const cut = proxy.breakAfter(1);
      await set('a', 'one');
      await cut;
      await watcher.said(/^Made snapshot/, 2);
      await set('a', 'two');
      await watcher.said(/^Made snapshot/, 3);
      await set('a', 'three');
      await watcher.said(/^Made snapshot/, 4);
      expect((await watcher.said(/could not be stored/)).level).toBe('warn');
      expect(await watcher.metric('pending_snapshots')).toBe(3);
      expect(await watcher.metric('lag_seconds')).toBeGreaterThan(0);
      proxy.restore();
      await watcher.said(STORED, 4);
      expect(await watcher.metric('pending_snapshots')).toBe(0);
      expect(await watcher.end('SIGTERM')).toBe(0);
      expect(await values(folder, 'a')).toEqual(['zero', 'one', 'two', 'three']);
    });

    it('loses nothing when it is killed in the middle of a push', async () => {
      const { watch, set, values } = await prepare('killed');
      const { proxy, path, env, folder } = await link('killed');
      await set('a', 'one');
      const watcher = watch(path, [], env);
      await watcher.said(STORED);
      // The lease is renewed, some files of the tree are there, the last is not.
      await set('a', 'two');
      await watcher.said(/^Made snapshot/, 2);
      await proxy.breakAfter(300);
      await watcher.end('SIGKILL');
      proxy.restore();
      const stored = await values(folder, 'a');
      expect(stored.slice(0, 1)).toEqual(['one']);
      const next = watch(path, ['--take-over'], env);
      await next.said(stored.length === 1 ? STORED : UNCHANGED);
      expect(await next.end('SIGTERM')).toBe(0);
      expect(await values(folder, 'a')).toEqual(['one', 'two']);
    });
  });
});

it('ends at once with an error when its storage can never be written', async () => {
  const { folder, watch } = await prepare('wrong');
  await writeFile(join(folder, 'file'), '');
  const watcher = watch(join(folder, 'file', 'below'));
  expect(await watcher.ended).toBe(1);
  expect(watcher.log.at(-1)).toMatchObject({ level: 'error', message: expect.stringContaining('file') });
});
