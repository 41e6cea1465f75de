import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { systemClock } from '../../src/cluster/clock.ts';
import type { Cluster, KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { type Discovery, discover } from '../../src/cluster/discovery.ts';
import { type CloneOptions, cloneVms, prepareClone } from '../../src/vms/clone.ts';
import { cleanUpClones } from '../../src/vms/clone-clean-up.ts';
import { exactSizes } from '../../src/vms/clone-sizes.ts';
import { openSource } from '../../src/vms/clone-source.ts';
import type { VmSource } from '../../src/vms/export-object.ts';
import { createVmHttp } from '../../src/vms/http.ts';
import type { ExportLinks } from '../../src/vms/links.ts';
import { newRunId } from '../../src/vms/temporary-objects.ts';
import { gptDisk, MIB, mixedDisk } from '../kubevirt/disks.ts';
import { administratorOf } from '../kubevirt/install.ts';
import { type Kube, openKube } from '../kubevirt/kube.ts';
import { type Kubevirt, startKubevirt } from '../kubevirt/kubevirt.ts';
import { claimObject, machineObject } from '../kubevirt/machine-objects.ts';
import { field, maps, PATHS, pathIn, text } from '../kubevirt/objects.ts';
import { writeFolder } from '../kubevirt/volumes.ts';
import { listeningReporter } from '../unit/vms/fake-kubevirt.ts';
import { startCluster, type TestCluster } from './cluster.ts';

const EXPORTS = '/apis/export.kubevirt.io/v1/virtualmachineexports';
const CONFIG_MAPS = '/api/v1/configmaps';
const ROOT = mixedDisk(3 * MIB + 512);
const DATA = gptDisk(4 * MIB);

let bed: TestCluster;
let kube: Kube;
let kubevirt: Kubevirt;
let cluster: Cluster;
let discovery: Discovery;

beforeAll(async () => {
  bed = await startCluster({ name: 'clone' });
  kube = openKube(bed.server, administratorOf(bed));
  kubevirt = await startKubevirt(bed, { internalLinks: 'loopback', portForward: true });
  cluster = await openCluster({ kubeconfig: bed.kubeconfigText, env: {} });
  discovery = await discover(cluster);
});

afterAll(async () => {
  await cluster?.close();
  await kubevirt?.stop();
  kube?.close();
  await bed?.stop();
});

afterEach(() => kubevirt.exportProxy.faults.clear());

const until = (path: string, isSo: (object: KubeObject) => boolean): Promise<KubeObject> =>
  vi.waitFor(
    async () => {
      const object = await kube.get(path);
      if (object === undefined || !isSo(object)) throw new Error(`Waited in vain for ${path}`);
      return object;
    },
    { timeout: 20_000, interval: 30 },
  );

/** `<name>-a` with a machine on a template, a Block claim and a Secret; `<name>-b` is where it is cloned to. */
async function createMachine(name: string, runStrategy: 'Always' | 'Halted' = 'Halted'): Promise<VmSource> {
  const namespace = `${name}-a`;
  kubevirt.volumes.set(namespace, 'root', { disk: ROOT });
  kubevirt.volumes.set(namespace, 'data', { disk: DATA });
  for (const one of [namespace, `${name}-b`]) {
    await kube.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: one } });
  }
  const init = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'init' },
    stringData: { userdata: '#cloud-config' },
  };
  await kube.create(pathIn(PATHS.secrets, namespace), init);
  await kube.create(
    pathIn(PATHS.claims, namespace),
    claimObject(namespace, 'data', DATA.size, { volumeMode: 'Block' }),
  );
  const disks = [
    { name: 'root-disk', template: { name: 'root', source: { blank: {} }, size: 8 * MIB } },
    { name: 'data-disk', claim: 'data' },
  ];
  const volumes = [{ name: 'cloudinit', cloudInitNoCloud: { secretRef: { name: 'init' } } }];
  await kube.create(
    pathIn(PATHS.machines, namespace),
    machineObject({ namespace, name: 'vm', disks, volumes, runStrategy }),
  );
  const isUp = (object: KubeObject) => text(object, 'status', 'phase') === 'Succeeded';
  await until(pathIn(PATHS.dataVolumes, namespace, 'root'), isUp);
  if (runStrategy === 'Always') {
    await until(pathIn(PATHS.instances, namespace, 'vm'), (object) => text(object, 'status', 'phase') === 'Running');
  }
  return { kind: 'vm', namespace, name: 'vm' };
}

