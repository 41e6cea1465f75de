import { describe, expect, test } from 'vitest';
import { ClusterError, type KubeObject } from '../../../src/cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../../../src/cluster/discovery.ts';
import { parseCrds, restoreCrds, type WantedCrd } from '../../../src/crds/restore.ts';
import { ENVIRONMENT_LABEL } from '../../../src/environment/environment.ts';
import type { UndoLog } from '../../../src/undo.ts';
import { type MemoryCluster, memoryCluster } from '../releases/memory-cluster.ts';

const PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const HELM_MARK = { 'meta.helm.sh/release-name': 'stale', 'meta.helm.sh/release-namespace': 'stage' };

function kind(group: string, plural: string, name: string): ResourceKind {
  const names = { plural, singular: '', shortNames: [], kind: name };
  return { ...names, group, version: 'v1', apiVersion: `${group}/v1`, namespaced: false, verbs: [], versions: ['v1'] };
}

function discoveryOf(...more: ResourceKind[]): Discovery {
  const kinds = [kind('apiextensions.k8s.io', 'customresourcedefinitions', 'CustomResourceDefinition'), ...more];
  const findKind = (apiVersion: string, name: string) =>
    kinds.find((one) => one.apiVersion === apiVersion && one.kind === name);
  return { kinds, stale: [], findKind, findByName: () => undefined };
}

function crd(name: string, metadata: Partial<KubeObject['metadata']> = {}): KubeObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name, ...metadata },
    spec: {},
  };
}

/** As the API server shows one that is ready to be used. */
function there(cluster: MemoryCluster, object: KubeObject): void {
  const conditions = ['NamesAccepted', 'Established'].map((type) => ({ type, status: 'True' }));
  cluster.objects.set(`${PATH}/${object.metadata.name}`, { ...object, status: { conditions } });
}

function restore(cluster: MemoryCluster, crds: readonly WantedCrd[], replace = false, discovery = discoveryOf()) {
  return restoreCrds(cluster, discovery, crds, { replace, timeout: 1000 });
}

const nobodys = (object: KubeObject): WantedCrd => ({ object, owner: undefined });
const owner = { name: 'web', namespace: 'shop' };

