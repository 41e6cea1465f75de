import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ArchiveDamagedError } from '../../../src/archive/damage.ts';
import { parseIndex } from '../../../src/archive/digests.ts';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { readTree, writeTree } from '../../../src/archive/tree.ts';
import { TransshipError } from '../../../src/errors.ts';
import {
  collectFiles,
  entriesOf,
  errorOf,
  inPieces,
  noise,
  run,
  silentAfter,
  streamOf,
  temporaryFolder,
} from './helpers.ts';

const files = {
  '_snapshot.json': '{}',
  'customresourcedefinitions.json': 'a'.repeat(600),
  'shop/configmaps.json': 'b',
};
const disk = noise(600_000);
const entries = (): AsyncGenerator<Entry> =>
  streamOf(...Object.entries(files).map(([path, content]) => entryOf(path, content)), {
    path: '_vms/disk.img',
    size: disk.byteLength,
    body: inPieces(disk, 65_536),
  });

/** The files of a tree after somebody changed some of them. */
async function edited(edit: (files: Map<string, Buffer>) => void): Promise<AsyncGenerator<Entry>> {
  const content = new Map(await collectFiles(writeTree(entries()).entries));
  edit(content);
  return streamOf(...[...content].map(([path, body]) => entryOf(path, body)));
}

const problemsOf = async (edit: (files: Map<string, Buffer>) => void) => {
  const error = await collectFiles(readTree(await edited(edit)).entries).catch((thrown: unknown) => thrown);
  if (!(error instanceof ArchiveDamagedError)) throw new Error(`Not damaged: ${error}`);
  return error.problems;
};

describe('a tree', () => {
  it('is checked by sha1sum alone', async () => {
    const folder = temporaryFolder();
    for (const [path, content] of await collectFiles(writeTree(entries()).entries)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    const checked = await run('sh', ['-c', 'cd "$1" && sha1sum --strict -c manifest', 'sh', folder]);
    const names = [...Object.keys(files), '_vms/disk.img', '_index.json'];
    expect(checked.toString()).toBe(names.map((name) => `${name}: OK\n`).join(''));
    expect(readFileSync(join(folder, '_index.json'), 'utf8')).not.toContain('offset');
  });

  it('has a summary: the bytes of all files, and the digest of the manifest', async () => {
    const { entries: all, summary } = writeTree(entries());
    const content = await collectFiles(all);
    const manifest = content.at(-1)?.[1] ?? Buffer.alloc(0);
    expect(summary()).toEqual({
      size: content.reduce((sum, [, body]) => sum + body.byteLength, 0),
      digest: `sha256:${createHash('sha256').update(manifest).digest('hex')}`,
      files: 4,
      bytes: 600_603,
    });
  });

  it('has an index of the same files as an archive, without offsets', async () => {
    const content = new Map(await collectFiles(writeTree(entries()).entries));
    const index = parseIndex(String(content.get('_index.json')));
    expect(index.counts).toEqual({ files: 4, bytes: 600_603 });
    expect(index.files[2]).toEqual({
      path: 'shop/configmaps.json',
      size: 1,
      sha256: '3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d',
    });
  });

  it('comes back as it was written, and is pinned by the digest that its writer told', async () => {
    const { entries: all, summary } = writeTree(entries());
    const reading = readTree(all);
    const content = await collectFiles(reading.entries);
    expect(content.map(([path]) => path)).toEqual([...Object.keys(files), '_vms/disk.img']);
    expect(content.at(-1)?.[1].equals(disk)).toBe(true);
    const { size, digest } = summary();
    expect(reading.result()).toEqual({ size, digest });
  });

  it('has no summary before its last entry', async () => {
    const { entries: all, summary } = writeTree(entries());
    for await (const _entry of all) break;
    expect(summary).toThrow('before its last entry');
  });

  it.each([
    ['rbac:admin.json', 'The path "rbac:admin.json" has a :, which not every file system takes.'],
    [`${'n'.repeat(256)}/a`, 'has a name longer than 255 bytes.'],
    ['../a', 'The path "../a" leads out of the archive.'],
    ['_index.json', '_index.json is written by the archive itself.'],
  ])('has no file %j', async (path, message) => {
    const error = await errorOf(collectFiles(writeTree(entriesOf({ [path]: '' })).entries));
    expect(error.code).toBe('ARCHIVE_UNSUPPORTED');
    expect(error.message).toContain(message);
  });

  it.each<[Entry, string]>([
    [{ path: 'a', size: 2, body: Buffer.from('abc') }, 'The body of a has more than the 2 bytes it should have.'],
    [{ path: 'a', size: 4, body: Buffer.from('abc') }, 'The body of a ended after 3 of 4 bytes.'],
    [{ path: 'a', size: 2, body: inPieces(noise(3), 1) }, 'The body of a has more than the 2 bytes it should have.'],
    [{ path: 'a', size: 4, body: inPieces(noise(3), 1) }, 'The body of a ended after 3 of 4 bytes.'],
  ])('is not made of a body of another size (%#)', async (entry, message) => {
    expect((await errorOf(collectFiles(writeTree(streamOf(entry)).entries))).message).toBe(message);
  });

  it('ends with the reason when the signal fires while a body is silent, written and read', async () => {
    const silent = (): AsyncGenerator<Entry> => streamOf({ path: 'a', size: 9, body: silentAfter(noise(1)) });
    for (const start of [
      (signal: AbortSignal) => writeTree(silent(), signal).entries,
      (signal: AbortSignal) => readTree(silent(), signal).entries,
    ]) {
      const controller = new AbortController();
      const work = errorOf(collectFiles(start(controller.signal)));
      await new Promise(setImmediate);
      controller.abort(new TransshipError('CANCELLED', 'stopped by the user'));
      expect((await work).message).toBe('stopped by the user');
    }
  });
});

describe('a tree of entries whose digests are known', () => {
  const digestsOf = (body: Uint8Array) => ({
    sha1: createHash('sha1').update(body).digest('hex'),
    sha256: createHash('sha256').update(body).digest('hex'),
  });
  const unread: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]() {
      throw new Error('It was read.');
    },
  };

  it('has the same index and manifest when bodies are not read', async () => {
    const given = async function* () {
      for (const [path, text] of Object.entries(files)) {
        const { size, body } = entryOf(path, text);
        yield { path, size, body: unread, digests: digestsOf(body as Buffer) };
      }
    };
    const last = new Map<string, unknown>();
    for await (const { path, body } of writeTree(given()).entries) {
      if (['_index.json', 'manifest'].includes(path)) last.set(path, String(body));
    }
    const all = new Map(await collectFiles(writeTree(entriesOf(files)).entries));
    const expected = ['_index.json', 'manifest'].map((path) => [path, String(all.get(path))] as const);
    expect(last).toEqual(new Map(expected));
  });

  it.each<[string, (bytes: Buffer) => Entry['body']]>([
    ['bytes', (bytes) => bytes],
    ['a stream', (bytes) => inPieces(bytes, 5)],
  ])('is not written when %s that is read is another one', async (_what, bodyOf) => {
    const bytes = noise(10);
    const entry = { path: 'a.json', size: 10, digests: digestsOf(noise(10, 2)) };
    expect(await errorOf(collectFiles(writeTree(streamOf({ ...entry, body: bodyOf(bytes) })).entries))).toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: 'The body of a.json is not the one it was.',
    });
  });
});

