import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { capture, runCommand } from './run-command.ts';

/** The real Helm, bound to one cluster and with caches of its own. */
export interface Helm {
  readonly program: string;
  /** Runs to success and returns what it printed. */
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<string>;
  /** Runs what has to fail and returns what it said. */
  fail(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<string>;
  /** Starts it, for a test that stops it. */
  spawn(args: readonly string[]): ChildProcess;
}

export function makeHelm(program: string, kubeconfig: string, scratch: string): Helm {
  const own = helmEnvironment(scratch, kubeconfig);
  return {
    program,
    run: (args, env) => capture(program, args, { env: { ...own, ...env } }),
    async fail(args, env) {
      const result = await runCommand(program, args, { env: { ...own, ...env } });
      if (result.exitCode === 0) throw new Error(`helm ${args.join(' ')} should have failed, but did not.`);
      return result.stderr;
    },
    spawn: (args) => spawn(program, args, { env: { ...process.env, ...own }, stdio: 'ignore' }),
  };
}

/** Variables that keep a Helm away from the user's files, and its discovery caches apart for each cluster. */
export function helmEnvironment(scratch: string, kubeconfig: string): Record<string, string> {
  const cluster = Buffer.from(kubeconfig).toString('base64url').slice(-40);
  return {
    KUBECONFIG: kubeconfig,
    HELM_CACHE_HOME: join(scratch, 'helm-cache'),
    HELM_CONFIG_HOME: join(scratch, 'helm-config'),
    HELM_DATA_HOME: join(scratch, 'helm-data'),
    KUBECACHEDIR: join(scratch, `kube-cache-${cluster}`),
  };
}
