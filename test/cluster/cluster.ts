import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Reporter } from '../../src/report/reporter.ts';
import { type ApiClient, createApiClient } from './api-client.ts';
import { createAuthority, newKey } from './certificates.ts';
import {
  apiServerCommand,
  CLUSTER_TOOLS,
  type ControlPlane,
  controllerManagerCommand,
  etcdCommand,
  kwokCommand,
  nodeObject,
  STORAGE_CLASS,
  schedulerCommand,
} from './control-plane.ts';
import type { Guarded } from './guarded.ts';
import { base64, type KubeconfigCluster, writeKubeconfig } from './kubeconfig.ts';
import { startOnFreePorts } from './ports.ts';
import { ensureTools } from './tools.ts';

const READY_WITHIN_MS = 90_000;
const POLL_MS = 50;

/** A user who proves who he is by a bearer token; RBAC alone says what he may. */
export interface TokenUser {
  readonly user: string;
  readonly groups?: readonly string[];
  /** Made up where absent. */
  readonly token?: string;
}

export interface ClusterOptions {
  /** Names the cluster and its administrator's context. */
  readonly name: string;
  /** More users by token, each with the context `<name>-<user>`. There is always `token`, whom nothing is allowed. */
  readonly tokens?: readonly TokenUser[];
  readonly reporter?: Reporter;
}

/** A running cluster. */
export interface TestCluster {
  readonly name: string;
  /** Path of a kubeconfig whose current context is {@link context}. */
  readonly kubeconfig: string;
  readonly kubeconfigText: string;
  /** What {@link writeKubeconfig} needs to put this cluster beside others. */
  readonly access: KubeconfigCluster;
  readonly server: string;
  /** URL of its etcd, to compact its history. */
  readonly etcd: string;
  /** The context of an administrator, by client certificate. */
  readonly context: string;
  /** The context of a user by bearer token without any right of its own. */
  readonly tokenContext: string;
  /** What points kubectl and Helm at this cluster: KUBECONFIG, and a KUBECACHEDIR of its own. */
  readonly env: Readonly<Record<string, string>>;
  /** All that it keeps is in this folder, its logs too. */
  readonly folder: string;
  /** Process ids by program. */
  readonly pids: Readonly<Record<string, number>>;
  /**
   * Runs kubectl as the administrator and resolves with what it printed.
   *
   * @throws Error with kubectl's own words when it fails
   */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** Kills the API server as a crash would, and starts it again on the same port with the same certificates. */
  restartApiServer(): Promise<void>;
  /** Ends it and removes all it kept. */
  stop(): Promise<void>;
}

/**
 * Starts a cluster of real parts: etcd, API server, controller manager, scheduler, and kwok in place of kubelets. It
 * listens on 127.0.0.1 only, and ends with this process, however that ends. Ready means: Deployments roll out, Jobs
 * complete, claims bind.
 *
 * @throws Error when it is not ready within 90 s, with what the program that failed said
 */
export async function startCluster(options: ClusterOptions): Promise<TestCluster> {
  const tools = await ensureTools(CLUSTER_TOOLS, options.reporter);
  return startOnFreePorts(`transship-${options.name}-`, 3, (guarded, ports) => startOn(guarded, ports, tools, options));
}