function optionsOf(
  more: Partial<CloneOptions> = {},
): CloneOptions & { reporter: ReturnType<typeof listeningReporter> } {
  return {
    running: 'error',
    links: 'external',
    ttl: 600_000,
    timeout: 20_000,
    run: newRunId(),
    namespaceOf: (source) => source.replace(/-a$/, '-b'),
    storageClassMap: {},
    vmIdentity: 'new',
    concurrency: 2,
    signal: new AbortController().signal,
    env: {},
    ...more,
    reporter: listeningReporter(),
  };
}

async function clone(sources: readonly VmSource[], options: CloneOptions) {
  const side = { cluster, discovery };
  const work = await prepareClone(side, side, sources, options);
  expect(work.problems).toEqual([]);
  return cloneVms(work);
}

/** What a namespace has, but for what every one has. */
async function contentOf(namespace: string): Promise<string[]> {
  const { machines, instances, snapshots, contents, dataVolumes, claims, pods, services, secrets } = PATHS;
  const kinds = {
    ...{ machines, instances, snapshots, contents, dataVolumes, claims, pods, services, secrets },
    ...{ exports: EXPORTS, configMaps: CONFIG_MAPS },
  };
  const found = await Promise.all(
    Object.entries(kinds).map(async ([kind, path]) =>
      (await kube.list(pathIn(path, namespace))).map(({ metadata }) => `${kind} ${metadata.name}`),
    ),
  );
  return found.flat().filter((one) => one !== 'configMaps kube-root-ca.crt');
}

const isClean = (namespace: string, ...left: readonly (string | RegExp)[]) =>
  vi.waitFor(
    async () => {
      const there = await contentOf(namespace);
      expect(there.filter((one) => !left.some((known) => one.match(known)))).toEqual([]);
    },
    { timeout: 15_000, interval: 50 },
  );
const SOURCE = [/^secrets init$/, /^(claims|dataVolumes) (root|data)$/, /^machines vm$/];
const COPY = [/^secrets init$/, /^(claims|dataVolumes) vm-(root|data)-.{5}$/, /^machines vm$/];

/** What came into the claims of the copy, by the claims of the source. */
async function copiesIn(namespace: string): Promise<Record<string, string | undefined>> {
  const claims = await kube.list(pathIn(PATHS.claims, namespace));
  return Object.fromEntries(
    claims.map(({ metadata }) => [
      metadata.name.replace(/^vm-(.*)-.{5}$/, '$1'),
      kubevirt.received(namespace, metadata.name)?.sha256(),
    ]),
  );
}

test('a machine with a file system disk and a block disk is copied without a byte of it coming here', async () => {
  const source = await createMachine('plain');
  const options = optionsOf({ runStrategy: 'Manual', environment: { name: 'preview' } });
  const created: string[] = [];
  const undo = { created: async (path: string) => void created.push(path) } as unknown as CloneOptions['undo'];
  const results = await clone([source], { ...options, undo });
  expect(results).toEqual([
    {
      kind: 'vm',
      name: 'vm',
      namespace: 'plain-b',
      outcome: 'created',
      volumes: [
        { claim: 'root', contents: 'disk', size: ROOT.size },
        { claim: 'data', contents: 'disk', size: DATA.size },
      ],
    },
  ]);
  expect(await copiesIn('plain-b')).toEqual({ root: ROOT.sha256(), data: DATA.sha256() });
  const vm = await kube.get(pathIn(PATHS.machines, 'plain-b', 'vm'));
  expect(field(vm, 'spec', 'runStrategy')).toBe('Manual');
  expect(vm?.metadata.labels).toEqual({ app: 'vm', 'transship.dev/environment': 'preview' });
  expect(maps(vm, 'spec', 'dataVolumeTemplates').map((one) => field(one, 'spec', 'source'))).toEqual([
    { upload: {} },
    { upload: {} },
  ]);
  expect((await kube.get(pathIn(PATHS.secrets, 'plain-b', 'init')))?.metadata.labels).toEqual({
    'transship.dev/environment': 'preview',
  });
  expect(created).toEqual([
    '/api/v1/namespaces/plain-b/secrets/init',
    '/apis/kubevirt.io/v1/namespaces/plain-b/virtualmachines/vm',
  ]);
  // Only heads were asked for from here; CDI's importer reads each disk once.
  const asked = kubevirt.exportProxy.requests.filter(({ path }) => path.includes('/plain-a/'));
  const methods = asked.map(({ method, headers }) => `${method} ${headers['user-agent'] ?? ''}`);
  expect(methods.filter((one) => one.startsWith('GET'))).toEqual([
    'GET cdi-golang-importer',
    'GET cdi-golang-importer',
  ]);
  await isClean('plain-a', ...SOURCE);
  await isClean('plain-b', ...COPY);
  expect(kubevirt.problems).toEqual([]);
});

