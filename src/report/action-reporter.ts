import { createAnnotations, MOST_ANNOTATIONS } from './annotations.ts';
import { printable } from './printable.ts';
import type { Reporter } from './reporter.ts';

/** What the runner offers to a step that wants to be heard; `@actions/core` has all of it. */
export interface RunnerLog {
  info(message: string): void;
  debug(message: string): void;
  warning(message: string, properties?: { title?: string }): void;
  error(message: string, properties?: { title?: string }): void;
  setSecret(secret: string): void;
}

/** The shortest time between two lines of progress in a log, in milliseconds. */
const PROGRESS_INTERVAL = 10_000;

/**
 * Reports to a workflow's log: warnings and errors become annotations, as many as GitHub shows.
 *
 * @param clock - milliseconds that only grow
 * @returns the reporter, and `end`, which shows the annotations that were held back
 */
export function createActionReporter(log: RunnerLog, clock: () => number): Reporter & { end(): void } {
  const properties = (title: string | undefined) => (title === undefined ? {} : { title: printable(title) });
  const warnings = createAnnotations(({ message, title }) => log.warning(printable(message), properties(title)));
  // One is left for the error that ends the step.
  const errors = createAnnotations(
    ({ message, title }) => log.error(printable(message), properties(title)),
    MOST_ANNOTATIONS - 1,
  );
  const titled = (message: string, title: string | undefined) =>
    title === undefined ? message : `${title}: ${message}`;
  let progressAt = clock();
  return {
    info: (message) => log.info(withoutCommands(message)),
    debug: (message) => log.debug(printable(message)),
    warn: (message, title) => {
      if (!warnings.add({ message, title })) log.info(withoutCommands(`Warning: ${titled(message, title)}`));
    },
    error: (message, title) => {
      if (!errors.add({ message, title })) log.info(withoutCommands(`Error: ${titled(message, title)}`));
    },
    progress: (message) => {
      const now = clock();
      if (now - progressAt < PROGRESS_INTERVAL) return;
      progressAt = now;
      log.info(withoutCommands(message));
    },
    mask: (value) => {
      for (const line of new Set([value, ...value.split('\n')])) {
        if (line.trim() !== '') log.setSecret(line.replace(/\r$/, ''));
      }
    },
    end: () => {
      warnings.flush();
      errors.flush();
    },
  };
}

/**
 * Text that the runner will not take for its commands. It acts on every line of a step's output that starts with `::`
 * or holds `##[`, whoever wrote it: https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
 */
export function withoutCommands(text: string): string {
  return printable(text)
    .replace(/^(\s*):(?=:)/gm, '$1: ')
    .replaceAll('##[', '# #[');
}
