import { once } from 'node:events';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { ask, type Question, type Reply } from '../kubevirt/ask.ts';
import { bytesOf, gptDisk, MIB, mixedDisk, sparseDisk } from '../kubevirt/disks.ts';
import { administratorOf } from '../kubevirt/install.ts';
import { type Kube, openKube } from '../kubevirt/kube.ts';
import { type Kubevirt, startKubevirt } from '../kubevirt/kubevirt.ts';
import { claimObject, dataVolumeObject, exportObject, machineObject } from '../kubevirt/machine-objects.ts';
import { field, maps, PATHS, pathIn, text } from '../kubevirt/objects.ts';
import { startCluster, type TestCluster } from './cluster.ts';

const EXPORTS = '/apis/export.kubevirt.io/v1/virtualmachineexports';
const TOKENS = '/apis/upload.cdi.kubevirt.io/v1beta1/uploadtokenrequests';
const ROOT = mixedDisk(3 * MIB + 512);
const DATA = gptDisk(4 * MIB);
const AUTH = { 'x-kubevirt-export-token': 'a-token' };

let cluster: TestCluster;
let kube: Kube;
let kubevirt: Kubevirt;

beforeAll(async () => {
  cluster = await startCluster({ name: 'vms' });
  kube = openKube(cluster.server, administratorOf(cluster));
  kubevirt = await startKubevirt(cluster, { portForward: true, readyWait: 200 });
});

afterAll(async () => {
  await kubevirt?.stop();
  kube?.close();
  await cluster?.stop();
});

const until = (path: string, isSo: (object: KubeObject) => boolean): Promise<KubeObject> =>
  vi.waitFor(
    async () => {
      const object = await kube.get(path);
      if (object === undefined || !isSo(object)) {
        throw new Error(`Waited in vain for ${path}: ${JSON.stringify(object?.status)} ${kubevirt.problems.join()}`);
      }
      return object;
    },
    { timeout: 20_000, interval: 30 },
  );
const phase = (wanted: string) => (object: KubeObject) => text(object, 'status', 'phase') === wanted;
const isReason = (reason: string) => (object: KubeObject) =>
  maps(object, 'status', 'conditions').some((one) => one.type === 'Ready' && one.reason === reason);

/** A namespace with a token and a machine on two disks. */
async function createMachine(namespace: string, runStrategy?: 'Manual'): Promise<void> {
  kubevirt.volumes.set(namespace, 'root', { disk: ROOT });
  kubevirt.volumes.set(namespace, 'data', { disk: DATA });
  await kube.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const annotations = { 'cdi.kubevirt.io/storage.contentType': 'kubevirt' };
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'token' }, stringData: { token: 'a-token' } };
  const disks = [
    { name: 'root-disk', template: { name: 'root', source: { blank: {} }, size: ROOT.size } },
    { name: 'data-disk', claim: 'data' },
  ];
  await Promise.all([
    kube.create(pathIn(PATHS.secrets, namespace), secret),
    kube.create(pathIn(PATHS.claims, namespace), claimObject(namespace, 'data', DATA.size, { annotations })),
    kube.create(
      pathIn(PATHS.machines, namespace),
      machineObject({ namespace, name: 'vm', disks, ...(runStrategy === undefined ? {} : { runStrategy }) }),
    ),
  ]);
}

function linksOf(vmExport: KubeObject, kind: 'internal' | 'external'): { cert: string; urls: Record<string, string> } {
  const volumes = maps(vmExport, 'status', 'links', kind, 'volumes');
  const urls = volumes.flatMap((volume) =>
    maps(volume, 'formats').map(
      ({ format, url }) => [`${String(volume.name)} ${String(format)}`, String(url)] as const,
    ),
  );
  return { cert: text(vmExport, 'status', 'links', kind, 'cert') ?? '', urls: Object.fromEntries(urls) };
}

async function createExport(
  namespace: string,
  name: string,
  kind: 'VirtualMachine' | 'VirtualMachineSnapshot',
  source: string,
) {
  const object = exportObject('v1', namespace, name, { kind, name: source }, { tokenSecretRef: 'token' });
  await kube.create(pathIn(EXPORTS, namespace), object);
  return pathIn(EXPORTS, namespace, name);
}

