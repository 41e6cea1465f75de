import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { WorkflowRun } from './act.ts';
import { type ExampleBed, promoteFile, RUN_ID, secretsOf, shop, startExampleBed } from './act-bed.ts';
import type { Helm } from './helm.ts';
import { transship } from './run-transship.ts';

const ID = /^\d\d-\d\d-\d\d_\d\d-\d\d-\d\d$/;

let bed: ExampleBed;

beforeAll(async () => {
  bed = await startExampleBed();
});

afterAll(() => bed?.close());

describe('examples/promote/promote.yml', () => {
  let run: WorkflowRun;

  beforeAll(async () => {
    await bed.emptyProd();
    run = await bed.promote();
  });

  it('succeeds with no more rights than its README asks for', () => {
    expect(run.succeeded, run.log).toBe(true);
    expect(run.jobs).toEqual({ export: 'success', import: 'success' });
  });

  it('stores one artifact under the name and for the days it says', () => {
    const { snapshot, digest, size, 'artifact-id': id } = run.outputs('export');
    const [artifact, ...others] = bed.service.artifacts();
    expect(others).toEqual([]);
    expect(snapshot).toMatch(ID);
    expect(artifact).toMatchObject({ id: Number(id), runId: RUN_ID, finalized: true, digest, size: Number(size) });
    expect(artifact?.name).toBe(`stage-${snapshot}.tar.zst`);
    expect(daysUntil(artifact?.expiresAt)).toBe(7);
  });

  it('gives the second job the snapshot and the digest of the first', () => {
    const { snapshot, digest } = run.outputs('export');
    expect(run.outputs('import')).toMatchObject({ snapshot, digest, changed: 'true' });
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it('brings the release to PROD with its whole history', async () => {
    const history = await historyOf(bed.prodHelm, 'prod');
    expect(history.map(({ revision, status }) => [revision, status])).toEqual([
      [1, 'superseded'],
      [2, 'superseded'],
      [3, 'deployed'],
    ]);
    expect(history).toEqual(await historyOf(bed.stageHelm, 'stage'));
    expect(await bed.prodHelm.run(['get', 'values', 'shop', '--namespace', 'prod', '--output', 'json'])).toBe(
      await bed.stageHelm.run(['get', 'values', 'shop', '--namespace', 'stage', '--output', 'json']),
    );
  });

  it('runs on PROD what ran on STAGE', async () => {
    const deployment = ['get', 'deployment', 'shop', '--namespace', 'prod', '--output', 'jsonpath={.status}'];
    expect(JSON.parse(await bed.prod.kubectl(deployment))).toMatchObject({ readyReplicas: 3, updatedReplicas: 3 });
  });

  it('shows a table of the releases in the summary of each job', () => {
    const columns = '| Release | Namespace | Chart | Version | App version | Revision | Result |';
    const summaries = [run.summary('export'), run.summary('import')];
    expect(summaries[0]).toContain('### ✅ Exported 1 release from stage-exporter');
    expect(summaries[0]).toContain(columns);
    expect(summaries[0]).toContain('| shop | stage | shop | 1.4.0 | 2026.11.0 | 3 (of 3) | exported |');
    expect(summaries[1]).toContain('### ✅ Imported 1 release into prod-importer');
    expect(summaries[1]).toContain(columns);
    expect(summaries[1]).toContain('| shop | prod | shop | 1.4.0 | 2026.11.0 | 3 (of 3) | created |');
  });

  it('says nothing that is secret in the kubeconfigs, though the runner hides none of it', () => {
    // STAGE's is not given in base64.
    for (const secret of [...secretsOf(bed.stage, 'exporter').slice(0, 2), ...secretsOf(bed.prod, 'importer')]) {
      expect(run.masks).toContain(secret);
      expect(run.unmasked.includes(secret)).toBe(false);
    }
  });

  it('has nothing left to clean up after its steps', () => {
    for (const job of ['export', 'import']) {
      expect(run.said(job, 'Post')).toContain('Nothing to clean up: the temporary folder is already gone.');
    }
    expect(run.leftovers).toEqual([]);
  });

  it('upgrades in place what PROD runs when it is run again, and PROD keeps a history of its own', async () => {
    await bed.stageHelm.run(['upgrade', 'shop', shop, '--namespace', 'stage', '--set', 'replicas=4']);
    const byHand = ['--set', 'replicas=9', '--description', 'By hand'];
    await bed.prodHelm.run(['upgrade', 'shop', shop, '--namespace', 'prod', ...byHand]);
    const again = await bed.promote();
    expect(again.jobs, again.log).toEqual({ export: 'success', import: 'success' });
    expect(again.summary('import')).toContain('| shop | prod | shop | 1.4.0 | 2026.11.0 | 5 | updated |');
    const history = await historyOf(bed.prodHelm, 'prod');
    expect(history.map(({ revision, status }) => [revision, status])).toEqual([
      [1, 'superseded'],
      [2, 'superseded'],
      [3, 'superseded'],
      [4, 'superseded'],
      [5, 'deployed'],
    ]);
    expect(history[3]?.description).toBe('By hand');
    expect(history[4]?.description).toContain(`snapshot ${again.outputs('export').snapshot}`);
    expect(await bed.prodHelm.run(['get', 'values', 'shop', '--namespace', 'prod', '--output', 'json'])).toBe(
      '{"replicas":4}\n',
    );
  });
});

describe('a promotion that fails', () => {
  beforeEach(() => bed.emptyProd());

  it('refuses an archive that is not the one that was exported, and changes nothing', async () => {
    bed.service.fail({ operation: 'get-blob', kind: 'corrupt' });
    const run = await bed.promote();
    expect(run.succeeded).toBe(false);
    expect(run.jobs).toEqual({ export: 'success', import: 'failure' });
    const { 'artifact-url': artifact, digest } = run.outputs('export');
    const [reason] = run.errors('import');
    expect(reason?.message).toContain(
      `The artifact ${artifact} did not arrive as it was uploaded: its SHA-256 is not ${digest}.`,
    );
    expect(run.summary('import')).toContain('❌ import failed');
    expect(await releasesOf(bed.prodHelm, 'prod')).toEqual([]);
    expect(run.leftovers).toEqual([]);
  });

  it("fails the job with Helm's own words on what is in the way", async () => {
    await bed.prod.kubectl(['create', 'service', 'clusterip', 'shop', '--tcp=80', '--namespace', 'prod']);
    try {
      const run = await bed.promote();
      expect(run.jobs, run.log).toEqual({ export: 'success', import: 'failure' });
      const [reason, end] = run.errors('import');
      expect(reason?.title).toBe('prod/shop failed');
      expect(reason?.message).toContain('Service "shop" in namespace "prod" exists and cannot be imported');
      expect(end?.message).toContain('1 of 1 release failed: prod/shop.');
      expect(run.summary('import')).toContain('| shop | prod | shop | 1.4.0 | 2026.11.0 |');
      expect(run.summary('import')).toContain('exists and cannot be imported');
      expect(JSON.parse(run.outputs('import').counts ?? '')).toMatchObject({ created: 0, failed: 1 });
      expect(run.leftovers).toEqual([]);
    } finally {
      await bed.prod.kubectl(['delete', 'service', 'shop', '--namespace', 'prod']);
    }
  });

  it('names every release that PROD has already where it may not replace', async () => {
    await bed.prodHelm.run(['install', 'shop', shop, '--namespace', 'prod', '--set', 'replicas=7']);
    const run = await bed.promote({ workflow: await changed(promoteFile, 'replace: true', 'replace: false') });
    expect(run.jobs, run.log).toEqual({ export: 'success', import: 'failure' });
    expect(run.errors('import')).toHaveLength(1);
    expect(run.errors('import')[0]?.message).toContain('prod/shop');
    expect(run.errors('import')[0]?.message).toContain('replace');
    expect(await historyOf(bed.prodHelm, 'prod')).toHaveLength(1);
    expect(run.leftovers).toEqual([]);
  });

  it('removes the kubeconfig of a step that was killed, in its clean-up', async () => {
    // Asked for its version it is Helm; asked to install, it takes Transship down with it.
    const deadly = join(bed.scratch, 'deadly-helm');
    const seen = join(bed.scratch, 'seen-by-deadly-helm');
    const script = [
      '#!/bin/sh',
      `if [ "$1" = version ]; then exec '${bed.prodHelm.program}' "$@"; fi`,
      `grep --recursive --files-with-matches 'kind: Config' "$RUNNER_TEMP" > '${seen}'`,
      'kill -KILL $PPID',
    ];
    await writeFile(deadly, script.join('\n'));
    await chmod(deadly, 0o755);
    const run = await bed.promote({ programs: { helm: deadly } });
    expect(run.jobs, run.log).toEqual({ export: 'success', import: 'failure' });
    expect(await readFile(seen, 'utf8')).toMatch(/\/transship-\w{6}\//);
    expect(run.said('import', 'Post')).toMatch(
      /Removed \/.*\/transship-\w{6}, which an interrupted run had left behind\./,
    );
    expect(run.leftovers).toEqual([]);
  });

  it('refuses a bad input before it does anything', async () => {
    const stored = bed.service.artifacts().length;
    const listed = bed.service.count('ListArtifacts');
    const run = await bed.promote({
      workflow: await changed(promoteFile, 'retention-days: 7', 'retention-days: soon'),
    });
    expect(run.jobs, run.log).toEqual({ export: 'failure' });
    expect(run.errors('export')).toHaveLength(1);
    expect(run.errors('export')[0]?.message).toContain('retention-days: "soon"');
    expect([bed.service.artifacts().length, bed.service.count('ListArtifacts')]).toEqual([stored, listed]);
    expect(run.said('export', 'Post')).toContain('Nothing to clean up: no temporary folder was made.');
  });

  it('refuses an input that there is not, and says which one was meant', async () => {
    const run = await bed.promote({ workflow: await changed(promoteFile, 'namespace: stage', 'namespaces: stage') });
    expect(run.jobs, run.log).toEqual({ export: 'failure' });
    expect(run.errors('export')[0]?.message).toMatch(/namespaces.*namespace/s);
  });
});

describe('examples/post-release/post-release.yml', () => {
  let run: WorkflowRun;

  beforeAll(async () => {
    await bed.emptyProd();
    await bed.prodHelm.run(['install', 'shop', shop, '--namespace', 'prod']);
    run = await bed.exportAfter('success');
  });

  it('succeeds with no more rights in the cluster than its README asks for', () => {
    expect(run.succeeded, run.log).toBe(true);
    expect(run.jobs).toEqual({ export: 'success' });
  });

  it('stores the snapshot as one object under the path', async () => {
    const { snapshot, location, size } = run.outputs('export');
    expect(await objects()).toEqual([`nightly/prod/transship-${snapshot}.tar.zst`]);
    expect(location).toBe(`s3://${bed.s3.bucket}/nightly/prod/transship-${snapshot}.tar.zst`);
    const stored = await stat(
      join(bed.s3.folder, 'buckets', bed.s3.bucket, `nightly/prod/transship-${snapshot}.tar.zst`),
    );
    expect(String(stored.size)).toBe(size);
  });

  it('stores what verify finds whole, as its README reads it back', async () => {
    const { snapshot, digest } = run.outputs('export');
    const path = `s3://${bed.s3.bucket}/nightly/prod`;
    const verified = await transship(['verify', '--path', path, '--snapshot', 'latest'], { env: bed.s3.env });
    expect(verified.output).toMatchObject({ snapshot, digest });
  });

  it('shows the releases of all namespaces in the summary', () => {
    expect(run.summary('export')).toContain('### ✅ Exported 1 release from prod-exporter');
    expect(run.summary('export')).toContain('| shop | prod | shop | 1.4.0 | 2026.11.0 | 1 | exported |');
  });

  it('says nothing that is secret in the kubeconfig or opens the bucket', () => {
    for (const secret of [...secretsOf(bed.prod, 'exporter'), bed.s3.secretAccessKey]) {
      expect(run.unmasked.includes(secret)).toBe(false);
    }
  });

  it('exports nothing after a deployment that failed', async () => {
    const before = await objects();
    const skipped = await bed.exportAfter('failure');
    expect(skipped.succeeded, skipped.log).toBe(true);
    expect(skipped.jobs).toEqual({});
    expect(await objects()).toEqual(before);
  });

  function objects(): Promise<string[]> {
    return storedObjects('nightly/');
  }
});

describe('examples/cluster-backup/cluster-backup.yml', () => {
  let run: WorkflowRun;

  beforeAll(async () => {
    await bed.emptyProd();
    await bed.prodHelm.run(['install', 'shop', shop, '--namespace', 'prod']);
    await bed.prod.kubectl(['create', 'configmap', 'by-hand', '--namespace', 'prod', '--from-literal=a=b']);
    run = await bed.backUp();
  });

  it('exports, and finds whole what it exported, with no more rights than its README asks for', () => {
    expect(run.succeeded, run.log).toBe(true);
    expect(run.jobs).toEqual({ backup: 'success' });
    expect(run.summary('backup')).toContain('### ✅ Exported 1 release and ');
  });

  it('stores a file for each kind and namespace, the manifest among them', async () => {
    const folder = `trees/prod-backup/backup/${run.outputs('backup').snapshot}`;
    expect(await storedObjects('trees/')).toEqual(
      expect.arrayContaining(
        ['_snapshot.json', '_releases/prod/shop/1.json', 'clusterroles.json', 'prod/configmaps.json', 'manifest'].map(
          (file) => `${folder}/${file}`,
        ),
      ),
    );
  });

  it('leaves to the release what the release brings', async () => {
    const file = `trees/prod-backup/backup/${run.outputs('backup').snapshot}/prod/configmaps.json`;
    const { items } = JSON.parse(await readFile(join(bed.s3.folder, 'buckets', bed.s3.bucket, file), 'utf8'));
    expect(items.map(({ metadata }: { metadata: { name: string } }) => metadata.name)).toEqual(['by-hand']);
  });
});

async function storedObjects(prefix: string): Promise<string[]> {
  const bucket = join(bed.s3.folder, 'buckets', bed.s3.bucket);
  const entries = await readdir(bucket, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(bucket.length + 1))
    .filter((key) => key.startsWith(prefix));
}

/** An example with one setting changed. */
async function changed(workflow: string, setting: string, instead: string): Promise<string> {
  const text = await readFile(workflow, 'utf8');
  expect(text.split(setting)).toHaveLength(2);
  const file = join(bed.scratch, 'changed.yml');
  await writeFile(file, text.replace(setting, instead));
  return file;
}

interface HistoryRow {
  readonly revision: number;
  readonly status: string;
  readonly description: string;
}

async function historyOf(helm: Helm, namespace: string): Promise<HistoryRow[]> {
  return JSON.parse(await helm.run(['history', 'shop', '--namespace', namespace, '--output', 'json']));
}

async function releasesOf(helm: Helm, namespace: string): Promise<unknown[]> {
  return JSON.parse(await helm.run(['list', '--namespace', namespace, '--output', 'json']));
}

function daysUntil(time: string | undefined): number {
  return Math.round((Date.parse(time ?? '') - Date.now()) / 86_400_000);
}
