import { TransshipError } from '../errors.ts';

const HINT = 'Do not import it: take another snapshot, or export again.';

/** An archive that is not what was written. */
export class ArchiveDamagedError extends TransshipError {
  /** All that is wrong with it, a sentence each; the message holds the first. */
  readonly problems: readonly string[];

  constructor(problems: readonly [string, ...string[]], cause?: unknown) {
    const [first, ...others] = problems;
    const more = others.length === 0 ? '' : ` ${others.length} more differ.`;
    super('ARCHIVE_DAMAGED', `${first}${more}`, { hint: HINT, cause });
    this.name = 'ArchiveDamagedError';
    this.problems = problems;
  }
}

/** The error for a stream that was compressed so that only much memory undoes it. */
export function needsMemory(format: string, mebibytes: number, cause?: unknown): TransshipError {
  const message = `The ${format} stream takes more than ${mebibytes} MiB of memory to decompress.`;
  return new TransshipError('ARCHIVE_UNSUPPORTED', message, {
    hint: 'Unpack it with its own program and pack it again without a long window.',
    cause,
  });
}

/** The error for one thing that is wrong, as a whole sentence. */
export function damaged(problem: string, cause?: unknown): ArchiveDamagedError {
  return new ArchiveDamagedError([problem], cause);
}
