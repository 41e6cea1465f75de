import { rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StoredSnapshot } from '../../../src/backends/backend.ts';
import { LocalBackend } from '../../../src/backends/local.ts';
import { compareContents, hasChanges } from '../../../src/watch/contents.ts';
import { createSpool } from '../../../src/watch/spool.ts';
import { storeSpooled } from '../../../src/watch/store-spooled.ts';
import { readStoredContents } from '../../../src/watch/stored-contents.ts';
import { noise, temporaryFolder } from '../archive/helpers.ts';
import { newKeys } from '../archive/keys.ts';
import { collectReports } from './reports.ts';
import { collected } from './spooled.ts';
import { trackFiles } from './tracked-files.ts';

const ID = '26-01-31_12-00-00';
const FILES = { 'shop/services.json': 'a', 'shop/secrets.json': '', 'nodes.json': noise(300_000) };

async function store(layout: 'archive' | 'tree', encryptTo?: readonly string[]) {
  const { reporter, lines } = collectReports();
  const backend = new LocalBackend(temporaryFolder());
  const spooled = await createSpool(temporaryFolder(), trackFiles().openFile).add(collected(ID, FILES));
  const options = { cluster: 'stage', layout, compression: 'zstd', encryptTo, reporter } as const;
  const { snapshot } = await storeSpooled(backend, spooled, options);
  const read = (stored: StoredSnapshot = snapshot) => readStoredContents(backend, stored, { reporter });
  return { backend, spooled, snapshot, read, lines };
}

describe('what a stored snapshot holds', () => {
  it.each(['tree', 'archive'] as const)('is known of a %s: the same as was stored', async (layout) => {
    const { backend, spooled, read, lines } = await store(layout);
    const found = await read(await backend.find('latest'));
    expect(found?.contents.files).toEqual(
      new Map([...spooled.files].map(([path, { size, sha256 }]) => [path, { size, sha256 }])),
    );
    expect(found !== undefined && hasChanges(compareContents(found.contents, spooled))).toBe(false);
    expect(lines).toEqual([]);
  });

  it('makes a tree a base, of whose files only index, manifest and _snapshot.json were read', async () => {
    const { backend, snapshot, read } = await store('tree');
    const opened: string[] = [];
    const { openTree } = backend;
    backend.openTree = async (stored) => {
      const tree = await openTree.call(backend, stored);
      return {
        files: tree.files,
        read: (path) => {
          opened.push(path);
          return tree.read(path);
        },
      };
    };
    expect([...((await read())?.base?.files.keys() ?? [])].sort()).toEqual([...(snapshot.files?.keys() ?? [])].sort());
    expect(opened.sort()).toEqual(['_index.json', '_snapshot.json', 'manifest']);
  });

  it.each(['tree', 'archive'] as const)('is not known of an encrypted %s, and that is told', async (layout) => {
    const { backend, read, lines } = await store(layout, [(await newKeys()).recipient]);
    const stored = await backend.find('latest');
    expect(await read(stored)).toBeUndefined();
    expect(lines).toEqual([
      `info: What ${stored.location} holds is not known: it is encrypted, and only its readers have the key. All is written anew.`,
    ]);
  });

  it('is not known of an archive that is encrypted without saying so in its name', async () => {
    const { read, snapshot } = await store('archive', [(await newKeys()).recipient]);
    const plain = { ...snapshot, location: snapshot.location.replace(/\.age$/, ''), encrypted: undefined };
    await rename(snapshot.location, plain.location);
    expect(await read(plain)).toBeUndefined();
  });

  it.each<[string, (location: string) => Promise<unknown>, string]>([
    ['lacks a file', (tree) => rm(join(tree, 'shop/services.json')), 'shop/services.json is missing'],
    [
      'has a file of another size',
      (tree) => writeFile(join(tree, 'shop/services.json'), 'abc'),
      'shop/services.json has 3 bytes',
    ],
    [
      'has a file too much',
      (tree) => writeFile(join(tree, 'shop/more.json'), ''),
      'shop/more.json is not one of the files',
    ],
    ['has another index', (tree) => writeFile(join(tree, '_index.json'), INDEX), '_index.json is damaged'],
    [
      'has another _snapshot.json',
      (tree) => writeFile(join(tree, '_snapshot.json'), '{}'),
      '_snapshot.json is damaged',
    ],
    ['has no index', (tree) => rm(join(tree, '_index.json')), 'It has no _index.json.'],
    ['has a manifest that is cut', (tree) => writeFile(join(tree, 'manifest'), 'abc'), 'manifest is cut'],
    ['is gone', (tree) => rm(tree, { recursive: true }), 'does not exist'],
  ])('is not known of a tree that %s, and that is told', async (_what, edit, reason) => {
    const { read, snapshot, lines } = await store('tree');
    await edit(snapshot.location);
    expect(await read()).toBeUndefined();
    expect(lines).toEqual([expect.stringContaining(reason)]);
  });

  it('is not known of an archive that is damaged, and that is told', async () => {
    const { read, snapshot, lines } = await store('archive');
    await writeFile(snapshot.location, noise(1000));
    expect(await read()).toBeUndefined();
    expect(lines).toEqual([expect.stringContaining(`What ${snapshot.location} holds is not known: `)]);
  });

  it('makes a tree no base of which a file was written after its manifest: its bytes may be others', async () => {
    const { read, snapshot, lines, spooled } = await store('tree');
    const later = new Date(Date.now() + 60_000);
    const path = join(snapshot.location, 'shop/services.json');
    await writeFile(path, 'b');
    await utimes(path, later, later);
    const found = await read();
    expect(found?.base).toBeUndefined();
    expect(found !== undefined && hasChanges(compareContents(found.contents, spooled))).toBe(false);
    expect(lines).toEqual([
      `info: shop/services.json in ${snapshot.location} was written after its manifest: no file is copied from there.`,
    ]);
  });

  it('is a failure when the storage cannot be read', async () => {
    const { read, snapshot } = await store('tree');
    await expect(read({ ...snapshot, location: join(snapshot.location, 'nodes.json') })).rejects.toMatchObject({
      code: 'BACKEND',
    });
  });
});

const INDEX = '{"formatVersion":1,"counts":{"files":0,"bytes":0},"files":[]}';
