import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Cluster, ClusterError, type KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { type Discovery, discover } from '../../src/cluster/discovery.ts';
import { silentReporter as reporter } from '../../src/report/reporter.ts';
import type { VmResult } from '../../src/report/results.ts';
import { type PrepareVmsOptions, planVms, prepareVms, refuseProblems } from '../../src/vms/prepare-vms.ts';
import { type RestoreVmsOptions, restoreVms } from '../../src/vms/restore.ts';
import { IMPORTING } from '../../src/vms/restore-note.ts';
import { blankDisk, type Disk, gptDisk, incompressibleDisk, MIB, mixedDisk, sparseDisk } from '../kubevirt/disks.ts';
import { administratorOf } from '../kubevirt/install.ts';
import { type Kube, openKube } from '../kubevirt/kube.ts';
import { type Kubevirt, startKubevirt } from '../kubevirt/kubevirt.ts';
import { field, maps, PATHS, pathIn, text } from '../kubevirt/objects.ts';
import {
  type ArchivedClaim,
  type ArchivedMachine,
  openVmArchive,
  writeForeignArchive,
  writeVmArchive,
} from '../kubevirt/vm-archives.ts';
import { startCluster, type TestCluster } from './cluster.ts';

const ROOT = mixedDisk(9 * MIB + 512);
const SPARSE = sparseDisk(16 * MIB);
const SOURCE = 'source';

let bed: TestCluster;
let cluster: Cluster;
let discovery: Discovery;
let kube: Kube;
let kubevirt: Kubevirt;
let count = 0;
/** Each test has its own at the target. */
let namespace = '';
let folder = '';

beforeAll(async () => {
  bed = await startCluster({ name: 'vms-import' });
  kube = openKube(bed.server, administratorOf(bed));
  kubevirt = await startKubevirt(bed, { readyWait: 500 });
  cluster = await openCluster({ kubeconfig: bed.kubeconfigText, env: {} });
  discovery = await discover(cluster);
});

afterAll(async () => {
  await cluster?.close();
  await kubevirt?.stop();
  kube?.close();
  await bed?.stop();
});

beforeEach(() => {
  count += 1;
  namespace = `target-${count}`;
  folder = mkdtempSync(join(tmpdir(), 'transship-vms-'));
  return () => {
    kubevirt.uploadProxy.faults.clear();
    rmSync(folder, { recursive: true, force: true });
    expect(kubevirt.problems).toEqual([]);
  };
});

function machine(claims: readonly ArchivedClaim[], more: Partial<ArchivedMachine> = {}): ArchivedMachine {
  return { namespace: SOURCE, name: 'db', claims, ...more };
}

type Prepare = Partial<Omit<PrepareVmsOptions, 'archives'>>;
type Restore = Partial<RestoreVmsOptions>;

async function prepare(locations: readonly string[], options: Prepare = {}) {
  const archives = locations.map((location) => ({
    part: undefined,
    origin: location,
    open: () => openVmArchive(location),
  }));
  return prepareVms({
    ...{ cluster, discovery, archives, directory: folder, identities: [], defaultNamespace: 'default' },
    namespaceOf: () => namespace,
    storageClassMap: {},
    vmIdentity: 'keep',
    concurrency: 4,
    reporter: reporter,
    ...options,
  });
}

async function importAll(locations: readonly string[], options: Prepare = {}, how: Restore = {}): Promise<VmResult[]> {
  const work = await prepare(locations, options);
  try {
    refuseProblems(work);
    return await restoreVms(work, {
      ...{ cluster, discovery, timeout: 20_000, concurrency: 4, reporter: reporter },
      ...how,
    });
  } finally {
    await work.close();
  }
}

async function archive(facts: ArchivedMachine): Promise<string> {
  const location = join(folder, `${facts.name}.tar.zst`);
  await writeVmArchive(location, facts);
  return location;
}

const vmPath = (name = 'db') => pathIn(PATHS.machines, namespace, name);

