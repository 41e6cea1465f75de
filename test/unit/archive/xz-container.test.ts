import { describe, expect, it } from 'vitest';
import { parseXzIndex, takeBlocks, xzHeader, xzIndexLength, xzTail } from '../../../src/archive/xz-container.ts';
import { errorOf, expectSameBytes, noise, run } from './helpers.ts';

describe('the container of xz', () => {
  it('makes one stream of the blocks of several, which xz reads and lists', async () => {
    const parts = [Buffer.from('kind: Secret\n'.repeat(5_000)), noise(40_001), Buffer.alloc(100_000)];
    const streams = await Promise.all(parts.map((part) => run('xz', ['-1c', '--check=crc64'], part)));
    const taken = streams.map(takeBlocks);
    const tail = xzTail(taken.flatMap(({ blocks }) => blocks));
    const joined = Buffer.concat([xzHeader(), ...taken.map(({ bytes }) => bytes), tail]);
    expectSameBytes(await run('xz', ['-dc'], joined), Buffer.concat(parts));
    expect(taken.flatMap(({ blocks }) => blocks.map(([, size]) => size))).toEqual([65_000, 40_001, 100_000]);
  });

  it('is the same, byte for byte, as xz makes it', async () => {
    const stream = await run('xz', ['-1c', '--threads=2', '--block-size=30000', '--check=crc64'], noise(1_000_000));
    const { bytes, blocks } = takeBlocks(stream);
    expect(blocks).toHaveLength(34);
    expectSameBytes(Buffer.concat([xzHeader(), bytes, xzTail(blocks)]), stream);
  });

  it('holds sizes beyond 32 bits', () => {
    const blocks = [[2 ** 40 + 1, 2 ** 45 + 3] as const];
    const tail = xzTail(blocks);
    expect(parseXzIndex(tail.subarray(0, xzIndexLength(tail.subarray(-12))))).toEqual(blocks);
  });

  it('refuses an index with a flipped bit, and a footer that is none', async () => {
    const tail = xzTail([[100, 200]]);
    const index = Buffer.from(tail.subarray(0, -12));
    index.writeUInt8(index.readUInt8(2) ^ 1, 2);
    const problem = await errorOf((async () => parseXzIndex(index))());
    expect(problem).toMatchObject({ code: 'ARCHIVE_DAMAGED', message: 'The xz stream is damaged: its index is none.' });
    const none = await errorOf((async () => xzIndexLength(Buffer.alloc(12)))());
    expect(none.message).toBe('The xz stream is cut or damaged: it has no footer.');
  });
});
