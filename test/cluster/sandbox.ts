import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Reporter } from '../../src/report/reporter.ts';
import { startCluster, type TestCluster } from './cluster.ts';
import { CLUSTER_TOOLS } from './control-plane.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { startS3, type TestS3 } from './s3.ts';
import { stderrReporter } from './stderr-reporter.ts';
import { ensureTools } from './tools.ts';

/** Two clusters and an S3 server to play with. */
export interface Sandbox {
  readonly stage: TestCluster;
  readonly prod: TestCluster;
  readonly s3: TestS3;
  /** Path of a kubeconfig with the contexts `stage` (current) and `prod`. */
  readonly kubeconfig: string;
  /** A folder that holds `transship`, the `node` it needs, `helm` (4), `helm3` and `kubectl`. */
  readonly bin: string;
  /** What a command needs to reach all of it: KUBECONFIG, KUBECACHEDIR, AWS_*, and PATH with what is in `bin`. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Starts the clusters STAGE and PROD and an S3 server; they end with this process, however that ends. */
export async function startSandbox(reporter: Reporter = stderrReporter()): Promise<Sandbox> {
  const tools = await ensureTools([...CLUSTER_TOOLS, 'versitygw', 'helm4', 'helm3'], reporter);
  const [stage, prod, s3] = await startAll([
    startCluster({ name: 'stage', reporter }),
    startCluster({ name: 'prod', reporter }),
    startS3({ reporter }),
  ]);
  const kubeconfig = join(stage.folder, 'stage-and-prod.kubeconfig');
  await writeFile(kubeconfig, writeKubeconfig([stage.access, prod.access]), { mode: 0o600 });
  const bin = join(stage.folder, 'bin');
  await mkdir(bin);
  await symlink(fileURLToPath(new URL('../../dist/index.js', import.meta.url)), join(bin, 'transship'));
  await symlink(process.execPath, join(bin, 'node'));
  await symlink(tools.helm4, join(bin, 'helm'));
  await symlink(tools.helm3, join(bin, 'helm3'));
  await symlink(tools.kubectl, join(bin, 'kubectl'));
  return {
    stage,
    prod,
    s3,
    kubeconfig,
    bin,
    env: {
      ...stage.env,
      ...s3.env,
      KUBECONFIG: kubeconfig,
      PATH: `${bin}${delimiter}${process.env.PATH}`,
    },
    async stop() {
      await Promise.all([stage.stop(), prod.stop(), s3.stop()]);
    },
  };
}

/** Waits for all of them; when one fails, stops the others. */
async function startAll<const T extends readonly Promise<{ stop(): Promise<void> }>[]>(
  starting: T,
): Promise<{ -readonly [I in keyof T]: Awaited<T[I]> }> {
  try {
    return await Promise.all(starting);
  } catch (error) {
    const settled = await Promise.allSettled(starting);
    await Promise.all(settled.map((result) => (result.status === 'fulfilled' ? result.value.stop() : undefined)));
    throw error;
  }
}

function usage({ stage, prod, s3, env }: Sandbox, envFile: string): string {
  return `
Two clusters and an S3 server are running. Ctrl-C ends them and removes all they kept.

  context stage   ${stage.server}   ${stage.kubeconfig}
  context prod    ${prod.server}   ${prod.kubeconfig}
  S3              ${s3.endpoint}    s3://${s3.bucket}
  KUBECONFIG      ${env.KUBECONFIG}

In another terminal, set KUBECONFIG and the AWS variables, and put transship, helm and kubectl on PATH:

  . ${envFile}

Then, for example:

  helm create hello && helm --kube-context stage install hello ./hello
  transship export --context stage --path s3://${s3.bucket}/stage
  transship list --path s3://${s3.bucket}/stage
  transship import --context prod --path s3://${s3.bucket}/stage
  helm --kube-context prod history hello
`;
}

async function main(): Promise<void> {
  const sandbox = await startSandbox();
  const envFile = join(sandbox.stage.folder, 'env.sh');
  const { PATH: _, ...env } = sandbox.env;
  const exports = Object.entries(env).map(([name, value]) => `export ${name}='${value}'\n`);
  exports.push(`export PATH='${sandbox.bin}':"$PATH"\n`);
  await writeFile(envFile, exports.join(''), { mode: 0o600 });
  process.stdout.write(usage(sandbox, envFile));

  // Holds the process, as the servers do not.
  const alive = setInterval(() => {}, 2 ** 30);
  const stop = async (): Promise<void> => {
    clearInterval(alive);
    await sandbox.stop();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}

if (import.meta.main) await main();
