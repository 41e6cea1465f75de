import { oneLine, printable } from './printable.ts';
import type { Reporter } from './reporter.ts';
import { createSecrets } from './secrets.ts';
import type { Paint } from './text.ts';

/** A stream of a terminal, or of what it is redirected to. */
export interface Terminal {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** The shortest time between two progress lines, in milliseconds. */
const PROGRESS_INTERVAL = 50;
/** Carriage return, erase the whole line: ECMA-48 EL 2. */
const ERASE_LINE = '\r\x1b[2K';

/**
 * Reports to a terminal: a line for each message, and below them one line of progress that is overwritten. Where the
 * stream is no terminal there is no progress. What was masked is shown as `***`.
 *
 * @param clock - milliseconds that only grow
 * @returns the reporter, and `end`, which takes the progress line away
 */
export function createTerminalReporter(
  terminal: Terminal,
  paint: Paint,
  options: { readonly verbose: boolean; readonly clock: () => number },
): Reporter & { end(): void } {
  const secrets = createSecrets();
  let progressShown = false;
  let progressAt = Number.NEGATIVE_INFINITY;

  const { hide } = secrets;
  const end = () => {
    if (progressShown) terminal.write(ERASE_LINE);
    progressShown = false;
  };
  const line = (prefix: string, message: string, title?: string) => {
    end();
    terminal.write(`${prefix}${title === undefined ? '' : `${printable(hide(title))}: `}${printable(hide(message))}\n`);
  };

  return {
    info: (message) => line('', message),
    warn: (message, title) => line(paint('yellow', 'warning: '), message, title),
    error: (message, title) => line(paint('red', 'error: '), message, title),
    debug: (message) => {
      if (options.verbose) line(paint('dim', 'debug: '), message);
    },
    progress: (message) => {
      const now = options.clock();
      if (!terminal.isTTY || now - progressAt < PROGRESS_INTERVAL) return;
      progressAt = now;
      progressShown = true;
      // One column stays free: a full line would wrap, and only its last row could be erased.
      terminal.write(`${ERASE_LINE}${oneLine(hide(message)).slice(0, (terminal.columns || 80) - 1)}`);
    },
    mask: secrets.add,
    end,
  };
}
