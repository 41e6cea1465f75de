import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { entryOf } from '../../../src/archive/entry.ts';
import { parseSnapshot, SNAPSHOT_PATH, snapshotEntry } from '../../../src/archive/snapshot.ts';
import { writeTree } from '../../../src/archive/tree.ts';
import { writeArchive } from '../../../src/archive/write.ts';
import type { Backend, WrittenSnapshot } from '../../../src/backends/backend.ts';
import { LocalBackend } from '../../../src/backends/local.ts';
import { parseInputs } from '../../../src/inputs.ts';
import { run as list } from '../../../src/modes/list.ts';
import type { RunContext } from '../../../src/modes/run.ts';
import { openSnapshot } from '../../../src/modes/storage.ts';
import { run as verify } from '../../../src/modes/verify.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { streamOf, temporaryFolder } from '../archive/helpers.ts';

const ID = '26-01-31_12-00-00';
const CREATED = new Date('2026-01-31T12:00:00Z');
const ROLES = '{"apiVersion":"v1","kind":"List","metadata":{},"items":[\n]}\n';

const entries = () =>
  streamOf(
    snapshotEntry({
      id: ID,
      created: CREATED,
      tool: { name: 'transship', version: '1.0.0' },
      cluster: { version: 'v1.35.4', context: 'stage' },
      scope: { namespaces: ['shop'], include: ['resources'], history: 'all' },
    }),
    entryOf('shop/roles.json', ROLES),
  );

interface Stored {
  readonly folder: string;
  readonly backend: Backend;
  readonly written: WrittenSnapshot;
  /** What pins it. */
  readonly digest: string;
  readonly size: number;
}

const layouts: [string, () => Promise<Stored>][] = [
  [
    'an archive',
    async () => {
      const folder = temporaryFolder();
      const backend = new LocalBackend(folder);
      const { bytes, summary } = writeArchive(entries(), { compression: 'zstd', mtime: CREATED });
      const written = await backend.write(ID, '.tar.zst', bytes);
      return { folder, backend, written, digest: summary().digest, size: summary().size };
    },
  ],
  [
    'a tree',
    async () => {
      const folder = temporaryFolder();
      const backend = new LocalBackend(folder);
      const { entries: files, summary } = writeTree(entries());
      const written = await backend.writeTree(ID, 'stage', files);
      return { folder, backend, written, digest: summary().digest, size: summary().size };
    },
  ],
];

describe.each(layouts)('a snapshot that is %s', (_what, store) => {
  it('is opened to be read in any order', async () => {
    const { backend, digest, size } = await store();
    const stored = await backend.find('latest');
    const spool = await openSnapshot(backend, stored, { directory: temporaryFolder(), digest });
    onTestFinished(() => spool.close());
    expect((await spool.read('shop/roles.json')).toString()).toBe(ROLES);
    expect(parseSnapshot(await spool.read(SNAPSHOT_PATH)).id).toBe(ID);
    expect({ digest: spool.digest, size: spool.size }).toEqual({ digest, size });
  });

  it('is not opened when it is not the expected one', async () => {
    const { backend, digest } = await store();
    const options = {
      directory: temporaryFolder(),
      digest: digest.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
    };
    await expect(openSnapshot(backend, await backend.find(ID), options)).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: expect.stringContaining(`its digest is ${digest}, expected is ${options.digest}.`),
    });
  });

  it('is verified without being kept', async () => {
    const { folder, written, digest, size } = await store();
    const result = await verifyIn(folder, { digest });
    expect(result).toMatchObject({ failed: false, summary: { mode: 'verify', files: 2, problems: [] } });
    expect(result.outputs).toMatchObject({ snapshot: ID, location: written.location, digest, size });
  });

  it('does not verify with another digest than the expected one', async () => {
    const { folder, digest } = await store();
    const expected = `sha256:${'0'.repeat(64)}`;
    const result = await verifyIn(folder, { digest: expected });
    expect(result.failed).toBe(true);
    expect(result.summary).toMatchObject({
      problems: [`The snapshot is not the expected one: its digest is ${digest}, expected is ${expected}.`],
    });
  });

  it('is listed with its layout', async () => {
    const { folder, written } = await store();
    const inputs = parseInputs({ mode: 'list', path: `${folder}/` }, 'cli');
    if (inputs.mode !== 'list') throw new Error('It is another mode.');
    const { outputs } = await list(inputs, contextOf());
    expect(outputs.snapshots).toEqual([written]);
    expect(outputs.location).toBe(written.location);
  });
});

it('each thing that is wrong with a tree is told', async () => {
  const [, [, store]] = layouts as [unknown, (typeof layouts)[0]];
  const { folder, written } = await store();
  writeFileSync(join(written.location, 'shop/roles.json'), ROLES.replace('v1', 'v9'));
  writeFileSync(join(written.location, 'shop/notes.txt'), '');
  const result = await verifyIn(folder);
  expect(result.failed).toBe(true);
  if (result.summary.mode !== 'verify') throw new Error('It is another mode.');
  expect(result.summary.problems.map((problem) => problem.replace(/[0-9a-f]{40,}/g, 'X'))).toEqual([
    'shop/roles.json is damaged: its SHA-256 is X; _index.json says X.',
    'shop/notes.txt is not one of the files that _index.json names.',
    'shop/roles.json is damaged: its SHA-1 is X; the manifest says X.',
    'shop/notes.txt is not one of the files that the manifest names.',
  ]);
  expect(result.outputs.digest).toBeUndefined();
});

async function verifyIn(folder: string, given: { digest?: string } = {}) {
  const inputs = parseInputs({ mode: 'verify', path: `${folder}/`, ...given }, 'cli');
  if (inputs.mode !== 'verify') throw new Error('It is another mode.');
  return verify(inputs, contextOf());
}

function contextOf(): RunContext {
  return {
    reporter: silentReporter,
    signal: new AbortController().signal,
    env: {},
    temporaryDirectory: temporaryFolder(),
    version: '1.0.0',
  };
}
