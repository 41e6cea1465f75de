import type { Reporter } from '../../src/report/reporter.ts';

const LINE_EVERY_MS = 15_000;

/** Tells on stderr what the test bed does. Progress rewrites one line of a terminal; elsewhere it is a line now and then. */
export function stderrReporter(stream: NodeJS.WriteStream = process.stderr): Reporter {
  let shownAt = 0;
  const line = (message: string): void => {
    stream.write(stream.isTTY ? `\r\x1b[K${message}\n` : `${message}\n`);
  };
  return {
    info: line,
    warn: (message) => line(`Warning: ${message}`),
    error: (message) => line(`Error: ${message}`),
    debug() {},
    progress(message) {
      if (stream.isTTY) {
        stream.write(`\r\x1b[K${message.slice(0, stream.columns - 1)}`);
      } else if (Date.now() - shownAt >= LINE_EVERY_MS) {
        shownAt = Date.now();
        line(message);
      }
    },
    mask() {},
  };
}