test('an export becomes ready, serves disks through its links, and is gone when it is deleted', async () => {
  await createMachine('export');
  const path = await createExport('export', 'out', 'VirtualMachine', 'vm');
  const ready = await until(path, phase('Ready'));
  const { cert, urls } = linksOf(ready, 'external');
  expect(Object.keys(urls)).toEqual(['root raw', 'root gzip', 'data raw', 'data gzip']);
  const disk = await ask(urls['root raw'] ?? '', { ca: cert, headers: AUTH });
  expect([disk.status, Buffer.compare(disk.body, bytesOf(ROOT))]).toEqual([200, 0]);
  const last = { ca: cert, headers: { ...AUTH, range: `bytes=${DATA.size - 8}-` } };
  expect((await ask(urls['data raw'] ?? '', last)).headers['content-range']).toBe(`bytes 4194296-4194303/${DATA.size}`);
  expect(await ask(urls['data raw'] ?? '', { ca: cert })).toMatchObject({ status: 401 });

  const inside = linksOf(ready, 'internal');
  expect(inside.urls['root raw']).toBe('https://virt-export-out.export.svc/volumes/root/disk.img');
  expect(inside.cert).not.toBe(cert);
  expect(ready.status).toMatchObject({
    serviceName: 'virt-export-out',
    tokenSecretRef: 'token',
    virtualMachineName: 'vm',
  });

  const through = { ca: inside.cert, port: kubevirt.exporter('export', 'out')?.server.port ?? 0, headers: AUTH };
  expect(await ask(inside.urls['data raw'] ?? '', { ...through, method: 'HEAD' })).toMatchObject({ status: 200 });

  // Another pod has another certificate, here of another authority too.
  const before = kubevirt.exporter('export', 'out');
  await kubevirt.rotateAuthority('exporters');
  const again = await until(
    path,
    (object) => phase('Ready')(object) && linksOf(object, 'internal').cert !== inside.cert,
  );
  expect(kubevirt.exporter('export', 'out')?.uid).not.toBe(before?.uid);
  expect(await ask(urls['root raw'] ?? '', { ca: cert, method: 'HEAD', headers: AUTH })).toMatchObject({ status: 200 });
  expect(linksOf(again, 'external')).toEqual({ cert, urls });

  await kube.delete(path);
  await vi.waitFor(() => expect(kubevirt.exporter('export', 'out')).toBeUndefined(), { timeout: 10_000 });
  expect(await ask(urls['root raw'] ?? '', { ca: cert, headers: AUTH })).toMatchObject({ status: 404 });
  expect(kubevirt.problems).toEqual([]);
});

test('a machine that runs keeps its export pending; its snapshot can be exported', async () => {
  await createMachine('running', 'Manual');
  await until(pathIn(PATHS.dataVolumes, 'running', 'root'), phase('Succeeded'));
  const subresource = '/apis/subresources.kubevirt.io/v1/namespaces/running/virtualmachines/vm';
  await cluster.kubectl(['replace', '--raw', `${subresource}/start`, '-f', '-'], '{}');
  const vmi = await until(pathIn(PATHS.instances, 'running', 'vm'), phase('Running'));
  expect(maps(vmi, 'status', 'interfaces')[0]?.mac).toMatch(/^02(:[0-9a-f]{2}){5}$/);
  expect(text(vmi, 'spec', 'domain', 'firmware', 'uuid')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5/);

  const path = await createExport('running', 'out', 'VirtualMachine', 'vm');
  const pending = await until(path, isReason('InUse'));
  expect(pending.status).toMatchObject({ phase: 'Pending' });

  const snapshot = {
    apiVersion: 'snapshot.kubevirt.io/v1beta1',
    kind: 'VirtualMachineSnapshot',
    metadata: { name: 'snap' },
    spec: { source: { apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name: 'vm' } },
  };
  await kube.create(pathIn(PATHS.snapshots, 'running'), snapshot);
  const taken = await until(
    pathIn(PATHS.snapshots, 'running', 'snap'),
    (object) => field(object, 'status', 'readyToUse') === true,
  );
  const content = text(taken, 'status', 'virtualMachineSnapshotContentName') ?? '';
  const kept = await kube.get(pathIn(PATHS.contents, 'running', content));
  expect(maps(kept, 'spec', 'volumeBackups').map(({ volumeName }) => volumeName)).toEqual(['root-disk', 'data-disk']);
  // What is written after the snapshot is not in it.
  kubevirt.volumes.set('running', 'data', { disk: sparseDisk(DATA.size) });
  const ofSnapshot = await createExport('running', 'snap-out', 'VirtualMachineSnapshot', 'snap');
  const { cert, urls } = linksOf(await until(ofSnapshot, phase('Ready')), 'external');
  expect(urls['data raw']).toMatch(/snap-out\/volumes\/snap-out-data\/disk\.img$/);
  const disk = await ask(urls['data raw'] ?? '', { ca: cert, headers: AUTH });
  expect(Buffer.compare(disk.body, bytesOf(DATA))).toBe(0);

  await cluster.kubectl(['replace', '--raw', `${subresource}/stop`, '-f', '-'], '{}');
  await until(path, phase('Ready'));
  await kube.delete(pathIn(PATHS.snapshots, 'running', 'snap'));
  await vi.waitFor(
    async () => expect(await kube.get(pathIn(PATHS.contents, 'running', content))).toBeUndefined(),
    20_000,
  );
  expect(kubevirt.problems).toEqual([]);
});

