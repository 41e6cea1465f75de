import { describe, expect, it } from 'vitest';
import { compressGzip, decompressGzip } from '../../../src/archive/gzip.ts';
import { collect, endless, errorOf, expectSameBytes, inPieces, noise, run, streamOf } from './helpers.ts';

const text = Buffer.from('kind: ConfigMap\n'.repeat(50_000));

describe('gzip', () => {
  it('writes what the gzip program reads', async () => {
    expectSameBytes(await run('gzip', ['-dc'], await collect(compressGzip(inPieces(text, 100_000)))), text);
  });

  it('reads every member of what the gzip program writes, however it is cut into pieces', async () => {
    const packed = Buffer.concat([await run('gzip', ['-c'], text), await run('gzip', ['-c'], noise(3000))]);
    for (const size of [1, 1000, packed.byteLength]) {
      expectSameBytes(await collect(decompressGzip(inPieces(packed, size))), Buffer.concat([text, noise(3000)]));
    }
  });

  it('reads past zeros that follow, as tapes have them', async () => {
    const packed = await run('gzip', ['-c'], text);
    for (const pieces of [[packed, Buffer.alloc(3000)], [Buffer.concat([packed, Buffer.alloc(3000)])]]) {
      expectSameBytes(await collect(decompressGzip(streamOf(...pieces))), text);
    }
  });

  it('refuses a stream that is cut anywhere', async () => {
    const packed = await run('gzip', ['-c'], Buffer.from('short and sweet'));
    for (let length = 1; length < packed.byteLength; length++) {
      const { code, message } = await errorOf(collect(decompressGzip(streamOf(packed.subarray(0, length)))));
      expect(code, `cut at ${length}`).toBe('ARCHIVE_DAMAGED');
      expect(message).toContain('cut');
    }
  });

  it('refuses anything but zeros that follows, in the same piece or in a later one', async () => {
    const packed = await run('gzip', ['-c'], text);
    for (const garbage of ['x', '\x1f', 'garbage', '\0x', '\0\0garbage', `${'\0'.repeat(100_000)}x`]) {
      const bytes = Buffer.from(garbage, 'latin1');
      for (const pieces of [[packed, bytes], [Buffer.concat([packed, bytes])], [packed, bytes, Buffer.alloc(9)]]) {
        const { code } = await errorOf(collect(decompressGzip(streamOf(...pieces))));
        expect(code, JSON.stringify(garbage.slice(0, 20))).toBe('ARCHIVE_DAMAGED');
      }
    }
  });

  it('closes its source when the reader stops early', async () => {
    const { source, closed } = endless(await collect(compressGzip(streamOf(noise(100_000)))));
    for await (const _piece of decompressGzip(source)) break;
    expect(closed()).toBe(true);
  });
});