describe('restoreCrds', () => {
  test('creates what the target lacks, and takes the mark of a release of the source away', async () => {
    const cluster = memoryCluster();
    const labels = { 'app.kubernetes.io/managed-by': 'Helm', keep: 'me' };
    const object = crd('gears.example.com', { labels, annotations: { ...HELM_MARK, keep: 'me' } });
    expect(await restore(cluster, [nobodys(object)])).toEqual({
      created: ['gears.example.com'],
      updated: [],
      left: [],
    });
    expect(cluster.objects.get(`${PATH}/gears.example.com`)?.metadata).toEqual({
      name: 'gears.example.com',
      labels: { keep: 'me' },
      annotations: { keep: 'me' },
      managedFields: [{ manager: 'transship' }],
    });
  });

  test('keeps who else manages a CRD', async () => {
    const cluster = memoryCluster();
    await restore(cluster, [nobodys(crd('a.example.com', { labels: { 'app.kubernetes.io/managed-by': 'flux' } }))]);
    expect(cluster.objects.get(`${PATH}/a.example.com`)?.metadata.labels).toEqual({
      'app.kubernetes.io/managed-by': 'flux',
    });
  });

  test('writes as Helm what a release brings and uses, with its name', async () => {
    const cluster = memoryCluster();
    await restore(cluster, [{ object: crd('a.example.com', { annotations: HELM_MARK }), owner }]);
    expect(cluster.objects.get(`${PATH}/a.example.com`)?.metadata).toMatchObject({
      labels: { 'app.kubernetes.io/managed-by': 'Helm' },
      annotations: { 'meta.helm.sh/release-name': 'web', 'meta.helm.sh/release-namespace': 'shop' },
      managedFields: [{ manager: 'helm' }],
    });
  });

  test('leaves what exists, without replace', async () => {
    const cluster = memoryCluster();
    there(cluster, crd('a.example.com'));
    expect(await restore(cluster, [nobodys(crd('a.example.com'))])).toEqual({
      ...{ created: [], updated: [], left: ['a.example.com'] },
    });
    expect(cluster.requests.filter((request) => !request.startsWith('GET'))).toEqual([]);
  });

  test('with replace updates what exists, but not what another release of the target keeps', async () => {
    const cluster = memoryCluster();
    there(cluster, crd('free.example.com'));
    there(cluster, crd('others.example.com', { annotations: HELM_MARK }));
    const own = { 'meta.helm.sh/release-name': 'web', 'meta.helm.sh/release-namespace': 'shop' };
    there(cluster, crd('own.example.com', { annotations: own }));
    const wanted = [
      nobodys(crd('free.example.com')),
      nobodys(crd('others.example.com')),
      { object: crd('own.example.com'), owner },
    ];
    expect(await restore(cluster, wanted, true)).toEqual({
      created: [],
      updated: ['free.example.com', 'own.example.com'],
      left: ['others.example.com'],
    });
  });

  test('goes by what is served where CRDs may not be read', async () => {
    const denied = new ClusterError(403, 'Forbidden', 'no');
    const cluster = memoryCluster(() => denied);
    const served = discoveryOf(kind('example.com', 'gears', 'Gear'));
    const gears = [nobodys(crd('gears.example.com'))];
    expect(await restore(cluster, gears, true, served)).toEqual({
      ...{ created: [], updated: [], left: ['gears.example.com'] },
    });
    await expect(restore(cluster, gears)).rejects.toBe(denied);
  });

  test('labels what it creates with the environment, but not what a release brings, and leaves the labels of others', async () => {
    const cluster = memoryCluster();
    const label = { [ENVIRONMENT_LABEL]: 'pr-7' };
    there(cluster, crd('had.example.com', { labels: label }));
    there(cluster, crd('had-none.example.com'));
    const wanted = ['new', 'had', 'had-none'].map((name) => nobodys(crd(`${name}.example.com`)));
    const options = { replace: true, timeout: 1000, environment: { name: 'pr-7' } };
    await restoreCrds(cluster, discoveryOf(), [...wanted, { object: crd('owned.example.com'), owner }], options);
    const labelOf = (name: string) =>
      cluster.objects.get(`${PATH}/${name}.example.com`)?.metadata.labels?.[ENVIRONMENT_LABEL];
    expect(['new', 'had', 'had-none', 'owned'].map(labelOf)).toEqual(['pr-7', 'pr-7', undefined, undefined]);
  });

  test('tells what it creates, and what it changes as that was before; nothing of what it leaves', async () => {
    const cluster = memoryCluster();
    there(cluster, crd('free.example.com', { labels: { team: 'a' }, uid: 'u' }));
    there(cluster, crd('others.example.com', { annotations: HELM_MARK }));
    const told: string[] = [];
    const undo: UndoLog = {
      created: async (path, { metadata }) => void told.push(`created ${path} ${metadata.name}`),
      changing: async (path, { metadata }) => void told.push(`changing ${path} ${metadata.labels?.team}`),
      installing: async () => {},
      upgrading: async () => {},
    };
    const wanted = ['new', 'free', 'others'].map((name) => nobodys(crd(`${name}.example.com`)));
    await restoreCrds(cluster, discoveryOf(), wanted, { replace: true, timeout: 1000, undo });
    expect(told.sort()).toEqual([
      `changing ${PATH}/free.example.com a`,
      `created ${PATH}/new.example.com new.example.com`,
    ]);
  });

  test('names a CRD that the target does not establish', async () => {
    const cluster = memoryCluster();
    cluster.objects.set(`${PATH}/a.example.com`, crd('a.example.com'));
    const never = restoreCrds(cluster, discoveryOf(), [nobodys(crd('a.example.com'))], { replace: false, timeout: 0 });
    await expect(never).rejects.toMatchObject({ code: 'TIMEOUT', message: expect.stringContaining('a.example.com') });
  });
});

describe('parseCrds', () => {
  test('reads a List', () => {
    expect(parseCrds('x', JSON.stringify({ items: [crd('a'), crd('b')] }))).toEqual([crd('a'), crd('b')]);
  });

  test.each(['{}', '[]', 'null', '{"items":[{"kind":"Secret"}]}', '{'])('refuses %s', (text) => {
    expect(() => parseCrds('crds.json', text)).toThrow(
      expect.objectContaining({ code: 'ARCHIVE_DAMAGED', message: expect.stringContaining('crds.json') }),
    );
  });
});
