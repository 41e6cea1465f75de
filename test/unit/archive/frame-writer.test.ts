import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decompress } from '../../../src/archive/compression.ts';
import { formatManifest } from '../../../src/archive/digests.ts';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { frameCompressions } from '../../../src/archive/frame-codec.ts';
import { type FramedPart, writeFramedArchive } from '../../../src/archive/frame-writer.ts';
import type { FramedEntry } from '../../../src/archive/frames.ts';
import type { PartCompression } from '../../../src/archive/part.ts';
import { packTar } from '../../../src/archive/tar.ts';
import { collectPieces, diskBody, FRAME_BYTES, MTIME, machine } from './framed.ts';
import { collect, errorOf, expectSameBytes, run, streamOf, temporaryFolder } from './helpers.ts';

const options = { frameBytes: FRAME_BYTES, mtime: MTIME };

async function write(
  entries: AsyncIterable<FramedEntry>,
  compression: PartCompression,
  more = {},
): Promise<FramedPart[]> {
  const parts: FramedPart[] = [];
  for await (const part of writeFramedArchive(entries, { ...options, compression, ...more })) parts.push(part);
  return parts;
}

const bytesOf = (parts: readonly FramedPart[]) => Buffer.concat(parts.map(({ bytes }) => bytes));

/** The tar that an archive of the same files would have, with `manifest` at its end. */
async function expectedTar(): Promise<Buffer> {
  const entries: Entry[] = [];
  const lines: [string, string][] = [];
  for await (const { path, body } of machine()()) {
    const content = body instanceof Uint8Array ? body : await collectPieces(body(0));
    entries.push(entryOf(path, content));
    lines.push([path, createHash('sha1').update(content).digest('hex')]);
  }
  entries.push(entryOf('manifest', formatManifest(lines)));
  return await collect(packTar(streamOf(...entries), { mtime: MTIME }));
}

async function* only(entry: FramedEntry): AsyncGenerator<FramedEntry> {
  yield entry;
}

describe.each(frameCompressions)('an archive in frames (%s)', (compression) => {
  it('is the tar that packTar writes, manifest included', async () => {
    const archive = bytesOf(await write(machine()(), compression));
    expectSameBytes(await collect(decompress(streamOf(archive))), await expectedTar());
  });

  it('is read by the programs that everyone has', async () => {
    const archive = bytesOf(await write(machine()(), compression));
    if (compression !== 'none') expectSameBytes(await run(compression, ['-dc'], archive), await expectedTar());
    const folder = temporaryFolder();
    await run('tar', ['-x', ...(compression === 'none' ? [] : [`--${compression}`]), '-C', folder], archive);
    await run('sh', ['-c', `cd '${folder}' && sha1sum --quiet --strict -c manifest`]);
  });

  it('is the same however many frames are compressed at once', async () => {
    const [one, four] = [await write(machine()(), compression, { threads: 1 }), await write(machine()(), compression)];
    expectSameBytes(bytesOf(one), bytesOf(four));
  });

  it('makes one and the same frame of all runs of zeros', async () => {
    const size = 4000 * FRAME_BYTES;
    const hole = {
      path: 'volumes/blank/disk.img',
      size,
      body: async function* () {
        yield { zeros: size };
      },
    };
    const parts = await write(only(hole), compression, { heldBytes: size });
    const frames = parts.flatMap(({ frame }) => frame ?? []).filter(({ zeros }) => zeros);
    expect(frames.length).toBe(3999);
    expect(new Set(frames.map(({ crc }) => crc)).size).toBe(1);
    if (compression !== 'none') expect(bytesOf(parts).byteLength).toBeLessThan(size / 150);
  });

  it('refuses a body that is shorter or longer than it should be', async () => {
    for (const [size, problem] of [
      [1_001, 'ended after 1000 of 1001 bytes.'],
      [999, 'has more than the 999 bytes it should have.'],
    ] as const) {
      const body = diskBody(Buffer.alloc(1_000, 1), { opened: [] });
      const error = await errorOf(write(only({ path: 'disk.img', size, body }), compression));
      expect(error).toMatchObject({ code: 'ARCHIVE_DAMAGED', message: `The body of disk.img ${problem}` });
    }
  });
});

describe('writing in frames', () => {
  it('passes on the error of its source', async () => {
    await expect(write(machine(undefined, 200_000)(), 'zstd')).rejects.toThrow('connection reset');
  });

  it('ends when the signal fires, while a source is silent, and closes nothing late', async () => {
    const cancel = new AbortController();
    const silent = {
      path: 'disk.img',
      size: 10,
      body: async function* () {
        yield Buffer.from('abc');
        cancel.abort();
        await new Promise<never>(() => {});
      },
    };
    const error = await errorOf(write(only(silent), 'zstd', { signal: cancel.signal }));
    expect(error.code).toBe('CANCELLED');
  });

  it('refuses a path twice, and the name of its own manifest', async () => {
    const file = { path: 'manifest', size: 0, body: Buffer.alloc(0) };
    expect((await errorOf(write(only(file), 'zstd'))).code).toBe('ARCHIVE_UNSUPPORTED');
    async function* twice() {
      yield* only({ ...file, path: 'a' });
      yield* only({ ...file, path: 'a' });
    }
    expect((await errorOf(write(twice(), 'zstd'))).message).toBe('The path "a" is there twice.');
  });

  it('may be given pieces that are overwritten once the next one is asked for', async () => {
    const content = Buffer.from('0123456789'.repeat(10_000));
    const shared = Buffer.alloc(10);
    const body = async function* () {
      for (let at = 0; at < content.byteLength; at += 10) {
        content.copy(shared, 0, at, at + 10);
        yield shared;
      }
    };
    const parts = await write(only({ path: 'disk.img', size: content.byteLength, body }), 'zstd');
    const tar = await collect(decompress(streamOf(bytesOf(parts))));
    expectSameBytes(tar.subarray(512, 512 + content.byteLength), content);
    const [sha1] = parts.flatMap(({ frame }) => frame?.files ?? []);
    expect(sha1?.sha1).toBe(createHash('sha1').update(content).digest('hex'));
  });
});