/** The name of the claim at the target that is the disk of a volume of the machine. */
async function claimOf(volume: string, name = 'db'): Promise<string> {
  const vm = await kube.get(vmPath(name));
  const found = maps(vm, 'spec', 'template', 'spec', 'volumes').find((one) => one.name === `${volume}-disk`);
  return text(found, 'persistentVolumeClaim', 'claimName') ?? text(found, 'dataVolume', 'name') ?? '';
}

async function expectDisk(volume: string, disk: Disk, name = 'db'): Promise<void> {
  expect(kubevirt.received(namespace, await claimOf(volume, name))?.sha256()).toBe(disk.sha256());
}

/** What of machines and their volumes there is in the namespace. */
async function whatIsThere(): Promise<string[]> {
  const found = await Promise.all(
    [PATHS.machines, PATHS.dataVolumes, PATHS.claims].map((path) => kube.list(pathIn(path, namespace))),
  );
  return found.flat().map(({ kind, metadata }) => `${kind} ${metadata.name}`);
}

describe('an import', () => {
  test('brings disks of all sorts, byte for byte, to block and filesystem claims', async () => {
    const disks: Record<string, Disk> = {
      root: ROOT,
      blank: blankDisk(8 * MIB),
      sparse: SPARSE,
      odd: incompressibleDisk(2 * MIB + 1536),
      gpt: gptDisk(4 * MIB, { sector: 4096 }),
    };
    const claims = Object.entries(disks).map(([name, disk], at) => {
      const volumeMode = at % 2 === 0 ? ('Block' as const) : ('Filesystem' as const);
      return { name, disk, volumeMode };
    });
    const location = await archive(machine(claims, { runStrategy: 'Halted' }));
    const [result] = await importAll([location]);
    expect(result).toMatchObject({ kind: 'vm', name: 'db', namespace, outcome: 'created' });
    expect(result?.volumes.map(({ claim }) => claim)).toEqual(Object.keys(disks));
    for (const [name, disk] of Object.entries(disks)) await expectDisk(name, disk);
    const vm = await kube.get(vmPath());
    expect(vm?.metadata.annotations?.[IMPORTING]).toBeUndefined();
    expect(text(vm, 'spec', 'runStrategy')).toBe('Halted');
    const space = await kube.get(`/api/v1/namespaces/${namespace}`);
    expect(space).toBeDefined();
  });

  test('uploads 12 disks of two machines at once, each into its own claim', async () => {
    const disk = (seed: string) => incompressibleDisk(MIB + 512, seed);
    const claims = (vm: string) =>
      Array.from({ length: 6 }, (_, at) => ({
        name: `d${at}`,
        disk: disk(`${vm}${at}`),
        volumeMode: 'Block' as const,
      }));
    const one = await archive(machine(claims('one'), { name: 'one' }));
    const two = await archive(machine(claims('two'), { name: 'two' }));
    const results = await importAll([one, two], {}, { concurrency: 12 });
    expect(results.map(({ name, outcome }) => [name, outcome])).toEqual([
      ['one', 'created'],
      ['two', 'created'],
    ]);
    for (const name of ['one', 'two']) {
      for (let at = 0; at < 6; at++) await expectDisk(`d${at}`, disk(`${name}${at}`), name);
    }
  });

  test('starts the machine only when its disks are in place', async () => {
    const location = await archive(machine([{ name: 'root', disk: ROOT }], { runStrategy: 'Always' }));
    const seen: (string | undefined)[] = [];
    kubevirt.uploadProxy.faults.add({
      method: 'POST',
      fault: { kind: 'none', after: MIB },
      onHit: async () => void seen.push(text(await kube.get(vmPath()), 'spec', 'runStrategy')),
    });
    expect(await importAll([location])).toMatchObject([{ outcome: 'created' }]);
    expect(seen).toEqual(['Halted']);
    expect(text(await kube.get(vmPath()), 'spec', 'runStrategy')).toBe('Always');
    await vi.waitFor(
      async () => expect(await kube.get(pathIn(PATHS.instances, namespace, 'db'))).toBeDefined(),
      10_000,
    );
  });

  test('reads an archive that GNU tar and xz wrote, with a folder of files, links and modes', async () => {
    const files = [
      { path: 'etc/run.sh', text: '#!/bin/sh\n', mode: 0o755 },
      { path: 'etc/link', symlink: 'run.sh' },
      { path: 'etc/hard', hardlink: 'etc/run.sh' },
      { path: 'sparse', sparse: { size: 8 * MIB, data: [{ at: 3 * MIB, bytes: Buffer.from('here') }] } },
    ];
    const location = join(folder, 'foreign.tar.xz');
    await writeForeignArchive(
      location,
      join(folder, 'files'),
      machine([
        { name: 'root', disk: ROOT },
        { name: 'share', files },
      ]),
    );
    const [result] = await importAll([location]);
    expect(result?.message).toBeUndefined();
    expect(result).toMatchObject({ outcome: 'created', volumes: [{ contents: 'disk' }, { contents: 'files' }] });
    await expectDisk('root', ROOT);
    const tar = kubevirt.received(namespace, await claimOf('share'));
    const unpacked = join(folder, 'unpacked');
    mkdirSync(unpacked);
    execFileSync('tar', ['-xpf', '-'], { cwd: unpacked, input: tar?.read(0, tar.size) });
    const list = execFileSync('find', ['.', '-mindepth', '1', '-printf', '%P %y %m %n %s [%l]\\n'], { cwd: unpacked });
    const lines = String(list).trim().split('\n').sort();
    expect(lines).toContain('etc/run.sh f 755 2 10 []');
    expect(lines).toContain('etc/link l 777 1 6 [run.sh]');
    expect(lines).toContain(`sparse f 644 1 ${8 * MIB} []`);
    expect(Number(execFileSync('stat', ['-c', '%b', join(unpacked, 'sparse')]))).toBeLessThan(64);
  });

  test('goes to another name, and with a new or the old identity', async () => {
    const domain = {
      devices: {
        disks: [{ name: 'root-disk', disk: {} }],
        interfaces: [{ name: 'default', masquerade: {}, macAddress: '02:00:00:00:00:01' }],
      },
      firmware: { uuid: '11111111-2222-3333-4444-555555555555' },
    };
    const location = await archive(machine([{ name: 'root', disk: ROOT }], { template: { domain } }));
    expect(await importAll([location], { name: 'copy', vmIdentity: 'new' })).toMatchObject([
      { name: 'copy', outcome: 'created' },
    ]);
    expect(await importAll([location], { runStrategy: 'Manual' })).toMatchObject([{ name: 'db', outcome: 'created' }]);
    const path = ['spec', 'template', 'spec', 'domain'];
    const copy = await kube.get(vmPath('copy'));
    expect(maps(copy, ...path, 'devices', 'interfaces')[0]).toEqual({ name: 'default', masquerade: {} });
    expect(text(copy, ...path, 'firmware', 'uuid')).not.toBe(domain.firmware.uuid);
    const same = await kube.get(vmPath());
    expect(field(same, ...path)).toMatchObject(domain);
    expect(text(same, 'spec', 'runStrategy')).toBe('Manual');
  });
});

