import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../../src/backends/backend.ts';
import { createPartMemory, nextPartSize, partsInFlight, splitIntoParts } from '../../../src/backends/s3-parts.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const TIB = 1024 * GIB;

describe('the size of parts', () => {
  it('is 16 MiB up to 16 GiB', () => {
    expect(nextPartSize(0)).toBe(16 * MIB);
    expect(nextPartSize(15.6 * GIB)).toBe(16 * MIB);
    expect(nextPartSize(17 * GIB)).toBe(18 * MIB);
  });

  it('lets 10,000 parts hold more than the 5 TiB that S3 stores, none larger than S3 takes', () => {
    let sent = 0;
    let largest = 0;
    for (let part = 0; part < 10_000; part += 1) {
      largest = Math.max(largest, nextPartSize(sent));
      sent += nextPartSize(sent);
    }
    expect(sent).toBeGreaterThan(5 * TIB);
    expect(largest).toBeLessThanOrEqual(5 * GIB);
  });

  it('keeps what is on its way small: four parts of 16 MiB, one when they are large', () => {
    expect(partsInFlight(16 * MIB)).toBe(4);
    expect(partsInFlight(64 * MIB)).toBe(2);
    expect(partsInFlight(1024 * MIB)).toBe(1);
  });
});

describe('splitting', () => {
  it.each([
    [0, [0]],
    [1, [1]],
    [16 * MIB - 1, [16 * MIB - 1]],
    [16 * MIB, [16 * MIB]],
    [16 * MIB + 1, [16 * MIB, 1]],
    [40 * MIB, [16 * MIB, 16 * MIB, 8 * MIB]],
  ])('cuts %d bytes into %j', async (length, sizes) => {
    const content = Buffer.alloc(length);
    for (let index = 0; index < length; index += 4096) content[index] = index >> 12;
    const parts: Buffer[] = [];
    for await (const part of splitIntoParts(inPieces(content, 999_983), createPartMemory())) parts.push(part);
    expect(parts.map(({ byteLength }) => byteLength)).toEqual(sizes);
    expect(Buffer.concat(parts).equals(content)).toBe(true);
  });

  it('uses the memory of parts that were given back again', async () => {
    const memory = createPartMemory();
    const used = new Set<ArrayBufferLike>();
    for await (const part of splitIntoParts(inPieces(Buffer.alloc(64 * MIB), MIB), memory)) {
      used.add(part.buffer);
      memory.giveBack(part);
    }
    expect(used.size).toBe(1);
  });
});

async function* inPieces(content: Buffer, size: number): Bytes {
  for (let start = 0; start < content.byteLength; start += size) yield content.subarray(start, start + size);
}
