import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { messageOf, TransshipError } from '../errors.ts';
import type { ClusterAccess } from './cluster.ts';
import { type Kubeconfig, type Login, mergeKubeconfigs, parseKubeconfig, selectLogin } from './kubeconfig.ts';

/** Where to look for the way into a cluster. */
export interface AccessOptions {
  /** The text of a kubeconfig, plain or base64, or the path of a file. */
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  /** Where the file for kubeconfig text is written; default `$RUNNER_TEMP`, else the system's. */
  readonly temporaryDirectory?: string | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Where a pod finds its service account; only tests pass another one. */
  readonly serviceAccountDirectory?: string | undefined;
}

/** A way into a cluster, and how to remove the file that was written for it. */
export interface FoundAccess {
  readonly login: Login;
  readonly access: ClusterAccess;
  /** Removes what was written, if anything was. */
  remove(): Promise<void>;
}

const IN_CLUSTER = 'in-cluster';
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Finds the way into a cluster: the input `kubeconfig`, `$KUBECONFIG` (several files are merged), `~/.kube/config`, then
 * a pod's service account.
 *
 * @throws TransshipError `INPUT` naming what was tried, in order, or the contexts there are
 */
export async function findAccess(options: AccessOptions): Promise<FoundAccess> {
  const env = options.env ?? process.env;
  if (options.kubeconfig?.trim()) {
    return fromInput(options.kubeconfig, options, env);
  }
  const tried = ['the input `kubeconfig` (not given)'];
  if (env.KUBECONFIG) {
    return fromVariable(env.KUBECONFIG, options.context);
  }
  tried.push('$KUBECONFIG (not set)');

  const file = join(env.HOME || env.USERPROFILE || homedir(), '.kube', 'config');
  const config = await readConfig(file);
  if (config !== undefined && config.contexts.size > 0 && !wantsPod(config, options.context)) {
    return found(selectLogin(config, options.context, file), file);
  }
  tried.push(`${file} (${config === undefined ? 'does not exist' : 'has no contexts'})`);

  const pod = await inClusterLogin(env, options.serviceAccountDirectory ?? SERVICE_ACCOUNT);
  if (typeof pod === 'string') {
    tried.push(`the service account of a pod (${pod})`);
  } else if (options.context === undefined || options.context === IN_CLUSTER) {
    return { login: pod, access: {}, remove: async () => {} };
  } else {
    tried.push(`the service account of a pod (it is the context "${IN_CLUSTER}", not "${options.context}")`);
  }
  throw new TransshipError('INPUT', `No way into a cluster. Looked for: ${tried.join('; ')}.`, {
    hint: 'Give the input `kubeconfig` the text of a kubeconfig (a secret) or the path of a file.',
  });
}

/** A pod that also has a kubeconfig can still ask for its own cluster by name. */
function wantsPod(config: Kubeconfig, context: string | undefined): boolean {
  return context === IN_CLUSTER && !config.contexts.has(IN_CLUSTER);
}

async function fromInput(input: string, options: AccessOptions, env: NodeJS.ProcessEnv): Promise<FoundAccess> {
  const text = kubeconfigText(input);
  if (text === undefined) {
    const file = resolve(input.trim().replace(/^~(?=[\\/])/, env.HOME || homedir()));
    const config = await readConfig(file);
    if (config === undefined) {
      throw new TransshipError('INPUT', `The input \`kubeconfig\` is ${describeInput(input)}.`, {
        hint: 'Give it the text of a kubeconfig, plain or base64, or the path of a file that exists.',
      });
    }
    return found(selectLogin(config, options.context, file), file);
  }
  const name = 'the input `kubeconfig`';
  const login = selectLogin(parseKubeconfig(text, name), options.context, name);
  const parent = options.temporaryDirectory ?? env.RUNNER_TEMP ?? tmpdir();
  const folder = await mkdtemp(join(parent, 'transship-kubeconfig-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const file = join(folder, 'config');
    await writeFile(file, text, { mode: 0o600 });
    return { ...found(login, file), remove };
  } catch (error) {
    await remove();
    throw new TransshipError('INPUT', `Cannot write the kubeconfig to a file under ${parent}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

/** The text of a kubeconfig in `input`, or undefined when it can only be a path. */
function kubeconfigText(input: string): string | undefined {
  const trimmed = input.trim();
  if (trimmed.includes('\n') ? !isBase64(trimmed) : /^[{]|^\w+:(\s|$)/.test(trimmed)) {
    return input;
  }
  if (isBase64(trimmed)) {
    const text = Buffer.from(trimmed, 'base64').toString('utf8');
    if (/(^|[\s{,"])(clusters|contexts|apiVersion)"?\s*:/.test(text)) {
      return text;
    }
  }
  return undefined;
}

function isBase64(text: string): boolean {
  return /^[A-Za-z0-9+/\s]+=*\s*$/.test(text);
}

/** Shows the input only where it is clearly a path: it could be a credential pasted by mistake. */
function describeInput(input: string): string {
  const path = input.trim();
  return /^(~|\.{0,2})[\\/][^\n]{0,300}$|^[\w.-]+\.(ya?ml|json|conf|config|kubeconfig)$/i.test(path)
    ? `the path ${path}, and there is no such file`
    : `neither kubeconfig text nor the path of a file (${path.length} characters, not shown)`;
}

async function fromVariable(value: string, context: string | undefined): Promise<FoundAccess> {
  const files = [...new Set(value.split(delimiter).filter((file) => file !== ''))];
  const configs = await Promise.all(files.map(readConfig));
  const existing = configs.filter((config) => config !== undefined);
  const name = `$KUBECONFIG (${files.join(', ')})`;
  // Falling back to another kubeconfig after a typing error could reach another cluster: this must stop.
  if (existing.length === 0) {
    throw new TransshipError('INPUT', `${name} names no file that exists.`);
  }
  return found(selectLogin(mergeKubeconfigs(existing), context, name), value);
}

function found(login: Login, kubeconfig: string): FoundAccess {
  return { login, access: { kubeconfig, context: login.context }, remove: async () => {} };
}

/** @returns undefined when there is no such file */
async function readConfig(file: string): Promise<Kubeconfig | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
      return undefined;
    }
    throw new TransshipError('INPUT', `Cannot read the kubeconfig ${file}: ${messageOf(error)}.`, { cause: error });
  }
  return parseKubeconfig(text, file, dirname(resolve(file)));
}

/** https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api */
async function inClusterLogin(env: NodeJS.ProcessEnv, folder: string): Promise<Login | string> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (!host || !port) {
    return 'KUBERNETES_SERVICE_HOST is not set: this is not a pod';
  }
  const tokenFile = join(folder, 'token');
  if (!(await stat(tokenFile).catch(() => undefined))?.isFile()) {
    return `${tokenFile} does not exist: automountServiceAccountToken is off`;
  }
  const namespace = await readFile(join(folder, 'namespace'), 'utf8').catch(() => '');
  return {
    context: IN_CLUSTER,
    namespace: namespace.trim() || undefined,
    server: {
      server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      caFile: join(folder, 'ca.crt'),
      insecure: false,
    },
    user: { tokenFile, impersonate: [] },
  };
}
