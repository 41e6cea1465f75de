import { AsyncLocalStorage } from 'node:async_hooks';

const toolkitCalls = new AsyncLocalStorage<true>();
let watching = false;

/**
 * Runs a call of the GitHub toolkit without what it tells about itself. It prints to stdout and cannot be asked not to;
 * on the command line stdout is for the result alone. In a workflow its commands (`::add-mask::`, `::debug::`) get
 * through: the runner needs them.
 *
 * Side effect: from the first call on, `process.stdout.write` looks at who writes.
 */
export function runQuietly<T>(call: () => Promise<T>): Promise<T> {
  watchStdout();
  return toolkitCalls.run(true, call);
}

function watchStdout(): void {
  if (watching) return;
  watching = true;
  process.stdout.write = new Proxy(process.stdout.write, {
    apply(write, stdout, args: unknown[]) {
      const isToolkit = toolkitCalls.getStore() === true;
      if (isToolkit && !(process.env.GITHUB_ACTIONS === 'true' && String(args[0]).startsWith('::'))) return true;
      return Reflect.apply(write, stdout, args);
    },
  });
}
