import { chmod, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { type BreakableProxy, startBreakableProxy } from './breakable-proxy.ts';
import { fingerprint } from './fingerprint.ts';
import { chart } from './fixtures.ts';
import { type Helm, makeHelm } from './helm.ts';
import { readRecords } from './helm-state.ts';
import { rewriteKubeconfig } from './kubeconfigs.ts';
import { makeLittleRoom } from './little-room.ts';
import { capture } from './run-command.ts';
import {
  namespaceMapFlags,
  runTransship,
  type TransshipOptions,
  type TransshipRun,
  transship,
} from './run-transship.ts';

// One cluster is source and target: what is exported from `stage` would be imported into `prod`.
const TO_PROD = namespaceMapFlags({ stage: 'prod' });

let bed: Bed;
let cluster: RunningCluster;
let helm: Helm;
let snapshots: string;
let archive: string;
let scratch: string;
let count = 0;
let serverLost: ReturnType<typeof loseServer>;

beforeAll(async () => {
  bed = await prepareBed();
  cluster = await bed.start('faults');
  helm = makeHelm(bed.tools.helm4, cluster.kubeconfig, bed.scratch);
  await helm.run(['install', 'first', chart('many'), '-n', 'stage', '--create-namespace']);
  await Promise.all([
    helm.run(['upgrade', 'first', chart('many'), '-n', 'stage', '--set', 'text=two']),
    helm.run(['install', 'second', chart('awkward-text'), '-n', 'stage']),
    // Its hook would never end; here it did not run.
    helm.run(['install', 'stuck', chart('failing-hook'), '-n', 'stage', '--no-hooks', '--set', 'hook=hang']),
  ]);
  snapshots = join(bed.scratch, 'good');
  const run = await transship(['export', '-n', 'stage', '--path', snapshots], { env: user() });
  archive = String(run.output.location);
  // It tries again for a long time before it gives up: that goes on beside the other tests.
  serverLost = loseServer(join(bed.scratch, 'lost'));
});

afterAll(() => bed?.close());

beforeEach(async () => {
  count += 1;
  scratch = join(bed.scratch, `case-${count}`);
  await mkdir(scratch);
});

function user(helmOnPath: 'helm4' | 'none' = 'helm4'): Record<string, string> {
  return bed.environment(cluster, helmOnPath);
}

const kubectl = (...args: string[]) => capture(bed.tools.kubectl, ['--kubeconfig', cluster.kubeconfig, ...args]);

/** Runs what has to fail: with the given exit status, one clear error, no stack, and without any change to the cluster. */
async function failsCleanly(
  args: readonly string[],
  options: TransshipOptions = {},
  exitCode = 1,
): Promise<TransshipRun> {
  const before = await fingerprint(cluster);
  const run = await runTransship(args, { env: user(), ...options });
  expect(run.exitCode, run.stderr).toBe(exitCode);
  expect(run.stderr.match(/^error/gim), run.stderr).toHaveLength(1);
  expect(run.stderr).not.toMatch(/^\s+at .*:\d+/m);
  expect(await fingerprint(cluster)).toEqual(before);
  return run;
}

describe('a damaged archive', () => {
  const importOf = (path: string, ...more: string[]) => ['import', '--path', path, ...TO_PROD, ...more];

  it.each([1, 0.999, 0.5, 0.01])('that was cut changes nothing (%s of it is there, less one byte)', async (part) => {
    const path = await damaged(async (file, bytes) => truncate(file, Math.floor(bytes.length * part) - 1));
    const run = await failsCleanly(importOf(path));
    expect(run.stderr).toMatch(/damaged|cut|incomplete|truncated|ends/i);
  });

  it.each([0.02, 0.3, 0.6, 0.98])('with one byte flipped at %s of its length changes nothing', async (part) => {
    const path = await damaged(async (file, bytes) => {
      const at = Math.floor(bytes.length * part);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 0x20, at);
      await writeFile(file, bytes);
    });
    await failsCleanly(importOf(path));
  });

  it.each(['none', 'gzip'])('is found out without the help of the compression (%s)', async (compression) => {
    const path = join(scratch, 'out');
    await transship(['export', '-n', 'stage', '--path', path, '--compression', compression], { env: user() });
    const [name] = await readdir(path);
    const file = join(path, name ?? '');
    const bytes = await readFile(file);
    // A letter inside a manifest: no structure breaks, only what is written there.
    const at = compression === 'none' ? bytes.indexOf('awkward-text/templates/braces.yaml') : bytes.length >> 1;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    await writeFile(file, bytes);
    await failsCleanly(importOf(path));
    await failsCleanly(['verify', '--path', path]);
  });

  it('is refused when its digest is not the one that was asked for', async () => {
    const other = `sha256:${'0'.repeat(64)}`;
    const run = await failsCleanly(importOf(snapshots, '--digest', other));
    expect(run.stderr).toContain(other);
  });

  async function damaged(damage: (file: string, bytes: Buffer) => Promise<void>): Promise<string> {
    const bytes = await readFile(archive);
    const file = join(scratch, archive.slice(archive.lastIndexOf('/') + 1));
    await writeFile(file, bytes);
    await damage(file, bytes);
    return scratch;
  }
});

