import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { chooseVms, type VmChoice } from '../../../src/vms/choose-vms.ts';
import { scopeOf } from '../../../src/vms/collect.ts';
import { formatSources, parseSources } from '../../../src/vms/export-sources.ts';
import { kindOf, objectOf } from '../resources/target-bed.ts';
import { type FakeKubevirt, fakeKubevirt, KUBEVIRT_KINDS, refusal } from './fake-kubevirt.ts';

const vm = (id: string, labels = {}) => objectOf(`kubevirt.io/v1 VirtualMachine ${id}`, { metadata: { labels } });
const snapshot = (id: string) => objectOf(`snapshot.kubevirt.io/v1beta1 VirtualMachineSnapshot ${id}`);
const claim = (id: string) => objectOf(`v1 PersistentVolumeClaim ${id}`);
const namespaces = ['shop', 'shop-eu', 'lab'].map((name) => objectOf(`v1 Namespace ${name}`));

const ALL = [
  vm('shop/web-1', { tier: 'front' }),
  vm('shop/web-2', { tier: 'front' }),
  vm('shop/db', { tier: 'back' }),
  vm('shop-eu/db', { tier: 'back' }),
  vm('lab/test'),
  snapshot('shop/daily'),
  claim('shop/db'),
  claim('shop/data'),
];

function bed(objects: readonly KubeObject[] = ALL, kinds = KUBEVIRT_KINDS): FakeKubevirt {
  const cluster = fakeKubevirt([...namespaces, ...objects], {
    kinds: [...kinds, { ...kindOf('v1 namespaces Namespace'), namespaced: false }],
  });
  // The fake one knows lists by label only; here a list is all of a collection.
  cluster.list = async function* (path) {
    cluster.requests.push(`LIST ${path}`);
    cluster.intercept({ method: 'GET', path });
    for (const [at, object] of cluster.objects) {
      const collection = at.slice(0, at.lastIndexOf('/'));
      if (collection === path || collection.replace(/\/namespaces\/[^/]+/, '') === path) yield object;
    }
  };
  return cluster;
}

