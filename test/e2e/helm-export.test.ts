import { createReadStream } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBody } from '../../src/archive/entry.ts';
import { decompressGzip } from '../../src/archive/gzip.ts';
import { readHelmExport } from '../../src/helm-export/read.ts';
import { type Fields, helm2File } from '../helpers/helm2-file.ts';
import { readArchiveFiles, type SnapshotFiles } from './archive-files.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { expectSameRecords } from './expect-same.ts';
import { chart, type FixtureRelease } from './fixtures.ts';
import { type Helm, makeHelm } from './helm.ts';
import { type Records, readHelmView, readRecords, recordsOf } from './helm-state.ts';
import { type TransshipRun, transship } from './run-transship.ts';

const common = { helm: 'helm4', driver: 'secret' } as const;
const RELEASES: readonly FixtureRelease[] = [
  { ...common, namespace: 'stage', name: 'shop', chart: 'umbrella', revisions: [1, 2, 3], deployed: 3 },
  { ...common, namespace: 'stage', name: 'hooks', chart: 'hooks', revisions: [1], deployed: 1, helm: 'helm3' },
  { ...common, namespace: 'stage', name: 'text', chart: 'awkward-text', revisions: [1, 2], deployed: 2 },
  { ...common, namespace: 'stage-ops', name: 'operator', chart: 'operator', revisions: [1], deployed: 1 },
  {
    ...common,
    namespace: 'stage-ops',
    name: 'settings',
    chart: 'many',
    revisions: [1, 2],
    deployed: 2,
    driver: 'configmap',
  },
];

async function fill({ helm3, helm4 }: Record<'helm3' | 'helm4', Helm>): Promise<void> {
  const create = '--create-namespace';
  const shop = [chart('umbrella'), '-n', 'stage'];
  await helm4.run(['install', 'shop', ...shop, create, '--labels', 'team=shop']);
  await helm4.run(['install', 'operator', chart('operator'), '-n', 'stage-ops', create]);
  await Promise.all([
    helm4
      .run(['upgrade', 'shop', ...shop, '--set', 'replicas=3', '--description', 'Ticket {{ 42 }}: <b>&'])
      .then(() => helm4.run(['rollback', 'shop', '1', '-n', 'stage'])),
    helm3.run(['install', 'hooks', chart('hooks'), '-n', 'stage', '--set', 'message=three']),
    helm4
      .run(['install', 'text', chart('awkward-text'), '-n', 'stage'])
      .then(() => helm4.run(['upgrade', 'text', chart('awkward-text'), '-n', 'stage', '--description', 'é <&>'])),
    helm4.run(['install', 'settings', chart('many'), '-n', 'stage-ops'], { HELM_DRIVER: 'configmap' }).then(() =>
      helm4.run(['upgrade', 'settings', chart('many'), '-n', 'stage-ops', '--set', 'text=two'], {
        HELM_DRIVER: 'configmap',
      }),
    ),
  ]);
}

async function readExportFiles(path: string): Promise<SnapshotFiles> {
  const files = new Map<string, string>();
  for await (const entry of readHelmExport(decompressGzip(createReadStream(path)), new Date())) {
    files.set(entry.path, (await readBody(entry)).toString('utf8'));
  }
  return files;
}

/** What `_snapshot.json` says, without when that was. */
function describeSnapshot(files: SnapshotFiles): object {
  return { ...JSON.parse(files.get('_snapshot.json') ?? ''), id: undefined, created: undefined };
}

const CONFIG_MAP = `---
# Source: legacy/templates/cm.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: legacy
data:
  greeting: hello
`;

/** A release with two revisions, as Tiller would have kept it. */
function legacy(revision: number, status: number): Fields {
  return [
    [1, 'legacy'],
    [
      2,
      [
        [
          1,
          [
            [1, status],
            [4, 'Enjoy.'],
          ],
        ],
        [2, [[1, 1_500_000_000]]],
        [3, [[1, 1_500_000_000 + revision]]],
        [5, `Day ${revision}`],
      ],
    ],
    [
      3,
      [
        [
          1,
          [
            [1, 'legacy'],
            [4, `0.${revision}.0`],
          ],
        ],
        [
          2,
          [
            [1, 'templates/cm.yaml'],
            [2, 'kind: ConfigMap'],
          ],
        ],
        [4, [[1, 'greeting: hello\n']]],
      ],
    ],
    [4, [[1, `greeting: "hello ${revision}"\nloud: yes\n`]]],
    [5, CONFIG_MAP.replace('hello', `hello ${revision}`)],
    [7, revision],
    [8, 'tiller-days'],
  ];
}

