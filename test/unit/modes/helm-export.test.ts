import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { LocalBackend } from '../../../src/backends/local.ts';
import { openBareVm } from '../../../src/modes/bare-vm.ts';
import { openSnapshot, readSnapshot } from '../../../src/modes/storage.ts';
import { storeSnapshot } from '../../../src/modes/store.ts';
import { temporaryFolder } from '../archive/helpers.ts';
import { newKeys } from '../archive/keys.ts';
import {
  CRDS_ENTRY,
  CREATED,
  readEntries,
  recordEntry,
  SNAPSHOT_ENTRY,
  streamOf,
  textsOf,
} from '../helm-export/helpers.ts';

const ID = '26-01-31_12-00-00';
const inputs = { layout: 'archive', compression: 'zstd', 'allow-plaintext': false, format: 'helm-export' } as const;
const context = { env: {}, signal: new AbortController().signal };

async function entries() {
  return [SNAPSHOT_ENTRY, await recordEntry({}), await recordEntry({ revision: 2 }), CRDS_ENTRY];
}

async function store(path: string, more: object = {}) {
  const backend = new LocalBackend(path);
  const snapshot = { id: ID, created: CREATED, cluster: 'stage', entries: streamOf(await entries()) };
  return { backend, written: await storeSnapshot(backend, snapshot, { ...inputs, ...more }, context) };
}

describe('a snapshot in the format helm-export', () => {
  it('is helm-releases-<id>.gz in a folder, and is listed and found there', async () => {
    const folder = temporaryFolder();
    const { backend, written } = await store(folder);
    expect(readdirSync(folder)).toEqual([`helm-releases-${ID}.gz`]);
    expect(await backend.list()).toMatchObject([{ id: ID, size: written.size, state: 'complete', layout: 'archive' }]);
    expect(await backend.find('latest')).toMatchObject({ id: ID, location: join(folder, `helm-releases-${ID}.gz`) });
  });

  it('is the file that is named, and has the same entries, size and digest when it is read', async () => {
    const path = join(temporaryFolder(), 'helm-releases.gz');
    const { backend, written } = await store(path);
    const stored = await backend.find('latest');
    expect([stored.id, stored.location]).toEqual([ID, path]);
    const spool = await openSnapshot(backend, stored, { directory: temporaryFolder(), digest: written.digest });
    expect([spool.size, spool.digest, spool.files]).toEqual([written.size, written.digest, 4]);
    expect(await readEntries(streamOf(spool.paths().map((name) => spool.entry(name))))).toEqual(
      await textsOf(await entries()),
    );
    await spool.close();
    const reading = readSnapshot(backend, stored, [], context.signal);
    expect(await readEntries(reading.entries)).toEqual(await textsOf(await entries()));
    expect(reading.result()).toEqual({ size: written.size, digest: written.digest });
  });

  it('is told by what is in it, and not by its name', async () => {
    const folder = temporaryFolder();
    const { written } = await store(folder);
    const path = join(folder, 'from-the-proposal');
    writeFileSync(path, readFileSync(written.location));
    const backend = new LocalBackend(path);
    const stored = await backend.find('latest');
    expect(await openBareVm(backend, stored, { directory: folder })).toBeUndefined();
    const reading = readSnapshot(backend, stored, [], context.signal);
    expect((await readEntries(reading.entries)).map(([name]) => name)).toEqual([
      '_snapshot.json',
      '_releases/shop/web/1.json',
      '_releases/shop/web/2.json',
      'customresourcedefinitions.json',
    ]);
  });

  it('can be encrypted', async () => {
    const { recipient, identity } = await newKeys();
    const folder = temporaryFolder();
    const { backend } = await store(folder, { 'encrypt-to': [recipient] });
    expect(readdirSync(folder)).toEqual([`helm-releases-${ID}.gz.age`]);
    const stored = await backend.find(ID);
    expect(stored.encrypted).toBe(true);
    const reading = readSnapshot(backend, stored, [identity], context.signal);
    expect(await readEntries(reading.entries)).toEqual(await textsOf(await entries()));
    await expect(readEntries(readSnapshot(backend, stored, [], context.signal).entries)).rejects.toMatchObject({
      code: 'INPUT',
    });
  });

  it('is not written over an archive of the same id, nor into a file that is called a tar', async () => {
    const folder = temporaryFolder();
    await store(folder, { format: 'archive' });
    await expect(store(folder)).rejects.toMatchObject({ code: 'SNAPSHOT_EXISTS' });
    await expect(store(join(folder, 'a.tar.gz'))).rejects.toMatchObject({
      code: 'INPUT',
      message: expect.stringContaining('must end in .gz'),
    });
  });

  it('leaves nothing behind when the export fails', async () => {
    const folder = temporaryFolder();
    async function* failing() {
      yield SNAPSHOT_ENTRY;
      throw new Error('the cluster is gone');
    }
    const snapshot = { id: ID, created: CREATED, cluster: 'stage', entries: failing() };
    await expect(storeSnapshot(new LocalBackend(folder), snapshot, inputs, context)).rejects.toThrow('cluster is gone');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is refused when it is cut, and what is neither it nor an archive as a damaged archive', async () => {
    const folder = temporaryFolder();
    const { written } = await store(join(folder, 'whole.gz'));
    const message = gunzipSync(readFileSync(written.location));
    for (const bytes of [message.subarray(0, -5), Buffer.from('\nhello'), Buffer.from('hello')]) {
      const path = join(folder, `${bytes.byteLength}.gz`);
      writeFileSync(path, gzipSync(bytes));
      const backend = new LocalBackend(path);
      const opened = openSnapshot(backend, await backend.find('latest'), { directory: folder });
      await expect(opened).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' });
    }
  });
});
