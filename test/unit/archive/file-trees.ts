import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { FilesystemEntry } from '../../../src/archive/read-filesystem.ts';
import { collect, noise } from './helpers.ts';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** Writes a file with holes: some bytes at each place, nothing else. */
export function writeSparse(
  path: string,
  size: number,
  parts: readonly (readonly [start: number, data: Buffer])[],
): void {
  const file = openSync(path, 'w');
  ftruncateSync(file, size);
  for (const [start, data] of parts) writeSync(file, data, 0, data.byteLength, start);
  closeSync(file);
}

/** Bytes that a file takes on disk. */
export function diskUsage(path: string): number {
  return Number(execFileSync('stat', ['-c', '%b', path], { encoding: 'utf8' })) * 512;
}

/** A folder with all that a volume can hold, but for what has no data. */
export function makeVolume(folder: string): void {
  mkdirSync(join(folder, 'conf/empty'), { recursive: true });
  writeFileSync(join(folder, 'conf/app.ini'), 'port=80\n');
  chmodSync(join(folder, 'conf/app.ini'), 0o4751);
  writeFileSync(join(folder, 'conf/locked'), 'secret');
  chmodSync(join(folder, 'conf/locked'), 0);
  chmodSync(join(folder, 'conf/empty'), 0o1777);
  symlinkSync('app.ini', join(folder, 'conf/current'));
  symlinkSync('../conf', join(folder, 'conf/up'));
  linkSync(join(folder, 'conf/app.ini'), join(folder, 'hard.ini'));
  writeFileSync(join(folder, 'ünï 日本.txt'), 'not ASCII');
  const deep = `${'d'.repeat(120)}/${'e'.repeat(120)}`;
  mkdirSync(join(folder, deep), { recursive: true });
  writeFileSync(join(folder, deep, 'f'.repeat(200)), 'long name');
  symlinkSync(`${deep}/${'f'.repeat(200)}`, join(folder, 'long-link'));
  writeSparse(join(folder, 'disk.img'), 8 * MIB, [
    [0, noise(4 * KIB)],
    [3 * MIB, noise(64 * KIB, 2)],
    [8 * MIB - 4 * KIB, noise(4 * KIB, 3)],
  ]);
  writeSparse(join(folder, 'tail-hole.img'), 2 * MIB + 5, [[4 * KIB, noise(8 * KIB, 4)]]);
  writeSparse(join(folder, 'blank.img'), 4 * MIB, []);
  writeFileSync(join(folder, 'plain.bin'), noise(700_001, 5));
  utimesSync(join(folder, 'plain.bin'), 1_600_000_000, 1_600_000_000);
}

/** What an entry is, without its stream. */
export interface ReadEntry extends Omit<FilesystemEntry, 'body'> {
  readonly content: Buffer;
}

/** Reads entries with their whole bodies. */
export async function collectEntries(entries: AsyncIterable<FilesystemEntry>): Promise<Map<string, ReadEntry>> {
  const found = new Map<string, ReadEntry>();
  for await (const { body, ...entry } of entries) {
    found.set(entry.path, { ...entry, content: body instanceof Uint8Array ? Buffer.from(body) : await collect(body) });
  }
  return found;
}
