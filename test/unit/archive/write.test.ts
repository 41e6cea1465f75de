import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compressions, suffixOf } from '../../../src/archive/compression.ts';
import { parseIndex } from '../../../src/archive/digests.ts';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { writeArchive } from '../../../src/archive/write.ts';
import {
  collect,
  entriesOf,
  errorOf,
  expectSameBytes,
  inPieces,
  noise,
  run,
  streamOf,
  temporaryFolder,
} from './helpers.ts';

const mtime = new Date('2026-01-31T12:00:00Z');
const files = {
  '_snapshot.json': '{"formatVersion":1}',
  '_releases/shop/web/1.json': 'a'.repeat(10_000),
  [`shop/${'n'.repeat(150)}.json`]: 'long',
  'ünï.json': 'not ASCII',
  'with blank.json': '',
};
const entries = (): AsyncGenerator<Entry> =>
  streamOf(...Object.entries(files).map(([path, content]) => entryOf(path, content)), {
    path: '_vms/disk.img',
    size: 600_000,
    body: inPieces(noise(600_000), 65_536),
  });

describe.each(compressions)('an archive compressed with %s', (compression) => {
  it('is unpacked by tar and checked by sha1sum alone', async () => {
    const folder = temporaryFolder();
    const archive = join(folder, `archive${suffixOf(compression)}`);
    writeFileSync(archive, await collect(writeArchive(entries(), { compression, mtime }).bytes));
    await run('tar', ['-xf', archive, '-C', folder]);
    const checked = (await run('sh', ['-c', 'cd "$1" && sha1sum --strict -c manifest', 'sh', folder])).toString();
    const names = [...Object.keys(files), '_vms/disk.img', '_index.json'];
    expect(checked).toBe(names.map((name) => `${name}: OK\n`).join(''));
    for (const [name, content] of Object.entries(files)) {
      expect(readFileSync(join(folder, name), 'utf8')).toBe(content);
    }
    expectSameBytes(readFileSync(join(folder, '_vms/disk.img')), noise(600_000));
  });

  it('has a summary of what was stored', async () => {
    const { bytes, summary } = writeArchive(entries(), { compression, mtime });
    const stored = await collect(bytes);
    const { size, digest, files: count, bytes: content } = summary();
    expect(size).toBe(stored.byteLength);
    expect(digest).toBe(`sha256:${createHash('sha256').update(stored).digest('hex')}`);
    expect(count).toBe(6);
    expect(content).toBe(Object.values(files).reduce((sum, text) => sum + Buffer.byteLength(text), 600_000));
  });
});

describe('an archive', () => {
  it('ends with its index and its manifest, whatever else is in it', async () => {
    const tar = await collect(writeArchive(entries(), { compression: 'none', mtime }).bytes);
    const names = (await run('tar', ['--quoting-style=literal', '-tf', '-'], tar)).toString().trimEnd().split('\n');
    expect(names).toEqual([...Object.keys(files), '_vms/disk.img', '_index.json', 'manifest']);
    const none = await collect(writeArchive(streamOf(), { compression: 'none', mtime }).bytes);
    expect((await run('tar', ['-tf', '-'], none)).toString()).toBe('_index.json\nmanifest\n');
  });

  it('has an index that says of each file its size, SHA-256, and where its header starts in the tar', async () => {
    const { bytes, summary } = writeArchive(entries(), { compression: 'none', mtime });
    const tar = await collect(bytes);
    const index = parseIndex((await run('tar', ['-xOf', '-', '_index.json'], tar)).toString());
    expect(index.counts).toEqual({ files: summary().files, bytes: summary().bytes });
    expect(index.files.map(({ path }) => path)).toEqual([...Object.keys(files), '_vms/disk.img']);
    for (const { path, size, sha256, offset } of index.files) {
      // What starts there is a tar of its own, whose first file this is.
      const body = await run('tar', ['--occurrence=1', '-xOf', '-', path], tar.subarray(offset));
      expect(body.byteLength, path).toBe(size);
      expect(createHash('sha256').update(body).digest('hex'), path).toBe(sha256);
      const [first] = (await run('tar', ['--quoting-style=literal', '-tf', '-'], tar.subarray(offset)))
        .toString()
        .split('\n');
      expect(first).toBe(path);
    }
  });

  it('has the same bytes for the same entries', async () => {
    for (const compression of compressions) {
      const [first, second] = [
        writeArchive(entries(), { compression, mtime }),
        writeArchive(entries(), { compression, mtime }),
      ];
      expectSameBytes(await collect(first.bytes), await collect(second.bytes));
      expect(first.summary()).toEqual(second.summary());
    }
  });

  it('has no summary before its last byte', async () => {
    const { bytes, summary } = writeArchive(entries(), { compression: 'none', mtime });
    for await (const _piece of bytes) break;
    expect(summary).toThrow('before its last byte');
  });

  it('reads nothing before its bytes are asked for', async () => {
    let asked = false;
    async function* source() {
      asked = true;
      yield entryOf('a', 'a');
    }
    writeArchive(source(), { compression: 'zstd', mtime });
    await new Promise(setImmediate);
    expect(asked).toBe(false);
  });

  it.each(['_index.json', 'manifest'])('refuses an entry %s, which it writes itself', async (path) => {
    const work = collect(writeArchive(entriesOf({ [path]: '' }), { compression: 'zstd', mtime }).bytes);
    const { code, message } = await errorOf(work);
    expect(code).toBe('ARCHIVE_UNSUPPORTED');
    expect(message).toBe(`${path} is written by the archive itself.`);
  });

  it('passes on what goes wrong with an entry, through every compression, and closes the entries', async () => {
    for (const compression of compressions) {
      let closed = false;
      async function* failing(): AsyncGenerator<Entry> {
        try {
          yield entryOf('a', 'a');
          throw new Error('connection reset');
        } finally {
          closed = true;
        }
      }
      const { bytes, summary } = writeArchive(failing(), { compression, mtime });
      await expect(collect(bytes)).rejects.toThrow('connection reset');
      expect(summary).toThrow('before its last byte');
      expect(closed).toBe(true);
    }
  });

  it('closes the entries and the body it is in when it is read no further', async () => {
    for (const compression of compressions) {
      const closed: string[] = [];
      async function* body() {
        try {
          for (let seed = 1; ; seed++) yield noise(65_536, seed);
        } finally {
          closed.push('body');
        }
      }
      async function* open(): AsyncGenerator<Entry> {
        try {
          yield { path: 'disk.img', size: 2 ** 40, body: body() };
        } finally {
          closed.push('entries');
        }
      }
      for await (const _piece of writeArchive(open(), { compression, mtime }).bytes) break;
      expect(closed, compression).toEqual(['body', 'entries']);
    }
  });
});
