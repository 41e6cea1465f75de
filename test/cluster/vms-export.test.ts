import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { parse } from 'yaml';
import { type Cluster, ClusterError, type KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { type Discovery, discover } from '../../src/cluster/discovery.ts';
import { chooseVms, type VmChoice } from '../../src/vms/choose-vms.ts';
import { type CollectedVms, type CollectVmsOptions, collectVms } from '../../src/vms/collect.ts';
import { checkTargets } from '../../src/vms/collect-check.ts';
import { RUNS_ANNOTATION } from '../../src/vms/stop-vm.ts';
import { RUN_LABEL } from '../../src/vms/temporary-objects.ts';
import { bytesOf, type Disk, gptDisk, incompressibleDisk, MIB, mixedDisk, sparseDisk } from '../kubevirt/disks.ts';
import { cutAt } from '../kubevirt/faults.ts';
import { administratorOf, refuseExports } from '../kubevirt/install.ts';
import { type Kube, openKube } from '../kubevirt/kube.ts';
import { type Kubevirt, startKubevirt } from '../kubevirt/kubevirt.ts';
import { claimObject, type MachineFacts, machineObject } from '../kubevirt/machine-objects.ts';
import { PATHS, pathIn, text } from '../kubevirt/objects.ts';
import { openPartFolder, type PartFolderOptions } from '../kubevirt/part-folder.ts';
import { writeFolder } from '../kubevirt/volumes.ts';
import { listeningReporter } from '../unit/vms/fake-kubevirt.ts';
import { startCluster, type TestCluster } from './cluster.ts';

const EXPORTS = '/apis/export.kubevirt.io/v1/virtualmachineexports';
const ROOT = mixedDisk(9 * MIB + 512);
const DATA = gptDisk(4 * MIB);
const DISK_CLAIM = { annotations: { 'cdi.kubevirt.io/storage.contentType': 'kubevirt' } };

let bed: TestCluster;
let cluster: Cluster;
let discovery: Discovery;
let kube: Kube;
let kubevirt: Kubevirt;
let count = 0;
/** Each test has its own. */
let namespace = '';
let folder = '';

beforeAll(async () => {
  bed = await startCluster({ name: 'vms' });
  kube = openKube(bed.server, administratorOf(bed));
  kubevirt = await startKubevirt(bed, { portForward: true });
  cluster = await openCluster({ kubeconfig: bed.kubeconfigText, env: {} });
  discovery = await discover(cluster);
});

afterAll(async () => {
  await cluster?.close();
  await kubevirt?.stop();
  kube?.close();
  await bed?.stop();
});

beforeEach(async () => {
  count += 1;
  namespace = `shop-${count}`;
  folder = mkdtempSync(join(tmpdir(), 'transship-vms-'));
  await kube.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  return () => {
    kubevirt.exportProxy.faults.clear();
    rmSync(folder, { recursive: true, force: true });
    expect(kubevirt.problems).toEqual([]);
  };
});

/** A machine on one disk of its own and one of a claim. */
async function createMachine(name: string, facts: Partial<MachineFacts> = {}, disk: Disk = ROOT): Promise<void> {
  const [root, data] = [`${name}-root`, `${name}-data`];
  kubevirt.volumes.set(namespace, root, { disk });
  kubevirt.volumes.set(namespace, data, { disk: DATA });
  await kube.create(pathIn(PATHS.claims, namespace), claimObject(namespace, data, DATA.size, DISK_CLAIM));
  const disks = [
    { name: 'root-disk', template: { name: root, source: { blank: {} }, size: disk.size, volumeMode: 'Block' } },
    { name: 'data-disk', claim: data },
  ] as const;
  await kube.create(pathIn(PATHS.machines, namespace), machineObject({ namespace, name, disks, ...facts }));
  const isFilled = (object: KubeObject | undefined) => text(object, 'status', 'phase') === 'Succeeded';
  await until(pathIn(PATHS.dataVolumes, namespace, root), isFilled);
}

async function createRunning(name: string, disk?: Disk): Promise<KubeObject> {
  await createMachine(name, { runStrategy: 'Always' }, disk);
  return running(name);
}

async function running(name: string): Promise<KubeObject> {
  const path = pathIn(PATHS.instances, namespace, name);
  const isOn = (object: KubeObject | undefined) => text(object, 'status', 'phase') === 'Running';
  return (await until(path, isOn)) ?? expect.fail();
}

function until(path: string, isSo: (object: KubeObject | undefined) => boolean): Promise<KubeObject | undefined> {
  return vi.waitFor(
    async () => {
      const object = await kube.get(path);
      if (!isSo(object)) throw new Error(`Waited in vain for ${path}: ${JSON.stringify(object?.status)}`);
      return object;
    },
    { timeout: 20_000, interval: 30 },
  );
}

interface Given extends Partial<CollectVmsOptions> {
  readonly choice?: Partial<VmChoice>;
  readonly parts?: PartFolderOptions;
  readonly from?: Cluster;
}

function collect({ choice, parts, from = cluster, ...given }: Given = {}) {
  const reporter = listeningReporter();
  const options: CollectVmsOptions = {
    running: 'error',
    links: 'external',
    ttl: 3_600_000,
    timeout: 30_000,
    compression: 'zstd',
    created: new Date('2026-01-31T12:00:00Z'),
    concurrency: 4,
    run: 'run-1',
    env: {},
    reporter,
    ...given,
  };
  const work = async () => {
    const targets = await chooseVms(cluster, discovery, { namespaces: [namespace], ...choice });
    await checkTargets(from, discovery, targets, options.running, options.signal);
    return collectVms(from, discovery, targets, await openPartFolder(folder, parts), options);
  };
  return { collected: work(), lines: reporter.lines };
}

/** What Transship has made and not taken away. */
async function leftovers(): Promise<string[]> {
  const found: string[] = [];
  for (const path of [EXPORTS, PATHS.snapshots, PATHS.secrets, PATHS.machines]) {
    const objects = await kube.list(pathIn(path, namespace));
    found.push(
      ...objects
        .filter(
          ({ metadata }) => metadata.labels?.[RUN_LABEL] !== undefined && metadata.deletionTimestamp === undefined,
        )
        .map(({ kind }) => kind),
    );
  }
  return found;
}

/** Unpacks an archive with tar, checks its manifest with sha1sum, and returns its files' paths. */
function unpack({ parts }: CollectedVms, index = 0): { paths: string[]; path: (name: string) => string } {
  const part = parts[index] ?? expect.fail();
  const to = join(folder, `unpacked-${index}`);
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to);
  const archive = join(folder, part.file);
  expect(statSync(archive).size).toBe(part.size);
  execFileSync('tar', ['-xf', archive, '-C', to]);
  execFileSync('sha1sum', ['-c', '--quiet', 'manifest'], { cwd: to });
  const paths = readdirSync(to, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(to.length + 1))
    .sort();
  return { paths, path: (name) => join(to, name) };
}

