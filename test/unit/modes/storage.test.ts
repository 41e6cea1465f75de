import { readFileSync, writeFileSync } from 'node:fs';
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
import { storeSnapshot } from '../../../src/modes/store.ts';
import { run as verify } from '../../../src/modes/verify.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { streamOf, temporaryFolder } from '../archive/helpers.ts';
import { newKeys } from '../archive/keys.ts';

const ID = '26-01-31_12-00-00';
const CREATED = new Date('2026-01-31T12:00:00Z');
const keys = await newKeys();
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
    // What only its writer knows.
    const { files: _files, sent: _sent, ...listed } = written;
    expect(outputs.snapshots).toEqual([listed]);
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

describe.each([
  ['an archive', 'archive'],
  ['a tree', 'tree'],
] as const)('an encrypted snapshot that is %s', (_what, layout) => {
  const { identity, recipient } = keys;
  const store = async () => {
    const folder = temporaryFolder();
    const backend = new LocalBackend(folder);
    const inputs = { layout, compression: 'zstd' as const, 'encrypt-to': [recipient], 'allow-plaintext': false };
    const snapshot = { id: ID, created: CREATED, cluster: 'stage', entries: entries() };
    const written = await storeSnapshot(backend, snapshot, inputs, contextOf());
    return { folder, backend, written };
  };
  /** Changes a byte of the archive, or of a file of the tree. */
  const damage = (location: string) => {
    const file = layout === 'tree' ? join(location, 'shop/roles.json.age') : location;
    const bytes = readFileSync(file);
    bytes[bytes.byteLength - 20] = (bytes[bytes.byteLength - 20] ?? 0) ^ 1;
    writeFileSync(file, bytes);
  };

  it('is listed without a key, as encrypted', async () => {
    const { backend, written } = await store();
    const { digest: _digest, files: _files, sent: _sent, ...listed } = written;
    expect(await backend.list()).toEqual([listed]);
    expect(written).toMatchObject({ encrypted: true, layout });
  });

  it('is opened with an identity, and pinned by what is stored', async () => {
    const { backend, written } = await store();
    const { digest, size } = written;
    const options = { directory: temporaryFolder(), digest, identities: [identity] };
    const spool = await openSnapshot(backend, await backend.find(ID), options);
    onTestFinished(() => spool.close());
    expect((await spool.read('shop/roles.json')).toString()).toBe(ROLES);
    expect({ digest: spool.digest, size: spool.size }).toEqual({ digest, size });
  });

  it('is not opened without one', async () => {
    const { backend } = await store();
    await expect(openSnapshot(backend, await backend.find(ID), { directory: temporaryFolder() })).rejects.toMatchObject(
      {
        code: 'INPUT',
        message: 'The snapshot is encrypted to 1 recipient, and no identity is given.',
      },
    );
  });

  it('is verified whole with an identity', async () => {
    const { folder, written } = await store();
    const result = await verifyIn(folder, { identity });
    expect(result.summary).toEqual({ mode: 'verify', files: 2, bytes: expect.any(Number), problems: [] });
    expect(result.outputs).toMatchObject({ digest: written.digest, size: written.size, releases: [] });
    damage(written.location);
    const damaged = await verifyIn(folder, { identity });
    expect(damaged.failed).toBe(true);
    expect(damaged.summary).toMatchObject({
      problems: [expect.stringContaining('The encrypted bytes are cut or were changed')],
    });
  });

  it('is verified without a key as far as that goes, and that is said', async () => {
    const { folder, written } = await store();
    const warnings: string[] = [];
    const result = await verifyIn(folder, { digest: written.digest ?? '' }, warnings);
    expect(result).toEqual({
      outputs: { snapshot: ID, location: written.location, digest: written.digest, size: written.size },
      summary: { mode: 'verify', files: 0, bytes: 0, unread: true, problems: [] },
      failed: false,
    });
    expect(warnings).toEqual(['No identity is given, so only what is stored was checked, and not what is in it.']);
  });

  it('is not verified when what is stored was changed', async () => {
    const { folder, written } = await store();
    damage(written.location);
    const result = await verifyIn(folder, { digest: written.digest ?? '' });
    expect(result.failed).toBe(true);
    const problem = layout === 'tree' ? 'shop/roles.json.age is damaged: its SHA-1' : 'its digest is sha256:';
    expect(result.summary).toMatchObject({ problems: [expect.stringContaining(problem)] });
  });
});

async function verifyIn(folder: string, given: Record<string, string> = {}, warnings: string[] = []) {
  const inputs = parseInputs({ mode: 'verify', path: `${folder}/`, ...given }, 'cli');
  if (inputs.mode !== 'verify') throw new Error('It is another mode.');
  const reporter = { ...silentReporter, warn: (message: string) => void warnings.push(message) };
  return verify(inputs, { ...contextOf(), reporter });
}

function contextOf(): RunContext {
  return {
    reporter: silentReporter,
    signal: new AbortController().signal,
    env: {},
    temporaryDirectory: temporaryFolder(),
    run: 'test',
    version: '1.0.0',
  };
}