describe('what the machine lacks', () => {
  it('no helm: the error says both ways out', async () => {
    const run = await failsCleanly(['import', '--path', snapshots, ...TO_PROD], { env: user('none') });
    expect(run.stderr).toContain('PATH');
    expect(run.stderr).toContain('helm-version');
  });

  it('a Helm that is too old is refused by its version', async () => {
    const program = join(scratch, 'helm');
    await writeFile(program, '#!/bin/sh\necho v3.9.4\n');
    await chmod(program, 0o755);
    const env = { ...user('none'), PATH: `${scratch}:${user('none').PATH}` };
    const run = await failsCleanly(['import', '--path', snapshots, ...TO_PROD], { env });
    expect(run.stderr).toContain('3.9.4');
    expect(run.stderr).toContain('3.18');
  });

  it('no room: an export leaves no snapshot behind', async () => {
    const folder = join(scratch, 'full');
    const room = await makeLittleRoom(folder);
    try {
      await failsCleanly(['export', '-n', 'stage', '--path', folder, '--compression', 'none'], { prefix: room.prefix });
      expect(await readdir(folder)).toEqual([]);
    } finally {
      await room.free();
    }
  });

  it('no snapshot where it looks: the error names the place', async () => {
    const run = await failsCleanly(['import', '--path', join(scratch, 'nothing'), ...TO_PROD]);
    expect(run.stderr).toContain(join(scratch, 'nothing'));
  });
});

