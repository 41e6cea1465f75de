import { EventEmitter } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { writeTree } from '../../src/archive/tree.ts';
import type { Backend } from '../../src/backends/backend.ts';
import { openBackend } from '../../src/backends/open.ts';
import { runCli } from '../../src/cli.ts';
import { runAnyMode } from '../../src/door.ts';
import { managerOf } from '../../src/manager/identity.ts';
import { acquireLease } from '../../src/manager/lease.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { startS3, type TestS3 } from '../cluster/s3.ts';
import { entriesOf } from '../unit/archive/helpers.ts';
import { type CommandResult, runCommand } from './run-command.ts';

const IDS = ['26-01-01_00-00-00', '26-01-02_00-00-00', '26-01-02_12-00-00', '26-01-03_00-00-00'];
const TREES = ['26-01-01_06-00-00', '26-01-02_06-00-00'];
const root = resolve(import.meta.dirname, '../..');

let s3: TestS3;
let folder: string;
let places = 0;
beforeAll(async () => {
  s3 = await startS3();
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-clear-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));
afterAll(async () => {
  vi.unstubAllEnvs();
  await s3?.stop();
});

type Kind = 's3' | 'local';

interface Place {
  readonly path: string;
  readonly backend: Backend;
  readonly flags: readonly string[];
}

function newPlace(kind: Kind): Place {
  places += 1;
  const isS3 = kind === 's3';
  const path = isS3 ? `s3://${s3.bucket}/place-${places}` : join(folder, `place-${places}`);
  const options = isS3 ? { endpoint: s3.endpoint, forcePathStyle: true } : {};
  return {
    path,
    backend: openBackend({ path, backend: kind, ...options }),
    flags: ['--path', path, ...(isS3 ? ['--s3-endpoint', s3.endpoint, '--s3-path-style'] : [])],
  };
}

async function fill({ backend }: Place): Promise<void> {
  for (const id of IDS) await backend.write(id, '.tar.zst', chunks('an archive'));
  for (const id of TREES) {
    const signal = new AbortController().signal;
    await backend.writeTree(
      id,
      'stage',
      writeTree(entriesOf({ '_snapshot.json': '{}', 'a.json': id }), signal).entries,
    );
  }
}

async function* chunks(text: string) {
  yield Buffer.from(text);
}

/** What a shell would see: there is no terminal. */
function clear(args: readonly string[]): Promise<CommandResult & { removed?: unknown[] }> {
  return runCommand(process.execPath, [resolve(root, 'dist/index.js'), 'clear', ...args, '--output', 'json'], {
    env: { KUBECONFIG: undefined, GITHUB_ACTIONS: undefined, INPUT_MODE: undefined },
  });
}

const removedOf = ({ stdout }: CommandResult): { what: string; id?: string; location: string }[] =>
  JSON.parse(stdout).removed;
const listed = async ({ backend }: Place) => (await backend.list()).map(({ id, layout }) => `${layout} ${id}`);

/** The same with a person at a terminal, who types. */
async function clearAsPerson(args: readonly string[], typed: string) {
  const seen = { status: -1, stdout: '', stderr: '' };
  const write = (stream: 'stdout' | 'stderr') => ({
    isTTY: true,
    write: (text: string) => {
      seen[stream] += text;
    },
  });
  const keys = new PassThrough();
  keys.write(typed);
  seen.status = await runCli({
    args: ['clear', ...args],
    env: { NO_COLOR: '1' },
    stdout: write('stdout'),
    stderr: write('stderr'),
    readStdin: async () => '',
    keyboard: { isTTY: true, open: () => keys },
    signals: new EventEmitter(),
    temporaryParent: folder,
    runMode: runAnyMode,
    clock: () => 0,
    exit: () => {},
  });
  return seen;
}

