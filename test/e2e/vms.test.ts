import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { STORAGE_CLASS } from '../cluster/control-plane.ts';
import { base64 } from '../cluster/kubeconfig.ts';
import { startS3, type TestS3 } from '../cluster/s3.ts';
import { type Disk, digestOf, gptDisk, incompressibleDisk, MIB, mixedDisk, sparseDisk } from '../kubevirt/disks.ts';
import { administratorOf } from '../kubevirt/install.ts';
import { type Kube, openKube } from '../kubevirt/kube.ts';
import { type Kubevirt, startKubevirt } from '../kubevirt/kubevirt.ts';
import { claimObject, type MachineFacts, machineObject } from '../kubevirt/machine-objects.ts';
import { field, maps, PATHS, pathIn, text } from '../kubevirt/objects.ts';
import { runWorkflow } from './act.ts';
import { example, grant, kubeconfigOf } from './act-bed.ts';
import { at } from './api.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { runCommand } from './run-command.ts';
import { runTransship, type TransshipRun, transship } from './run-transship.ts';

const TEMPORARY = [
  '/apis/export.kubevirt.io/v1/virtualmachineexports',
  '/apis/snapshot.kubevirt.io/v1beta1/virtualmachinesnapshots',
  PATHS.secrets,
];

/** Storage classes that only STAGE has. */
const CLASSES = ['gold', 'silver'];

/** One side: a real API server with stand-ins for KubeVirt and CDI. */
interface Side {
  readonly cluster: RunningCluster;
  readonly kube: Kube;
  readonly kubevirt: Kubevirt;
}

let bed: Bed;
let s3: TestS3;
let stage: Side;
let prod: Side;
let count = 0;
let shop: string;
let folder: string;

async function startSide(name: string, user: string): Promise<Side> {
  const cluster = await bed.start(name, [user]);
  return { cluster, kube: openKube(cluster.server, administratorOf(cluster)), kubevirt: await startKubevirt(cluster) };
}

beforeAll(async () => {
  bed = await prepareBed();
  [stage, prod, s3] = await Promise.all([
    startSide('stage', 'vm-exporter'),
    startSide('prod', 'vm-importer'),
    startS3(),
  ]);
  for (const name of CLASSES) {
    await stage.kube.create('/apis/storage.k8s.io/v1/storageclasses', {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name },
      provisioner: STORAGE_CLASS.provisioner,
    });
  }
});

afterAll(async () => {
  for (const side of [stage, prod]) {
    await side?.kubevirt.stop();
    side?.kube.close();
  }
  await Promise.all([bed?.close(), s3?.stop()]);
});

beforeEach(async () => {
  count += 1;
  [shop, folder] = [`shop-${count}`, join(bed.scratch, `snapshots-${count}`)];
  await makeNamespace(stage, shop);
});

afterEach(() => {
  stage.kubevirt.exportProxy.faults.clear();
  prod.kubevirt.uploadProxy.faults.clear();
});

const user = ({ cluster }: Side) => ({ env: { ...bed.environment(cluster, 'none'), ...s3.env } });
const exporting = (...more: string[]) => ['export', '-n', shop, '--include', 'vms', ...more];
const save = (...more: string[]) => runTransship(exporting(...more), user(stage));
const bring = (...more: string[]) => runTransship(['import', ...more], user(prod));

async function makeNamespace({ kube }: Side, name: string): Promise<void> {
  await kube.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
}

/** A machine with a disk from a template and one on a claim of its own. */
async function createMachine(name: string, disks: { root: Disk; data?: Disk }, facts: Partial<MachineFacts> = {}) {
  const { kube, kubevirt } = stage;
  const [root, data] = [`${name}-root`, `${name}-data`];
  kubevirt.volumes.set(shop, root, { disk: disks.root });
  if (disks.data !== undefined) {
    kubevirt.volumes.set(shop, data, { disk: disks.data });
    const annotations = { 'cdi.kubevirt.io/storage.contentType': 'kubevirt' };
    await kube.create(pathIn(PATHS.claims, shop), claimObject(shop, data, disks.data.size, { annotations }));
  }
  const machine = machineObject({
    namespace: shop,
    name,
    disks: [
      { name: 'root', template: { name: root, source: { blank: {} }, size: disks.root.size } },
      ...(disks.data === undefined ? [] : [{ name: 'data', claim: data }]),
    ],
    ...facts,
  });
  await kube.create(pathIn(PATHS.machines, shop), machine);
  await vi.waitFor(
    async () => {
      const claim = await kube.get(pathIn(PATHS.claims, shop, root));
      if (text(claim, 'status', 'phase') !== 'Bound')
        throw new Error(`${root} is not bound: ${kubevirt.problems.join()}`);
    },
    { timeout: 20_000, interval: 50 },
  );
}

