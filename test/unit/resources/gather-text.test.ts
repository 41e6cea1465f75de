import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  closeTexts,
  createTextMemory,
  gatherText,
  type Piece,
  type TextGatherer,
} from '../../../src/resources/gather-text.ts';

const MEBIBYTE = 1024 * 1024;

function memory() {
  const directory = mkdtempSync(join(tmpdir(), 'transship-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return createTextMemory(directory);
}

async function textOf(gatherer: TextGatherer, pieces: readonly Piece[]): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of gatherer.read(pieces)) parts.push(Buffer.from(part));
  return Buffer.concat(parts).toString();
}

describe('gathered text', () => {
  test('is read as it was added, also what others have come between', async () => {
    const text = gatherText(memory());
    const [a, b]: [Piece[], Piece[]] = [[], []];
    text.add('ä1', a);
    text.add('€2', b);
    text.add('😀3', a);
    text.add('4', a);
    expect(await textOf(text, a)).toBe('ä1😀34');
    expect(await textOf(text, b)).toBe('€2');
    expect(await textOf(text, [...b, ...a])).toBe('€2ä1😀34');
    await text.close();
  });

  test('that follows itself is one piece', async () => {
    const text = gatherText(memory());
    const pieces: Piece[] = [];
    for (const part of ['a', 'b', 'c']) text.add(part, pieces);
    expect(pieces).toHaveLength(1);
    await text.close();
  });

  test('of some hundred KiB stays in memory', async () => {
    const text = gatherText(memory());
    const pieces: Piece[] = [];
    for (let count = 0; count < 10; count += 1) {
      text.add('x'.repeat(50_000), pieces);
      expect(text.relieve()).toBeUndefined();
    }
    expect(Buffer.concat(text.peek(pieces) ?? []).byteLength).toBe(500_000);
    await text.close();
  });

  test('goes to disk when it is much, is the same as before, and what is added later too', async () => {
    const shared = memory();
    const text = gatherText(shared);
    const places: Record<string, Piece[]> = { a: [], b: [] };
    const expected: Record<string, string> = { a: '', b: '' };
    for (let count = 0; count < 400; count += 1) {
      const at = count % 50 < 40 ? 'a' : 'b';
      const part = `${count}:${'ö'.repeat(count * 50)};`;
      text.add(part, places[at] ?? []);
      expected[at] += part;
      await text.relieve();
      expect(shared.held).toBeLessThan(3 * MEBIBYTE);
    }
    expect(text.peek(places.a ?? [])).toBeUndefined();
    for (const at of ['a', 'b']) expect(await textOf(text, places[at] ?? [])).toBe(expected[at]);
    // It has no name from the start.
    expect(readdirSync(shared.directory)).toEqual([]);
    await text.close();
  });

  test('may have parts larger than any block', async () => {
    const text = gatherText(memory());
    const pieces: Piece[] = [];
    const large = 'é'.repeat(MEBIBYTE);
    text.add('a', pieces);
    text.add(large, pieces);
    text.add('b', pieces);
    expect(await textOf(text, pieces)).toBe(`a${large}b`);
    await text.close();
  });

  test('of many together goes to disk too, and gives its memory back when it is forgotten', async () => {
    const shared = memory();
    const texts = Array.from({ length: 20 }, () => ({ text: gatherText(shared), pieces: [] as Piece[] }));
    const part = 'x'.repeat(MEBIBYTE);
    for (const { text, pieces } of texts) {
      text.add(part, pieces);
      await text.relieve();
    }
    expect(shared.held).toBeLessThan(10 * MEBIBYTE);
    for (const { text, pieces } of texts) expect(await textOf(text, pieces)).toBe(part);
    await texts[0]?.text.close();
    await closeTexts(shared);
    expect(shared.held).toBe(0);
    expect(shared.open.size).toBe(0);
  });

  test('says where there is no place for it', async () => {
    const text = gatherText(createTextMemory('/no/such/directory'));
    text.add('x'.repeat(3 * MEBIBYTE), []);
    await expect(text.relieve()).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringMatching(/^The objects of the export can't be gathered into \/no\/such\/directory: ENOENT/),
    });
    await text.close();
  });
});
