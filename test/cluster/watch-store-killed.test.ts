import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { readArchive } from '../../src/archive/read.ts';
import { readTree } from '../../src/archive/tree.ts';
import type { Backend, StoredSnapshot } from '../../src/backends/backend.ts';
import { openBackend } from '../../src/backends/open.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { createSpool } from '../../src/watch/spool.ts';
import { storeSpooled } from '../../src/watch/store-spooled.ts';
import { readStoredContents } from '../../src/watch/stored-contents.ts';
import { collectFiles } from '../unit/archive/helpers.ts';
import { collected } from '../unit/watch/spooled.ts';
import { trackFiles } from '../unit/watch/tracked-files.ts';
import { startFaultyProxy } from './faulty-proxy.ts';
import { startS3, type TestS3 } from './s3.ts';
import { filesOf, type StoreOrder } from './store-order.ts';

const MIB = 1024 * 1024;
const FILES = 40;
const CHILD = fileURLToPath(new URL('./children/store-spooled.ts', import.meta.url));
/** Of the snapshot that differs from the first one by so many files. */
const idOf = (changed: number) => `26-01-31_12-00-${String(changed).padStart(2, '0')}`;

let s3: TestS3;
let folder: string;
let places = 0;

beforeAll(async () => {
  [s3, folder] = await Promise.all([startS3(), mkdtemp(join(tmpdir(), 'transship-kills-'))]);
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await Promise.all([s3.stop(), rm(folder, { recursive: true })]);
});

describe('a process that is killed while it stores a snapshot', () => {
  it('beside another tree in S3, leaves no tree that is listed as complete and is not whole', async () => {
    const order = newOrder(`s3://${s3.bucket}/killed/${++places}`, 'tree');
    await storeHere(order);
    // The claim, the files, the index and the manifest.
    for (const [index, point] of points(20, FILES + 3).entries()) {
      await killAtRequest(point, index % 2 === 0, { ...order, id: idOf(index + 1), changed: index + 1 });
      await checkAll(order);
    }
    expect(
      (await openBackend(order.options).list()).filter(({ state }) => state === 'unfinished').length,
    ).toBeGreaterThan(10);
    await storeHere({ ...order, id: idOf(21), changed: 21 });
    await checkAll(order);
  });

  it('as an archive in S3, leaves no archive that is listed as complete and is not whole', async () => {
    const order = { ...newOrder(`s3://${s3.bucket}/killed/${++places}`, 'archive'), large: 40 * MIB };
    // It is begun, sent in three parts and completed.
    for (const [index, point] of points(10, 5).entries()) {
      await killAtRequest(point, index % 2 === 0, { ...order, id: idOf(index + 1), changed: index + 1 });
      await checkAll(order);
    }
  });

  it.each(['tree', 'archive'] as const)(
    'in a folder, as %s, leaves none that is listed as complete and is not whole',
    async (layout) => {
      const order = newOrder(await mkdtemp(join(folder, 'place-')), layout);
      await storeHere(order);
      for (const [index, point] of points(10, FILES + 1).entries()) {
        await killAtEntry(point, { ...order, id: idOf(index + 1), changed: index + 1 });
        await checkAll(order);
      }
      await storeHere({ ...order, id: idOf(11), changed: 11 });
      await checkAll(order);
    },
  );
});

/** So many of the steps from the first to the last. */
function points(count: number, steps: number): number[] {
  return Array.from({ length: count }, (_, index) => 1 + Math.round((index * (steps - 1)) / (count - 1)));
}

function newOrder(path: string, layout: StoreOrder['layout']): StoreOrder {
  return { options: { path }, id: idOf(0), layout, files: FILES, changed: 0 };
}

async function storeHere(order: StoreOrder): Promise<void> {
  const backend = openBackend(order.options);
  const options = { cluster: 'stage', layout: order.layout, compression: 'none', reporter: silentReporter } as const;
  const newest = (await backend.list()).find(({ state, layout }) => state === 'complete' && layout === 'tree');
  const base = newest && (await readStoredContents(backend, newest, options));
  const spooled = await createSpool(folder, trackFiles().openFile).add(collected(order.id, filesOf(order)));
  await storeSpooled(backend, spooled, { ...options, base });
}

/** @param goesOn - whether the request reaches the service all the same */
async function killAtRequest(point: number, goesOn: boolean, order: StoreOrder): Promise<void> {
  let child: ChildProcess | undefined;
  let writes = 0;
  const proxy = await startFaultyProxy(
    s3.endpoint,
    () => undefined,
    async ({ method }) => {
      if (!['PUT', 'POST'].includes(method)) return;
      writes += 1;
      if (writes !== point) return;
      child?.kill('SIGKILL');
      if (!goesOn) throw new Error('The sender is gone.');
    },
  );
  try {
    child = start({ ...order, options: { ...order.options, endpoint: proxy.url } });
    expect((await once(child, 'exit'))[1]).toBe('SIGKILL');
  } finally {
    await proxy.stop();
  }
}

async function killAtEntry(point: number, order: StoreOrder): Promise<void> {
  const child = start(order);
  let entries = 0;
  child.on('message', () => {
    entries += 1;
    if (entries === point) child.kill('SIGKILL');
  });
  // It may have come to its end before.
  expect([null, 0]).toContain((await once(child, 'exit'))[0]);
  expect(entries).toBeGreaterThanOrEqual(point);
}

function start(order: StoreOrder): ChildProcess {
  const child = fork(CHILD, { execArgv: [] });
  child.send(order);
  return child;
}

/** Whatever is listed as complete is whole, and what it should be. */
async function checkAll({ options, ...order }: StoreOrder): Promise<void> {
  const backend = openBackend(options);
  const complete = (await backend.list()).filter(({ state }) => state === 'complete');
  if (order.layout === 'tree') expect(complete.at(-1)?.id).toBe(idOf(0));
  for (const snapshot of complete) {
    const changed = Number(snapshot.id.slice(-2));
    expect(await contentOf(backend, snapshot), snapshot.id).toEqual(contentOfFiles({ ...order, changed }));
  }
}

async function contentOf(backend: Backend, snapshot: StoredSnapshot): Promise<Map<string, string>> {
  const entries =
    snapshot.layout === 'tree' ? readTree(backend.readTree(snapshot)).entries : readArchive(backend.read(snapshot));
  const [, ...files] = await collectFiles(entries);
  return new Map(files.map(([path, content]) => [path, content.toString()] as const).sort());
}

function contentOfFiles(order: Pick<StoreOrder, 'files' | 'changed' | 'large'>): Map<string, string> {
  return new Map(
    Object.entries(filesOf(order))
      .map(([path, content]) => [path, String(content)] as const)
      .sort(),
  );
}
