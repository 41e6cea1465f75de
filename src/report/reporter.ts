/** What a log for machines says of a message besides its words; people are told all of it by the words. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * How the flow tells a person what happens. Human text only: results travel as return values. The Action prints log
 * lines and annotations, the CLI writes to stderr; tests collect.
 */
export interface Reporter {
  info(message: string, fields?: LogFields): void;
  /** Shown as an annotation by the Action; `title` is its heading. */
  warn(message: string, title?: string, fields?: LogFields): void;
  /** Shown as an annotation by the Action. Reporting an error does not end the run: throw for that. */
  error(message: string, title?: string, fields?: LogFields): void;
  /** Shown only when asked for: `RUNNER_DEBUG=1` in a workflow, `--verbose` on a terminal. */
  debug(message: string): void;
  /** A short line of what is going on now; on a terminal it replaces the one before. */
  progress(message: string): void;
  /** Keeps `value` out of every log from now on. */
  mask(value: string): void;
}

/** Says nothing; for tests and for callers that only want the result. */
export const silentReporter: Reporter = {
  info() {},
  warn() {},
  error() {},
  debug() {},
  progress() {},
  mask() {},
};
