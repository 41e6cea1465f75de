import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseSnapshot } from '../../src/archive/snapshot.ts';
import type { Backend } from '../../src/backends/backend.ts';
import { openBackend } from '../../src/backends/open.ts';
import { managerOf } from '../../src/manager/identity.ts';
import { acquireLease } from '../../src/manager/lease.ts';
import { parseLease } from '../../src/manager/lease-text.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { startS3, type TestS3 } from '../cluster/s3.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { applyObjects } from './fixtures.ts';
import { type Helm, makeHelm } from './helm.ts';
import { capture, runCommand } from './run-command.ts';

const root = resolve(import.meta.dirname, '../..');

describe('a cluster whose manager is one of its releases', () => {
  let bed: Bed;
  let s3: TestS3;
  let stage: RunningCluster;
  let prod: RunningCluster;
  let prodHelm: Helm;
  let path: string;

  beforeAll(async () => {
    bed = await prepareBed();
    [s3, stage, prod] = await Promise.all([startS3(), bed.start('stage'), bed.start('prod')]);
    for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
    path = `s3://${s3.bucket}/stage`;
    const web = join(bed.scratch, 'web');
    await mkdir(join(web, 'templates'), { recursive: true });
    await writeFile(join(web, 'Chart.yaml'), 'apiVersion: v2\nname: web\nversion: 1.0.0\n');
    const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: web }\ndata: { a: b }\n';
    await writeFile(join(web, 'templates/a.yaml'), text);
    const helm = makeHelm(bed.tools.helm4, stage.kubeconfig, bed.scratch);
    prodHelm = makeHelm(bed.tools.helm4, prod.kubeconfig, bed.scratch);
    const chart = join(root, 'charts/transship');
    await helm.run(['install', 'transship', chart, '-n', 'ops', '--create-namespace', '--set', `path=${path}/`]);
    await helm.run(['install', 'web', web, '-n', 'shop', '--create-namespace']);
    await applyObjects(stage, bed.tools.kubectl, [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'plain', namespace: 'ops' }, data: { a: 'b' } },
    ]);
    const run = await transship(stage, ['export', '-n', 'ops,shop', '--manager', 'ops/transship', ...at(path)]);
    expect(run.exitCode, run.stderr).toBe(0);
  });

  afterAll(async () => {
    vi.unstubAllEnvs();
    await Promise.all([s3?.stop(), bed?.close()]);
  });

  const at = (place: string) => ['--path', place, '--s3-endpoint', s3.endpoint, '--s3-path-style'];
  const openAt = (place: string): Backend => openBackend({ path: place, endpoint: s3.endpoint, forcePathStyle: true });

  async function transship(cluster: RunningCluster, args: readonly string[]) {
    const run = await runCommand(process.execPath, [resolve(root, 'dist/index.js'), ...args, '--output', 'json'], {
      env: { ...bed.environment(cluster, 'helm4'), GITHUB_ACTIONS: undefined, INPUT_MODE: undefined, ...s3.env },
    });
    return { ...run, output: run.stdout === '' ? {} : JSON.parse(run.stdout) };
  }

  const releaseIn = (output: { releases?: { name: string }[] }, name: string) =>
    output.releases?.find((release) => release.name === name);

  const kubectl = (cluster: RunningCluster, args: readonly string[]) =>
    capture(bed.tools.kubectl, ['--kubeconfig', cluster.kubeconfig, ...args]);

  it('has its name in the snapshot, and has given the lease back', async () => {
    const { lease } = openAt(path);
    const stored = parseLease((await lease?.read())?.text ?? '');
    expect(stored?.released).toBeInstanceOf(Date);
    const uid = await kubectl(stage, ['get', 'namespace', 'kube-system', '-o', 'jsonpath={.metadata.uid}']);
    const manager = { cluster: uid, namespace: 'ops', release: 'transship', path };
    expect(stored?.manager).toEqual(manager);
    const place = `s3://${s3.bucket}/tree`;
    const tree = ['-n', 'shop', '--layout', 'tree', '--manager', 'ops/transship'];
    expect((await transship(stage, ['export', ...tree, ...at(place)])).exitCode).toBe(0);
    const backend = openAt(place);
    const snapshot = await backend.find('latest');
    for await (const entry of backend.readTree(snapshot)) {
      if (entry.path !== '_snapshot.json') continue;
      const parts = [];
      for await (const part of entry.body instanceof Uint8Array ? [entry.body] : entry.body) parts.push(part);
      expect(parseSnapshot(Buffer.concat(parts)).manager).toEqual({ ...manager, path: place });
    }
  });

  it('lets no other manager write there while it does', async () => {
    const place = `s3://${s3.bucket}/taken`;
    const { lease: store } = openAt(place);
    if (store === undefined) throw new Error('S3 has one.');
    const lease = await acquireLease(store, managerOf({ cluster: 'another', name: 'ops/transship', path: place }), {
      ...{ takeOver: false, holder: { host: 'blue', pid: 1 }, reporter: silentReporter, renewEvery: 500 },
    });
    const args = ['export', '-n', 'shop', '--manager', 'ops/transship', ...at(place)];
    const run = await transship(stage, args);
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain(
      `${place} is kept up to date by release transship in namespace ops of cluster another, on blue, since `,
    );
    const forced = await transship(stage, [...args, '--take-over']);
    expect(forced.exitCode, forced.stderr).toBe(0);
    await expect(lease.check()).rejects.toMatchObject({ code: 'MANAGED' });
  });

  it('is left out of a plan, which says why', async () => {
    const { output, stderr } = await transship(prod, ['plan', ...at(path)]);
    expect(releaseIn(output.plan, 'transship'), stderr).toMatchObject({
      change: 'keep',
      message: `It is the manager that wrote this snapshot: two would keep ${path} up to date. Set manager-path to bring it in with another path.`,
    });
    expect(releaseIn(output.plan, 'web')).toMatchObject({ change: 'create' });
  });

  it('is left out of an import, which succeeds and says so', async () => {
    const { exitCode, output, stderr } = await transship(prod, ['import', '--atomic', ...at(path)]);
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toContain('Imported 1 release into');
    expect(stderr).toContain('ops/transship skipped');
    expect(releaseIn(output, 'web')).toMatchObject({ outcome: 'created' });
    expect(releaseIn(output, 'transship')).toMatchObject({ outcome: 'skipped', leftOut: true });
    expect(await prodHelm.run(['list', '-A', '-q'])).toBe('web\n');
  });

  it('is refused with the path that it has', async () => {
    const { exitCode, stderr } = await transship(prod, ['import', '--manager-path', `${path}//`, ...at(path)]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('is where the manager that wrote the snapshot writes already.');
  });

  it('comes with another path, which later upgrades keep', async () => {
    const green = `s3://${s3.bucket}/prod`;
    const args = ['import', '--manager-path', green, '--namespace-map', 'ops:ops-prod', ...at(path)];
    const { exitCode, output, stderr } = await transship(prod, args);
    expect(exitCode, stderr).toBe(0);
    expect(releaseIn(output, 'transship')).toMatchObject({ namespace: 'ops-prod', outcome: 'created' });
    const argsOf = async () =>
      JSON.parse(
        await kubectl(prod, [
          ...['-n', 'ops-prod', 'get', 'deployment', 'transship'],
          ...['-o', 'jsonpath={.spec.template.spec.containers[0].args}'],
        ]),
      );
    expect(await argsOf()).toEqual(
      expect.arrayContaining(['watch', `--path=${green}`, '--manager=ops-prod/transship']),
    );
    const chart = join(root, 'charts/transship');
    const upgrade = ['upgrade', 'transship', chart, '-n', 'ops-prod', '--reuse-values', '--set', 'interval=1h'];
    await prodHelm.run(upgrade);
    expect(await argsOf()).toEqual(expect.arrayContaining([`--path=${green}`, '--interval=1h']));
  });

  it('is left out of a snapshot that holds only resources, with its records', async () => {
    const place = `s3://${s3.bucket}/resources`;
    const flags = ['-n', 'ops', '--include', 'resources', '--manager', 'ops/transship'];
    const exported = await transship(stage, ['export', ...flags, ...at(place)]);
    expect(exported.exitCode, exported.stderr).toBe(0);
    const run = await transship(prod, ['import', '--namespace-map', 'ops:ops-plain', ...at(place)]);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.stderr).toMatch(
      /Manager left out: Left out: \d+ objects of release transship in namespace ops of cluster /,
    );
    const names = await kubectl(prod, ['-n', 'ops-plain', 'get', 'configmap,secret,deployment', '-o', 'name']);
    const ofCluster = 'configmap/kube-root-ca.crt';
    expect(names.split('\n').filter((name) => name !== '' && name !== ofCluster)).toEqual(['configmap/plain']);
  });

  it('deletes with a retention what it does not keep, once the new one is stored', async () => {
    const place = `s3://${s3.bucket}/kept`;
    const backend = openAt(place);
    const old = await backend.write('26-01-01_00-00-00', '.tar.zst', bytes());
    const args = ['export', '-n', 'shop', '--manager', 'ops/transship', '--retention', 'last=1', ...at(place)];
    const { exitCode, output, stderr } = await transship(stage, args);
    expect(exitCode, stderr).toBe(0);
    expect(output.removed).toEqual([expect.objectContaining({ what: 'snapshot', id: old.id, location: old.location })]);
    expect((await backend.list()).map(({ id }) => id)).toEqual([output.snapshot]);
  });
});

async function* bytes() {
  yield Buffer.from('an archive');
}
