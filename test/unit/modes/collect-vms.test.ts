import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { parseInputs } from '../../../src/inputs.ts';
import { chooseTargets, exportVms, ownedByTargets } from '../../../src/modes/collect-vms.ts';
import { openStorage } from '../../../src/modes/storage.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { claimObject, machineObject } from '../../kubevirt/machine-objects.ts';
import { temporaryFolder } from '../archive/helpers.ts';
import { type FakeKubevirt, fakeKubevirt } from '../vms/fake-kubevirt.ts';

const ID = '26-01-31_12-00-00';
const LATER = '26-02-01_00-00-00';
const SYSTEM = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-system', uid: 'cluster-1' } };

let folder: string;
let cluster: FakeKubevirt;

/** Off, and without a disk that would have to be read. */
const machine = (name: string) => machineObject({ namespace: 'shop', name }) as KubeObject;

beforeEach(() => {
  folder = temporaryFolder();
  cluster = fakeKubevirt([machine('db'), machine('web')]);
  cluster.objects.set('/api/v1/namespaces/kube-system', SYSTEM);
  cluster.objects.set('/version', { gitVersion: 'v1.35.4' } as unknown as KubeObject);
});

function setUp(given: Record<string, string>, id = ID) {
  const raw = { mode: 'export', include: 'vms', namespace: 'shop', ...given };
  const inputs = parseInputs(raw, 'cli');
  if (inputs.mode !== 'export' && inputs.mode !== 'promote') throw new Error('It is another mode.');
  const storage = inputs.mode === 'promote' ? inputs.storage : inputs;
  if (storage === undefined) throw new Error('It is stored nowhere.');
  const context = {
    reporter: silentReporter,
    signal: new AbortController().signal,
    env: {},
    temporaryDirectory: folder,
    run: 'test',
    version: '1.0.0',
  };
  const created = new Date('2026-01-31T12:00:00Z');
  return {
    backend: openStorage({ ...inputs, ...storage }),
    options: { id, created, namespaces: ['shop'], inputs, discovery: cluster.discovery, context },
  };
}

const exported = (given: Record<string, string>, id = ID) => {
  const { backend, options } = setUp(given, id);
  return exportVms(cluster, backend, options);
};

describe('a path that is one file', () => {
  const path = () => join(folder, 'db.tar.zst');

  it('is refused for what else than one machine would be in it, and nothing is left there', async () => {
    for (const [given, problem] of [
      [{}, 'these are 2: shop/db, shop/web'],
      [{ include: 'resources,vms', vms: 'db' }, 'include has resources, vms'],
    ] as const) {
      await expect(exported({ path: path(), compression: 'zstd', ...given })).rejects.toMatchObject({
        code: 'INPUT',
        message: `path: "${path()}" is one file, which can be the archive of one virtual machine alone, and ${problem}.`,
      });
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it('is refused for a promotion, which stores a snapshot, before anything is exported', async () => {
    const given = { mode: 'promote', 'target-context': 'prod', vms: 'db', path: path(), compression: 'zstd' };
    await expect(exported(given)).rejects.toMatchObject({
      code: 'INPUT',
      message: `path: "${path()}" is one file, which can be the archive of one virtual machine alone, and promote stores a snapshot.`,
      hint: 'Give a folder.',
    });
    expect(readdirSync(folder)).toEqual([]);
    expect(cluster.changes()).toEqual([]);
  });
});

describe('an export of machines', () => {
  it('says whom it took', async () => {
    const { targets, parts, store } = await exported({ path: `${folder}/` });
    expect(targets.map(({ namespace, name }) => `${namespace}/${name}`)).toEqual(['shop/db', 'shop/web']);
    expect(parts.map(({ name }) => name)).toEqual(['db', 'web']);
    await store.finish();
  });

  it('checks each machine once, before there is anything of the snapshot', async () => {
    const looks = { before: 0, after: 0 };
    cluster.intercept = ({ path }) => {
      if (path.endsWith('/virtualmachines/db')) looks[readdirSync(folder).length === 0 ? 'before' : 'after'] += 1;
    };
    const { store } = await exported({ path: `${folder}/` });
    await store.finish();
    // The export itself asks whether it is off, and reads it.
    expect(looks).toEqual({ before: 1, after: 2 });
  });

  it('that fails leaves the place to the next one, which needs not wait for this process to end', async () => {
    cluster.intercept = ({ path }) => {
      if (path.endsWith('/virtualmachines/web') && readdirSync(folder).length > 0) throw new Error('The line is dead.');
    };
    await expect(exported({ path: `${folder}/` })).rejects.toThrow('The line is dead.');
    cluster.intercept = () => {};
    const { id, store } = await exported({ path: `${folder}/` }, LATER);
    expect(id).toBe(ID);
    await store.finish();
  });
});

describe('what belongs to machines that the target reads itself', () => {
  it('is looked for only where all resources are taken, too', async () => {
    const claim = claimObject('shop', 'data', 1024) as KubeObject;
    const disks = [{ name: 'data', claim: 'data' }];
    cluster = fakeKubevirt([claim, machineObject({ namespace: 'shop', name: 'db', disks }) as KubeObject]);
    const without = setUp({ path: `${folder}/` }).options;
    const targets = await chooseTargets(cluster, without);
    cluster.requests.length = 0;
    expect(await ownedByTargets(cluster, targets, without)).toEqual([]);
    expect(cluster.requests).toEqual([]);
    const { options } = setUp({ path: `${folder}/`, include: 'resources,vms' });
    expect((await ownedByTargets(cluster, targets, options)).map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'VirtualMachine db',
      'PersistentVolumeClaim data',
    ]);
  });
});
