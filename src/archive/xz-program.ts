import { spawn } from 'node:child_process';
import { TransshipError } from '../errors.ts';
import { damaged, needsMemory } from './damage.ts';
import { type Bytes, feed } from './streams.ts';

/** What is kept of what the program says, in bytes. */
const MAX_STDERR_BYTES = 4096;

/** The most memory that decompressing may take; what `xz -9` packs takes 65 MiB. */
export const MAX_DECODER_MEBIBYTES = 512;

/** How a program ended: with its exit status, by a signal, or not started at all. */
type Ending = { code: number | null; signal: NodeJS.Signals | null } | { error: NodeJS.ErrnoException };

/**
 * Compresses or decompresses with the `xz` program. It is gone, however the reading ends, before this is over.
 *
 * @param program - a path, or a name on PATH
 * @param missing - why there is no addon, for the error when there is no program either
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` when the program is not there
 * @throws TransshipError `ARCHIVE_DAMAGED` with what the program said when it can't decompress
 */
export async function* runXz(
  direction: 'compress' | 'decompress',
  source: Bytes,
  program = 'xz',
  missing?: unknown,
): AsyncGenerator<Uint8Array> {
  // What a user has set for xz on the command line is not meant for an archive.
  const { XZ_DEFAULTS: _defaults, XZ_OPT: _options, ...env } = process.env;
  const args =
    direction === 'compress'
      ? ['-1', '--threads=0', '--check=crc64']
      : ['--decompress', `--memlimit=${MAX_DECODER_MEBIBYTES}MiB`];
  const child = spawn(program, [...args, '--stdout'], { stdio: 'pipe', env });
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => {
    stderr = (stderr + data.toString()).slice(0, MAX_STDERR_BYTES);
  });
  // It may stop reading before we stop writing; why is told by its exit status.
  child.stdin.on('error', () => {});
  const ending = new Promise<Ending>((resolve) => {
    child.once('error', (error) => resolve({ error }));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  // When the source fails, stdin just closes: what xz would make of the cut input must not pass for the whole.
  const feeding = feed(source, child.stdin).then((fed) => {
    if (fed.failed) child.kill('SIGKILL');
    return fed;
  });
  try {
    for await (const piece of child.stdout) yield piece;
    const end = await ending;
    child.stdin.destroy();
    const { failed, error } = await feeding;
    if (failed) throw error;
    if ('error' in end) throw notStarted(program, end.error, missing);
    if (end.code !== 0) throw refused(direction, stderr.trim() || `it ended with ${end.signal ?? end.code}`);
  } finally {
    child.kill('SIGKILL');
    child.stdin.destroy();
    await Promise.all([ending, feeding]);
  }
}

function notStarted(program: string, error: NodeJS.ErrnoException, missing: unknown): TransshipError {
  const why = error.code === 'ENOENT' ? `there is no program ${program} on PATH` : error.message;
  return new TransshipError('ARCHIVE_UNSUPPORTED', `xz can be neither written nor read here: ${why}.`, {
    hint: `There is no addon for ${process.platform}-${process.arch} either: install xz (package xz or xz-utils), or choose another compression: zstd, gzip or none.`,
    cause: missing ?? error,
  });
}

function refused(direction: 'compress' | 'decompress', said: string): TransshipError {
  if (said.includes('Memory usage limit')) return needsMemory('xz', MAX_DECODER_MEBIBYTES);
  return direction === 'decompress'
    ? damaged(`The xz stream is cut or damaged: ${said}.`)
    : new TransshipError('ARCHIVE_UNSUPPORTED', `xz can't compress: ${said}.`);
}
