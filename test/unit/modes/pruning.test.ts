import { describe, expect, it } from 'vitest';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { type ImportInputs, parseInputs } from '../../../src/inputs.ts';
import { findPruned, namePruned, planPruned, statesOfPruned } from '../../../src/modes/pruning.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { LIST_HEAD } from '../../../src/resources/list-file.ts';
import { fakeCluster, own } from '../environment/fake-cluster.ts';

/** A snapshot with these objects in its files, mapped to the namespaces of the environment. */
function snapshotOf(files: Readonly<Record<string, readonly object[]>>, records: readonly string[] = []) {
  const entries = new Map<string, Entry>(
    Object.entries(files).map(([path, objects]) => [
      path,
      entryOf(path, `${LIST_HEAD}${objects.map((object) => JSON.stringify(object)).join(',\n')}\n]}\n`),
    ]),
  );
  for (const path of records) entries.set(path, entryOf(path, '{}'));
  return {
    paths: () => [...entries.keys()],
    entry: (path: string) => entries.get(path) ?? entryOf(path, ''),
  };
}

const configMap = (namespace: string, name: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
});

async function prunedOf(
  live: readonly KubeObject[],
  spool: ReturnType<typeof snapshotOf>,
  raw: Readonly<Record<string, string>> = {},
  content = { releases: true, resources: true, vms: false },
) {
  const cluster = fakeCluster(live);
  const given = { mode: 'import', replace: 'true', prune: 'true', environment: 'pr-7', ...raw };
  const inputs = parseInputs(given, 'cli') as ImportInputs;
  const pruned = await findPruned({
    ...{ inputs, cluster, spool, content },
    discovery: cluster.discovery,
    environment: { name: 'pr-7' },
    snapshot: { kinds: [] },
    transforms: { namespaces: new Map(Object.entries(inputs['namespace-map'])) },
    context: { reporter: silentReporter, signal: new AbortController().signal },
  });
  return { pruned, names: namePruned(pruned) };
}

const MAP = { 'namespace-map': 'stage=shop' };

describe('what an import prunes', () => {
  it('is what its environment has and the snapshot does not, under the names that things have at the target', async () => {
    const live = [own('v1 ConfigMap shop/kept'), own('v1 ConfigMap shop/gone')];
    const { names } = await prunedOf(live, snapshotOf({ 'stage/configmaps.json': [configMap('stage', 'kept')] }), MAP);
    expect(names).toEqual(['ConfigMap shop/gone']);
  });

  it('is nothing without prune', async () => {
    const live = [own('v1 ConfigMap shop/gone')];
    const { names } = await prunedOf(live, snapshotOf({ 'stage/configmaps.json': [configMap('stage', 'kept')] }), {
      ...MAP,
      prune: 'false',
    });
    expect(names).toEqual([]);
  });

  it('leaves what exclude names, in words of the source or of the target', async () => {
    const live = [own('v1 ConfigMap shop/a'), own('v1 ConfigMap shop/b'), own('v1 Secret shop/c')];
    const spool = snapshotOf({ 'stage/configmaps.json': [configMap('stage', 'kept')] });
    const exclude = 'stage/configmaps/a,shop/configmaps/b';
    expect((await prunedOf(live, spool, { ...MAP, exclude })).names).toEqual(['Secret shop/c']);
    expect((await prunedOf(live, spool, { ...MAP, exclude: 'configmaps,secrets' })).names).toEqual([]);
  });

  it('leaves what the snapshot has, though this import does not take it', async () => {
    const live = [own('v1 ConfigMap shop/kept')];
    const spool = snapshotOf({ 'stage/configmaps.json': [configMap('stage', 'kept')] });
    expect((await prunedOf(live, spool, { ...MAP, exclude: 'kept' })).names).toEqual([]);
  });

  it('is no object where the import is of releases alone', async () => {
    const live = [own('v1 ConfigMap shop/gone')];
    const spool = snapshotOf({ 'stage/configmaps.json': [configMap('stage', 'kept')] });
    expect((await prunedOf(live, spool, MAP, { releases: true, resources: false, vms: false })).names).toEqual([]);
  });

  it('is only in the namespaces that the import was asked for', async () => {
    const live = [own('v1 ConfigMap shop/gone'), own('v1 ConfigMap ops/gone')];
    const spool = snapshotOf({
      'shop/configmaps.json': [configMap('shop', 'kept')],
      'ops/configmaps.json': [configMap('ops', 'kept')],
    });
    expect((await prunedOf(live, spool, { namespace: 'ops' })).names).toEqual(['ConfigMap ops/gone']);
    expect((await prunedOf(live, spool)).names).toEqual(['ConfigMap ops/gone', 'ConfigMap shop/gone']);
  });

  it('is shown in a plan as deleted, and binds it', async () => {
    const { pruned } = await prunedOf(
      [own('v1 ConfigMap shop/gone')],
      snapshotOf({ 'shop/configmaps.json': [configMap('shop', 'kept')] }),
    );
    expect(planPruned(pruned, 'pr-7').objects).toEqual([
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        namespace: 'shop',
        name: 'gone',
        change: 'delete',
        message: 'an import for environment pr-7 brought it, and the snapshot does not have it',
      },
    ]);
    expect(statesOfPruned(pruned)).toEqual([['object /ConfigMap/shop/gone', expect.stringMatching(/^pruned \S+$/)]]);
  });
});
