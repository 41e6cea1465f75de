import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import type { Bytes } from '../../../src/archive/streams.ts';

/** A stream of the pieces given. */
export async function* streamOf<T>(...items: T[]): AsyncGenerator<T> {
  yield* items;
}

/** Bytes as a stream of pieces of a size. */
export async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size);
}

export async function collect(bytes: Bytes): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Reads entries with their whole bodies. */
export async function collectFiles(entries: AsyncIterable<Entry>): Promise<[path: string, content: Buffer][]> {
  const files: [string, Buffer][] = [];
  for await (const { path, body } of entries) {
    files.push([path, body instanceof Uint8Array ? Buffer.from(body) : await collect(body)]);
  }
  return files;
}

export function entriesOf(files: Readonly<Record<string, string | Uint8Array>>): AsyncGenerator<Entry> {
  return streamOf(...Object.entries(files).map(([path, content]) => entryOf(path, content)));
}

/** Runs a program to its end; throws what it said when it fails. */
export function run(program: string, args: readonly string[], input?: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'pipe' });
    const stdout: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => stdout.push(data));
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    child.once('error', reject);
    child.stdin.on('error', () => {});
    child.once('close', (code) =>
      code === 0 ? resolve(Buffer.concat(stdout)) : reject(new Error(`${program} exited with ${code}: ${stderr}`)),
    );
    child.stdin.end(input);
  });
}

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'transship-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Bytes that do not compress, the same in each run. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** What an error says: its code and message; fails when there is none. */
export async function errorOf(work: Promise<unknown>): Promise<{ code: unknown; message: string; hint: unknown }> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof Error)) throw new Error(`Not an error: ${error}`);
    return {
      code: 'code' in error ? error.code : undefined,
      message: error.message,
      hint: 'hint' in error ? error.hint : undefined,
    };
  }
  throw new Error('Nothing was thrown.');
}

/** A source that yields pieces for ever and tells whether it was closed. */
export function endless(piece: Uint8Array): { source: AsyncGenerator<Uint8Array>; closed: () => boolean } {
  let closed = false;
  async function* generate() {
    try {
      for (;;) yield piece;
    } finally {
      closed = true;
    }
  }
  return { source: generate(), closed: () => closed };
}

/** A source that yields some pieces and then is silent until the test ends. */
export async function* silentAfter(...pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
  await new Promise<never>(() => {});
}

/** Like toEqual, which takes seconds for a megabyte. */
export function expectSameBytes(actual: Uint8Array, expected: Uint8Array, message?: string): void {
  expect(actual.byteLength, message).toBe(expected.byteLength);
  expect(Buffer.compare(actual, expected), message).toBe(0);
}