describe.each<Kind>(['s3', 'local'])('clear in %s', (kind) => {
  it('shows in a dry run what it would delete, and deletes nothing', async () => {
    const place = newPlace(kind);
    await fill(place);
    const before = await listed(place);
    const run = await clear([...place.flags, '--dry-run']);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(removedOf(run)).toHaveLength(6);
    expect(run.stderr).toContain('Would delete 6 snapshots');
    expect(await listed(place)).toEqual(before);
  });

  it('deletes everything with --yes, lease and all', async () => {
    const place = newPlace(kind);
    await fill(place);
    const lease = await hold(place);
    await lease.release();
    const run = await clear([...place.flags, '--yes']);
    expect(run.exitCode, run.stderr).toBe(0);
    const survey = await place.backend.survey();
    expect(survey).toMatchObject({ snapshots: [], leftovers: [], foreign: [], plans: [] });
    expect(await place.backend.lease?.read()).toBeUndefined();
  });

  it('deletes with a retention what it does not keep, group by group', async () => {
    const place = newPlace(kind);
    await fill(place);
    const run = await clear([...place.flags, '--yes', '--retention', 'last=1,daily=2']);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(removedOf(run)).toEqual([
      expect.objectContaining({ what: 'snapshot', id: IDS[0] }),
      expect.objectContaining({ what: 'snapshot', id: IDS[1] }),
    ]);
    expect(await listed(place)).toEqual([
      `archive ${IDS[3]}`,
      `archive ${IDS[2]}`,
      `tree ${TREES[1]}`,
      `tree ${TREES[0]}`,
    ]);
  });

  it('refuses without a terminal and without --yes, as wrong input', async () => {
    const place = newPlace(kind);
    await fill(place);
    const run = await clear(place.flags);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain('give --yes');
    expect(await listed(place)).toHaveLength(6);
  });

  it('refuses while a manager is at work, but not with a retention', async () => {
    const place = newPlace(kind);
    await fill(place);
    const lease = await hold(place);
    try {
      const run = await clear([...place.flags, '--yes']);
      expect(run.exitCode).toBe(1);
      expect(run.stderr).toContain('is kept up to date by release transship in namespace ops of cluster a, on test');
      expect(await listed(place)).toHaveLength(6);
      const partly = await clear([...place.flags, '--yes', '--retention', 'last=1']);
      expect(partly.exitCode, partly.stderr).toBe(0);
      expect(await listed(place)).toHaveLength(2);
    } finally {
      await lease.release();
    }
  });
});

describe('a person', () => {
  it('is shown a table on standard error, says yes, and gets JSON on standard output', async () => {
    const place = newPlace('local');
    await fill(place);
    const { status, stdout, stderr } = await clearAsPerson([...place.flags, '--output', 'json'], 'y\n');
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stderr).toMatch(/To be deleted:\nDELETED +SNAPSHOT +CLUSTER +AGE +SIZE +LOCATION\n/);
    expect(stderr).toContain(`Delete 6 snapshots (`);
    expect(stderr).toContain(`from ${place.path}? [y/N] `);
    expect(JSON.parse(stdout).removed).toHaveLength(6);
    expect(await listed(place)).toEqual([]);
  });

  it('says no: nothing is deleted, and the exit status is 1', async () => {
    const place = newPlace('local');
    await fill(place);
    const { status, stderr } = await clearAsPerson(place.flags, '\n');
    expect(status).toBe(1);
    expect(stderr).toContain('Nothing was deleted: the answer was not yes.');
    expect(await listed(place)).toHaveLength(6);
  });
});

describe('what is no snapshot', () => {
  it('stops it before anything is deleted, and is named', async () => {
    const place = newPlace('local');
    await fill(place);
    await mkdir(join(place.path, 'photos'));
    await writeFile(join(place.path, 'photos', 'cat.jpg'), 'miaow');
    const run = await clear([...place.flags, '--yes']);
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain('holds what Transship did not write: photos/cat.jpg. Nothing was deleted.');
    expect(await listed(place)).toHaveLength(6);
  });

  it('of an export that was cut short goes after a day, and stays before', async () => {
    const place = newPlace('local');
    await fill(place);
    const names = [
      'transship-26-01-04_00-00-00.tar.zst.0a1b2c3d.partial',
      'transship-26-01-05_00-00-00.tar.zst.0a1b2c3e.partial',
    ];
    for (const name of names) await writeFile(join(place.path, name), 'half');
    const yesterday = new Date(Date.now() - 25 * 60 * 60_000);
    await utimes(join(place.path, names[0] ?? ''), yesterday, yesterday);
    const run = await clear([...place.flags, '--yes', '--retention', 'last=9']);
    expect(removedOf(run)).toEqual([
      expect.objectContaining({ what: 'unfinished', location: join(place.path, names[0] ?? '') }),
    ]);
    expect(run.stderr).toContain('1 unfinished thing of less than a day stays');
    expect(await readdir(place.path)).toContain(names[1]);
  });

  it('of a multipart upload that was just begun stays, and is named', async () => {
    const place = newPlace('s3');
    const client = new S3Client({ endpoint: s3.endpoint, forcePathStyle: true, region: s3.region });
    const Key = `place-${places}/transship-26-01-04_00-00-00.tar.zst`;
    await client.send(new CreateMultipartUploadCommand({ Bucket: s3.bucket, Key }));
    const run = await clear([...place.flags, '--yes']);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(removedOf(run)).toEqual([]);
    expect(run.stderr).toContain(`${place.path}/transship-26-01-04_00-00-00.tar.zst`);
    const { Uploads = [] } = await client.send(
      new ListMultipartUploadsCommand({ Bucket: s3.bucket, Prefix: `place-${places}/` }),
    );
    expect(Uploads).toHaveLength(1);
    client.destroy();
  });
});

function hold({ path, backend }: Place) {
  if (backend.lease === undefined) throw new Error(`${path} has no lease.`);
  return acquireLease(backend.lease, managerOf({ cluster: 'a', name: 'ops/transship', path }), {
    ...{ takeOver: false, holder: { host: 'test', pid: process.pid }, reporter: silentReporter },
  });
}