describe('what stands in the way is told before anything is made', () => {
  test('of all machines at once: storage classes with their claims, a name that is taken', async () => {
    const first = await archive(
      machine([
        { name: 'root', disk: blankDisk(MIB), storageClass: 'fast' },
        { name: 'data', disk: blankDisk(MIB), storageClass: 'fast' },
        { name: 'slow', disk: blankDisk(MIB), storageClass: 'slow' },
      ]),
    );
    const second = await archive(machine([{ name: 'root', disk: blankDisk(MIB) }], { name: 'taken' }));
    await importAll([second]);
    const before = await whatIsThere();
    const error = await importAll([first, second]).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain(`VM ${namespace}/db: The target has no storage class fast, which root, data need`);
    expect(String(error)).toContain('no storage class slow, which slow needs: map it with `storage-class-map`');
    expect(String(error)).toContain(`VM ${namespace}/taken: The VirtualMachine ${namespace}/taken exists`);
    expect(await whatIsThere()).toEqual(before);
  });

  test('a name for several machines', async () => {
    const one = await archive(machine([{ name: 'root', disk: blankDisk(MIB) }], { name: 'one' }));
    const two = await archive(machine([{ name: 'root', disk: blankDisk(MIB) }], { name: 'two' }));
    await expect(prepare([one, two], { name: 'new' })).rejects.toMatchObject({ code: 'INPUT' });
  });

  test('a plan names what would be made, and what it depends on', async () => {
    const location = await archive(machine([{ name: 'root', disk: ROOT, volumeMode: 'Block' }]));
    const work = await prepare([location]);
    const states = new Map<string, string>();
    const plan = await planVms(work, states);
    await work.close();
    expect(plan).toEqual({
      objects: [
        { apiVersion: 'v1', kind: 'Namespace', name: namespace, change: 'create' },
        {
          apiVersion: 'kubevirt.io/v1',
          kind: 'VirtualMachine',
          namespace,
          name: 'db',
          change: 'create',
          message: 'root: 9.0 MiB on the default storage class (Block); stays off.',
        },
      ],
      problems: [],
    });
    expect(states.get(`object kubevirt.io/VirtualMachine/${namespace}/db`)).toBe('absent');
    expect(await kube.get(`/api/v1/namespaces/${namespace}`)).toBeUndefined();
  });
});

