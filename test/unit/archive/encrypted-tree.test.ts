import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ArchiveDamagedError } from '../../../src/archive/damage.ts';
import { decryptAll, isEncrypted } from '../../../src/archive/encryption.ts';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { checkEncryptedTree, readTree, writeTree } from '../../../src/archive/tree.ts';
import {
  collect,
  collectFiles,
  entriesOf,
  errorOf,
  inPieces,
  noise,
  run,
  streamOf,
  temporaryFolder,
} from './helpers.ts';
import { type KeyPair, newKeys } from './keys.ts';

const files = { '_snapshot.json': '{}', 'shop/configmaps.json': 'b'.repeat(600), 'shop/empty.json': '' };
const disk = noise(300_000);
const entries = (): AsyncGenerator<Entry> =>
  streamOf(...Object.entries(files).map(([path, content]) => entryOf(path, content)), {
    path: '_vms/disk.img',
    size: disk.byteLength,
    body: inPieces(disk, 65_536),
  });
const stored = ['_snapshot.json', 'shop/configmaps.json', 'shop/empty.json', '_vms/disk.img', '_index.json'].map(
  (path) => `${path}.age`,
);

let keys: KeyPair;
let other: KeyPair;
let tree: Map<string, Buffer>;

beforeAll(async () => {
  [keys, other] = await Promise.all([newKeys(), newKeys()]);
  tree = new Map(await collectFiles(writeTree(entries(), undefined, [keys.recipient, other.recipient]).entries));
});

/** As a backend gives it, after somebody has changed some of it; large files come as streams. */
function entriesFrom(edit: (files: Map<string, Buffer>) => void = () => {}): AsyncGenerator<Entry> {
  const content = new Map(tree);
  edit(content);
  return streamOf(
    ...[...content].map(([path, body]) => ({
      path,
      size: body.byteLength,
      body: body.byteLength > 100_000 ? inPieces(body, 50_000) : body,
    })),
  );
}

const read = async (edit?: (files: Map<string, Buffer>) => void, identity = keys.identity) =>
  new Map(await collectFiles(readTree(entriesFrom(edit), undefined, [identity]).entries));

const problemsOf = async (work: Promise<unknown>) => {
  const error = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof ArchiveDamagedError)) throw new Error(`Not damaged: ${error}`);
  return error.problems.map((problem) => problem.replace(/[0-9a-f]{40,}/g, 'X'));
};

describe('an encrypted tree', () => {
  it('shows names and nothing else, and is checked by sha1sum without a key', async () => {
    expect([...tree.keys()]).toEqual([...stored, 'manifest']);
    const folder = temporaryFolder();
    for (const [path, content] of tree) {
      if (path !== 'manifest') expect(isEncrypted(content), path).toBe(true);
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    const checked = await run('sh', ['-c', 'cd "$1" && sha1sum --strict -c manifest', 'sh', folder]);
    expect(checked.toString()).toBe(stored.map((name) => `${name}: OK\n`).join(''));
  });

  it('has files that are each opened on their own', async () => {
    const plain = await decryptAll(tree.get('shop/configmaps.json.age') ?? Buffer.alloc(0), [other.identity]);
    expect(Buffer.from(plain).toString()).toBe(files['shop/configmaps.json']);
  });

  it('tells the size of every file before its bytes, and sums up what is stored', async () => {
    const writing = writeTree(entries(), undefined, [keys.recipient]);
    let sum = 0;
    for await (const { path, size, body } of writing.entries) {
      const bytes = body instanceof Uint8Array ? body : await collect(body);
      expect(bytes.byteLength, path).toBe(size);
      sum += size;
    }
    const bytes = disk.byteLength + Object.values(files).reduce((total, text) => total + text.length, 0);
    expect(writing.summary()).toMatchObject({ size: sum, files: 4, bytes });
  });

  it('is read by each of its recipients, and its digest is that of its manifest', async () => {
    for (const { identity } of [keys, other]) {
      const reading = readTree(entriesFrom(), undefined, [identity]);
      const content = new Map(await collectFiles(reading.entries));
      expect([...content.keys()]).toEqual([
        '_snapshot.json',
        'shop/configmaps.json',
        'shop/empty.json',
        '_vms/disk.img',
      ]);
      expect(content.get('_vms/disk.img')?.equals(disk)).toBe(true);
      expect(content.get('shop/configmaps.json')?.toString()).toBe(files['shop/configmaps.json']);
      expect(reading.result()).toEqual(await checkEncryptedTree(entriesFrom()));
    }
  });

  it('is read past bodies that nobody wanted', async () => {
    const paths: string[] = [];
    for await (const { path } of readTree(entriesFrom(), undefined, [keys.identity]).entries) paths.push(path);
    expect(paths).toHaveLength(4);
  });

  it('is not read without a key that fits', async () => {
    const { identity } = await newKeys();
    expect(await errorOf(read(undefined, identity))).toMatchObject({
      code: 'INPUT',
      message: 'The snapshot is encrypted to 2 recipients, and none of the given identities opens it.',
    });
    expect(await errorOf(collectFiles(readTree(entriesFrom()).entries))).toMatchObject({
      code: 'INPUT',
      message: expect.stringContaining('no identity is given'),
    });
  });
});

describe('an encrypted tree beside another one', () => {
  it('takes over files as they are encrypted there, and is read and checked as any', async () => {
    const sha1 = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex');
    const path = 'shop/configmaps.json';
    const there = tree.get(`${path}.age`) ?? Buffer.alloc(0);
    const known = new Map([[path, { size: there.byteLength, sha1: sha1(there) }]]);
    const writing = writeTree(entries(), undefined, [keys.recipient, other.recipient], known);
    const written = new Map<string, Buffer>();
    for await (const { path: name, size, body } of writing.entries) {
      // What is copied is not read.
      const bytes =
        name === `${path}.age` ? there : Buffer.from(body instanceof Uint8Array ? body : await collect(body));
      expect(bytes.byteLength, name).toBe(size);
      written.set(name, bytes);
    }
    const give = () => streamOf(...[...written].map(([name, bytes]) => entryOf(name, bytes)));
    const reading = readTree(give(), undefined, [keys.identity]);
    const content = new Map(await collectFiles(reading.entries));
    expect(content.get(path)?.toString()).toBe(files[path]);
    const { size, digest } = writing.summary();
    expect(reading.result()).toEqual({ size, digest });
    expect(await checkEncryptedTree(give())).toEqual({ size, digest });
    expect(written.get('shop/empty.json.age')?.equals(tree.get('shop/empty.json.age') ?? there)).toBe(false);
  });
});

describe('with the key, an encrypted tree that somebody changed', () => {
  it.each<[string, (files: Map<string, Buffer>) => void, string]>([
    [
      'a small file of',
      (all) => flip(all, 'shop/configmaps.json.age'),
      'shop/configmaps.json.age: The encrypted bytes are cut or were changed: ',
    ],
    [
      'a streamed file of',
      (all) => flip(all, '_vms/disk.img.age'),
      '_vms/disk.img.age: The encrypted bytes are cut or were changed: ',
    ],
    [
      'an end of',
      (all) => cut(all, '_vms/disk.img.age', 20_000),
      '_vms/disk.img.age: The encrypted bytes are cut or were changed: ',
    ],
  ])('names %s it', async (_what, edit, message) => {
    expect(await errorOf(read(edit))).toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: expect.stringContaining(message),
    });
  });

  it('names a file that is missing', async () => {
    expect(await problemsOf(read((all) => all.delete('shop/empty.json.age')))).toEqual([
      'shop/empty.json is missing: _index.json names it.',
      'shop/empty.json.age is missing: the manifest names it.',
    ]);
  });

  it('names files that were put in the place of each other, though the manifest was changed too', async () => {
    const problems = await problemsOf(
      read((all) => {
        const [one, two] = ['shop/configmaps.json.age', 'shop/empty.json.age'].map((path) => all.get(path));
        all.set('shop/configmaps.json.age', two ?? Buffer.alloc(0));
        all.set('shop/empty.json.age', one ?? Buffer.alloc(0));
        const lines = all.get('manifest')?.toString() ?? '';
        const swap = (text: string) =>
          text.replace(/configmaps|empty/g, (name) => (name === 'empty' ? 'configmaps' : 'empty'));
        all.set('manifest', Buffer.from(swap(lines)));
      }),
    );
    expect(problems).toContain('shop/empty.json has 600 bytes; _index.json says 0.');
  });

  it('names a file that is in it in plain, and takes none that leads out of it', async () => {
    expect(await errorOf(read((all) => addBeforeIndex(all, 'shop/more.json', '{}')))).toMatchObject({
      message: 'shop/more.json is not encrypted, as the snapshot is.',
    });
    expect(await errorOf(read((all) => addBeforeIndex(all, 'shop/...age', '{}')))).toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: 'The path "shop/.." leads out of the archive.',
    });
  });
});