describe('a damaged tree', () => {
  it.each<[string, (files: Map<string, Buffer>) => void, RegExp]>([
    [
      'a file was changed',
      (content) => content.set('shop/configmaps.json', Buffer.from('c')),
      /^shop\/configmaps\.json is damaged: its SHA-256 is 2e7d2c03.+; _index\.json says 3e23e816.+\.$/,
    ],
    [
      'a file was cut',
      (content) => content.set('_vms/disk.img', disk.subarray(0, 1000)),
      /^_vms\/disk\.img has 1000 bytes; _index\.json says 600000\.$/,
    ],
    [
      'a file is missing',
      (content) => content.delete('shop/configmaps.json'),
      /^shop\/configmaps\.json is missing: _index\.json names it\.$/,
    ],
    [
      'the first file is missing',
      (content) => content.delete('_snapshot.json'),
      /^_snapshot\.json is missing: _index\.json names it\.$/,
    ],
    [
      'there is no index',
      (content) => content.delete('_index.json'),
      /^The snapshot is not complete: it has no _index\.json after _vms\/disk\.img\.$/,
    ],
    [
      'there is no manifest',
      (content) => content.delete('manifest'),
      /^The snapshot is not complete: it has no manifest after _index\.json\.$/,
    ],
    [
      'the index was changed',
      (content) => content.set('_index.json', Buffer.from(`${content.get('_index.json')}\n`)),
      /^_index\.json is damaged: its SHA-1 is .+; the manifest says .+\.$/,
    ],
    [
      'the manifest was cut',
      (content) => content.set('manifest', content.get('manifest')?.subarray(0, 100) ?? Buffer.alloc(0)),
      /^manifest is cut: its last line has no end\.$/,
    ],
  ])('is told when %s', async (_what, edit, message) => {
    expect((await problemsOf(edit))[0]).toMatch(message);
  });

  it('is told when it has a file that no one wrote', async () => {
    const problems = await problemsOf((content) => {
      const tail = [...content].splice(-2);
      for (const [path] of tail) content.delete(path);
      content.set('shop/.DS_Store', Buffer.from('?'));
      for (const [path, body] of tail) content.set(path, body);
    });
    expect(problems).toEqual([
      'shop/.DS_Store is not one of the files that _index.json names.',
      'shop/.DS_Store is not one of the files that the manifest names.',
    ]);
  });

  it('is told when its names lead out of it', async () => {
    const reading = readTree(entriesOf({ '_snapshot.json': '{}', 'shop/../../etc/passwd': 'x' }));
    expect(await errorOf(collectFiles(reading.entries))).toMatchObject({
      code: 'ARCHIVE_UNSUPPORTED',
      message: 'The path "shop/../../etc/passwd" leads out of the archive.',
    });
  });
});