describe('an upload that breaks is sent again', () => {
  const cases = {
    'a reset in the middle': { kind: 'reset', after: 2 * MIB },
    'an upload proxy that answers 503': { kind: 'answer', status: 503 },
    'a token that is refused': { kind: 'answer', status: 401 },
  } as const;
  for (const [name, fault] of Object.entries(cases)) {
    test(name, async () => {
      const location = await archive(machine([{ name: 'root', disk: ROOT }]));
      const rule = kubevirt.uploadProxy.faults.add({ method: 'POST', fault });
      expect(await importAll([location])).toMatchObject([{ outcome: 'created' }]);
      expect(rule.hits()).toBe(1);
      await expectDisk('root', ROOT);
    });
  }

  test('an upload server that goes away', async () => {
    const location = await archive(machine([{ name: 'root', disk: ROOT }]));
    const rule = kubevirt.uploadProxy.faults.add({
      method: 'POST',
      fault: { kind: 'none', after: MIB },
      onHit: async () => kubevirt.killUploadServer(namespace, await claimOf('root')),
    });
    expect(await importAll([location])).toMatchObject([{ outcome: 'created' }]);
    expect(rule.hits()).toBe(1);
    await expectDisk('root', ROOT);
  });
});

describe('an import that fails leaves nothing', () => {
  const SECRET: KubeObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'init', namespace: SOURCE },
    type: 'Opaque',
    data: { userdata: 'I2Nsb3VkLWNvbmZpZwo=' },
  };
  const CLOUD_INIT = { name: 'init', cloudInitNoCloud: { secretRef: { name: 'init' } } };

  test('of a disk that is not what the manifest says: it is never started, and other machines come', async () => {
    const bad = join(folder, 'bad.tar.xz');
    const claims = [
      { name: 'root', disk: ROOT },
      { name: 'data', disk: SPARSE },
    ];
    await writeForeignArchive(
      bad,
      join(folder, 'files'),
      machine(claims, { runStrategy: 'Always', objects: [SECRET], volumes: [CLOUD_INIT] }),
      (manifest) => manifest.replace(/^[0-9a-f]{40}( {2}volumes\/data\/)/m, `${'0'.repeat(40)}$1`),
    );
    const good = await archive(machine([{ name: 'root', disk: ROOT }], { name: 'good' }));
    const started: string[] = [];
    const watching = setInterval(() => {
      const list = kube.list(pathIn(PATHS.instances, namespace));
      list.then((found) => started.push(...found.map(({ metadata }) => metadata.name))).catch(() => {});
    }, 20);
    const [failed, created] = await importAll([bad, good]);
    clearInterval(watching);
    expect(failed).toMatchObject({ name: 'db', outcome: 'failed' });
    expect(failed?.message).toContain('volumes/data/disk.img is damaged');
    expect(failed?.message).not.toContain('Still there');
    expect(created).toMatchObject({ name: 'good', outcome: 'created' });
    expect((await whatIsThere()).filter((one) => !one.includes('good'))).toEqual([]);
    expect(await kube.get(pathIn(PATHS.secrets, namespace, 'init'))).toBeUndefined();
    expect(started).toEqual([]);
  });

  test('of one that is cancelled in the middle', async () => {
    const location = await archive(
      machine([{ name: 'root', disk: ROOT }], { objects: [SECRET], volumes: [CLOUD_INIT] }),
    );
    const stop = new AbortController();
    kubevirt.uploadProxy.faults.add({
      method: 'POST',
      fault: { kind: 'stall', after: MIB },
      onHit: () => stop.abort(),
    });
    const [result] = await importAll([location], {}, { signal: stop.signal });
    expect(result).toMatchObject({ outcome: 'failed' });
    expect(await whatIsThere()).toEqual([]);
    expect(await kube.get(pathIn(PATHS.secrets, namespace, 'init'))).toBeUndefined();
  });

  test('but what an atomic import takes back', async () => {
    const location = await archive(machine([{ name: 'root', disk: ROOT }]));
    kubevirt.uploadProxy.faults.add({ method: 'POST', fault: { kind: 'answer', status: 413 } });
    const told: string[] = [];
    const undo = {
      created: async (path: string) => void told.push(path),
      changing: async () => {},
      installing: async () => {},
      upgrading: async () => {},
    };
    const [result] = await importAll([location], {}, { undo, environment: { name: 'pr-7' } });
    expect(result).toMatchObject({ outcome: 'failed' });
    expect(told).toEqual([`/api/v1/namespaces/${namespace}`, expect.stringMatching(/virtualmachines\/db$/)]);
    const vm = await kube.get(vmPath());
    expect(vm?.metadata.labels).toMatchObject({ 'transship.dev/environment': 'pr-7' });
  });
});