/** What a machine's disks were filled with at the target, by the name of its volume. */
async function arrived(namespace: string, name: string): Promise<Record<string, string>> {
  const machine = await prod.kube.get(pathIn(PATHS.machines, namespace, name));
  const volumes = maps(machine, 'spec', 'template', 'spec', 'volumes').map((volume) => {
    const claim = text(volume, 'dataVolume', 'name') ?? text(volume, 'persistentVolumeClaim', 'claimName') ?? '';
    const disk = prod.kubevirt.received(namespace, claim);
    return [String(volume.name), disk === undefined ? 'nothing' : digestOf(disk)] as const;
  });
  return Object.fromEntries(volumes);
}

/** What an export has left in the namespace besides what was there. What is deleted goes when its controllers have let it. */
async function leftOver(): Promise<string[]> {
  const lists = await Promise.all(TEMPORARY.map((path) => stage.kube.list(path)));
  return lists
    .flat()
    .filter(({ metadata }) => metadata.namespace === shop && metadata.deletionTimestamp === undefined)
    .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
}

/** Does it when journals say of four frames, 16 MiB, that they are stored. */
async function whenStored(place: string, then: () => void): Promise<void> {
  const written = async () => {
    const names = (await readdir(place, { recursive: true })).filter((name) => name.endsWith('.journal'));
    const texts = await Promise.all(names.map((name) => readFile(join(place, name), 'utf8')));
    return texts.flatMap((text) => text.trimEnd().split('\n')).length;
  };
  // A line each, and one or two before them.
  await vi.waitFor(async () => expect(await written()).toBeGreaterThan(5), { timeout: 60_000, interval: 50 });
  then();
}

const vmsOf = ({ output }: TransshipRun) => at(output, 'vms');

