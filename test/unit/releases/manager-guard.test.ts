import { describe, expect, it } from 'vitest';
import type { Manager } from '../../../src/archive/snapshot.ts';
import { readBundles, readRecord } from '../../../src/releases/bundles.ts';
import { guardManagers, type ManagerGuard } from '../../../src/releases/manager-guard.ts';
import { prepareRestore } from '../../../src/releases/restore.ts';
import { archiveOf } from './bundle-files.ts';
import { serveKinds } from './discovery.ts';
import { makeJson, type RecordSpec } from './make-record.ts';
import { memoryCluster } from './memory-cluster.ts';
import { restoreOptions } from './restore-options.ts';

const PATH = 's3://backups/stage';
const manager: Manager = { cluster: 'c1', namespace: 'ops', release: 'transship', path: PATH };

interface Transship extends RecordSpec {
  /** The value `path` of the user; null takes the chart's away. */
  readonly path?: string | null;
  readonly chartPath?: string;
  readonly chartName?: string;
}

/** A record of the chart transship, as Helm stores it. */
function transship({ path, chartPath, chartName = 'transship', ...spec }: Transship): RecordSpec {
  const shown = path ?? chartPath ?? '';
  const { namespace = 'ops', release = 'transship' } = spec;
  const args = ['watch', `--path=${shown}`, '--namespace=*', `--manager=${namespace}/${release}`];
  const json = {
    ...JSON.parse(makeJson({ ...spec, namespace, release })),
    chart: {
      metadata: { name: chartName, version: '0.1.0' },
      values: { path: chartPath ?? '' },
    },
    config: path === undefined ? {} : { path },
    manifest: `---\n# Source: transship/templates/deployment.yaml\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: transship\nspec:\n  template:\n    spec:\n      containers:\n        - args:\n${args.map((one) => `            - ${one}\n`).join('')}`,
  };
  return { ...spec, namespace, release, json: JSON.stringify(json) };
}

async function guard(specs: readonly RecordSpec[], changes: Partial<ManagerGuard> = {}, map: [string, string][] = []) {
  const files = await archiveOf(specs);
  const bundles = await readBundles(files, { namespaces: [], exclude: [], history: 'all' });
  const all: ManagerGuard = { manager, place: undefined, newPath: undefined, ...changes };
  const { bundles: kept, left } = await guardManagers(files, bundles, all, new Map(map));
  const records = await Promise.all(
    kept.flatMap((bundle) => bundle.revisions.map((revision) => readRecord(files, bundle, revision))),
  );
  return {
    kept: kept.map(({ namespace, name }) => `${namespace}/${name}`),
    left: left.map(({ namespace, name, message }) => [`${namespace}/${name}`, message]),
    rows: left,
    records: records.map(({ json }) => JSON.parse(json)),
  };
}

const web: RecordSpec = { namespace: 'shop', release: 'web' };

describe('the release that wrote the snapshot', () => {
  it('is left out, and why', async () => {
    const { kept, left, rows } = await guard([transship({ path: PATH }), web], {}, [['ops', 'ops-2']]);
    expect(kept).toEqual(['shop/web']);
    expect(left).toEqual([
      [
        'ops-2/transship',
        'It is the manager that wrote this snapshot: two would keep s3://backups/stage up to date. Set manager-path to bring it in with another path.',
      ],
    ]);
    expect(rows).toEqual([
      expect.objectContaining({ chart: 'transship', chartVersion: '0.1.0', revision: 1, revisions: 1, leftOut: true }),
    ]);
  });

  it('is known by its name, whatever chart it is of', async () => {
    expect((await guard([transship({ path: 's3://else', chartName: 'platform' })])).kept).toEqual([]);
  });

  it('is not one of the same name in another namespace', async () => {
    const other = transship({ namespace: 'dev', path: 's3://backups/dev' });
    expect((await guard([other])).kept).toEqual(['dev/transship']);
  });

  it('is none where nobody keeps the path up to date', async () => {
    expect((await guard([transship({ path: PATH })], { manager: undefined })).kept).toEqual(['ops/transship']);
  });
});

