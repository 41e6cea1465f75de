import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Reporter } from '../../src/report/reporter.ts';
import type { Tool } from './tool-list.ts';

/** The environment of every build, and so a part of what a cache folder is named by. */
export const BUILD_ENV = { CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOWORK: 'off' } as const;

/** Arguments of `go build` besides the output and the packages; the tools of one module share one build. */
export function buildFlags(tools: readonly Tool[], versionOf: (tool: Tool) => string): string[] {
  const variables = Object.assign({}, ...tools.map((tool) => tool.variables?.(versionOf(tool)) ?? {}));
  const settings = Object.entries(variables).map(([name, value]) => `-X=${name}=${value}`);
  return ['-trimpath', `-ldflags=${['-s', '-w', ...settings].join(' ')}`];
}

/**
 * Builds the packages of one Go module into the folder `into`, each under the name Go gives it. Shows how far it is: the
 * first build of Kubernetes takes minutes.
 *
 * @throws Error with the end of Go's own words when the build fails, or when there is no Go
 */
export async function goBuild(
  moduleFolder: string,
  flags: readonly string[],
  packages: readonly string[],
  into: string,
  env: NodeJS.ProcessEnv,
  reporter: Reporter,
): Promise<void> {
  const child = spawn('go', ['build', '-v', ...flags, '-o', `${into}/`, ...packages], {
    cwd: moduleFolder,
    env: { ...env, ...BUILD_ENV },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new Error('The tools of the test bed are built with Go, and `go` could not be started', { cause })),
    );
    child.once('close', resolve);
  });
  exit.catch(() => {}); // It is awaited below; a failing start must not be unhandled until then.

  const since = Date.now();
  const said: string[] = [];
  let compiled = 0;
  for await (const line of createInterface({ input: child.stderr })) {
    if (/^[\w.-]+(\/[\w.~-]+)*$/.test(line)) compiled += 1;
    else said.push(line);
    const seconds = Math.round((Date.now() - since) / 1000);
    reporter.progress(`${compiled} packages compiled in ${seconds} s: ${line}`);
  }
  const code = await exit;
  if (code !== 0) {
    throw new Error(`go build in ${moduleFolder} ended with status ${code}:\n${said.slice(-20).join('\n')}`);
  }
}