test('a running machine is copied from a snapshot, and runs on', async () => {
  const source = await createMachine('running', 'Always');
  const side = { cluster, discovery };
  const refused = await prepareClone(side, side, [source], optionsOf());
  expect(refused.problems.join()).toMatch(/^VM running-a\/vm: .*run/);
  const before = await kube.get(pathIn(PATHS.instances, 'running-a', 'vm'));
  const [result] = await clone([source], optionsOf({ running: 'snapshot', runStrategy: 'Halted' }));
  expect(result).toMatchObject({ outcome: 'created', name: 'vm' });
  expect(await copiesIn('running-b')).toEqual({ root: ROOT.sha256(), data: DATA.sha256() });
  expect((await kube.get(pathIn(PATHS.instances, 'running-a', 'vm')))?.metadata.uid).toBe(before?.metadata.uid);
  await isClean('running-a', ...SOURCE, /^instances vm$/, /^pods virt-launcher-/);
  await isClean('running-b', ...COPY);
});

test('a running machine is stopped for the time of the copy, and started again', async () => {
  const source = await createMachine('stopped', 'Always');
  const [result] = await clone([source], optionsOf({ running: 'stop', runStrategy: 'Halted' }));
  expect(result).toMatchObject({ outcome: 'created' });
  const vm = await until(
    pathIn(PATHS.machines, 'stopped-a', 'vm'),
    (object) => field(object, 'status', 'ready') === true,
  );
  expect(vm.metadata.annotations ?? {}).toEqual({});
  await isClean('stopped-b', ...COPY);
});

test('a claim with files comes as an archive, and what nobody can verify is told', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'transship-clone-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const name of ['files-a', 'files-b']) {
    await kube.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  kubevirt.volumes.set(
    'files-a',
    'docs',
    await writeFolder(join(folder, 'docs'), [{ path: 'a/b.txt', text: 'hello' }]),
  );
  await kube.create(pathIn(PATHS.claims, 'files-a'), claimObject('files-a', 'docs', 8 * MIB));
  await until(pathIn(PATHS.claims, 'files-a', 'docs'), (object) => text(object, 'status', 'phase') === 'Bound');
  const side = { cluster, discovery };
  const source: VmSource = { kind: 'pvc', namespace: 'files-a', name: 'docs' };
  const work = await prepareClone(side, side, [source], optionsOf({ name: 'papers' }));
  expect(work.problems).toEqual([]);
  expect(work.notes[0]).toMatch(/^claim files-a\/docs: The files of docs come as a tar without a length/);
  expect(await cloneVms(work)).toMatchObject([{ kind: 'pvc', name: 'papers', outcome: 'created' }]);
  const copy = await kube.get(pathIn(PATHS.dataVolumes, 'files-b', 'papers'));
  expect([text(copy, 'spec', 'contentType'), text(copy, 'spec', 'source', 'http', 'url')]).toEqual([
    'archive',
    expect.stringMatching(/\/volumes\/docs\/disk\.tar\.gz$/),
  ]);
  expect(copy?.metadata.labels ?? {}).toEqual({});
  await isClean('files-a', /^claims docs$/);
  await isClean('files-b', /^(claims|dataVolumes) papers$/);
});

test('a certificate that rotates in the middle is brought to the target, and CDI goes on', async () => {
  const source = await createMachine('rotated');
  const options = optionsOf({ timeout: 40_000 });
  kubevirt.exportProxy.faults.add({
    method: 'GET',
    path: '/rotated-a/',
    fault: { kind: 'reset', after: MIB },
    onHit: () => kubevirt.rotateAuthority('proxies'),
  });
  expect(await clone([source], options)).toMatchObject([{ outcome: 'created' }]);
  expect(await copiesIn('rotated-b')).toEqual({ root: ROOT.sha256(), data: DATA.sha256() });
  expect(options.reporter.lines).toContain(
    'info: VM rotated-a/vm: the certificate of the export has changed; CDI gets the new one.',
  );
  await isClean('rotated-a', ...SOURCE);
  await isClean('rotated-b', ...COPY);
});