async function choose(choice: Partial<VmChoice>, cluster = bed()): Promise<string[]> {
  const targets = await chooseVms(cluster, cluster.discovery, { namespaces: ['shop'], ...choice });
  return targets.map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`);
}

describe('choosing virtual machines', () => {
  it('takes all of the namespaces where none is named', async () => {
    expect(await choose({})).toEqual(['vm shop/db', 'vm shop/web-1', 'vm shop/web-2']);
    expect(await choose({ namespaces: ['shop*'] })).toEqual([
      'vm shop-eu/db',
      'vm shop/db',
      'vm shop/web-1',
      'vm shop/web-2',
    ]);
    expect(await choose({ namespaces: ['lab', 'shop-eu'] })).toEqual(['vm lab/test', 'vm shop-eu/db']);
  });

  it('takes what a selector matches, without what is excluded by name or by namespace and name', async () => {
    expect(await choose({ namespaces: ['*'], selector: 'tier=back' })).toEqual(['vm shop-eu/db', 'vm shop/db']);
    expect(await choose({ namespaces: ['*'], selector: 'tier', exclude: ['web-*', 'shop-eu/*'] })).toEqual([
      'vm shop/db',
    ]);
  });

  it('takes names and globs, and names with a namespace of their own', async () => {
    expect(await choose({ vms: ['web-?', 'lab/test'] })).toEqual(['vm lab/test', 'vm shop/web-1', 'vm shop/web-2']);
    expect(await choose({ vms: ['*/db'] })).toEqual(['vm shop-eu/db', 'vm shop/db']);
  });

  it('takes what is given by its name whatever its labels', async () => {
    expect(await choose({ vms: ['db', 'web-*'], selector: 'tier=front' })).toEqual([
      'vm shop/db',
      'vm shop/web-1',
      'vm shop/web-2',
    ]);
  });

  it('takes snapshots and claims, and then no machine that is not named', async () => {
    expect(await choose({ snapshots: ['dai*'], pvcs: ['data'] })).toEqual(['snapshot shop/daily', 'pvc shop/data']);
  });

  it('names each archive, also where a machine and a claim are called the same', async () => {
    const cluster = bed();
    const targets = await chooseVms(cluster, cluster.discovery, { namespaces: ['shop'], vms: ['db'], pvcs: ['db'] });
    expect(targets.map(({ part }) => part)).toEqual(['shop.db', 'shop.db-pvc']);
    expect(targets.map(({ uid }) => uid)).toEqual([expect.stringMatching(/^uid-/), expect.stringMatching(/^uid-/)]);
  });

  it('keeps names of archives short enough for file systems', async () => {
    const names = ['a', 'b'].map((end) => `${'x'.repeat(240)}${end}`);
    const cluster = bed(names.map((name) => claim(`shop/${name}`)));
    const targets = await chooseVms(cluster, cluster.discovery, { namespaces: ['shop'], pvcs: ['*'] });
    expect(targets.map(({ part }) => part.length)).toEqual([180, 180]);
    expect(new Set(targets.map(({ part }) => part)).size).toBe(2);
  });

  it.each([
    [{ vms: ['web-3'] }, 'vms names "web-3": there is no such VM in the namespace shop.', /web-1 or web-2/],
    [
      { vms: ['mail*'] },
      'vms has "mail*", which matches no VM in the namespace shop.',
      /^There are: web-1, web-2, db\.$/,
    ],
    [{ vms: ['lab/tset'] }, 'vms names "lab/tset": there is no such VM in the namespace lab.', /Did you mean test/],
    [
      { snapshots: ['dally'] },
      'vm-snapshots names "dally": there is no such VM snapshot in the namespace shop.',
      /daily/,
    ],
    [{ pvcs: ['dota'] }, 'pvcs names "dota": there is no such claim in the namespace shop.', /data/],
    [{ namespaces: ['shopp'] }, 'namespace names "shopp", which does not exist in stage.', /shop/],
    [{ selector: 'a b' }, 'selector is "a b", of which "a b" is no label requirement.', /team=shop/],
  ])('says what is wrong with %j', async (choice, message, hint) => {
    await expect(choose(choice)).rejects.toMatchObject({ code: 'INPUT', message, hint: expect.stringMatching(hint) });
  });

  it('finds no machine in a namespace that has none, which is no mistake', async () => {
    expect(await choose({}, bed([]))).toEqual([]);
  });

  it('says where KubeVirt is missing, but needs none of its kinds to choose claims', async () => {
    const kinds = KUBEVIRT_KINDS.filter(({ group }) => group === '');
    await expect(choose({}, bed(ALL.slice(6), kinds))).rejects.toMatchObject({ code: 'NOT_SERVED' });
    expect(await choose({ pvcs: ['data'] }, bed(ALL.slice(6), kinds))).toEqual(['pvc shop/data']);
  });

  it('names the rule that is missing', async () => {
    const cluster = bed();
    cluster.intercept = ({ path }) => {
      if (path.endsWith('/virtualmachines')) throw refusal(403, 'Forbidden', 'no');
    };
    await expect(choose({}, cluster)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      hint: expect.stringContaining('resources: ["virtualmachines"], verbs: ["list"]'),
    });
  });
});

describe('the scope of an export', () => {
  const targets = [
    { kind: 'vm', namespace: 'shop', name: 'db', part: 'shop.db' },
    { kind: 'pvc', namespace: 'shop', name: 'db', part: 'shop.db-pvc' },
  ] as const;
  const scope = scopeOf('uid', targets, { compression: 'xz' });

  it('is the same whatever the order is', () => {
    expect(scopeOf('uid', [...targets].reverse(), { compression: 'xz', encryptTo: [] })).toBe(scope);
  });

  it.each([
    ['cluster', scopeOf('other', targets, { compression: 'xz' })],
    ['targets', scopeOf('uid', targets.slice(1), { compression: 'xz' })],
    ['compression', scopeOf('uid', targets, { compression: 'zstd' })],
    ['recipients', scopeOf('uid', targets, { compression: 'xz', encryptTo: ['age1'] })],
  ])('is another one for other %s', (_what, other) => {
    expect(other).not.toBe(scope);
  });
});

describe('what an archive comes from', () => {
  it('is written as one line, and read again', () => {
    const from = [
      { kind: 'snapshot', namespace: 'shop', name: 'daily', uid: 'u-1' },
      { kind: 'export', namespace: 'shop', name: 'web.2', uid: 'u-2', readySince: '2026-01-31T12:00:00Z' },
      { kind: 'vm', namespace: 'shop', name: 'thin', uid: 'u-3' },
    ] as const;
    const line = formatSources(from);
    expect(line).toBe('snapshot:shop/daily:u-1 export:shop/web.2:u-2:2026-01-31T12:00:00Z vm:shop/thin:u-3');
    expect(parseSources(line)).toEqual(from);
  });

  it.each([undefined, '', 'export:shop/web:u-2', 'snapshot:shop/daily', 'file:shop/x:1', 'snapshot:a/b:c:d'])(
    'is nothing for %j',
    (line) => {
      expect(parseSources(line)).toEqual([]);
    },
  );
});