test('an upload needs a token of the API server, and makes a DataVolume succeed', async () => {
  const namespace = 'upload';
  await kube.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await kube.create(
    pathIn(PATHS.dataVolumes, namespace),
    dataVolumeObject(namespace, 'disk', ROOT.size, { upload: {} }, { volumeMode: 'Block' }),
  );
  const path = pathIn(PATHS.dataVolumes, namespace, 'disk');
  await until(path, phase('UploadReady'));
  const asked = {
    apiVersion: 'upload.cdi.kubevirt.io/v1beta1',
    kind: 'UploadTokenRequest',
    metadata: { name: 'disk' },
    spec: { pvcName: 'disk' },
  };
  const token = text(await kube.create(pathIn(TOKENS, namespace), asked), 'status', 'token');
  const post = (question: Partial<Question>): Promise<Reply> =>
    ask(`${kubevirt.uploadProxy.url}/v1beta1/upload`, {
      method: 'POST',
      ca: kubevirt.proxyCa(),
      headers: { authorization: `Bearer ${token}` },
      ...question,
    });
  expect(await post({ headers: {} })).toMatchObject({ status: 400 });
  kubevirt.uploadProxy.faults.add({ fault: { kind: 'reset', after: MIB } });
  expect(await post({ body: bytesOf(ROOT) })).toMatchObject({ status: 0 });
  expect(await post({ body: bytesOf(ROOT) })).toMatchObject({ status: 200 });
  await until(path, phase('Succeeded'));
  expect(kubevirt.received(namespace, 'disk')?.sha256()).toBe(ROOT.sha256());
  const claim = await kube.get(pathIn(PATHS.claims, namespace, 'disk'));
  expect(claim?.metadata.annotations).toMatchObject({
    'cdi.kubevirt.io/storage.pod.phase': 'Succeeded',
    'cdi.kubevirt.io/storage.pod.ready': 'false',
  });
  expect(await post({ body: bytesOf(ROOT) })).toMatchObject({ status: 503 });
  expect(kubevirt.problems).toEqual([]);
});

test('a DataVolume with an http source downloads from an export, through interruptions', async () => {
  await createMachine('clone');
  const ready = await until(await createExport('clone', 'out', 'VirtualMachine', 'vm'), phase('Ready'));
  const { cert, urls } = linksOf(ready, 'external');
  kubevirt.exportProxy.faults.add({ path: '/data/', fault: { kind: 'close', after: MIB } });
  onTestFinished(() => kubevirt.exportProxy.faults.clear());
  const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ca' }, data: { 'ca.pem': cert } };
  const header = { token: 'x-kubevirt-export-token:a-token' };
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'header' }, stringData: header };
  const http = { url: urls['data raw'], certConfigMap: 'ca', secretExtraHeaders: ['header'] };
  await kube.create(pathIn(PATHS.dataVolumes, 'clone'), dataVolumeObject('clone', 'copy', DATA.size, { http }));
  await kube.create(pathIn('/api/v1/configmaps', 'clone'), configMap);
  await kube.create(pathIn(PATHS.secrets, 'clone'), secret);
  const done = await until(pathIn(PATHS.dataVolumes, 'clone', 'copy'), phase('Succeeded'));
  expect(kubevirt.received('clone', 'copy')?.sha256()).toBe(DATA.sha256());
  expect(Number(field(done, 'status', 'restartCount'))).toBeGreaterThan(0);
  expect(kubevirt.problems).toEqual([]);
});

test('the port of an exporter pod can be forwarded through the API server', async () => {
  await createMachine('forward');
  await until(await createExport('forward', 'out', 'VirtualMachine', 'vm'), phase('Ready'));
  const { ca, cert, key } = administratorOf(cluster);
  const { Agent, WebSocket } = await import('undici');
  const dispatcher = new Agent({ connect: { ca, cert, key } });
  onTestFinished(() => dispatcher.close());
  const url = `${cluster.server.replace('https', 'wss')}/api/v1/namespaces/forward/pods/virt-export-out/portforward?ports=8443`;
  const socket = new WebSocket(url, { protocols: ['v4.channel.k8s.io'], dispatcher });
  socket.binaryType = 'arraybuffer';
  const [first] = await once(socket, 'message');
  expect(Buffer.from(first.data)).toEqual(Buffer.from([0, 0xfb, 0x20]));
  // A TLS server: it takes a bad greeting for an alert.
  socket.send(Buffer.from('\0no greeting at all'));
  await once(socket, 'close');
  expect(kubevirt.node?.opened()).toBe(1);
});
