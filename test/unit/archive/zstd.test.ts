import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compressZstd, decompressZstd } from '../../../src/archive/zstd.ts';
import { collect, endless, errorOf, expectSameBytes, inPieces, noise, run, streamOf } from './helpers.ts';

const text = Buffer.from('kind: ConfigMap\n'.repeat(50_000));

describe('writing zstd', () => {
  it('writes one frame with a content checksum that zstd reads', async () => {
    const packed = await collect(compressZstd(inPieces(text, 100_000)));
    expectSameBytes(await run('zstd', ['-dc'], packed), text);
    // Frame_Header_Descriptor: bit 2 is the checksum's.
    expect(packed.readUInt8(4) & 4).toBe(4);
  });

  it('writes an empty frame for no bytes', async () => {
    const packed = await collect(compressZstd(streamOf()));
    expectSameBytes(await run('zstd', ['-dc'], packed), Buffer.alloc(0));
  });

  it('passes on the error of its source', async () => {
    async function* failing() {
      yield text;
      throw new Error('connection reset');
    }
    await expect(collect(compressZstd(failing()))).rejects.toThrow('connection reset');
  });

  it('closes its source when the reader stops early', async () => {
    const { source, closed } = endless(noise(100_000));
    for await (const _piece of compressZstd(source)) break;
    expect(closed()).toBe(true);
  });
});

describe('reading zstd', () => {
  it('reads what the zstd program writes, with and without checksum, content size and long windows', async () => {
    for (const args of [['-c'], ['-c', '--no-check'], ['-c', '-19', '--long=24'], ['-c', '--no-content-size', '-1']]) {
      const packed = await run('zstd', args, text);
      expectSameBytes(await collect(decompressZstd(streamOf(packed))), text);
    }
  });

  it('reads every frame of several, skippable ones between them', async () => {
    const skippable = Buffer.from('502a4d180500000068656c6c6f', 'hex');
    const frames = await Promise.all([text, Buffer.alloc(0), noise(300_000)].map((part) => run('zstd', ['-c'], part)));
    const packed = Buffer.concat([skippable, ...frames.flatMap((frame) => [frame, skippable])]);
    const expected = Buffer.concat([text, noise(300_000)]);
    for (const size of [1, 3, 1000, packed.byteLength]) {
      expectSameBytes(await collect(decompressZstd(inPieces(packed, size))), expected);
    }
  });

  it('reads what pzstd writes', async () => {
    const content = Buffer.concat([text, noise(9_000_000), text]);
    const packed = await run('pzstd', ['-c', '-p', '2', '-1'], content);
    expectSameBytes(await collect(decompressZstd(inPieces(packed, 65_536))), content);
  });

  it('reads any frames however they are cut into pieces', async () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 2000 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(parts, fc.integer({ min: 1, max: 50 }), async (contents, size) => {
        const frames = await Promise.all(contents.map((content) => collect(compressZstd(streamOf(content)))));
        const read = await collect(decompressZstd(inPieces(Buffer.concat(frames), size)));
        expectSameBytes(read, Buffer.concat(contents));
      }),
      { numRuns: 40 },
    );
  });

  it('refuses a stream that is cut anywhere but between frames', async () => {
    const frame = await run('zstd', ['-c'], Buffer.from('short and sweet'));
    const packed = Buffer.concat([frame, frame]);
    for (let length = 1; length < packed.byteLength; length++) {
      if (length === frame.byteLength) continue;
      const { code, message } = await errorOf(collect(decompressZstd(streamOf(packed.subarray(0, length)))));
      expect(code, `cut at ${length}`).toBe('ARCHIVE_DAMAGED');
      expect(message).toContain('cut');
    }
  });

  it('refuses anything that follows the last frame', async () => {
    const frame = await run('zstd', ['-c'], text);
    for (const garbage of ['x', 'xyz', 'garbage', '\0\0\0\0\0\0\0\0']) {
      const { code } = await errorOf(collect(decompressZstd(streamOf(frame, Buffer.from(garbage)))));
      expect(code).toBe('ARCHIVE_DAMAGED');
    }
  });

  it('refuses a flipped bit in the content', async () => {
    const packed = await collect(compressZstd(streamOf(noise(5000))));
    packed.writeUInt8(packed.readUInt8(2500) ^ 1, 2500);
    const { code, message } = await errorOf(collect(decompressZstd(streamOf(packed))));
    expect(code).toBe('ARCHIVE_DAMAGED');
    expect(message).toContain('damaged');
  });

  it('refuses a frame that takes too much memory', async () => {
    const packed = await run('zstd', ['-c', '-1', '--long=28', '--no-content-size'], Buffer.alloc(1000));
    // Window_Descriptor: 2^28 bytes.
    packed.writeUInt8((28 - 10) << 3, 5);
    const { code, message } = await errorOf(collect(decompressZstd(streamOf(packed))));
    expect(code).toBe('ARCHIVE_UNSUPPORTED');
    expect(message).toBe('The zstd stream takes more than 128 MiB of memory to decompress.');
  });

  it('closes its source when the reader stops early', async () => {
    const { source, closed } = endless(await collect(compressZstd(streamOf(noise(100_000)))));
    for await (const _piece of decompressZstd(source)) break;
    expect(closed()).toBe(true);
  });
});