function expectDisk(file: string, disk: Disk): void {
  expect(Buffer.compare(readFileSync(file), bytesOf(disk))).toBe(0);
}

/** Connections break for good, as when a process is killed. */
function mortal(): { cluster: Cluster; kill: () => void } {
  let isDead = false;
  return {
    kill: () => {
      isDead = true;
    },
    cluster: {
      ...cluster,
      json: <T>(request: Parameters<Cluster['json']>[0]) =>
        isDead ? Promise.reject<T>(new ClusterError(0, 'Reset', 'killed')) : cluster.json<T>(request),
    },
  };
}

/** Exports until so many bytes of disks are stored, and ends as if the process were killed. */
async function exportKilled(after: number, given: Given = {}): Promise<void> {
  const { cluster: from, kill } = mortal();
  const { collected } = collect({ ...given, from, parts: { kill: { after, onKill: kill } } });
  await expect(collected).rejects.toThrow('killed');
}

/** Bytes that the export proxy sends while something is done. */
async function bytesDuring<T>(work: () => Promise<T>): Promise<{ bytes: number; result: T }> {
  const before = kubevirt.exportProxy.sent();
  const result = await work();
  return { bytes: kubevirt.exportProxy.sent() - before, result };
}

test('a machine that is off is exported whole, as an archive that tar and sha1sum read', async () => {
  await writeFolder(join(folder, 'files'), [
    { path: 'conf/app.ini', text: 'port=80\n', mode: 0o640 },
    { path: 'conf/current', symlink: 'app.ini' },
    { path: 'sparse.img', sparse: { size: 3 * MIB, data: [{ at: 2 * MIB, bytes: Buffer.from('data') }] } },
  ]);
  kubevirt.volumes.set(namespace, 'files', { folder: join(folder, 'files') });
  await kube.create(pathIn(PATHS.claims, namespace), claimObject(namespace, 'files', 4 * MIB));
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'db-init' }, stringData: { userdata: 'x' } };
  await kube.create(pathIn(PATHS.secrets, namespace), secret);
  const volumes = [
    { name: 'files-disk', persistentVolumeClaim: { claimName: 'files' } },
    { name: 'init', cloudInitNoCloud: { secretRef: { name: 'db-init' } } },
  ];
  await createMachine('db');
  const machine = pathIn(PATHS.machines, namespace, 'db');
  const live = (await kube.get(machine)) ?? expect.fail();
  const all = (live.spec as { template: { spec: { volumes: object[] } } }).template.spec.volumes;
  await kube.patch(machine, { spec: { template: { spec: { volumes: [...all, ...volumes] } } } });

  const { collected, lines } = collect();
  const found = await collected;
  const { paths, path } = unpack(found);
  expect(paths).toEqual([
    'manifest',
    'resources/datavolume-db-root.yaml',
    'resources/pvc-db-data.yaml',
    'resources/pvc-db-root.yaml',
    'resources/pvc-files.yaml',
    'resources/secret-db-init.yaml',
    'resources/vm.yaml',
    'volumes/db-data/disk.img',
    'volumes/db-root/disk.img',
    'volumes/files/conf/app.ini',
    'volumes/files/conf/current',
    'volumes/files/sparse.img',
  ]);
  expectDisk(path('volumes/db-root/disk.img'), ROOT);
  expectDisk(path('volumes/db-data/disk.img'), DATA);
  expect(readlinkSync(path('volumes/files/conf/current'))).toBe('app.ini');
  expect(statSync(path('volumes/files/conf/app.ini')).mode & 0o777).toBe(0o640);
  expect(
    readFileSync(path('volumes/files/sparse.img'))
      .subarray(2 * MIB, 2 * MIB + 4)
      .toString(),
  ).toBe('data');
  const listed = execFileSync('tar', ['-tf', join(folder, `${namespace}.db.tar.zst`)], { encoding: 'utf8' });
  expect(listed.split('\n').slice(0, 4)).toEqual([
    'resources/vm.yaml',
    'resources/pvc-db-root.yaml',
    'resources/pvc-db-data.yaml',
    'resources/pvc-files.yaml',
  ]);
  const sizes = [
    { claim: 'db-root', contents: 'disk', size: ROOT.size },
    { claim: 'db-data', contents: 'disk', size: DATA.size },
    { claim: 'files', contents: 'files', size: 3 * MIB + 8 },
  ];
  expect(found.parts).toMatchObject([
    { kind: 'vm', namespace, name: 'db', file: `${namespace}.db.tar.zst`, encrypted: false, volumes: sizes },
  ]);
  expect(found.results).toMatchObject([{ kind: 'vm', namespace, name: 'db', outcome: 'exported', volumes: sizes }]);
  expect(found.owned).toEqual([
    { group: 'kubevirt.io', kind: 'VirtualMachine', namespace, name: 'db' },
    ...['db-root', 'db-data', 'files'].map((name) => ({ group: '', kind: 'PersistentVolumeClaim', namespace, name })),
    { group: 'cdi.kubevirt.io', kind: 'DataVolume', namespace, name: 'db-root' },
  ]);
  expect(lines).toContainEqual(
    expect.stringMatching(new RegExp(`^info: Exported the VM ${namespace}/db: 16.0 MiB in `)),
  );
  expect(lines.filter((line) => line.startsWith('warn'))).toEqual([]);
  expect(await leftovers()).toEqual([]);
});

