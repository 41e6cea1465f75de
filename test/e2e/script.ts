import { chmod, writeFile } from 'node:fs/promises';

/** Writes a shell script that can be run, in place of a program that a workflow calls; returns its path. */
export async function script(file: string, lines: readonly string[]): Promise<string> {
  await writeFile(file, ['#!/bin/sh', ...lines, ''].join('\n'));
  await chmod(file, 0o755);
  return file;
}