describe('an export in the format helm-export', () => {
  let bed: Bed;
  let stage: RunningCluster;
  let prod: RunningCluster;
  let folder: string;
  let file: string;
  let exported: TransshipRun;
  let records: Records;
  let stageHelm: Record<'helm3' | 'helm4', Helm>;
  let prodHelm: Record<'helm3' | 'helm4', Helm>;

  beforeAll(async () => {
    bed = await prepareBed();
    [stage, prod] = await Promise.all([bed.start('stage'), bed.start('prod')]);
    const helmsOf = (cluster: RunningCluster) => ({
      helm3: makeHelm(bed.tools.helm3, cluster.kubeconfig, bed.scratch),
      helm4: makeHelm(bed.tools.helm4, cluster.kubeconfig, bed.scratch),
    });
    stageHelm = helmsOf(stage);
    prodHelm = helmsOf(prod);
    await fill(stageHelm);
    records = await readRecords(stage, bed.tools.kubectl);
    folder = join(bed.scratch, 'snapshots');
    const env = bed.environment(stage, 'none');
    exported = await transship(['export', '--namespace', 'stage*', '--path', folder, '--format', 'helm-export'], {
      env,
    });
    file = join(folder, (await readdir(folder)).join());
  });

  afterAll(() => bed?.close());

  it('writes helm-releases-<id>.gz, and says so', () => {
    expect(exported.output).toMatchObject({ location: file });
    expect(file).toBe(join(folder, `helm-releases-${exported.output.snapshot}.gz`));
    expect(exported.output.releases).toHaveLength(RELEASES.length);
  });

  it('has the entries that an ordinary export has, byte for byte', async () => {
    const path = join(bed.scratch, 'archive.tar.zst');
    await transship(['export', '--namespace', 'stage*', '--path', path], { env: bed.environment(stage, 'none') });
    const [ours, archive] = await Promise.all([readExportFiles(file), readArchiveFiles(path)]);
    const others = (files: SnapshotFiles) =>
      Object.fromEntries([...files].filter(([name]) => name !== '_snapshot.json'));
    expect(others(ours)).toEqual(others(archive));
    expect(describeSnapshot(ours)).toEqual(describeSnapshot(archive));
    expect([...ours.keys()]).toContain('customresourcedefinitions.json');
  });

  it('is listed and verified, with its digest', async () => {
    const list = await transship(['list', '--path', folder]);
    expect(list.output.snapshots).toMatchObject([{ id: exported.output.snapshot, location: file, state: 'complete' }]);
    const verify = await transship(['verify', '--path', folder, '--digest', String(exported.output.digest)]);
    expect(verify.output).toMatchObject({ digest: exported.output.digest, size: exported.output.size });
    expect(verify.output.releases).toHaveLength(RELEASES.length);
  });

  describe('imported into an empty cluster', () => {
    let prodRecords: Records;

    beforeAll(async () => {
      await transship(['import', '--path', file], { env: bed.environment(prod, 'helm4') });
      prodRecords = await readRecords(prod, bed.tools.kubectl);
    });

    it.each(RELEASES.map((release) => [release.name, release] as const))(
      'gives %s its records, every revision byte for byte',
      (_, release) => expectSameRecords(records, prodRecords, release),
    );

    it('is read by the real Helm as the source is: history, values, notes, hooks and manifest', async () => {
      for (const release of RELEASES) {
        const [inStage, inProd] = await Promise.all([
          readHelmView(stageHelm[release.helm], release),
          readHelmView(prodHelm[release.helm], release),
        ]);
        expect(inProd, release.name).toEqual(inStage);
      }
    });

    it('can be rolled back and upgraded', async () => {
      await prodHelm.helm4.run(['rollback', 'shop', '2', '-n', 'stage']);
      await prodHelm.helm4.run(['upgrade', 'text', chart('awkward-text'), '-n', 'stage', '--reuse-values']);
      const history = await prodHelm.helm4.run(['history', 'shop', '-n', 'stage', '-o', 'json']);
      expect(JSON.parse(history)).toMatchObject([
        { revision: 1, status: 'superseded' },
        { revision: 2, status: 'superseded' },
        { revision: 3, status: 'superseded' },
        { revision: 4, status: 'deployed' },
      ]);
    });
  });

  it('is imported under another namespace, and without what is excluded', async () => {
    const args = ['import', '--path', folder, '--namespace', 'stage-ops', '--exclude', 'operator'];
    await transship([...args, '--namespace-map', 'stage-ops:copy'], { env: bed.environment(stage, 'helm4') });
    const list = await stageHelm.helm4.run(['list', '-n', 'copy', '-o', 'json'], { HELM_DRIVER: 'configmap' });
    expect(JSON.parse(list)).toMatchObject([
      { name: 'settings', namespace: 'copy', revision: '2', status: 'deployed' },
    ]);
  });

  describe('of Helm 2', () => {
    let path: string;

    beforeAll(async () => {
      path = join(bed.scratch, 'helm-releases.gz');
      const metadata: Fields = [
        [1, [[1, 1_500_000_100]]],
        [2, 'v2.17.0'],
      ];
      await writeFile(path, helm2File([1, metadata], [2, legacy(1, 3)], [2, legacy(2, 1)]));
      await transship(['import', '--path', path], { env: bed.environment(prod, 'helm3') });
    });

    it('makes releases that Helm 3 and 4 show and roll back', async () => {
      const where = ['legacy', '-n', 'tiller-days'];
      for (const helm of [prodHelm.helm3, prodHelm.helm4]) {
        expect(JSON.parse(await helm.run(['get', 'values', ...where, '-o', 'json']))).toEqual({
          greeting: 'hello 2',
          loud: true,
        });
        expect(JSON.parse(await helm.run(['history', ...where, '-o', 'json']))).toMatchObject([
          { revision: 1, status: 'superseded', chart: 'legacy-0.1.0', description: 'Day 1' },
          { revision: 2, status: 'deployed', chart: 'legacy-0.2.0', description: 'Day 2' },
        ]);
      }
      await prodHelm.helm4.run(['rollback', 'legacy', '1', '-n', 'tiller-days']);
      expect(await prodHelm.helm4.run(['get', 'manifest', ...where])).toContain('greeting: hello 1');
    });

    it('keeps the file as it is', async () => {
      expect(recordsOf(await readRecords(prod, bed.tools.kubectl), 'tiller-days', 'legacy').size).toBe(3);
      expect((await readFile(path)).subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b]));
    });
  });
});