test('in one cluster the internal links do; when they move, the copy begins anew', async () => {
  const source = await createMachine('moved');
  const options = optionsOf({ links: 'auto', timeout: 40_000 });
  const letGo = kubevirt.hold('imports');
  const working = clone([source], options);
  const isSeen = (object: KubeObject) => text(object, 'spec', 'source', 'http', 'url') !== undefined;
  const [first] = await vi.waitFor(async () => {
    const found = await kube.list(pathIn(PATHS.dataVolumes, 'moved-b'));
    expect(found.filter(isSeen)).toHaveLength(2);
    return found;
  }, 20_000);
  expect(text(first, 'spec', 'source', 'http', 'url')).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/volumes\//);
  const [vmExport] = await kube.list(pathIn(EXPORTS, 'moved-a'));
  // In its place comes a pod on another port.
  await kubevirt.killExporter('moved-a', vmExport?.metadata.name ?? '');
  letGo();
  expect(await working).toMatchObject([{ outcome: 'created' }]);
  expect(options.reporter.lines.join('\n')).toMatch(/The VM moved-a\/vm is cloned anew\./);
  expect(await copiesIn('moved-b')).toEqual({ root: ROOT.sha256(), data: DATA.sha256() });
  await isClean('moved-a', ...SOURCE);
  await isClean('moved-b', ...COPY);
});

test('an import that fails for a while comes to its end', async () => {
  const source = await createMachine('flaky');
  for (const status of [503, 401, 404]) {
    const fault = { kind: 'answer', status } as const;
    kubevirt.exportProxy.faults.add({ method: 'GET', path: '/flaky-a/', fault });
  }
  expect(await clone([source], optionsOf())).toMatchObject([{ outcome: 'created' }]);
  expect(await copiesIn('flaky-b')).toEqual({ root: ROOT.sha256(), data: DATA.sha256() });
});

test.each([
  [401, /expected status code 401|got 401/, /does a gateway in front of it drop the header x-kubevirt-export-token\?/],
  [404, /got 404/, /is it the virt-exportproxy of the source\?/],
  [503, /got 503/, /is its exporter pod ready/],
])(
  'an import that only ever meets %i fails with that, and leaves nothing at either side',
  async (status, said, hint) => {
    const source = await createMachine(`bad-${status}`);
    const fault = { kind: 'answer', status } as const;
    kubevirt.exportProxy.faults.add({ method: 'GET', path: `/bad-${status}-a/`, fault, times: 1000 });
    const [result] = await clone([source], optionsOf({ timeout: 3_000 }));
    expect(result).toMatchObject({
      kind: 'vm',
      name: 'vm',
      namespace: `bad-${status}-b`,
      outcome: 'failed',
      volumes: [],
    });
    expect(result?.message).toMatch(said);
    expect(result?.message).toMatch(hint);
    await isClean(`bad-${status}-a`, ...SOURCE);
    await isClean(`bad-${status}-b`);
  },
);

test('a cancel takes everything back at both sides, and starts what was stopped', async () => {
  const source = await createMachine('cancelled', 'Always');
  const cancel = new AbortController();
  kubevirt.exportProxy.faults.add({
    method: 'GET',
    path: '/cancelled-a/',
    fault: { kind: 'stall', after: MIB },
    onHit: () => cancel.abort(),
  });
  const options = optionsOf({ running: 'stop', signal: cancel.signal });
  await expect(clone([source], options)).rejects.toMatchObject({ code: 'CANCELLED' });
  const path = pathIn(PATHS.machines, 'cancelled-a', 'vm');
  const vm = await until(path, (object) => field(object, 'status', 'ready') === true);
  expect(vm.metadata.annotations ?? {}).toEqual({});
  await isClean('cancelled-a', ...SOURCE, /^instances vm$/, /^pods virt-launcher-/);
  await isClean('cancelled-b');
});