describe('any release of the chart', () => {
  it.each<[string, Transship]>([
    ['as the user has set it', { path: `${PATH}/` }],
    ['as the chart has it', { chartPath: PATH }],
    ['as the user has set it over the chart', { path: PATH, chartPath: 's3://else' }],
  ])('with the same path is left out: %s', async (_, spec) => {
    const { left } = await guard([transship({ release: 'second', ...spec })]);
    expect(left).toEqual([
      ['ops/second', expect.stringMatching(/^It keeps s3:\/\/backups\/stage\/? up to date, where this snapshot comes/)],
    ]);
  });

  it('with the path that the snapshot is read from is left out', async () => {
    const { kept } = await guard([transship({ path: PATH })], { manager: undefined, place: `${PATH}/` });
    expect(kept).toEqual([]);
  });

  it.each<[string, Transship]>([
    ['another path', { path: 's3://backups/prod' }],
    ['a path beside it', { path: `${PATH}-2` }],
    ['the path of the chart taken away', { path: null, chartPath: PATH }],
    ['another chart', { path: PATH, chartName: 'other' }],
  ])('comes with %s', async (_, spec) => {
    expect((await guard([transship({ release: 'second', ...spec })])).kept).toEqual(['ops/second']);
  });
});

describe('manager-path', () => {
  const newPath = 's3://backups/green';

  it('brings it in with the new path in its values and its arguments', async () => {
    const { kept, left, records } = await guard([transship({ path: `${PATH}/` })], { newPath });
    expect({ kept, left }).toEqual({ kept: ['ops/transship'], left: [] });
    expect(records[0].config).toEqual({ path: newPath });
    expect(records[0].manifest).toContain('            - --path=s3://backups/green\n            - --namespace=*\n');
    expect(records[0].manifest).not.toContain(PATH);
  });

  it('puts it over the one that the chart brings, and keeps the other values', async () => {
    const [record] = (await guard([transship({ chartPath: PATH })], { newPath })).records;
    expect(record.config).toEqual({ path: newPath });
    expect(record.chart.values).toEqual({ path: PATH });
  });

  it('changes every revision, so that a rollback goes to the new path too', async () => {
    const specs = [1, 2].map((revision) => transship({ path: PATH, revision }));
    const { records } = await guard(specs, { newPath });
    expect(records.map(({ config }) => config.path)).toEqual([newPath, newPath]);
  });

  it('names the manager by the namespace that it goes to', async () => {
    const { records } = await guard([transship({ path: PATH })], { newPath }, [['ops', 'ops-2']]);
    expect(records[0].manifest).toContain('--manager=ops-2/transship\n');
  });

  it('is refused where it is the path that the release has', async () => {
    await expect(guard([transship({ path: PATH })], { newPath: `${PATH}/` })).rejects.toMatchObject({
      code: 'INPUT',
      message: 'manager-path: "s3://backups/stage/" is where release ops/transship of the snapshot writes already.',
    });
  });

  it('is refused where the old path is nowhere to be found', async () => {
    await expect(guard([transship({ path: 's3://else', chartName: 'platform' })], { newPath })).rejects.toMatchObject({
      code: 'INPUT',
      message: expect.stringContaining('s3://backups/stage is nowhere in the manifest of release ops/transship'),
    });
  });

  it('leaves other releases as they are', async () => {
    const { records } = await guard([transship({ path: PATH }), web], { newPath });
    expect(records[1]).toEqual(JSON.parse(makeJson(web)));
  });
});

describe('an import', () => {
  const guarded = { guard: { manager, place: undefined, newPath: undefined } };

  it('reports the release as skipped on purpose, after those that it brings', async () => {
    const cluster = memoryCluster();
    serveKinds(cluster);
    const files = await archiveOf([transship({ path: PATH })]);
    const restore = await prepareRestore(files, restoreOptions(cluster, guarded));
    expect(restore.count).toBe(0);
    expect(await restore.install()).toEqual([
      expect.objectContaining({ name: 'transship', namespace: 'ops', outcome: 'skipped', leftOut: true }),
    ]);
  });
});
