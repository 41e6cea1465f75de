import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { expectMappedRecords, expectSameText, withoutNamespaces } from './expect-same.ts';
import { fingerprint } from './fingerprint.ts';
import { applyObjects, chart, type FixtureRelease, fillSource, RELEASES } from './fixtures.ts';
import { type Helm, makeHelm } from './helm.ts';
import { parseRecord, type Records, readLive, readRecords, recordsOf, type StoredRecord } from './helm-state.ts';
import { changesOfRelease, recordChanges } from './record-changes.ts';
import { capture } from './run-command.ts';
import { namespaceMapFlags, runTransship, type TransshipRun, transship } from './run-transship.ts';

const MAP = { stage: 'prod', 'stage-ops': 'prod-ops' };
const MAP_FLAGS = namespaceMapFlags(MAP);

const inNamespace = (namespace: string): FixtureRelease[] =>
  RELEASES.filter((release) => release.namespace === namespace);

describe('imports that ask for more than a copy', () => {
  let bed: Bed;
  let stage: RunningCluster;
  let prod: RunningCluster;
  let stageRecords: Records;
  let prodHelm: Helm;
  let snapshots: string;

  beforeAll(async () => {
    bed = await prepareBed();
    [stage, prod] = await Promise.all([bed.start('stage'), bed.start('prod')]);
    await fillSource(stage, bed.tools, bed.scratch);
    stageRecords = await readRecords(stage, bed.tools.kubectl);
    prodHelm = makeHelm(bed.tools.helm4, prod.kubeconfig, bed.scratch);
    snapshots = join(bed.scratch, 'snapshots');
    await transship(['export', '-n', 'stage*', '--path', snapshots], { env: bed.environment(stage, 'none') });
  });

  afterAll(() => bed?.close());

  const imports = (args: readonly string[], helm: 'helm3' | 'helm4' = 'helm4') =>
    runTransship(['import', '--path', snapshots, ...args], { env: bed.environment(prod, helm) });
  const rowOf = (run: TransshipRun, name: string): Record<string, unknown> => {
    const rows = run.output.releases;
    const row = Array.isArray(rows) ? rows.find((one) => one.name === name) : undefined;
    if (row === undefined) throw new Error(`No row for ${name} in:\n${run.stdout}\n${run.stderr}`);
    return row;
  };

  describe('when one release fails', () => {
    let run: TransshipRun;

    beforeAll(async () => {
      // PROD does not let the operator in.
      await applyObjects(prod, bed.tools.kubectl, [
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod-ops' } },
        {
          apiVersion: 'v1',
          kind: 'ResourceQuota',
          metadata: { name: 'full', namespace: 'prod-ops' },
          spec: { hard: { 'count/deployments.apps': '0' } },
        },
      ]);
      const chosen = ['operator', 'widgets', 'platform', 'app', 'gadgets'];
      const others = RELEASES.filter(({ name }) => !chosen.includes(name)).flatMap(({ namespace, name }) => [
        '--exclude',
        `${namespace}/${name}`,
      ]);
      run = await imports([...MAP_FLAGS, ...others]);
    });

    it('exits with 1', () => expect(run.exitCode).toBe(1));

    it('shows what Helm said, in the result and to the reader', () => {
      const words = 'exceeded quota: full';
      expect(rowOf(run, 'operator')).toMatchObject({ namespace: 'prod-ops', outcome: 'failed' });
      expect(rowOf(run, 'operator').message).toContain(words);
      expect(run.stderr).toContain(words);
    });

    it('skips what depends on it, and says on what', async () => {
      expect(rowOf(run, 'widgets')).toMatchObject({ outcome: 'skipped' });
      expect(rowOf(run, 'widgets').message).toContain('operator');
      const records = await readRecords(prod, bed.tools.kubectl);
      expect(records.has('prod/widgets')).toBe(false);
    });

    it('finishes the others, with their records', async () => {
      const records = await readRecords(prod, bed.tools.kubectl);
      for (const name of ['platform', 'app', 'gadgets']) {
        expect(rowOf(run, name)).toMatchObject({ outcome: 'created' });
        const release = RELEASES.find((one) => one.name === name);
        if (release !== undefined) expectMappedRecords(stageRecords, records, release, MAP);
      }
      expect(run.output.counts).toMatchObject({ created: 3, skipped: 1, failed: 1 });
    });

    it('can be run again for the rest once the cause is gone', async () => {
      const quota = ['--kubeconfig', prod.kubeconfig, 'delete', 'resourcequota', 'full', '-n', 'prod-ops'];
      await capture(bed.tools.kubectl, quota);
      const only = ['-n', 'stage-ops', '-n', 'stage'];
      const others = inNamespace('stage').filter(({ name }) => name !== 'widgets');
      const again = await imports([
        ...MAP_FLAGS,
        ...only,
        ...others.flatMap(({ name }) => ['--exclude', name]),
        '--replace',
      ]);
      expect(again.stderr).not.toContain('exceeded quota');
      expect(again.exitCode).toBe(0);
      expect(rowOf(again, 'widgets')).toMatchObject({ outcome: 'created' });
      const status = await prodHelm.run(['status', 'operator', '-n', 'prod-ops', '-o', 'json']);
      expect(JSON.parse(status)).toMatchObject({ info: { status: 'deployed' } });
    });
  });

  describe('when releases of the same name exist', () => {
    it('changes nothing without replace, and names every one of them', async () => {
      await prodHelm.run(['install', 'shop', chart('many'), '-n', 'prod', '--set', 'text=old']);
      await prodHelm.run(['install', 'lucky', chart('many'), '-n', 'prod', '--set', 'text=old']);
      const before = await fingerprint(prod);
      const run = await imports([...MAP_FLAGS, '-n', 'stage']);
      expect(run.exitCode).toBe(1);
      expect(run.stderr).toContain('prod/shop');
      expect(run.stderr).toContain('prod/lucky');
      expect(run.stderr).toContain('replace');
      expect(await fingerprint(prod)).toEqual(before);
    });

    describe('with replace', () => {
      let run: TransshipRun;
      const fresh = inNamespace('stage').filter(
        ({ name }) => !['shop', 'lucky', 'widgets', 'platform', 'gadgets'].includes(name),
      );

      beforeAll(async () => {
        const kept = ['widgets', 'platform', 'gadgets'].flatMap((name) => ['--exclude', name]);
        run = await imports([...MAP_FLAGS, '-n', 'stage', '--replace', ...kept]);
      });

      it('succeeds', () => {
        expect(run.stderr).not.toMatch(/^error/im);
        expect(run.exitCode).toBe(0);
      });

      it('upgrades them in place: their history stays, and the new revision is the original chart', async () => {
        expect(rowOf(run, 'shop')).toMatchObject({ outcome: 'updated', namespace: 'prod', revision: 2 });
        const records = recordsOf(await readRecords(prod, bed.tools.kubectl), 'prod', 'shop');
        expect([...records.keys()]).toEqual([1, 2]);
        const [old, replaced] = [...records.values()].map(parseRecord);
        expect(old?.chart.metadata.name).toBe('many');
        expect(old?.info.status).toBe('superseded');
        const origin = [...recordsOf(stageRecords, 'stage', 'shop').values()].map(parseRecord).at(-1);
        expect(replaced?.info.status).toBe('deployed');
        expect(replaced?.chart).toEqual(origin?.chart);
      });

      it('says in the new revision where it came from', async () => {
        const history = await prodHelm.run(['history', 'shop', '-n', 'prod', '-o', 'json']);
        const { description } = JSON.parse(history)[1];
        expect(description).toContain('stage/shop revision 3');
        expect(description).toContain(`snapshot ${run.output.snapshot}`);
      });

      it('takes away what the replaced chart had brought', async () => {
        const find = ['--kubeconfig', prod.kubeconfig, 'get', 'configmap', 'shop', '-n', 'prod', '--ignore-not-found'];
        expect(await capture(bed.tools.kubectl, find)).toBe('');
      });

      it('lets helm upgrade go on with the original chart', async () => {
        await prodHelm.run([
          'upgrade',
          'shop',
          chart('umbrella'),
          '-n',
          'prod',
          '--reuse-values',
          '--set',
          'replicas=1',
        ]);
        const values = await prodHelm.run(['get', 'values', 'shop', '-n', 'prod', '-o', 'json']);
        expect(JSON.parse(values)).toMatchObject({ features: { dark: true }, pages: { enabled: false }, replicas: 1 });
      });

      it.each(fresh.map(({ name }) => name))('brings %s with all its revisions, equal after the map', async (name) => {
        const release = RELEASES.find((one) => one.name === name);
        if (release === undefined) throw new Error(name);
        expectMappedRecords(stageRecords, await readRecords(prod, bed.tools.kubectl), release, MAP);
      });

      it.each(fresh.filter(({ deployed }) => deployed !== undefined).map(({ name }) => name))(
        'runs %s with the objects of the source, equal after the map',
        async (name) => {
          const release = RELEASES.find((one) => one.name === name);
          const record = recordsOf(stageRecords, 'stage', name).get(release?.deployed ?? 0);
          const manifest = record === undefined ? '' : parseRecord(record).manifest;
          const [inStage, inProd] = await Promise.all([
            readLive(stage, bed.tools.kubectl, 'stage', manifest),
            readLive(prod, bed.tools.kubectl, 'prod', manifest.replaceAll('namespace: stage\n', 'namespace: prod\n')),
          ]);
          const blank = withoutNamespaces(MAP);
          expectSameText(blank(JSON.stringify(inProd)), blank(JSON.stringify(inStage)), name);
        },
      );

      it('names what it could not rewrite', () => {
        // shop builds a DNS name of its namespace, and a cluster-scoped object is named after it.
        expect(run.stderr).toMatch(/shop-database\.stage\.svc|DATABASE_URL/);
        expect(run.stderr).toContain('stage-shop');
      });
    });
  });

  describe('by Helm 3, without hooks and with the newest revision only', () => {
    it('brings each release with one record, and runs no hook', async () => {
      const recorder = await recordChanges(prod, bed.tools.kubectl);
      const run = await imports(['-n', 'stage-db', '--no-hooks', '--history', '1'], 'helm3');
      const changes = await recorder.stop();
      expect(run.stderr).not.toMatch(/^error/im);
      expect(run.exitCode).toBe(0);
      const records = await readRecords(prod, bed.tools.kubectl);
      for (const release of inNamespace('stage-db')) {
        const newest = { ...release, revisions: release.revisions.slice(-1) };
        const kept = recordsOf(stageRecords, 'stage-db', release.name);
        const only = new Map([[`stage-db/${release.name}`, new Map([...kept].slice(-1).map(appliedByClient))]]);
        expectMappedRecords(only, records, newest, {});
      }
      expect(changesOfRelease(changes, 'stage-db', 'hooks-three')).toEqual([
        '+ ConfigMap/hooks-three-app',
        '+ Deployment/hooks-three-app',
      ]);
    });

    it('lets Helm 3 count on from the revision at the source', async () => {
      const helm3 = makeHelm(bed.tools.helm3, prod.kubeconfig, bed.scratch);
      await helm3.run(['upgrade', 'vault', chart('random'), '-n', 'stage-db', '--reuse-values']);
      const history = JSON.parse(await helm3.run(['history', 'vault', '-n', 'stage-db', '-o', 'json']));
      expect(history).toMatchObject([
        { revision: 2, status: 'superseded' },
        { revision: 3, status: 'deployed' },
      ]);
    });
  });
});

/** Helm 3 knows no server-side apply: what it installs is not to be taken for that by the next Helm 4. */
function appliedByClient([revision, record]: [number, StoredRecord]): [number, StoredRecord] {
  return [revision, { ...record, json: record.json.replace(',"apply_method":"ssa"', '') }];
}