describe('an export of a machine that is off', () => {
  it('into a file is KubeVirt’s archive of it, as tar and sha1sum read it, and leaves nothing behind', async () => {
    const disks = { root: gptDisk(5 * MIB), data: sparseDisk(9 * MIB + 1536) };
    await createMachine('db', disks);
    await mkdir(folder);
    const file = join(folder, 'db.tar.xz');
    const run = await save('--vms', 'db', '--path', file);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(await readdir(folder)).toEqual(['db.tar.xz']);
    expect(vmsOf(run)).toMatchObject([{ kind: 'vm', name: 'db', namespace: shop, outcome: 'exported' }]);

    const out = join(bed.scratch, `out-${count}`);
    await mkdir(out);
    execFileSync('tar', ['-xJf', file, '-C', out]);
    execFileSync('sha1sum', ['-c', '--quiet', 'manifest'], { cwd: out });
    const files = (await readdir(out, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(out.length + 1))
      .sort();
    expect(files).toEqual([
      'manifest',
      'resources/datavolume-db-root.yaml',
      'resources/pvc-db-data.yaml',
      'resources/pvc-db-root.yaml',
      'resources/vm.yaml',
      'volumes/db-data/disk.img',
      'volumes/db-root/disk.img',
    ]);
    const data = await readFile(join(out, 'volumes/db-data/disk.img'));
    expect(digestOf({ size: data.byteLength, read: (start, end) => data.subarray(start, end) })).toBe(
      digestOf(disks.data),
    );
    expect(await leftOver()).toEqual([]);
  });

  it('comes in elsewhere under another name, disk for disk, after a plan that changes nothing', async () => {
    const disks = { root: mixedDisk(6 * MIB + 512), data: incompressibleDisk(3 * MIB) };
    await createMachine('web', disks, { runStrategy: 'Manual' });
    await save('--path', folder);
    const target = ['--path', folder, '--namespace-map', `${shop}:copy-${count}`, '--name', 'web-copy'];

    const planned = await runTransship(['plan', ...target], user(prod));
    expect(planned.exitCode, planned.stderr).toBe(0);
    expect(at(planned.output, 'plan', 'objects')).toMatchObject([
      { change: 'create', kind: 'Namespace', name: `copy-${count}` },
      { change: 'create', kind: 'VirtualMachine', namespace: `copy-${count}`, name: 'web-copy' },
    ]);
    expect(planned.stderr).toContain('web-root: 6.0 MiB on standard; web-data: 3.0 MiB on standard');
    expect(await prod.kube.get(`/api/v1/namespaces/copy-${count}`)).toBeUndefined();

    const run = await bring(...target, '--plan-id', String(planned.output['plan-id']));
    expect(run.exitCode, run.stderr).toBe(0);
    expect(vmsOf(run)).toMatchObject([{ name: 'web-copy', namespace: `copy-${count}`, outcome: 'created' }]);
    expect(await arrived(`copy-${count}`, 'web-copy')).toEqual({
      root: digestOf(disks.root),
      data: digestOf(disks.data),
    });
    const machine = await prod.kube.get(pathIn(PATHS.machines, `copy-${count}`, 'web-copy'));
    expect(field(machine, 'spec', 'runStrategy')).toBe('Manual');

    const again = await bring(...target);
    expect(again.exitCode).toBe(1);
    expect(again.stderr).toContain('web-copy');
    expect(again.stderr).toContain('name');
  });

  it('is verified with its disks, and damage in one is found', async () => {
    await createMachine('db', { root: incompressibleDisk(2 * MIB) });
    const saved = await save('--path', folder, '--compression', 'none');
    expect(saved.exitCode, saved.stderr).toBe(0);
    const whole = await runTransship(['verify', '--path', folder], user(stage));
    expect(whole.exitCode, whole.stderr).toBe(0);
    expect(vmsOf(whole)).toMatchObject([{ name: 'db', namespace: shop }]);

    const [name = ''] = await readdir(join(folder, `transship-${String(saved.output.snapshot)}.vms`));
    const file = join(folder, `transship-${String(saved.output.snapshot)}.vms`, name);
    execFileSync('dd', [
      'if=/dev/zero',
      `of=${file}`,
      'bs=1',
      'seek=1500000',
      'count=64',
      'conv=notrunc',
      'status=none',
    ]);
    const damaged = await runTransship(['verify', '--path', folder], user(stage));
    expect(damaged.exitCode).toBe(1);
    expect(damaged.stderr).toContain('volumes/db-root/disk.img');

    const run = await bring('--path', folder, '--namespace-map', `${shop}:damaged-${count}`);
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain('disk.img');
    expect(await prod.kube.get(pathIn(PATHS.machines, `damaged-${count}`, 'db'))).toBeUndefined();
  });
});

describe('a machine that runs', () => {
  it('is not exported as it is, which is said with the ways out, and nothing is made', async () => {
    await createMachine('db', { root: mixedDisk(MIB) }, { runStrategy: 'Always' });
    const run = await save('--path', folder);
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain(`${shop}/db`);
    expect(run.stderr).toContain('running-vms');
    expect(await leftOver()).toEqual([]);
    expect(existsSync(folder) ? await readdir(folder) : []).toEqual([]);
  });

  it.each(['snapshot', 'stop'])('is exported by %s, runs afterwards, and nothing is left', async (how) => {
    const root = mixedDisk(2 * MIB);
    await createMachine('db', { root }, { runStrategy: 'Always' });
    const run = await save('--path', folder, '--running-vms', how);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(await leftOver()).toEqual([]);
    const machine = await stage.kube.get(pathIn(PATHS.machines, shop, 'db'));
    expect(field(machine, 'spec', 'runStrategy')).toBe('Always');
    expect(machine?.metadata.annotations ?? {}).toEqual({});
    const imported = await bring('--path', folder, '--run-strategy', 'Halted');
    expect(imported.exitCode, imported.stderr).toBe(0);
    expect(await arrived(shop, 'db')).toEqual({ root: digestOf(root) });
  });
});

describe('an export that is interrupted', () => {
  it.each(['s3', 'local'])('on %s goes on where it was killed', async (backend) => {
    const prefix = `kill-${count}`;
    const path = backend === 's3' ? `s3://${s3.bucket}/${prefix}` : folder;
    const root = incompressibleDisk(64 * MIB, prefix);
    await createMachine('db', { root });
    await stage.kube.create(pathIn('/apis/snapshot.kubevirt.io/v1beta1/virtualmachinesnapshots', shop), {
      apiVersion: 'snapshot.kubevirt.io/v1beta1',
      kind: 'VirtualMachineSnapshot',
      metadata: { name: 'nightly', namespace: shop },
      spec: { source: { apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name: 'db' } },
    });
    const snapshotPath = pathIn('/apis/snapshot.kubevirt.io/v1beta1/virtualmachinesnapshots', shop, 'nightly');
    await vi.waitFor(async () => expect(field(await stage.kube.get(snapshotPath), 'status', 'readyToUse')).toBe(true), {
      timeout: 20_000,
      interval: 50,
    });
    const args = exporting('--vm-snapshots', 'nightly', '--path', path, '--compression', 'zstd');
    let kill = () => {};
    stage.kubevirt.exportProxy.faults.add({
      method: 'GET',
      path: 'disk.img',
      when: ({ headers }) => Number(/bytes=(\d+)/.exec(headers.range ?? '')?.[1] ?? 0) >= 60 * MIB,
      fault: { kind: 'stall' },
      onHit: () => void whenStored(backend === 's3' ? join(s3.folder, 'buckets', s3.bucket, prefix) : folder, kill),
    });
    const killed = await runTransship(args, {
      ...user(stage),
      onStart: (child) => {
        kill = () => void child.kill('SIGKILL');
      },
    });
    expect(killed.exitCode, killed.stderr).toBe(137);
    stage.kubevirt.exportProxy.faults.clear();
    const listed = await runTransship(['list', '--path', path], user(stage));
    expect(at(listed.output, 'snapshots')).toMatchObject([{ state: 'unfinished' }]);

    const run = await transship(args, user(stage));
    expect(run.stderr).toContain('Going on with snapshot');
    const [vm] = maps(run.output, 'vms');
    expect(Number(vm?.resumed)).toBeGreaterThanOrEqual(16 * MIB);
    const verified = await runTransship(['verify', '--path', path], user(stage));
    expect(verified.exitCode, verified.stderr).toBe(0);
    const imported = await bring('--path', path, '--namespace-map', `${shop}:back-${count}`);
    expect(imported.exitCode, imported.stderr).toBe(0);
    expect(await arrived(`back-${count}`, 'db')).toEqual({ root: digestOf(root) });
  });

  it('by SIGTERM takes away what it made in the cluster', async () => {
    await createMachine('db', { root: mixedDisk(2 * MIB) }, { runStrategy: 'Always' });
    let stop = () => {};
    stage.kubevirt.exportProxy.faults.add({
      method: 'GET',
      path: 'disk.img',
      fault: { kind: 'stall' },
      times: 20,
      onHit: () => stop(),
    });
    const run = await runTransship(exporting('--path', folder, '--running-vms', 'snapshot'), {
      ...user(stage),
      onStart: (child) => {
        // Once: a second one means at once.
        stop = () => {
          stop = () => {};
          child.kill('SIGTERM');
        };
      },
    });
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain('Cancelled by SIGTERM');
    expect(await leftOver()).toEqual([]);
  });
});

describe('a workflow step that is killed', () => {
  it('has what it left in the cluster taken away by its clean-up, and the machine runs again', async () => {
    await createMachine('db', { root: mixedDisk(2 * MIB) }, { runStrategy: 'Always' });
    const stateFile = join(bed.scratch, `state-${count}`);
    await writeFile(stateFile, '');
    const inputs = { MODE: 'export', NAMESPACE: shop, INCLUDE: 'vms', 'RUNNING-VMS': 'stop', PATH: folder };
    const env = {
      ...user(stage).env,
      GITHUB_ACTIONS: 'true',
      GITHUB_STATE: stateFile,
      RUNNER_TEMP: bed.scratch,
      ...Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name}`, value])),
    };
    const program = [resolve('node_modules/.bin/node'), resolve('dist/index.js')] as const;
    let kill = () => {};
    const stall = {
      method: 'GET',
      path: 'disk.img',
      fault: { kind: 'stall' },
      times: 20,
      onHit: () => kill(),
    } as const;
    stage.kubevirt.exportProxy.faults.add(stall);
    const killed = await runCommand(program[0], program.slice(1), {
      env,
      onStart: (child) => {
        kill = () => void child.kill('SIGKILL');
      },
    });
    expect(killed.exitCode, killed.stdout).toBe(137);
    expect(await leftOver()).not.toEqual([]);

    const states = [...(await readFile(stateFile, 'utf8')).matchAll(/^(\w+)<<(.+)\n([\s\S]*?)\n\2$/gm)];
    const post = Object.fromEntries(states.map(([, name, , value]) => [`STATE_${name}`, value]));
    const cleaned = await runCommand(program[0], program.slice(1), { env: { ...env, ...post } });
    expect(cleaned.stdout).toContain('Cleaned up in the cluster what an interrupted run had left');
    expect(await leftOver()).toEqual([]);
    const machine = await stage.kube.get(pathIn(PATHS.machines, shop, 'db'));
    expect(field(machine, 'spec', 'runStrategy')).toBe('Always');
  });
});

describe('resources in the same snapshot', () => {
  it('leave out what belongs to machines, and come with them', async () => {
    const root = mixedDisk(2 * MIB);
    const data = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'site' }, data: { a: 'b' } };
    await stage.kube.create(`/api/v1/namespaces/${shop}/configmaps`, data);
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'cloud' },
      stringData: { userdata: '#cloud-config' },
    };
    await stage.kube.create(pathIn(PATHS.secrets, shop), secret);
    const volumes = [{ name: 'cloud', cloudInitNoCloud: { secretRef: { name: 'cloud' } } }];
    await createMachine('db', { root }, { volumes });
    const args = ['-n', shop, '--include', 'resources,vms', '--path', folder];
    const saved = await runTransship(['export', ...args], user(stage));
    expect(saved.exitCode, saved.stderr).toBe(0);
    const kinds = maps(saved.output, 'resources').filter(({ exported }) => exported !== 0);
    expect(kinds.map(({ resource }) => resource)).not.toContain('virtualmachines');
    expect(kinds.map(({ resource }) => resource)).not.toContain('datavolumes');
    expect(kinds.map(({ resource }) => resource)).not.toContain('persistentvolumeclaims');

    const target = ['--path', folder, '--namespace-map', `${shop}:both-${count}`, '--atomic'];
    const run = await bring(...target);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(vmsOf(run)).toMatchObject([{ name: 'db', outcome: 'created' }]);
    expect(await arrived(`both-${count}`, 'db')).toMatchObject({ root: digestOf(root) });
    expect(await prod.kube.get(`/api/v1/namespaces/both-${count}/configmaps/site`)).toMatchObject({ data: { a: 'b' } });
  });

  it('are taken back with the machines by an atomic import that fails', async () => {
    const data = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'site' }, data: { a: 'b' } };
    await stage.kube.create(`/api/v1/namespaces/${shop}/configmaps`, data);
    await createMachine('db', { root: mixedDisk(2 * MIB) });
    await createMachine('web', { root: mixedDisk(2 * MIB) });
    await runTransship(['export', '-n', shop, '--include', 'resources,vms', '--path', folder], user(stage));
    const proxy = prod.kubevirt.uploadProxy.faults;
    // What is not tried again.
    const refuse = { kind: 'answer', status: 400, body: 'No.' } as const;
    proxy.add({ method: 'POST', path: '/', times: 1000, skip: 1, fault: refuse });
    const place = `undone-${count}`;
    await makeNamespace(prod, place);
    const target = ['--path', folder, '--namespace-map', `${shop}:${place}`, '--atomic', '--timeout', '5s'];
    const run = await bring(...target);
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain('Taken back');
    await vi.waitFor(
      async () => {
        const left = await Promise.all([PATHS.machines, PATHS.dataVolumes].map((path) => prod.kube.list(path)));
        expect(left.flat().filter(({ metadata }) => metadata.namespace === place)).toEqual([]);
      },
      { timeout: 20_000, interval: 100 },
    );
    expect(await prod.kube.get(`/api/v1/namespaces/${place}/configmaps/site`)).toBeUndefined();
  });
});

describe('an import', () => {
  it('names every storage class that is missing at once, and makes nothing', async () => {
    const { kube, kubevirt } = stage;
    for (const name of CLASSES) kubevirt.volumes.set(shop, name, { disk: mixedDisk(MIB) });
    const disks = CLASSES.map((name) => ({
      name,
      template: { name, source: { blank: {} }, size: MIB, storageClassName: name },
    }));
    await kube.create(pathIn(PATHS.machines, shop), machineObject({ namespace: shop, name: 'db', disks }));
    await vi.waitFor(
      async () => {
        for (const name of CLASSES) {
          expect(text(await kube.get(pathIn(PATHS.claims, shop, name)), 'status', 'phase')).toBe('Bound');
        }
      },
      { timeout: 20_000, interval: 50 },
    );
    const saved = await save('--path', folder);
    expect(saved.exitCode, saved.stderr).toBe(0);

    const run = await bring('--path', folder);
    expect(run.exitCode).toBe(1);
    for (const name of CLASSES) expect(run.stderr).toContain(name);
    expect(run.stderr).toContain('storage-class-map');
    expect(await prod.kube.get(pathIn(PATHS.machines, shop, 'db'))).toBeUndefined();

    const mapped = await bring('--path', folder, '--storage-class-map', 'gold=standard,silver=standard');
    expect(mapped.exitCode, mapped.stderr).toBe(0);
  });

  it('opens what is encrypted with its identity only', async () => {
    const root = mixedDisk(2 * MIB);
    await createMachine('db', { root });
    const key = await generateIdentity();
    const recipient = await identityToRecipient(key);
    const identity = join(bed.scratch, 'key.txt');
    await writeFile(
      identity,
      `${key}
`,
    );
    const saved = await save('--path', folder, '--encrypt-to', recipient);
    expect(saved.exitCode, saved.stderr).toBe(0);
    expect((await bring('--path', folder)).exitCode).not.toBe(0);
    const run = await bring('--path', folder, '--identity', identity);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(await arrived(shop, 'db')).toEqual({ root: digestOf(root) });
  });
});

describe('a promotion', () => {
  it('has the target read the disks from the source, and leaves nothing at either side', async () => {
    const disks = { root: mixedDisk(4 * MIB), data: sparseDisk(3 * MIB) };
    await createMachine('db', disks);
    const kubeconfig = ['--target-kubeconfig', prod.cluster.kubeconfig];
    const target = [...kubeconfig, '-n', shop, '--include', 'vms', '--namespace-map', `${shop}:promoted-${count}`];
    const run = await runTransship(['promote', ...target], user(stage));
    expect(run.exitCode, run.stderr).toBe(0);
    expect(vmsOf(run)).toMatchObject([{ name: 'db', namespace: `promoted-${count}`, outcome: 'created' }]);
    expect(await arrived(`promoted-${count}`, 'db')).toEqual({
      root: digestOf(disks.root),
      data: digestOf(disks.data),
    });
    expect(await leftOver()).toEqual([]);
    const secrets = await prod.kube.list(PATHS.secrets);
    expect(secrets.filter(({ metadata }) => metadata.namespace === `promoted-${count}`)).toEqual([]);
  });
});

describe('examples/virtual-machines', () => {
  it('moves machines from STAGE to PROD with no more rights than its folder grants', async () => {
    shop = 'machines';
    await Promise.all([makeNamespace(stage, shop), makeNamespace(prod, shop)]);
    await Promise.all([
      grant(stage.cluster, 'virtual-machines/stage-rbac.yaml'),
      grant(prod.cluster, 'virtual-machines/prod-rbac.yaml'),
    ]);
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'cloud' },
      stringData: { userdata: '#cloud' },
    };
    await stage.kube.create(pathIn(PATHS.secrets, shop), secret);
    const volumes = [{ name: 'cloud', cloudInitNoCloud: { secretRef: { name: 'cloud' } } }];
    const root = mixedDisk(3 * MIB);
    await createMachine('db', { root, data: sparseDisk(2 * MIB) }, { runStrategy: 'Always', volumes });
    await createMachine('other', { root: mixedDisk(MIB) });
    const run = await runWorkflow({
      example: example('virtual-machines'),
      event: 'workflow_dispatch',
      payload: { inputs: { vms: 'd*' } },
      vars: { SNAPSHOT_PATH: `s3://${s3.bucket}/machines`, AWS_REGION: s3.region },
      env: { AWS_ENDPOINT_URL_S3: s3.endpoint },
      programs: {},
      secrets: {
        AWS_ACCESS_KEY_ID: s3.accessKeyId,
        AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
        STAGE_KUBECONFIG: base64(kubeconfigOf(stage.cluster, 'vm-exporter')),
        PROD_KUBECONFIG: base64(kubeconfigOf(prod.cluster, 'vm-importer')),
      },
    });
    expect(run.jobs, run.log).toEqual({ export: 'success', import: 'success' });
    expect(await arrived(shop, 'db')).toMatchObject({ root: digestOf(root) });
    expect(await prod.kube.get(pathIn(PATHS.machines, shop, 'other'))).toBeUndefined();
    expect(run.summary('import')).toContain('### ✅ Imported 1 virtual machine into prod-vm-importer');
    expect(await leftOver()).toEqual(['Secret cloud']);
    const warnings = run.log.split('\n').filter((line) => /warning/i.test(line) && /may not|forbidden/i.test(line));
    expect(warnings).toEqual([]);
  });
});
