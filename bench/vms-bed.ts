import { type ChildProcess, fork } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createAuthority } from '../test/cluster/certificates.ts';
import type { HttpRequest } from '../test/kubevirt/answers.ts';
import { blankDisk } from '../test/kubevirt/disks.ts';
import { administratorOf } from '../test/kubevirt/install.ts';
import { type Kube, openKube } from '../test/kubevirt/kube.ts';
import { type Kubevirt, startKubevirt } from '../test/kubevirt/kubevirt.ts';
import { claimObject, machineObject } from '../test/kubevirt/machine-objects.ts';
import { ANNOTATIONS, PATHS, pathIn, text } from '../test/kubevirt/objects.ts';
import type { Bed } from './bed.ts';
import {
  MIXED_BYTES,
  SIDE_BY_SIDE_BYTES,
  SPARSE_BYTES,
  SPARSE_PLACES,
  writeMixedDisk,
  writeSparseData,
} from './vms-disk.ts';
import type { ServedDisk, ServerCounts, ServerMessage, ServerOrder } from './vms-protocol.ts';

export const NAMESPACE = 'shop';
/** Machines that are off, each with a disk of that name. */
export const MIXED = 'mixed';
export const SPARSE = 'sparse';
export const SIDE_BY_SIDE = ['part-1', 'part-2', 'part-3', 'part-4'] as const;
const TOKEN = 'Abcdefgh01234567Abcdefgh01234567';

/** A cluster with KubeVirt and CDI, whose disks come from a server that costs little, and go there. */
export interface VmBed {
  readonly env: Readonly<Record<string, string>>;
  /** For files that are large; removed with the bed. */
  readonly folder: string;
  /** What the disk of {@link MIXED} holds. */
  readonly mixedFile: string;
  readonly mixedDigest: string;
  note(message: string): void;
  /** The curl command that reads a disk to its standard output. */
  readCommand(claim: string): string;
  /** The curl command that uploads its standard input. */
  uploadCommand: string;
  /** What the server sent and received since this was asked for the last time. */
  count(): Promise<ServerCounts>;
  order(order: Exclude<ServerOrder, { count: true } | { start: unknown }>): Promise<void>;
}

export async function withVmBed<T>(bed: Bed, use: (vms: VmBed) => Promise<T>): Promise<T> {
  const folder = join(bed.folder, 'vms');
  await mkdir(folder);
  const mixedFile = join(folder, 'mixed.img');
  const sparseFile = join(folder, 'sparse.data');
  bed.note('Writing the disks');
  const [mixedDigest] = await Promise.all([writeMixedDisk(mixedFile), writeSparseData(sparseFile)]);
  const disks: ServedDisk[] = [
    { claim: MIXED, size: MIXED_BYTES, file: mixedFile },
    { claim: SPARSE, size: SPARSE_BYTES, file: sparseFile, places: SPARSE_PLACES },
    ...SIDE_BY_SIDE.map((claim) => ({ claim, size: SIDE_BY_SIDE_BYTES, file: mixedFile })),
  ];
  const authority = await createAuthority(folder, 'vms-bench');
  const { cert, key } = await authority.sign('server', '/CN=vms-bench', 'IP:127.0.0.1');
  const server = startServer();
  try {
    const started = await server.ask({ start: { cert, key, disks } });
    const host = `127.0.0.1:${'port' in started ? started.port : 0}`;
    const curl = `curl -sS --fail --cacert '${authority.certFile}'`;
    return await bed.withCluster('vms', async (cluster) => {
      const kubevirt = await startKubevirt(cluster, {
        keepUploads: false,
        externalLinks: { host, cert: authority.cert.trim() },
      });
      const kube = openKube(cluster.server, administratorOf(cluster));
      try {
        const status = { uploadProxyURL: `https://${host}`, uploadProxyCA: authority.cert };
        await kube.patch(`${PATHS.cdiConfigs}/config`, { status });
        server.onUpload((token) => passOn(kubevirt, token));
        await createMachines(kube, kubevirt, disks);
        return await use({
          env: bed.env(cluster),
          folder,
          mixedFile,
          mixedDigest,
          note: bed.note,
          readCommand: (claim) =>
            `${curl} -H 'x-kubevirt-export-token: ${TOKEN}' https://${host}/volumes/${claim}/disk.img`,
          uploadCommand: `${curl} -X POST -T - -H 'Authorization: Bearer none' -H 'Expect:' https://${host}/v1beta1/upload-async`,
          async count() {
            const answer = await server.ask({ count: true });
            if (!('counts' in answer)) throw new Error('The server did not count.');
            return answer.counts;
          },
          async order(order) {
            await server.ask(order);
          },
        });
      } finally {
        kube.close();
        await kubevirt.stop();
      }
    });
  } finally {
    server.stop();
  }
}

interface Server {
  ask(order: ServerOrder): Promise<ServerMessage>;
  onUpload(tell: (token: string) => void): void;
  stop(): void;
}

function startServer(): Server {
  const child: ChildProcess = fork(fileURLToPath(new URL('vms-server.ts', import.meta.url)));
  let uploaded: (token: string) => void = () => undefined;
  let answered: ((message: ServerMessage) => void) | undefined;
  let failed: ((error: Error) => void) | undefined;
  child.on('message', (message: ServerMessage) => {
    if ('uploaded' in message) uploaded(message.uploaded.token);
    else answered?.(message);
  });
  child.on('exit', () => failed?.(new Error('The server of the disks has ended.')));
  return {
    ask: (order) =>
      new Promise((resolve, reject) => {
        [answered, failed] = [resolve, reject];
        child.send(order);
      }),
    onUpload(tell) {
      uploaded = tell;
    },
    // It ends with its channel.
    stop: () => child.disconnect(),
  };
}

/** Tells the stand-in for CDI that the upload of a token is whole: it gets a few bytes in place of the disk. */
function passOn(kubevirt: Kubevirt, token: string): void {
  const [, payload = ''] = token.split('.');
  // What a raw pipeline uploads is for no claim.
  if (payload === '') return;
  const { namespace, name } = Object(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
  const request: HttpRequest = {
    method: 'POST',
    path: '/v1beta1/upload-async',
    query: new URLSearchParams(),
    headers: {},
    body: some(Buffer.alloc(1024)),
    fault: undefined,
    signal: new AbortController().signal,
  };
  void kubevirt.uploadServer(namespace, name)?.handle('async', request);
}

async function* some(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function createMachines(kube: Kube, kubevirt: Kubevirt, disks: readonly ServedDisk[]): Promise<void> {
  await kube.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  const annotations = { [ANNOTATIONS.contentType]: 'kubevirt' };
  for (const { claim, size } of disks) {
    kubevirt.volumes.set(NAMESPACE, claim, { disk: blankDisk(size) });
    await kube.create(pathIn(PATHS.claims, NAMESPACE), claimObject(NAMESPACE, claim, size, { annotations }));
    const machine = machineObject({ namespace: NAMESPACE, name: claim, disks: [{ name: 'root', claim }] });
    await kube.create(pathIn(PATHS.machines, NAMESPACE), machine);
  }
  for (const { claim } of disks) {
    while (text(await kube.get(pathIn(PATHS.claims, NAMESPACE, claim)), 'status', 'phase') !== 'Bound') await delay(50);
  }
}
