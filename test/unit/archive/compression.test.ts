import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { compress, compressions, decompress, suffixOf } from '../../../src/archive/compression.ts';
import { packTar } from '../../../src/archive/tar.ts';
import { TransshipError } from '../../../src/errors.ts';
import {
  collect,
  endless,
  entriesOf,
  errorOf,
  expectSameBytes,
  inPieces,
  noise,
  silentAfter,
  streamOf,
} from './helpers.ts';

const mtime = new Date(0);
const tar = () => collect(packTar(entriesOf({ 'a.json': '{}', 'disk.img': noise(300_000) }), { mtime }));

describe.each(compressions)('compression %s', (compression) => {
  it('is told by its bytes and undone, however they are cut into pieces', async () => {
    const plain = await tar();
    const packed = await collect(compress(inPieces(plain, 100_000), compression));
    for (const size of [7, 5000, packed.byteLength]) {
      expectSameBytes(await collect(decompress(inPieces(packed, size))), plain);
    }
  });

  it('makes the same of the same bytes, whether the end comes at once or late', async () => {
    const plain = await tar();
    async function* endingLate() {
      yield* inPieces(plain, 100_000);
      await setTimeout(50);
    }
    const atOnce = await collect(compress(inPieces(plain, 100_000), compression));
    expectSameBytes(await collect(compress(endingLate(), compression)), atOnce);
  });

  it('is stopped by the signal, both ways, while the source is silent', async () => {
    const packed = await collect(compress(streamOf(await tar()), compression));
    for (const direction of ['compress', 'decompress'] as const) {
      const controller = new AbortController();
      const source = silentAfter(packed.subarray(0, 1000));
      const bytes =
        direction === 'compress'
          ? compress(source, compression, controller.signal)
          : decompress(source, controller.signal);
      const reading = errorOf(collect(bytes));
      await new Promise(setImmediate);
      controller.abort(new TransshipError('CANCELLED', 'stopped by the user'));
      expect((await reading).message, direction).toBe('stopped by the user');
    }
  });

  it('closes its source when the reader of the decompressed bytes stops early', async () => {
    const packed = await collect(compress(streamOf(await tar()), compression));
    const { source, closed } = endless(packed);
    for await (const _piece of decompress(source)) break;
    expect(closed()).toBe(true);
  });
});

describe('telling the compression', () => {
  it('has a file name ending for each', () => {
    expect(compressions.map(suffixOf)).toEqual(['.tar.zst', '.tar.xz', '.tar.gz', '.tar']);
  });

  it('refuses an archive that is empty', async () => {
    const { code, message } = await errorOf(collect(decompress(streamOf())));
    expect(code).toBe('ARCHIVE_DAMAGED');
    expect(message).toBe('The archive is empty.');
  });

  it.each(['<!DOCTYPE html>', 'BZh91AY&SY', 'PK\x03\x04', 'x'.repeat(1000)])('refuses %j', async (content) => {
    const { code, message } = await errorOf(collect(decompress(streamOf(Buffer.from(content)))));
    expect(code).toBe('ARCHIVE_UNSUPPORTED');
    expect(message).toBe('This is no archive: neither zstd, xz, gzip nor tar.');
  });
});