describe('a cluster that cannot be reached or does not let one in', () => {
  const exporting = (kubeconfig: string) => ['export', '-n', 'stage', '--path', scratch, '--kubeconfig', kubeconfig];

  afterEach(async () => {
    // Whatever went wrong, nothing may look like a snapshot afterwards.
    expect((await readdir(scratch)).filter((name) => name.includes('.tar'))).toEqual([]);
  });

  it('a kubeconfig that is no kubeconfig', async () => {
    const file = join(scratch, 'config');
    await writeFile(file, 'just: text\n');
    const run = await failsCleanly(exporting(file), {}, 2);
    expect(run.stderr).toContain(file);
  });

  it('a kubeconfig that is not there', async () => {
    const run = await failsCleanly(exporting(join(scratch, 'missing')), {}, 2);
    expect(run.stderr).toContain(join(scratch, 'missing'));
  });

  it('a context that is not there: the error names those there are', async () => {
    const run = await failsCleanly([...exporting(cluster.kubeconfig), '--context', 'elsewhere'], {}, 2);
    expect(run.stderr).toContain('elsewhere');
    expect(run.stderr).toContain('faults');
  });

  it('a server that does not answer', async () => {
    const server = 'https://127.0.0.1:1';
    const run = await failsCleanly(
      exporting(await rewriteKubeconfig(cluster, scratch, (entry) => ({ ...entry, server }))),
    );
    expect(run.stderr).toContain('127.0.0.1:1');
  });

  it('a server whose certificate nobody vouches for', async () => {
    const run = await failsCleanly(
      exporting(await rewriteKubeconfig(cluster, scratch, ({ 'certificate-authority-data': _, ...entry }) => entry)),
    );
    expect(run.stderr).toMatch(/certificate/i);
  });

  it('a token that has expired', async () => {
    const run = await failsCleanly(exporting(await withToken('not-a-token-any-more')));
    expect(run.stderr).toMatch(/401|unauthorized/i);
    expect(run.stderr).not.toContain('not-a-token-any-more');
  });

  it('a token that may not read Secrets: the error names what it lacks and where', async () => {
    await kubectl('create', 'serviceaccount', `reader-${count}`, '-n', 'stage');
    const token = (await kubectl('create', 'token', `reader-${count}`, '-n', 'stage')).trim();
    const run = await failsCleanly(exporting(await withToken(token)));
    expect(run.stderr).toContain(`system:serviceaccount:stage:reader-${count}`);
    expect(run.stderr).toMatch(/secrets/);
    expect(run.stderr).not.toContain(token);
  });

  async function withToken(token: string): Promise<string> {
    return rewriteKubeconfig(cluster, scratch, (entry) => entry, { token });
  }
});

describe('an API server that goes away in the middle of an export', () => {
  it('and comes back does no harm: the export is whole', async () => {
    const path = join(scratch, 'out');
    const [proxy, kubeconfig] = await proxied(scratch);
    const restarted = proxy
      .breakAfter(6_000)
      .then(() => cluster.restartApiServer())
      .then(() => proxy.restore());
    const run = await transship(['export', '-n', 'stage', '--path', path, '--kubeconfig', kubeconfig], { env: user() });
    await restarted;
    await proxy.close();
    const rows = run.output.releases;
    expect(Array.isArray(rows) ? rows.map(({ name }) => name).sort() : rows).toEqual(['first', 'second', 'stuck']);
    const verified = await transship(['verify', '--path', path], { env: user() });
    expect(verified.exitCode).toBe(0);
  });

  it('and stays away is an error that names the server, and leaves no snapshot', async () => {
    const { run, port, left } = await serverLost;
    expect(run.exitCode, run.stderr).toBe(1);
    expect(run.stderr.match(/^error/gim), run.stderr).toHaveLength(1);
    expect(run.stderr).toContain(`127.0.0.1:${port}`);
    expect(left.filter((name) => name.includes('.tar'))).toEqual([]);
  });
});