test('machines that run are refused, all at once and before anything is made', async () => {
  await createMachine('off');
  await createRunning('one');
  await createRunning('two');
  await expect(collect().collected).rejects.toMatchObject({
    message: expect.stringMatching(
      new RegExp(`^2 of 3 can not be exported as they are.\nThe VMs ${namespace}/one, ${namespace}/two are running`),
    ),
    hint: expect.stringMatching(/running-vms: snapshot.*running-vms: stop/),
  });
  expect(await kube.list(pathIn(EXPORTS, namespace))).toEqual([]);
  expect(readdirSync(folder)).toEqual([]);
});

test('a machine that runs is exported from a snapshot, with the addresses it has', async () => {
  const instance = await createRunning('db');
  const [{ mac = '' } = {}] = (instance.status as { interfaces: { mac: string }[] }).interfaces;
  const { collected, lines } = collect({ running: 'snapshot' });
  const found = await collected;
  const { paths, path } = unpack(found);
  expect(paths).toContain('volumes/db-root/disk.img');
  expectDisk(path('volumes/db-data/disk.img'), DATA);
  const vm = parse(readFileSync(path('resources/vm.yaml'), 'utf8'));
  expect(vm.spec).toMatchObject({
    runStrategy: 'Always',
    template: { spec: { domain: { devices: { interfaces: [{ name: 'default', macAddress: mac }] } } } },
  });
  expect(found.parts).toMatchObject([{ kind: 'vm', name: 'db' }]);
  expect(found.parts[0]).not.toHaveProperty('snapshot');
  expect(lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
  await vi.waitFor(async () => expect(await kube.list(pathIn(PATHS.snapshots, namespace))).toEqual([]), 20_000);
  expect(await leftovers()).toEqual([]);
  expect((await running('db')).metadata.uid).toBe(instance.metadata.uid);
});

test('a machine that runs is stopped for the time of its export, and runs again afterwards', async () => {
  const before = await createRunning('db');
  const found = await collect({ running: 'stop' }).collected;
  const { path } = unpack(found);
  expectDisk(path('volumes/db-root/disk.img'), ROOT);
  const vm = parse(readFileSync(path('resources/vm.yaml'), 'utf8'));
  expect(vm.spec.runStrategy).toBe('Always');
  expect(vm.spec.template.spec.domain.devices.interfaces[0].macAddress).toMatch(/^02:/);
  expect(vm.metadata).not.toHaveProperty('annotations');
  const after = await running('db');
  expect(after.metadata.uid).not.toBe(before.metadata.uid);
  expect(await leftovers()).toEqual([]);
});

test('several are exported side by side; one that fails does not stop the others, and all is said at the end', async () => {
  for (const name of ['a', 'b', 'c']) await createMachine(name);
  kubevirt.exportProxy.faults.add({ path: 'b-root', method: 'GET', times: 1000, fault: { kind: 'ignore-range' } });
  await expect(collect().collected).rejects.toMatchObject({
    code: 'CLUSTER',
    message: expect.stringMatching(new RegExp(`^1 of 3 could not be exported.\nVM ${namespace}/b: .*b-root`)),
  });
  expect(
    readdirSync(folder)
      .filter((name) => name.endsWith('.zst'))
      .sort(),
  ).toEqual([`${namespace}.a.tar.zst`, `${namespace}.c.tar.zst`]);
  expect(await leftovers()).toEqual([]);

  kubevirt.exportProxy.faults.clear();
  const found = await collect().collected;
  expect(found.parts.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  for (const index of [0, 1, 2]) expectDisk(unpack(found, index).path(`volumes/${'abc'[index]}-root/disk.img`), ROOT);
});

test("a user's own snapshot and a claim are exported alone, and stay", async () => {
  await createMachine('db');
  const snapshot = {
    apiVersion: 'snapshot.kubevirt.io/v1beta1',
    kind: 'VirtualMachineSnapshot',
    metadata: { name: 'daily' },
    spec: { source: { apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name: 'db' } },
  };
  await kube.create(pathIn(PATHS.snapshots, namespace), snapshot);
  const path = pathIn(PATHS.snapshots, namespace, 'daily');
  await until(path, (object) => text(object, 'status', 'phase') === 'Succeeded');
  // What is written after the snapshot is not in it.
  kubevirt.volumes.set(namespace, 'db-root', { disk: sparseDisk(ROOT.size) });
  const found = await collect({ choice: { snapshots: ['daily'], pvcs: ['db-data'] }, compression: 'xz' }).collected;
  expect(found.parts).toMatchObject([
    { kind: 'snapshot', name: 'db', snapshot: 'daily', file: `${namespace}.daily.tar.xz` },
    { kind: 'pvc', name: 'db-data', file: `${namespace}.db-data.tar.xz` },
  ]);
  expectDisk(unpack(found, 0).path('volumes/db-root/disk.img'), ROOT);
  const claim = unpack(found, 1);
  expect(claim.paths).toEqual(['manifest', 'resources/pvc-db-data.yaml', 'volumes/db-data/disk.img']);
  expectDisk(claim.path('volumes/db-data/disk.img'), DATA);
  expect(await kube.get(path)).toBeDefined();
  expect(await leftovers()).toEqual([]);
});

test('a claim that is in use is refused with the name of its user', async () => {
  await createRunning('db');
  await expect(collect({ choice: { pvcs: ['db-data'] } }).collected).rejects.toMatchObject({
    message: expect.stringMatching(
      new RegExp(`The claim ${namespace}/db-data is in use \\(by the pod virt-launcher-db-`),
    ),
  });
});

test('a machine without volumes is an archive of its objects', async () => {
  const volumes = [{ name: 'boot', containerDisk: { image: 'quay.io/example/disk' } }];
  const facts = { namespace, name: 'thin', volumes, runStrategy: 'Always' } as const;
  await kube.create(pathIn(PATHS.machines, namespace), machineObject(facts));
  const { collected, lines } = collect();
  expect(unpack(await collected).paths).toEqual(['manifest', 'resources/vm.yaml']);
  expect(lines).toContain(
    `info: The VM ${namespace}/thin has no volumes that could be exported: its archive has its objects only.`,
  );
});

/** A connection that tells when an export is first seen to be ready, before its links are used. */
function whenReady(tell: (name: string) => void): Cluster {
  let isTold = false;
  return {
    ...cluster,
    async json<T>(request: Parameters<Cluster['json']>[0]) {
      const answer = await cluster.json<T>(request);
      const isExport = request.method === 'GET' && request.path.includes('/virtualmachineexports/');
      if (isExport && !isTold && text(answer, 'status', 'phase') === 'Ready') {
        isTold = true;
        tell(text(answer, 'metadata', 'name') ?? '');
      }
      return answer;
    },
  };
}

test('disks come through the API server where nothing else leads to them, also when the pod is killed', async () => {
  const disk = incompressibleDisk(24 * MIB);
  await createMachine('db', {}, disk);
  let rule: { hits(): number } | undefined;
  const from = whenReady((name) => {
    rule = kubevirt.exporter(namespace, name)?.server.faults.add({
      ...{ path: 'db-root', method: 'GET', skip: 3 },
      fault: { kind: 'reset', after: MIB },
      // Its successor's certificate is by another authority.
      onHit: () => kubevirt.rotateAuthority('exporters'),
    });
  });
  const found = await collect({ links: 'port-forward', from }).collected;
  expect(rule?.hits()).toBe(1);
  expectDisk(unpack(found).path('volumes/db-root/disk.img'), disk);
  expect(await leftovers()).toEqual([]);
});

test('connections that are reset cost little, also when certificates rotate meanwhile', async () => {
  const disk = incompressibleDisk(24 * MIB);
  await createMachine('db', {}, disk);
  const cuts = kubevirt.exportProxy.faults.add(cutAt('db-root', [1 * MIB, 5 * MIB + 17, 13 * MIB]));
  const rotation = kubevirt.exportProxy.faults.add({
    ...{ path: 'db-root', method: 'GET', skip: 5 },
    fault: { kind: 'none' },
    onHit: () => kubevirt.rotateAuthority('proxies'),
  });
  const { bytes, result } = await bytesDuring(() => collect().collected);
  expect([cuts.hits(), rotation.hits()]).toEqual([3, 1]);
  expectDisk(unpack(result).path('volumes/db-root/disk.img'), disk);
  // Four ranges were under way when all connections broke, with what the kernel held for them.
  expect(bytes).toBeLessThan(disk.size + DATA.size + 16 * MIB);
});

test('a pod that is killed in the middle is read on from its successor', async () => {
  const disk = incompressibleDisk(24 * MIB);
  await createMachine('db', {}, disk);
  const rule = kubevirt.exportProxy.faults.add({
    ...{ path: 'db-root', method: 'GET', skip: 3 },
    fault: { kind: 'reset', after: MIB },
    async onHit() {
      const [live] = await kube.list(pathIn(EXPORTS, namespace));
      await kubevirt.killExporter(namespace, live?.metadata.name ?? '');
    },
  });
  const found = await collect().collected;
  expect(rule.hits()).toBe(1);
  expectDisk(unpack(found).path('volumes/db-root/disk.img'), disk);
});

test('a machine that is started in the middle of its export makes it fail', async () => {
  await createMachine('db', { runStrategy: 'Manual' }, incompressibleDisk(24 * MIB));
  kubevirt.exportProxy.faults.add({
    ...{ path: 'db-root', method: 'GET', skip: 3 },
    fault: { kind: 'reset', after: MIB },
    onHit: () => startMachine('db'),
  });
  await expect(collect().collected).rejects.toMatchObject({
    message: `The VM ${namespace}/db was started while it was exported: what it holds may have changed.`,
  });
  expect(await leftovers()).toEqual([]);
});

async function startMachine(name: string): Promise<void> {
  const path = `/apis/subresources.kubevirt.io/v1/namespaces/${namespace}/virtualmachines/${name}/start`;
  await bed.kubectl(['replace', '--raw', path, '-f', '-'], '{}');
}

test('an export that was killed goes on where it stopped, in the export object it left', async () => {
  const disk = incompressibleDisk(32 * MIB);
  await createMachine('db', {}, disk);
  await exportKilled(28 * MIB);
  expect(await leftovers()).toEqual(['VirtualMachineExport', 'Secret']);

  const { bytes, result } = await bytesDuring(async () => {
    const { collected, lines } = collect({ run: 'run-2' });
    return { found: await collected, lines };
  });
  expect(bytes).toBeLessThan(16 * MIB);
  expect(result.found.results[0]?.resumed).toBeGreaterThan(16 * MIB);
  expect(result.lines.filter((line) => line.startsWith('warn'))).toEqual([]);
  const { path } = unpack(result.found);
  expectDisk(path('volumes/db-root/disk.img'), disk);
  expectDisk(path('volumes/db-data/disk.img'), DATA);
  expect(await leftovers()).toEqual([]);
});

test('an export of a machine that ran in between starts over, and says why', async () => {
  // Of a disk with less data nothing is stored until it was read whole.
  await createMachine('db', { runStrategy: 'Manual' }, incompressibleDisk(ROOT.size));
  await exportKilled(6 * MIB);
  await startMachine('db');
  await running('db');
  await bed.kubectl(
    [
      'replace',
      '--raw',
      `/apis/subresources.kubevirt.io/v1/namespaces/${namespace}/virtualmachines/db/stop`,
      '-f',
      '-',
    ],
    '{}',
  );
  await until(pathIn(PATHS.instances, namespace, 'db'), (object) => object === undefined);
  const other = sparseDisk(ROOT.size);
  kubevirt.volumes.set(namespace, 'db-root', { disk: other });
  const { collected, lines } = collect({ run: 'run-2' });
  const found = await collected;
  expect(found.results[0]).not.toHaveProperty('resumed');
  expect(lines.filter((line) => line.startsWith('warn'))).toEqual([
    expect.stringMatching(
      new RegExp(
        `^warn: The export of the VM ${namespace}/db, which was interrupted, starts over. The export ${namespace}/transship-export-db-.* was not ready all the time, so that its disks may have changed.$`,
      ),
    ),
  ]);
  expectDisk(unpack(found).path('volumes/db-root/disk.img'), other);
  expect(await leftovers()).toEqual([]);
});

test('an export of a snapshot that was killed goes on with that snapshot', async () => {
  const disk = incompressibleDisk(32 * MIB);
  await createRunning('db', disk);
  await exportKilled(28 * MIB, { running: 'snapshot' });
  expect(await leftovers()).toEqual(['VirtualMachineExport', 'VirtualMachineSnapshot', 'Secret']);
  kubevirt.volumes.set(namespace, 'db-root', { disk: sparseDisk(disk.size) });
  const { bytes, result } = await bytesDuring(() => collect({ running: 'snapshot', run: 'run-2' }).collected);
  expect(bytes).toBeLessThan(16 * MIB);
  expect(result.results[0]?.resumed).toBeGreaterThan(16 * MIB);
  expectDisk(unpack(result).path('volumes/db-root/disk.img'), disk);
  expect(await leftovers()).toEqual([]);
});

test('a machine that a killed export left off is exported as it was, and started again', async () => {
  const disk = incompressibleDisk(16 * MIB);
  await createRunning('db', disk);
  await exportKilled(12 * MIB, { running: 'stop' });
  const machine = pathIn(PATHS.machines, namespace, 'db');
  expect((await kube.get(machine))?.metadata.annotations).toHaveProperty([RUNS_ANNOTATION]);
  const again = collect({ run: 'run-2' });
  const { bytes, result } = await bytesDuring(() => again.collected);
  expect(again.lines.filter((line) => line.startsWith('warn'))).toEqual([
    `warn: The VM ${namespace}/db was stopped by an export that could not start it again; this one will.`,
  ]);
  expect(bytes).toBeLessThan(16 * MIB);
  const { path } = unpack(result);
  expectDisk(path('volumes/db-root/disk.img'), disk);
  const vm = parse(readFileSync(path('resources/vm.yaml'), 'utf8'));
  expect(vm.spec.runStrategy).toBe('Always');
  expect(vm.spec.template.spec.domain.devices.interfaces[0].macAddress).toMatch(/^02:/);
  await running('db');
  expect((await kube.get(machine))?.metadata).not.toHaveProperty('annotations');
  expect(await leftovers()).toEqual([]);
});

test.each(['stop', 'snapshot'] as const)('a cancel leaves nothing of an export with running-vms: %s', async (how) => {
  await createRunning('db', incompressibleDisk(24 * MIB));
  const cancel = new AbortController();
  kubevirt.exportProxy.faults.add({
    ...{ path: 'db-root', method: 'GET', skip: 2 },
    fault: { kind: 'stall', after: MIB },
    onHit: () => cancel.abort(),
  });
  const { collected } = collect({ running: how, signal: cancel.signal });
  await expect(collected).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(await leftovers()).toEqual([]);
  await running('db');
});

test('a feature gate that is off is named', async () => {
  await createMachine('db');
  await refuseExports(kube);
  onTestFinished(() =>
    kube.delete('/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/vm-export-gate'),
  );
  await vi.waitFor(
    async () =>
      expect(await collect().collected.catch((error) => error)).toMatchObject({
        code: 'NOT_SERVED',
        hint: expect.stringContaining('VMExport'),
      }),
    { timeout: 20_000, interval: 500 },
  );
  expect(await leftovers()).toEqual([]);
});