describe('without a key', () => {
  it('every file is held against the manifest, and all that is wrong is told', async () => {
    const problems = await problemsOf(
      checkEncryptedTree(
        entriesFrom((all) => {
          flip(all, 'shop/configmaps.json.age');
          cut(all, '_vms/disk.img.age', 104_890);
          addBeforeIndex(all, 'notes.txt', 'hello');
          all.delete('shop/empty.json.age');
        }),
      ),
    );
    expect(problems).toEqual([
      'notes.txt: It is not encrypted, as the snapshot is.',
      'shop/configmaps.json.age is damaged: its SHA-1 is X; the manifest says X.',
      'shop/empty.json.age is missing: the manifest names it.',
      '_vms/disk.img.age is damaged: its SHA-1 is X; the manifest says X.',
      'notes.txt is not one of the files that the manifest names.',
    ]);
  });

  it.each<[string, (files: Map<string, Buffer>) => void, string]>([
    ['has no manifest', (all) => all.delete('manifest'), 'The snapshot is not complete: it has no manifest.'],
    [
      'goes on behind its manifest',
      (all) => all.set('zzz.age', Buffer.alloc(0)),
      'zzz.age follows the manifest, which must be the last file.',
    ],
  ])('a tree is refused that %s', async (_what, edit, message) => {
    expect(await problemsOf(checkEncryptedTree(entriesFrom(edit)))).toEqual([message]);
  });

  it('an error of the storage is no damage', async () => {
    const reset = new Error('reset');
    async function* breaking(): AsyncGenerator<Entry> {
      yield* entriesOf({ '_snapshot.json.age': tree.get('_snapshot.json.age') ?? '' });
      throw reset;
    }
    await expect(checkEncryptedTree(breaking())).rejects.toBe(reset);
  });
});

function flip(all: Map<string, Buffer>, path: string): void {
  const bytes = Buffer.from(all.get(path) ?? '');
  bytes[bytes.byteLength - 20] = (bytes[bytes.byteLength - 20] ?? 0) ^ 1;
  all.set(path, bytes);
}

function cut(all: Map<string, Buffer>, path: string, bytes: number): void {
  all.set(path, all.get(path)?.subarray(0, -bytes) ?? Buffer.alloc(0));
}

function addBeforeIndex(all: Map<string, Buffer>, path: string, content: string): void {
  const last = [...all].filter(([name]) => name.startsWith('_index') || name === 'manifest');
  for (const [name] of last) all.delete(name);
  all.set(path, Buffer.from(content));
  for (const [name, body] of last) all.set(name, body);
}
