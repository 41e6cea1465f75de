import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { expectSameRecords } from './expect-same.ts';
import { chart, type FilledSource, type FixtureRelease, fillSource, RELEASES } from './fixtures.ts';
import { type Helm, makeHelm } from './helm.ts';
import { parseRecord, type Records, readHelmView, readLive, readRecords, recordsOf } from './helm-state.ts';
import { type Change, changesOfRelease, recordChanges } from './record-changes.ts';
import { capture } from './run-command.ts';
import { runTransship, type TransshipRun, transship } from './run-transship.ts';

const running = RELEASES.filter((release) => release.deployed !== undefined);
const named = (name: string): FixtureRelease => {
  const found = RELEASES.find((release) => release.name === name);
  if (found === undefined) throw new Error(`No fixture release is called ${name}.`);
  return found;
};

describe('STAGE, exported and imported into an empty cluster', () => {
  let bed: Bed;
  let stage: RunningCluster;
  let prod: RunningCluster;
  let source: FilledSource;
  let exported: TransshipRun;
  let imported: TransshipRun;
  let changes: Change[];
  let stageRecords: Records;
  let prodRecords: Records;
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
    source = await fillSource(stage, bed.tools, bed.scratch);
    stageRecords = await readRecords(stage, bed.tools.kubectl);

    const path = join(bed.scratch, 'snapshots');
    exported = await transship(['export', '--namespace', 'stage*', '--path', path], {
      env: bed.environment(stage, 'none'),
    });
    const recorder = await recordChanges(prod, bed.tools.kubectl);
    imported = await runTransship(['import', '--path', path], { env: bed.environment(prod, 'helm4') });
    changes = await recorder.stop();
    prodRecords = await readRecords(prod, bed.tools.kubectl);
  });

  afterAll(() => bed?.close());

  /** The live objects of a release's running revision, in both clusters. */
  const liveOf = (release: FixtureRelease, records = stageRecords) => {
    const record = recordsOf(records, release.namespace, release.name).get(release.deployed ?? 0);
    const manifest = record === undefined ? '' : parseRecord(record).manifest;
    const read = (cluster: RunningCluster) => readLive(cluster, bed.tools.kubectl, release.namespace, manifest);
    return Promise.all([read(stage), read(prod)]);
  };

  /** Runs the same Helm command in both clusters and says what it made of the release there. */
  const inBoth = async (release: FixtureRelease, args: readonly string[]) => {
    const env = { HELM_DRIVER: release.driver };
    const run = [...args, '-n', release.namespace];
    await Promise.all([stageHelm[release.helm].run(run, env), prodHelm[release.helm].run(run, env)]);
    const read = async (cluster: RunningCluster) => {
      const records = recordsOf(await readRecords(cluster, bed.tools.kubectl), release.namespace, release.name);
      const newest = [...records.values()].at(-1);
      if (newest === undefined) throw new Error(`${release.name} has no records.`);
      const { version, manifest, info } = parseRecord(newest);
      const live = await readLive(cluster, bed.tools.kubectl, release.namespace, manifest);
      return { version, manifest, status: info.status, live };
    };
    const [inStage, inProd] = await Promise.all([read(stage), read(prod)]);
    return { inStage, inProd };
  };

  describe('what the export says', () => {
    it('names every release of both drivers, with how many revisions travel', () => {
      const rows = releaseRows(exported);
      expect(rows.map(({ namespace, name, revisions, outcome }) => ({ namespace, name, revisions, outcome }))).toEqual(
        RELEASES.map(({ namespace, name, revisions }) => ({
          namespace,
          name,
          revisions: revisions.length,
          outcome: 'exported',
        })).sort(byNamespaceAndName),
      );
    });

    it('changes nothing in the cluster it reads', async () => {
      expect(await readRecords(stage, bed.tools.kubectl)).toEqual(stageRecords);
    });
  });

  describe('the records', () => {
    it.each(RELEASES.map(({ namespace, name }) => [namespace, name] as const))(
      'of %s/%s equal those of the source, every revision byte for byte',
      (_, name) => expectSameRecords(stageRecords, prodRecords, named(name)),
    );

    it('hold no release that the source has not', () => {
      expect([...prodRecords.keys()].sort()).toEqual([...stageRecords.keys()].sort());
    });

    it('are read by the real Helm as those of the source are: history, values, notes, hooks and manifest', async () => {
      for (const release of RELEASES.filter(({ name }) => name !== 'long')) {
        const [inStage, inProd] = await Promise.all([
          readHelmView(stageHelm[release.helm], release),
          readHelmView(prodHelm[release.helm], release),
        ]);
        expect(inProd, release.name).toEqual(inStage);
      }
    });

    it('show an upgrade that was never finished as failed, and the one before it as deployed', async () => {
      const history = await prodHelm.helm4.run(['history', 'long', '-n', 'stage', '-o', 'json', '--max', '2']);
      expect(JSON.parse(history)).toMatchObject([
        { revision: 13, status: 'deployed' },
        { revision: 14, status: 'failed' },
      ]);
    });
  });

  describe('the live objects', () => {
    it.each(running.filter(({ name }) => name !== 'never').map(({ namespace, name }) => [namespace, name] as const))(
      'of %s/%s equal those of the source, with the same owners of their fields',
      async (_, name) => {
        const [inStage, inProd] = await liveOf(named(name));
        expect(Object.keys(inStage).length).toBeGreaterThan(0);
        expect(inProd).toEqual(inStage);
      },
    );

    it('include the CRDs as they were, also those of subcharts, which no record holds', async () => {
      const read = async (cluster: RunningCluster) => {
        const { items }: { items: KubeObject[] } = JSON.parse(await cluster.kubectl(['get', 'crds', '-o', 'json']));
        return Object.fromEntries(items.map(({ metadata, spec }) => [metadata.name, spec]));
      };
      const inStage = await read(stage);
      expect(Object.keys(inStage)).toContain('backupplans.db.example.com');
      expect(await read(prod)).toEqual(inStage);
    });

    it('of a release that only ever failed are all there, once nothing makes it fail', async () => {
      const [, inProd] = await liveOf({ ...named('never'), deployed: 1 });
      expect(Object.keys(inProd)).toEqual(['ConfigMap/never', 'Deployment/never']);
    });

    it('of an uninstalled release stay away', () => {
      expect(changesOfRelease(changes, 'stage', 'gone')).toEqual([]);
    });
  });

  describe('the hooks', () => {
    it.each([
      ['stage', 'hooks', 'Helm 4'],
      ['stage-db', 'hooks-three', 'Helm 3'],
    ] as const)('of %s/%s ran once each, in the order in which %s ran and deleted them', (namespace, name, _helm) => {
      const expected = changesOfRelease(source.changes, namespace, name);
      expect(expected).toContain(`+ Job/${name}-before-and-after`);
      expect(changesOfRelease(changes, namespace, name)).toEqual(expected);
    });

    it('of later events did not run', () => {
      const created = changes.map(({ object }) => object.metadata.name);
      for (const event of [
        'pre-upgrade',
        'post-upgrade',
        'pre-rollback',
        'post-rollback',
        'pre-delete',
        'test-first',
      ]) {
        expect(created).not.toContain(`hooks-${event}`);
      }
    });
  });

  describe('what the import says', () => {
    it('is that all went well', () => {
      expect(imported.stderr).not.toMatch(/^error/im);
      expect(imported.exitCode).toBe(0);
    });

    it('names every release as created, and what it runs', () => {
      const rows = releaseRows(imported);
      expect(rows.map(({ namespace, name, outcome }) => ({ namespace, name, outcome }))).toEqual(
        RELEASES.map(({ namespace, name }) => ({ namespace, name, outcome: 'created' })).sort(byNamespaceAndName),
      );
      expect(rows.find(({ name }) => name === 'shop')).toMatchObject({
        chart: 'umbrella',
        chartVersion: '1.4.0',
        appVersion: '2024.11',
        revision: 3,
        status: 'deployed',
      });
    });

    it('counts them', () => {
      expect(imported.output.counts).toMatchObject({ created: RELEASES.length, updated: 0, skipped: 0, failed: 0 });
    });
  });

  // From here on the real Helm works on both clusters: what follows must come out the same.
  describe('the life of the releases goes on with the real Helm', () => {
    it.each([
      ['shop', ['--set', 'replicas=4']],
      ['lucky', ['--set', 'note=fourth']],
      ['text', []],
      ['client-side', ['--set', 'text=three']],
      ['gadgets', ['--set', 'gadgets={drill},shortNames={gd}']],
      ['widgets', ['--set', 'widgets={left}']],
      ['operator', []],
      ['platform', []],
      ['app', []],
      // With reused values Helm stores them twice, which is more than fits: no upgrade of it can reuse them, here or there.
      ['big', ['--reset-values', '--set', 'blobs.blob-0=small']],
      ['rendered', ['--set', 'replicas=3', '--no-hooks']],
      ['text-three', []],
      ['settings', ['--set', 'text=three']],
    ] as const)('helm upgrade %s with the original chart', async (name, more) => {
      const release = named(name);
      const args = ['upgrade', name, chart(release.chart), '--reuse-values', ...more];
      const { inStage, inProd } = await inBoth(release, args);
      expect(inProd.status).toBe('deployed');
      expect(inProd.version).toBe(inStage.version);
      // What is random is rendered anew by each of the two.
      if (name !== 'lucky') expect(inProd).toEqual(inStage);
    });

    it('helm upgrade of what was pending at the source', async () => {
      const upgrade = ['upgrade', 'long', chart('failing-hook'), '-n', 'stage', '--set', 'generation=15', '--no-hooks'];
      expect(await stageHelm.helm4.fail(upgrade)).toContain(
        'another operation (install/upgrade/rollback) is in progress',
      );
      await prodHelm.helm4.run(upgrade);
    });

    it.each([
      ['shop', '1'],
      ['lucky', '1'],
      ['rendered', '1'],
      ['vault', '1'],
      ['settings', '1'],
      ['client-side', '1'],
    ])('helm rollback %s to revision %s, made in the source', async (name, revision) => {
      const noHooks = name === 'rendered' ? ['--no-hooks'] : [];
      const { inStage, inProd } = await inBoth(named(name), ['rollback', name, revision, ...noHooks]);
      expect(inProd).toEqual(inStage);
    });

    it('helm rollback brings an uninstalled release back', async () => {
      const { inStage, inProd } = await inBoth(named('gone'), ['rollback', 'gone', '1']);
      expect(Object.keys(inProd.live)).toEqual(['ConfigMap/gone']);
      expect(inProd).toEqual(inStage);
    });

    it('helm upgrade, rollback, test and uninstall with hooks, by Helm 4 and by Helm 3', async () => {
      const releases = ['hooks', 'hooks-three'].map(named);
      const live = async (program: Helm, { name, namespace }: FixtureRelease) => {
        const where = ['-n', namespace];
        await program.run(['upgrade', name, chart('hooks'), ...where, '--set', 'message=two']);
        await program.run(['rollback', name, '1', ...where]);
        await program.run(['test', name, ...where]);
        await program.run(['uninstall', name, ...where, '--wait']);
      };
      const liveIn = async (cluster: RunningCluster, programs: Record<'helm3' | 'helm4', Helm>) => {
        const recorder = await recordChanges(cluster, bed.tools.kubectl);
        await Promise.all(releases.map((release) => live(programs[release.helm], release)));
        const changes = await recorder.stop();
        return releases.map(({ name, namespace }) => changesOfRelease(changes, namespace, name));
      };
      const [inStage, inProd] = await Promise.all([liveIn(stage, stageHelm), liveIn(prod, prodHelm)]);
      expect(inStage[0]).toContain('+ Job/hooks-post-delete');
      expect(inStage[1]).toContain('+ Job/hooks-three-post-delete');
      expect(inProd).toEqual(inStage);
    });

    it('helm uninstall takes away all that came, but what the chart says to keep', async () => {
      const record = recordsOf(stageRecords, 'stage', 'shop').get(1);
      const manifest = record === undefined ? '' : parseRecord(record).manifest;
      await prodHelm.helm4.run(['uninstall', 'shop', '-n', 'stage', '--wait']);
      const left = await readLive(prod, bed.tools.kubectl, 'stage', manifest);
      expect(Object.keys(left)).toEqual(['PersistentVolumeClaim/shop-database']);
      const records = ['--kubeconfig', prod.kubeconfig, 'get', 'secrets', '-n', 'stage', '-l', 'owner=helm,name=shop'];
      expect(await capture(bed.tools.kubectl, [...records, '-o', 'name'])).toBe('');
    });
  });
});

interface ReleaseRow {
  readonly namespace: string;
  readonly name: string;
  readonly outcome: string;
  readonly revisions: number;
}

function releaseRows(run: TransshipRun): ReleaseRow[] {
  const rows = run.output.releases;
  if (!Array.isArray(rows)) throw new Error(`No releases in ${run.stdout}`);
  return rows.sort(byNamespaceAndName);
}

function byNamespaceAndName(a: { namespace: string; name: string }, b: { namespace: string; name: string }): number {
  return `${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1;
}
