import { setTimeout as delay } from 'node:timers/promises';

/** Runs a pass over everything, again whenever something has changed, one at a time. */
export interface Loop {
  /** Runs a pass soon, or after so many milliseconds. */
  again(after?: number): void;
  report(error: unknown): void;
  /** What passes failed with. */
  readonly problems: readonly string[];
  /** Resolves when the pass under way has ended. */
  stop(): Promise<void>;
}

const RETRY_MS = 200;
/** Node's longest timer. */
const LONGEST_MS = 2 ** 31 - 1;

export function createLoop(pass: () => Promise<void>): Loop {
  const problems: string[] = [];
  let isDirty = false;
  let isStopped = false;
  let running: Promise<void> | undefined;
  let next: { readonly timer: NodeJS.Timeout; readonly due: number } | undefined;

  const report = (error: unknown): void => {
    if (!isStopped) problems.push(error instanceof Error ? error.message : String(error));
  };
  const run = async (): Promise<void> => {
    while (isDirty && !isStopped) {
      isDirty = false;
      try {
        await pass();
      } catch (error) {
        report(error);
        isDirty = true;
        await delay(RETRY_MS);
      }
    }
  };
  const again = (after = 0): void => {
    if (isStopped) return;
    if (after > 0) {
      const due = Date.now() + Math.min(after, LONGEST_MS);
      if (next !== undefined && next.due <= due) return;
      clearTimeout(next?.timer);
      const wakeUp = () => {
        next = undefined;
        again();
      };
      next = { timer: setTimeout(wakeUp, due - Date.now()).unref(), due };
      return;
    }
    isDirty = true;
    running ??= run().finally(() => {
      running = undefined;
      if (isDirty) again();
    });
  };
  return {
    again,
    report,
    problems,
    async stop() {
      isStopped = true;
      clearTimeout(next?.timer);
      await running;
    },
  };
}