describe('an import that was killed', () => {
  /** Imports until the second disk is half sent, and then does nothing any more. */
  async function killed(location: string, options: Prepare = {}): Promise<void> {
    const death = new AbortController();
    const dead = new ClusterError(400, 'Closed', 'The process is gone.');
    const dying: Cluster = {
      ...cluster,
      json: (request) => (death.signal.aborted ? Promise.reject(dead) : cluster.json(request)),
    };
    kubevirt.uploadProxy.faults.add({
      method: 'POST',
      skip: 1,
      times: 100,
      fault: { kind: 'reset', after: MIB },
      onHit: () => death.abort(),
    });
    await importAll([location], options, { cluster: dying, concurrency: 1, timeout: 5_000 });
    kubevirt.uploadProxy.faults.clear();
  }
  const claims = [
    { name: 'root', disk: ROOT },
    { name: 'data', disk: SPARSE },
  ];

  test('is gone on with: what is in place is not sent again', async () => {
    const location = await archive(machine(claims, { runStrategy: 'Always' }));
    await killed(location);
    const half = await kube.get(vmPath());
    expect(half?.metadata.annotations?.[IMPORTING]).toContain('"volumes":{"');
    const sent = kubevirt.uploadProxy.faults.add({ method: 'POST', times: 100, fault: { kind: 'none' } });
    expect(await importAll([location])).toMatchObject([{ outcome: 'created' }]);
    expect(sent.hits()).toBe(1);
    await expectDisk('root', ROOT);
    await expectDisk('data', SPARSE);
    const vm = await kube.get(vmPath());
    expect(vm?.metadata.uid).toBe(half?.metadata.uid);
    expect(vm?.metadata.annotations?.[IMPORTING]).toBeUndefined();
    expect(text(vm, 'spec', 'runStrategy')).toBe('Always');
  });

  test('is begun again with another archive: nothing of the first stays', async () => {
    await killed(await archive(machine(claims)));
    const half = await kube.get(vmPath());
    const other = await archive(machine([{ name: 'root', disk: SPARSE }]));
    expect(await importAll([other])).toMatchObject([{ outcome: 'created' }]);
    expect((await kube.get(vmPath()))?.metadata.uid).not.toBe(half?.metadata.uid);
    await expectDisk('root', SPARSE);
    expect(await whatIsThere()).toHaveLength(3);
  });
});