describe('an import that is interrupted while a hook runs', () => {
  let target: string;
  const importing = (...more: string[]) => [
    'import',
    '--path',
    snapshots,
    ...namespaceMapFlags({ stage: target }),
    ...more,
  ];

  beforeEach(() => {
    target = `prod-${count}`;
  });

  it('by SIGTERM: exits with an error that names what is not finished, and leaves no Helm and nothing pending', async () => {
    const pids = join(scratch, 'pids');
    const run = await runTransship(importing('--concurrency', '1'), {
      env: await helmScript(`echo $$ >> ${pids}`, `exec ${bed.tools.helm4} "$@"`),
      onStart: (child) => void whenHookRuns().then(() => child.kill('SIGTERM')),
    });
    expect(run.exitCode).toBeGreaterThan(0);
    expect(run.stderr).toContain(`${target}/stuck`);
    expect(run.stderr).not.toMatch(/^\s+at .*:\d+/m);
    for (const pid of (await readFile(pids, 'utf8')).trim().split('\n')) expect(isRunning(Number(pid))).toBe(false);
    expect(await statuses()).not.toMatch(/pending/);
  });

  it('by a Helm that is killed: the release failed, the others are finished', async () => {
    const wait = `until ${bed.tools.kubectl} get job stuck-gate -n ${target} >/dev/null 2>&1; do sleep 0.05; done`;
    const run = await runTransship(importing(), {
      // As the out-of-memory killer does it.
      env: await helmScript(
        'case "$*" in',
        `  *install*stuck*) ${bed.tools.helm4} "$@" & pid=$!; ${wait}; kill -9 $pid; wait $pid; kill -9 $$ ;;`,
        `  *) exec ${bed.tools.helm4} "$@" ;;`,
        'esac',
      ),
    });
    expect(run.exitCode).toBe(1);
    expect(run.output.releases).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'first', outcome: 'created' }),
        expect.objectContaining({ name: 'second', outcome: 'created' }),
        expect.objectContaining({ name: 'stuck', outcome: 'failed' }),
      ]),
    );
    expect(run.stderr).toMatch(/SIGKILL|killed|signal|137/i);
    expect(await statuses()).toMatch(/pending-install/);

    // The next import clears up after it: no hand has to.
    const again = await transship(importing('--no-hooks'), { env: user() });
    expect(again.output.counts).toMatchObject({ created: 1, unchanged: 2, failed: 0 });
    expect(await statuses()).not.toMatch(/pending/);
  });

  it('by its timeout: the release failed in the words of Helm, the others are finished', async () => {
    const run = await runTransship(importing('--timeout', '2s'), { env: user() });
    expect(run.exitCode).toBe(1);
    expect(run.output.counts).toMatchObject({ created: 2, failed: 1 });
    expect(run.stderr).toMatch(/pre-install/);
    expect(run.stderr).toMatch(/timed out|deadline|timeout/i);
  });

  /** Resolves once the hook Job that never ends is there. */
  async function whenHookRuns(): Promise<void> {
    const get = ['get', 'job', 'stuck-gate', '-n', target, '-o', 'name', '--ignore-not-found'];
    while ((await kubectl(...get)) === '') await delay(50);
  }

  /** A user whose `helm` is a shell script of these lines. */
  async function helmScript(...lines: string[]): Promise<Record<string, string>> {
    const program = join(scratch, 'helm');
    await writeFile(program, `#!/bin/sh\n${lines.join('\n')}\n`, { mode: 0o755 });
    const env = user('none');
    return { ...env, PATH: `${scratch}:${env.PATH}` };
  }

  function isRunning(pid: number): boolean {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  }

  async function statuses(): Promise<string> {
    const records = await readRecords(cluster, bed.tools.kubectl);
    const imported = [...records].filter(([key]) => key.startsWith(`${target}/`));
    return imported.flatMap(([, revisions]) => [...revisions.values()].map(({ labels }) => labels.status)).join();
  }
});

/** An export whose server goes away for good. */
async function loseServer(folder: string): Promise<{ run: TransshipRun; port: number; left: string[] }> {
  await mkdir(folder);
  const [proxy, kubeconfig] = await proxied(folder);
  const cut = proxy.breakAfter(6_000);
  const path = join(folder, 'out');
  const run = await runTransship(['export', '-n', 'stage', '--path', path, '--kubeconfig', kubeconfig], {
    env: user(),
  });
  await cut;
  await proxy.close();
  return { run, port: proxy.port, left: await readdir(path).catch(() => []) };
}

/** A way to the API server that can be cut, and the kubeconfig that takes it. */
async function proxied(folder: string): Promise<[BreakableProxy, string]> {
  const url = new URL(cluster.server);
  const proxy = await startBreakableProxy({ host: url.hostname, port: Number(url.port) });
  const file = await rewriteKubeconfig(cluster, folder, (entry) => ({
    ...entry,
    server: `https://127.0.0.1:${proxy.port}`,
  }));
  return [proxy, file];
}
