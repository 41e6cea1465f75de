import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Api, at } from './api.ts';
import type { RunningCluster } from './bed.ts';
import { asList, asMap } from './live-object.ts';

const root = resolve(import.meta.dirname, '../..');

/** Where the image has what the checkout has elsewhere. */
const IMAGE: Readonly<Record<string, string>> = {
  '/nodejs/bin/node': join(root, 'node_modules/.bin/node'),
  '/app/dist/index.js': join(root, 'dist/index.js'),
};

/** The container of a pod that no kubelet runs, as a process. */
export interface PodProcess {
  /** Of its port, as the probes and Prometheus see it. */
  readonly url: string;
  /** What it has written to standard error so far. */
  log(): string;
  /** Resolves with its exit status. */
  readonly ended: Promise<number | null>;
  /** Ends it as the kubelet does. */
  stop(): Promise<number | null>;
  /** Its node is lost. */
  kill(): void;
}

export interface PodOptions {
  readonly cluster: RunningCluster;
  readonly api: Api;
  readonly namespace: string;
  /** The template of its pod, as the API server has it. */
  readonly template: unknown;
  /** An empty folder for its volumes. */
  readonly folder: string;
}

/**
 * Starts what a pod's only container would run: the image's entrypoint with the container's arguments, in its
 * environment and no other, with a token of its service account that the API server issued.
 */
export async function startPod({ cluster, api, namespace, template, folder }: PodOptions): Promise<PodProcess> {
  const spec = at(template, 'spec');
  const container = at(spec, 'containers', 0);
  const account = await writeAccount();
  const volumes = await makeVolumes();
  const port = await freePort();
  const args = asList(at(container, 'args')).map((arg) => {
    if (typeof arg !== 'string') throw new Error(`${JSON.stringify(arg)} is no argument`);
    // Each pod has a network of its own.
    return arg.replace(/^--listen=:8080$/, `--listen=127.0.0.1:${port}`);
  });
  const env = { ...(await imageEnvironment()), ...kubeletEnvironment(), ...(await containerEnvironment()) };
  const [program = '', ...first] = await entrypoint();
  const child = spawn(program, [...first, ...args], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...env,
      NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'pod-files.ts'))}`,
      POD_SERVICE_ACCOUNT: account,
    },
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    log += text;
  });
  const ended = once(child, 'close').then(([code]) => (typeof code === 'number' ? code : null));
  return {
    url: `http://127.0.0.1:${port}`,
    log: () => log,
    ended,
    stop() {
      child.kill('SIGTERM');
      return ended;
    },
    kill() {
      child.kill('SIGKILL');
    },
  };

  /** The environment that distroless images have. */
  async function imageEnvironment(): Promise<Record<string, string>> {
    const home = join(folder, 'home');
    await mkdir(home);
    return { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: home };
  }

  function kubeletEnvironment(): Record<string, string> {
    const { hostname: host, port: apiPort } = new URL(cluster.server);
    return { HOSTNAME: 'a-pod', KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: apiPort };
  }

  async function containerEnvironment(): Promise<Record<string, string>> {
    const variables: Record<string, string> = {};
    for (const source of asList(at(container, 'envFrom'))) {
      const { data } = await api.get(`/api/v1/namespaces/${namespace}/secrets/${at(source, 'secretRef', 'name')}`);
      for (const [name, value] of Object.entries(asMap(data) ?? {})) {
        variables[name] = Buffer.from(String(value), 'base64').toString('utf8');
      }
    }
    for (const variable of asList(at(container, 'env'))) {
      const value = at(variable, 'value');
      if (typeof value !== 'string') throw new Error(`Nothing here resolves ${JSON.stringify(variable)}`);
      variables[String(at(variable, 'name'))] = volumes.get(value) ?? value;
    }
    return variables;
  }

  /** A folder for each volume, by where the container has it. */
  async function makeVolumes(): Promise<ReadonlyMap<string, string>> {
    const places = new Map<string, string>();
    for (const mount of asList(at(container, 'volumeMounts'))) {
      const place = join(folder, `volume-${at(mount, 'name')}`);
      await mkdir(place);
      places.set(String(at(mount, 'mountPath')), place);
    }
    return places;
  }

  async function writeAccount(): Promise<string> {
    const files = { token: await issueToken(api, namespace, String(at(spec, 'serviceAccountName'))), namespace };
    const place = join(folder, 'service-account');
    await mkdir(place);
    for (const [name, text] of Object.entries({ ...files, 'ca.crt': cluster.access.ca })) {
      await writeFile(join(place, name), text, { mode: 0o600 });
    }
    return place;
  }
}

/** A token of a service account, as the kubelet asks for it. */
export async function issueToken(api: Api, namespace: string, name: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const { status, body } = await api.send('POST', path, { spec: { expirationSeconds: 3607 } });
  const token = at(body, 'status', 'token');
  if (typeof token !== 'string') throw new Error(`${path} answered ${status}: ${JSON.stringify(body)}`);
  return token;
}

async function entrypoint(): Promise<string[]> {
  const [, words] = /^ENTRYPOINT (\[.*\])$/m.exec(await readFile(join(root, 'Dockerfile'), 'utf8')) ?? [];
  return asList(JSON.parse(words ?? '[]')).map((word) => {
    const place = IMAGE[String(word)];
    if (place === undefined) throw new Error(`The image's entrypoint has ${word}, which is nowhere in the checkout`);
    return place;
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('A TCP server without a port');
  return address.port;
}
