import { once } from 'node:events';
import type { Terminal } from '../report/terminal-reporter.ts';

/** Where a person may type. */
export interface Keyboard {
  readonly isTTY: boolean;
  /** Begins to listen to it. */
  open(): NodeJS.ReadableStream;
}

/** Asks a person yes or no. */
export type Confirm = (question: string) => Promise<boolean>;

/**
 * How to ask the person at the terminal; undefined where there is none. The question goes to standard error, for standard
 * output may be JSON. Anything but yes is no, and so is the end of the input.
 *
 * @param before - called before a question, to clear the line
 */
export function createConfirm(
  keyboard: Keyboard | undefined,
  terminal: Terminal,
  signal: AbortSignal,
  before: () => void,
): Confirm | undefined {
  if (keyboard?.isTTY !== true || terminal.isTTY !== true) return undefined;
  return async (question) => {
    before();
    terminal.write(`${question} [y/N] `);
    const { createInterface } = await import('node:readline');
    const lines = createInterface({ input: keyboard.open() });
    try {
      const answer = await Promise.race([
        once(lines, 'line', { signal }).then(([line]) => String(line)),
        once(lines, 'close', { signal }).then(() => undefined),
      ]);
      if (answer === undefined) terminal.write('\n');
      return /^y(es)?$/i.test(answer?.trim() ?? '');
    } finally {
      lines.close();
    }
  };
}
