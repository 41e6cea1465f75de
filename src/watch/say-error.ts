import { TransshipError } from '../errors.ts';

/** A failure that is tried again, as a sentence or two: what is wrong and what helps. Of a bug, where it was. */
export function sayError(error: unknown): string {
  if (error instanceof TransshipError)
    return error.hint === undefined ? error.message : `${error.message} ${error.hint}`;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `This is a bug in Transship, please report it with these lines.\n${text}\n`;
}