async function startOn(
  guarded: Guarded,
  [etcd = 0, etcdPeer = 0, apiServer = 0]: readonly number[],
  tools: ControlPlane['tools'],
  { name, tokens = [] }: ClusterOptions,
): Promise<TestCluster> {
  const { folder } = guarded;
  const authority = await createAuthority(folder, `${name}-ca`);
  const [serving, admin, serviceAccount] = await Promise.all([
    authority.sign('apiserver', '/CN=kube-apiserver', 'IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc'),
    authority.sign('admin', '/O=system:masters/CN=admin'),
    newKey(folder, 'service-account'),
  ]);
  const users = [{ user: 'token' }, ...tokens].map(withToken);
  const server = `https://127.0.0.1:${apiServer}`;
  const access: KubeconfigCluster = {
    name,
    server,
    ca: authority.cert,
    contexts: [
      { name, user: { 'client-certificate-data': base64(admin.cert), 'client-key-data': base64(admin.key) } },
      ...users.map(({ user, token }) => ({ name: `${name}-${user}`, user: { token } })),
    ],
  };
  const kubeconfigText = writeKubeconfig([access]);
  const kubeconfig = join(folder, 'kubeconfig');
  const tokenFile = join(folder, 'tokens.csv');
  await writeFile(kubeconfig, kubeconfigText, { mode: 0o600 });
  await writeFile(tokenFile, users.map(tokenLine).join(''), { mode: 0o600 });

  const plane: ControlPlane = {
    tools,
    folder,
    kubeconfig,
    serving,
    ca: authority,
    tokens: tokenFile,
    serviceAccountKey: serviceAccount.keyFile,
    ports: { etcd, etcdPeer, apiServer },
  };
  const api = createApiClient(server, { ca: authority.cert, cert: admin.cert, key: admin.key });
  const until = waiter(guarded);

  await guarded.start('etcd', etcdCommand(plane));
  await guarded.start('kube-apiserver', apiServerCommand(plane));
  await until('the API server is ready', () => answers(api, '/readyz'));
  await guarded.start('kube-controller-manager', controllerManagerCommand(plane));
  await guarded.start('kube-scheduler', schedulerCommand(plane));
  await guarded.start('kwok', kwokCommand(plane));
  await create(api, '/apis/storage.k8s.io/v1/storageclasses', STORAGE_CLASS);
  await create(api, '/api/v1/nodes', nodeObject(name));
  await until('the node is ready', () => isNodeReady(api, name));
  await until('there is a default service account', () =>
    answers(api, '/api/v1/namespaces/default/serviceaccounts/default'),
  );

  // What kubectl and Helm remember of a server is kept by its address, which another cluster may have had.
  const clientEnv = { KUBECONFIG: kubeconfig, KUBECACHEDIR: join(folder, 'client-cache') };
  return {
    name,
    kubeconfig,
    kubeconfigText,
    access,
    server,
    etcd: `http://127.0.0.1:${etcd}`,
    context: name,
    tokenContext: `${name}-token`,
    env: clientEnv,
    folder,
    pids: guarded.pids,
    kubectl: (args, input) => runKubectl(tools.kubectl, args, input, clientEnv),
    async restartApiServer() {
      await guarded.kill('kube-apiserver');
      await guarded.start('kube-apiserver', apiServerCommand(plane));
      await until('the API server is ready again', () => answers(api, '/readyz'));
    },
    async stop() {
      api.close();
      await guarded.end();
    },
  };
}

function withToken({ user, groups = [], token }: TokenUser): Required<TokenUser> {
  return { user, groups, token: token ?? randomBytes(24).toString('base64url') };
}

// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file
function tokenLine({ user, groups, token }: Required<TokenUser>): string {
  return `${token},${user},${user},"${groups.join(',')}"\n`;
}

type Until = (what: string, isTrue: () => Promise<boolean>) => Promise<void>;

function waiter(guarded: Guarded): Until {
  return async (what, isTrue) => {
    const deadline = Date.now() + READY_WITHIN_MS;
    while (!(await isTrue())) {
      await guarded.check();
      if (Date.now() > deadline) throw new Error(`Waited ${READY_WITHIN_MS / 1000} s in vain until ${what}`);
      await sleep(POLL_MS);
    }
  };
}

function answers(api: ApiClient, path: string): Promise<boolean> {
  return api.send('GET', path).then(
    ({ status }) => status === 200,
    () => false,
  );
}

async function create(api: ApiClient, path: string, object: object): Promise<void> {
  const { status, body } = await api.send('POST', path, object);
  if (status !== 201) throw new Error(`POST ${path} answered ${status}: ${JSON.stringify(body)}`);
}

async function isNodeReady(api: ApiClient, cluster: string): Promise<boolean> {
  const { body } = await api.send('GET', `/api/v1/nodes/${cluster}-node`);
  const node = JSON.stringify(body);
  // The taint not-ready is taken off a moment after the condition is true; nothing is scheduled before.
  return /"type":"Ready","status":"True"/.test(node) && !node.includes('node.kubernetes.io/not-ready');
}

function runKubectl(
  program: string,
  args: readonly string[],
  input = '',
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...env } });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`kubectl ${args.join(' ')} ended with status ${code}: ${stderr}`));
    });
    child.stdin.on('error', () => {}); // It may end without having read all of it.
    child.stdin.end(input);
  });
}
