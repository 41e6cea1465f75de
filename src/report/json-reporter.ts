import type { LogFields, Reporter } from './reporter.ts';
import { createSecrets } from './secrets.ts';
import type { Terminal } from './terminal-reporter.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';

/**
 * Reports one JSON object a line, for what collects logs: `time` (RFC 3339, UTC), `level`, `message`, where there is one
 * `title`, and the fields of the message. What was masked is shown as `***`. Progress is not logged.
 *
 * @param now - the time of day
 */
export function createJsonReporter(
  terminal: Terminal,
  options: { readonly verbose: boolean; readonly now: () => Date },
): Reporter {
  const secrets = createSecrets();
  const line = (level: Level, message: string, title: string | undefined, fields: LogFields = {}) => {
    const own = { time: options.now().toISOString(), level, message, title };
    const hidden = (_key: string, value: unknown) => (typeof value === 'string' ? secrets.hide(value) : value);
    terminal.write(`${JSON.stringify({ ...own, ...fields, ...own }, hidden)}\n`);
  };
  return {
    info: (message, fields) => line('info', message, undefined, fields),
    warn: (message, title, fields) => line('warn', message, title, fields),
    error: (message, title, fields) => line('error', message, title, fields),
    debug: (message) => {
      if (options.verbose) line('debug', message, undefined);
    },
    progress() {},
    mask: secrets.add,
  };
}
