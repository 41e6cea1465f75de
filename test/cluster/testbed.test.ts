import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startCluster, type TestCluster } from './cluster.ts';
import { startOnFreePorts } from './ports.ts';
import { startS3, type TestS3 } from './s3.ts';
import { ensureTools } from './tools.ts';

const WORKLOAD = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: disk }
spec: { accessModes: [ReadWriteMany], volumeMode: Block, resources: { requests: { storage: 1Gi } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      initContainers: [{ name: prepare, image: example.com/prepare }]
      containers: [{ name: web, image: example.com/web }]
      volumes: [{ name: data, persistentVolumeClaim: { claimName: data } }]
---
apiVersion: batch/v1
kind: Job
metadata: { name: migrate }
spec: { template: { spec: { restartPolicy: Never, containers: [{ name: migrate, image: example.com/migrate }] } } }
---
apiVersion: batch/v1
kind: Job
metadata: { name: broken }
spec:
  backoffLimit: 0
  template:
    metadata: { annotations: { test.transship.dev/outcome: fail } }
    spec: { restartPolicy: Never, containers: [{ name: broken, image: example.com/broken }] }
`;

const CHART = {
  'Chart.yaml': 'apiVersion: v2\nname: tiny\nversion: 0.1.0\n',
  'templates/config.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: "{{ .Release.Name }}" }\n',
  'templates/hook.yaml': `
apiVersion: batch/v1
kind: Job
metadata:
  name: "{{ .Release.Name }}-hook"
  annotations: { helm.sh/hook: pre-install }
spec: { template: { spec: { restartPolicy: Never, containers: [{ name: hook, image: example.com/hook }] } } }
`,
};

describe('a cluster of the test bed', () => {
  let cluster: TestCluster;
  let readyAfterMs = 0;

  beforeAll(async () => {
    await ensureTools(['helm4', 'helm3', 'kubectl', 'kube-apiserver', 'etcd']); // Building is not starting.
    const since = Date.now();
    cluster = await startCluster({ name: 'bed', tokens: [{ user: 'ops', groups: ['system:masters'] }] });
    readyAfterMs = Date.now() - since;
    process.stderr.write(`A cluster was ready after ${readyAfterMs} ms\n`);
  }, 1_800_000);

  afterAll(async () => {
    await cluster?.stop();
  });

  it('is ready soon', () => {
    expect(readyAfterMs).toBeLessThan(30_000);
  });

  it('says its own version, which charts compare', async () => {
    const version = JSON.parse(await cluster.kubectl(['get', '--raw', '/version']));
    expect(version).toMatchObject({ major: '1', minor: expect.stringMatching(/^\d+$/) });
    expect(version.gitVersion).toMatch(/^v1\.\d+\.\d+$/);
  });

  it('rolls out Deployments, completes and fails Jobs, and binds claims', async () => {
    await cluster.kubectl(['create', 'namespace', 'work']);
    await cluster.kubectl(['apply', '-n', 'work', '-f', '-'], WORKLOAD);
    await cluster.kubectl(['rollout', 'status', '-n', 'work', 'deployment/web', '--timeout=60s']);
    await cluster.kubectl(['wait', '-n', 'work', '--for=condition=complete', 'job/migrate', '--timeout=60s']);
    await cluster.kubectl(['wait', '-n', 'work', '--for=condition=failed', 'job/broken', '--timeout=60s']);
    const bound = ['--for=jsonpath={.status.phase}=Bound', 'pvc/data', 'pvc/disk', '--timeout=60s'];
    await cluster.kubectl(['wait', '-n', 'work', ...bound]);

    await cluster.kubectl(['delete', '-n', 'work', '-f', '-', '--timeout=60s'], WORKLOAD);
    await cluster.kubectl(['wait', '--for=delete', 'pv', '--all', '--timeout=60s']);
    await expect.poll(() => cluster.kubectl(['get', 'pods', '-A', '-o', 'name']), { timeout: 60_000 }).toBe('');
  });

  it('refuses a token user what no binding grants, and allows it once one does', async () => {
    const asUser = (...args: string[]): Promise<string> =>
      cluster.kubectl(['--context', cluster.tokenContext, ...args]);
    await expect(asUser('get', 'configmaps')).rejects.toThrow(/User "token" cannot list resource "configmaps"/);
    await cluster.kubectl(['create', 'rolebinding', 'look', '--clusterrole=view', '--user=token']);
    expect(await asUser('get', 'configmaps', '-o', 'name')).toContain('kube-root-ca.crt');
    await expect(asUser('get', 'secrets')).rejects.toThrow(/Forbidden/);
  });

  it('puts a token user into the groups that were asked for', async () => {
    expect(await cluster.kubectl(['--context', 'bed-ops', 'auth', 'can-i', '*', '*', '-A'])).toContain('yes');
  });

  it('serves a certificate of the authority in its kubeconfig, and of no other', async () => {
    expect(cluster.kubeconfigText).toContain('certificate-authority-data');
    expect(cluster.kubeconfigText).not.toContain('insecure');
    await expect(fetch(`${cluster.server}/version`)).rejects.toMatchObject({
      cause: { code: expect.stringMatching(/CERT|SIGNATURE/) },
    });
  });

  it('keeps its objects when the API server is killed and comes back', async () => {
    await cluster.kubectl(['create', 'configmap', 'kept']);
    const before = cluster.pids['kube-apiserver'];
    await cluster.restartApiServer();
    expect(cluster.pids['kube-apiserver']).not.toBe(before);
    expect(await cluster.kubectl(['get', 'configmap', 'kept', '-o', 'name'])).toBe('configmap/kept\n');
  });

  it.each(['helm4', 'helm3'] as const)('lets %s install and uninstall a chart with a hook', async (name) => {
    const folder = await mkdtemp(join(tmpdir(), 'transship-chart-'));
    try {
      await mkdir(join(folder, 'templates'));
      for (const [path, text] of Object.entries(CHART)) await writeFile(join(folder, path), text);
      const tools = await ensureTools([name]);
      const env = { ...process.env, ...cluster.env, HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder };
      const helm = async (...args: string[]): Promise<string> =>
        (await promisify(execFile)(tools[name], args, { env })).stdout;
      const wait = ['--wait', '--timeout', '60s'];
      expect(await helm('version', '--short')).toMatch(name === 'helm4' ? /^v4\.\d+\.\d+/ : /^v3\.\d+\.\d+/);
      expect(await helm('install', name, folder, ...wait)).toContain('STATUS: deployed');
      expect(await cluster.kubectl(['get', `job/${name}-hook`, '-o', 'jsonpath={.status.succeeded}'])).toBe('1');
      await helm('uninstall', name, ...wait);
      await expect(cluster.kubectl(['get', 'configmap', name])).rejects.toThrow(/NotFound/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('listens on 127.0.0.1 alone', async () => {
    const { port } = new URL(cluster.server);
    // The whole of 127.0.0.0/8 is this machine on Linux; a server on every address would answer here too.
    await expect(dial(Number(port), '127.0.0.2')).rejects.toThrow();
    await expect(dial(Number(port), '127.0.0.1')).resolves.toBeUndefined();
  });
});

describe('the S3 server of the test bed', () => {
  let s3: TestS3;

  beforeAll(async () => {
    s3 = await startS3();
  }, 1_800_000);

  afterAll(async () => {
    await s3?.stop();
  });

  it('keeps an object, gives it back, and refuses to overwrite it under a condition', async () => {
    const { GetObjectCommand, PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3');
    const client = new S3Client({
      endpoint: s3.endpoint,
      region: s3.region,
      credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
      forcePathStyle: true,
    });
    const object = { Bucket: s3.bucket, Key: 'a/b' };
    await client.send(new PutObjectCommand({ ...object, Body: 'first', IfNoneMatch: '*' }));
    await expect(
      client.send(new PutObjectCommand({ ...object, Body: 'second', IfNoneMatch: '*' })),
    ).rejects.toMatchObject({ name: 'PreconditionFailed' });
    const { Body } = await client.send(new GetObjectCommand(object));
    expect(await Body?.transformToString()).toBe('first');
    client.destroy();
  });
});

describe('a server whose port was taken before it could have it', () => {
  it('starts again on another one', async () => {
    const { etcd } = await ensureTools(['etcd']);
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    const takenPort = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const offers = [[takenPort], [0]];
    const folders: string[] = [];
    const used = await startOnFreePorts(
      'transship-clash-',
      1,
      async (guarded, [port]) => {
        folders.push(guarded.folder);
        await guarded.start('etcd', [etcd, '--data-dir=data', `--listen-peer-urls=http://127.0.0.1:${port}`]);
        const neverStarts = async (): Promise<false> => guarded.check().then(() => false);
        if (port === takenPort) await vi.waitUntil(neverStarts, { timeout: 20_000 });
        await guarded.end();
        return port;
      },
      async () => offers.shift() ?? [],
    );
    taken.close();
    expect(used).toBe(0);
    expect(folders).toHaveLength(2);
    expect(folders.filter((folder) => existsSync(folder))).toEqual([]);
  });
});

describe('when the process that started them is killed', () => {
  it('ends every server and removes every folder', async () => {
    const script = new URL('children/start-and-wait.ts', import.meta.url);
    const owner = fork(script, { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const [started] = await once(owner, 'message');
    const { pids, folders } = started as { pids: number[]; folders: string[] };
    expect(pids).toHaveLength(6);
    expect(pids.filter(isRunning)).toEqual(pids);
    expect(folders.every(existsSync)).toBe(true);

    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await expect.poll(() => pids.filter(isRunning), { timeout: 20_000 }).toEqual([]);
    await expect.poll(() => folders.filter((folder) => existsSync(folder)), { timeout: 20_000 }).toEqual([]);
  });
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function dial(port: number, host: string): Promise<void> {
  const socket = connect({ port, host });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(2000) });
  } finally {
    socket.destroy();
  }
}