test('what a killed run has left at the target is found by its label; what is whole stays', async () => {
  const source = await createMachine('killed');
  const options = optionsOf();
  await clone([source], options);
  expect(await cleanUpClones(cluster, discovery, options.run)).toEqual([]);
  // A second run that stands still, as far as the target can tell.
  const letGo = kubevirt.hold('imports');
  const cancel = new AbortController();
  const half = optionsOf({ name: 'other', signal: cancel.signal });
  const working = clone([source], half).catch(() => undefined);
  await vi.waitFor(async () => expect(await kube.list(pathIn(PATHS.dataVolumes, 'killed-b'))).toHaveLength(4), 20_000);
  const removed = await cleanUpClones(cluster, discovery, half.run, { namespaces: ['killed-b'] });
  expect(removed[0]).toBe('/apis/kubevirt.io/v1/namespaces/killed-b/virtualmachines/other');
  await isClean('killed-b', ...COPY);
  letGo();
  cancel.abort();
  await working;
});

test('all that stands against clones is found before anything is made', async () => {
  const source = await createMachine('taken');
  await kube.create(pathIn(PATHS.machines, 'taken-b'), machineObject({ namespace: 'taken-b', name: 'vm' }));
  const side = { cluster, discovery };
  const missing: VmSource = { kind: 'vm', namespace: 'taken-a', name: 'none' };
  const clash: VmSource = { kind: 'vm', namespace: 'taken-b', name: 'vm' };
  const { problems, machines } = await prepareClone(side, side, [source, missing, clash], optionsOf({ name: 'vm' }));
  expect(problems).toEqual([
    '"vm" can be the name of one machine, and these are 3.',
    'VM taken-a/vm and VM taken-a/none and VM taken-b/vm would all become the VM taken-b/vm at the target.',
    expect.stringMatching(/^VM taken-a\/vm: The VirtualMachine taken-b\/vm exists at the target/),
    expect.stringMatching(/^VM taken-a\/none: There is no VM taken-a\/none\./),
    expect.stringMatching(/^VM taken-b\/vm: The VirtualMachine taken-b\/vm exists at the target/),
  ]);
  expect(machines.map(({ origin }) => origin)).toEqual(['the VM taken-a/vm of clone', 'the VM taken-b/vm of clone']);
  await isClean('taken-b', /^machines vm$/);
});

test('of two machines that share a Secret one fails, and the Secret stays for the other', async () => {
  const source = await createMachine('shared');
  const disks = [{ name: 'disk', template: { name: 'more', source: { blank: {} }, size: MIB } }];
  const volumes = [{ name: 'cloudinit', cloudInitNoCloud: { secretRef: { name: 'init' } } }];
  const namespace = 'shared-a';
  await kube.create(pathIn(PATHS.machines, namespace), machineObject({ namespace, name: 'bad', disks, volumes }));
  await until(
    pathIn(PATHS.dataVolumes, namespace, 'more'),
    (object) => text(object, 'status', 'phase') === 'Succeeded',
  );
  const fault = { kind: 'answer', status: 404 } as const;
  kubevirt.exportProxy.faults.add({ method: 'GET', path: '/volumes/more/', fault, times: 1000 });
  const bad: VmSource = { kind: 'vm', namespace, name: 'bad' };
  const results = await clone([bad, source], optionsOf({ timeout: 8_000 }));
  expect(results[0]).toMatchObject({ name: 'bad', outcome: 'failed' });
  expect(results[1]).toMatchObject({ name: 'vm', outcome: 'created' });
  await isClean('shared-b', ...COPY);
  expect((await kube.get(pathIn(PATHS.secrets, 'shared-b', 'init')))?.metadata.labels).toBeUndefined();
});

test('where this machine can not reach the links, sizes are asked for through the API server', async () => {
  const source = await createMachine('sizes');
  const options = { ...optionsOf(), clock: systemClock, links: 'external' } as const;
  const opened = await openSource({ cluster, discovery }, source, options);
  const http = await createVmHttp({ env: {} });
  onTestFinished(async () => {
    await http.close();
    await opened.close();
  });
  const elsewhere = (links: ExportLinks): ExportLinks => ({
    ...links,
    volumes: links.volumes.map((one) => ({ ...one, formats: { raw: 'https://127.0.0.1:1/disk.img' } })),
  });
  const exports = opened.exports.map(({ vmExport, claims }) => ({
    claims,
    vmExport: { ...vmExport, links: async (fresh?: boolean) => elsewhere(await vmExport.links(fresh)) },
  }));
  const sizes = await exactSizes({ cluster, discovery }, opened.description, exports, { ...options, http });
  expect(sizes).toEqual({ root: ROOT.size, data: DATA.size });
  expect(kubevirt.node?.opened()).toBeGreaterThan(0);
});
