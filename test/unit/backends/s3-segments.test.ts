import { describe, expect, it } from 'vitest';
import type { JournalHead } from '../../../src/archive/frame-journal.ts';
import {
  findChain,
  formatSegment,
  type ListedSegment,
  parseSegmentName,
  partKeyOf,
  segmentKey,
} from '../../../src/backends/s3-segments.ts';

const HEAD: JournalHead = { source: 'a', compression: 'zstd', frameBytes: 8, mtime: 0 };
const [ONE, TWO, THREE] = ['111111111111', '222222222222', '333333333333'] as const;

/** A segment of one frame. */
function segment(
  number: number,
  run: string,
  after?: string,
  more: { size?: number; last?: true } = {},
): ListedSegment {
  const { size = 10, last } = more;
  const frame = { length: 10, raw: 8, crc: 0 };
  const journal = formatSegment({ size: 10, after, last }, number === 1 ? HEAD : undefined, [frame]);
  return { number, run, size, journal };
}

function namesOf(listed: readonly ListedSegment[]): string[] | undefined {
  const chain = findChain(listed);
  if (chain === undefined || 'problem' in chain) return undefined;
  return chain.segments.map(({ number, run }) => `${number}-${run.slice(0, 1)}`);
}

describe('the chain of segments', () => {
  it('goes on from the run before where the next one took over', () => {
    const first = [segment(1, ONE), segment(2, ONE, ONE), segment(3, ONE, ONE)];
    const second = [segment(3, TWO, ONE), segment(4, TWO, TWO)];
    expect(namesOf([...second, ...first])).toEqual(['1-1', '2-1', '3-2', '4-2']);
    expect(findChain([...first, ...second])).toMatchObject({ head: HEAD, size: 40, isWhole: false });
  });

  it('ends where a segment is missing', () => {
    expect(namesOf([segment(1, ONE), segment(3, ONE, ONE), segment(4, ONE, ONE)])).toEqual(['1-1']);
    expect(namesOf([segment(2, ONE, ONE)])).toBeUndefined();
    expect(namesOf([])).toBeUndefined();
  });

  it('never mixes two writers that began side by side', () => {
    expect(namesOf([segment(1, ONE), segment(1, TWO), segment(2, TWO, TWO), segment(3, ONE, ONE)])).toEqual([
      '1-2',
      '2-2',
    ]);
  });

  it('leaves out a segment that is not as large as it was, or whose journal was cut', () => {
    expect(namesOf([segment(1, ONE), segment(2, ONE, ONE, { size: 9 })])).toEqual(['1-1']);
    const cut = { ...segment(2, ONE, ONE), journal: '{"size":10,"af' };
    expect(namesOf([segment(1, ONE), cut, segment(3, ONE, ONE)])).toEqual(['1-1']);
  });

  it('says when it is whole, and why it is of no use', () => {
    expect(findChain([segment(1, ONE), segment(2, THREE, ONE, { last: true })])).toMatchObject({ isWhole: true });
    const headless = { ...segment(1, ONE), journal: formatSegment({ size: 10 }, undefined, []) };
    expect(findChain([headless])).toEqual({ problem: 'The journal is empty.' });
  });
});

it('names lead to segments and back to their part', () => {
  const key = segmentKey('a/transship-x.vms/shop.db.tar.xz', { number: 12, run: ONE });
  expect(key).toBe(`a/transship-x.vms/shop.db.tar.xz.parts/00012-${ONE}`);
  expect(parseSegmentName(`00012-${ONE}`)).toEqual({ number: 12, run: ONE });
  expect(parseSegmentName(`00012-${ONE}.journal`)).toBeUndefined();
  expect(partKeyOf(`${key}.journal`)).toBe('a/transship-x.vms/shop.db.tar.xz');
  expect(partKeyOf(key)).toBeUndefined();
});
