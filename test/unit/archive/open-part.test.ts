import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseManifest } from '../../../src/archive/digests.ts';
import { encrypt } from '../../../src/archive/encryption.ts';
import { frameCompressions } from '../../../src/archive/frame-codec.ts';
import { digestPieces, startHasher } from '../../../src/archive/frame-hasher.ts';
import { writeFramedArchive } from '../../../src/archive/frame-writer.ts';
import type { FramedFile } from '../../../src/archive/framed-archive.ts';
import type { FramedEntry } from '../../../src/archive/frames.ts';
import { openPartFiles } from '../../../src/archive/open-part.ts';
import type { PartCompression, PartReader } from '../../../src/archive/part.ts';
import { MIB, makeVolume, writeSparse } from './file-trees.ts';
import { accessTo, collectPieces, diskBody, FRAME_BYTES, MTIME } from './framed.ts';
import {
  collect,
  endless,
  errorOf,
  expectSameBytes,
  inPieces,
  noise,
  run,
  streamOf,
  temporaryFolder,
} from './helpers.ts';
import { type KeyPair, newKeys } from './keys.ts';

let alice: KeyPair;
let bob: KeyPair;

beforeAll(async () => {
  [alice, bob] = await Promise.all([newKeys(), newKeys()]);
});

const holes = [
  { start: 0, length: 512_000 },
  { start: 1_024_000, length: 1_024_000 },
];
const image = noise(2_148_001, 9);
for (const { start, length } of holes) image.fill(0, start, start + length);
const none = Buffer.alloc(0);
const owner = { uid: 107, gid: 2_000_000 };

async function* machine(): AsyncGenerator<FramedEntry> {
  yield { path: 'resources/vm.yaml', size: 4, body: Buffer.from('vm: ') };
  yield { path: 'volumes/data', type: 'directory', mode: 0o2770, owner, size: 0, body: none };
  yield { path: 'volumes/data/a.img', size: image.byteLength, holes, body: diskBody(image, { opened: [] }) };
  yield { path: 'volumes/data/link', type: 'symlink', linkTarget: 'a.img', mode: 0o777, size: 0, body: none };
  yield { path: 'volumes/data/hard', type: 'hardlink', linkTarget: 'volumes/data/a.img', size: 0, body: none };
  yield { path: 'volumes/root/disk.img', size: image.byteLength, body: diskBody(image, { opened: [] }) };
}

async function archiveOf(compression: PartCompression): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const options = { compression, frameBytes: FRAME_BYTES, mtime: MTIME };
  for await (const { bytes } of writeFramedArchive(machine(), options)) parts.push(bytes);
  return Buffer.concat(parts);
}

/** A part that tells whether it was read from its start. */
function partOf(bytes: Buffer): PartReader & { readonly spooled: () => boolean } {
  let spooled = false;
  return {
    ...accessTo(bytes),
    spooled: () => spooled,
    bytes() {
      spooled = true;
      return inPieces(bytes, 100_000);
    },
    close: async () => {},
  };
}

async function open(bytes: Buffer, identities: readonly string[] = []) {
  const directory = temporaryFolder();
  const part = partOf(bytes);
  const opened = await openPartFiles(part, { directory, identities });
  expect(readdirSync(directory)).toEqual([]);
  return { ...opened, isSpooled: part.spooled() };
}

const find = (files: readonly FramedFile[], path: string) => {
  const file = files.find((one) => one.path === path);
  if (file === undefined) throw new Error(`There is no ${path}.`);
  return file;
};

/** What all files are but for their content. */
const facts = (files: readonly FramedFile[]) => files.map(({ read: _read, ...file }) => file);

describe.each([...frameCompressions, 'age'] as const)('the files of a VM archive (%s)', (kind) => {
  async function opened() {
    if (kind !== 'age') return await open(await archiveOf(kind));
    const secret = await collect(encrypt(streamOf(await archiveOf('xz')), [alice.recipient]));
    return await open(secret, [bob.identity, alice.identity]);
  }

  it('are listed with all that is known of them', async () => {
    const { files, close, isSpooled } = await opened();
    expect(isSpooled).toBe(kind === 'gzip' || kind === 'age');
    const usual = { owner: { uid: 0, gid: 0 }, mtime: MTIME, mode: 0o600 };
    expect(facts(files)).toEqual([
      { ...usual, path: 'resources/vm.yaml', type: 'file', size: 4 },
      { ...usual, path: 'volumes/data', type: 'directory', size: 0, mode: 0o2770, owner },
      { ...usual, path: 'volumes/data/a.img', type: 'file', size: image.byteLength, holes },
      { ...usual, path: 'volumes/data/link', type: 'symlink', size: 0, mode: 0o777, linkTarget: 'a.img' },
      { ...usual, path: 'volumes/data/hard', type: 'hardlink', size: 0, linkTarget: 'volumes/data/a.img' },
      { ...usual, path: 'volumes/root/disk.img', type: 'file', size: image.byteLength },
      { ...usual, path: 'manifest', type: 'file', size: expect.any(Number) },
    ]);
    await close();
  });

  it('are read from any byte, as often as wanted, with holes as runs of zeros', async () => {
    const { files, close } = await opened();
    for (const path of ['volumes/root/disk.img', 'volumes/data/a.img']) {
      const file = find(files, path);
      for (const from of [0, 1, 511_999, 512_000, 1_024_000, 1_500_001, image.byteLength - 1, image.byteLength]) {
        expectSameBytes(await collectPieces(file.read(from)), image.subarray(from), `${path} from ${from}`);
      }
    }
    const first = await find(files, 'volumes/data/a.img').read(100_000).next();
    expect(first.value).toEqual({ zeros: 412_000 });
    await close();
  });

  it('have the digests that the manifest says, computed while they are read', async () => {
    const { files, close } = await opened();
    const manifest = parseManifest((await collectPieces(find(files, 'manifest').read())).toString());
    expect([...manifest.keys()]).toEqual(['resources/vm.yaml', 'volumes/data/a.img', 'volumes/root/disk.img']);
    const hasher = startHasher();
    for (const [path, expected] of manifest) {
      const { pieces, sha1 } = digestPieces(find(files, path).read(), hasher);
      await collectPieces(pieces);
      expect(await sha1).toBe(expected);
    }
    await hasher.close();
    await close();
  });
});

describe('VM archives of other programs', () => {
  /** Packs a volume and a manifest whose paths have a `./` as GNU tar does. */
  async function foreign(...order: string[]) {
    const folder = temporaryFolder();
    makeVolume(folder);
    writeFileSync(
      join(folder, 'manifest'),
      execFileSync('sh', ['-c', 'find . -type f | xargs -d "\\n" sha1sum'], { cwd: folder }),
    );
    return await run('tar', ['-Scf', '-', '-C', folder, ...order]);
  }

  async function check(archive: Buffer) {
    const { files, close, isSpooled } = await open(archive);
    const manifest = parseManifest((await collectPieces(find(files, 'manifest').read())).toString());
    for (const { path, type, read, linkTarget } of files) {
      if (path === 'manifest' || (type !== 'file' && type !== 'hardlink')) continue;
      const content = type === 'hardlink' ? find(files, linkTarget ?? '').read() : read();
      const sha1 = createHash('sha1')
        .update(await collectPieces(content))
        .digest('hex');
      expect(sha1, path).toBe(manifest.get(path));
    }
    expect(find(files, 'disk.img').holes).toHaveLength(2);
    expect(find(files, 'conf/up').linkTarget).toBe('../conf');
    expect(files.map(({ path }) => path)).not.toContain('.');
    await close();
    return isSpooled;
  }

  it('have their manifest first or last, and a ./ before their paths', async () => {
    expect(await check(await foreign('./manifest', '--exclude=./manifest', '.'))).toBe(false);
    const names = [
      'conf',
      'hard.ini',
      'ünï 日本.txt',
      'long-link',
      'disk.img',
      'tail-hole.img',
      'blank.img',
      'plain.bin',
    ];
    expect(await check(await foreign(...names.map((name) => `./${name}`), './manifest'))).toBe(false);
    expect(await check(await foreign('--format=posix', '.'))).toBe(false);
  });

  it('are brought here when they were compressed as one piece', async () => {
    const tar = await foreign('.');
    expect(await check(await run('gzip', ['-c'], tar))).toBe(true);
    expect(await check(await run('zstd', ['-c'], tar))).toBe(true);
    expect(await check(await run('xz', ['-0c', '-T1', '--check=crc32'], tar))).toBe(true);
    expect(await check(await run('xz', ['-0c', '-T2', '--block-size=100000'], tar))).toBe(false);
  });

  it('take no more space here than their data', async () => {
    const folder = temporaryFolder();
    writeSparse(join(folder, 'disk.img'), 300 * MIB, [[200 * MIB, noise(MIB)]]);
    const archive = await run('tar', ['-czf', '-', '-C', folder, 'disk.img']);
    const directory = temporaryFolder();
    const free = () => {
      const { bavail, bsize } = statfsSync(directory);
      return bavail * bsize;
    };
    const before = free();
    const { files, close } = await openPartFiles(partOf(archive), { directory });
    expect(before - free()).toBeLessThan(100 * MIB);
    const hash = createHash('sha1');
    let data = 0;
    for await (const piece of find(files, 'disk.img').read()) {
      if (piece instanceof Uint8Array) data += piece.byteLength;
      hash.update(piece instanceof Uint8Array ? piece : Buffer.alloc(piece.zeros));
    }
    expect(data).toBeLessThan(2 * MIB);
    const expected = execFileSync('sha1sum', [join(folder, 'disk.img')], { encoding: 'utf8' });
    expect(expected.startsWith(hash.digest('hex'))).toBe(true);
    await close();
  });
});

describe('a VM archive that cannot be opened', () => {
  it('is one that was cut, in any compression', async () => {
    for (const compression of frameCompressions) {
      const archive = await archiveOf(compression);
      const error = await errorOf(open(archive.subarray(0, archive.byteLength - 700)));
      expect(error.code, compression).toBe('ARCHIVE_DAMAGED');
    }
  });

  it('is none at all, or empty', async () => {
    expect((await errorOf(open(Buffer.from('#!/bin/sh\n')))).code).toBe('ARCHIVE_UNSUPPORTED');
    expect((await errorOf(open(none))).code).toBe('ARCHIVE_DAMAGED');
  });

  it('is encrypted to somebody else', async () => {
    const secret = await collect(encrypt(streamOf(await archiveOf('zstd')), [alice.recipient]));
    expect((await errorOf(open(secret, [bob.identity]))).code).toBe('INPUT');
  });

  it('has a path that leads out', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'x'), '');
    const tar = await run('tar', ['-cPf', '-', '-C', folder, '--transform=s,^,../,', 'x']);
    for (const archive of [tar, await run('gzip', ['-c'], tar)]) {
      expect((await errorOf(open(archive))).message).toBe('The path "../x" leads out of the archive.');
    }
  });

  it('is no longer wanted: what it comes from is closed', async () => {
    const cancel = new AbortController();
    const { source, closed } = endless(await run('gzip', ['-c'], Buffer.alloc(MIB)));
    async function* bytes() {
      yield await archiveOf('gzip');
      cancel.abort();
      yield* source;
    }
    const part = { ...partOf(await archiveOf('gzip')), bytes };
    const error = await errorOf(openPartFiles(part, { directory: temporaryFolder(), signal: cancel.signal }));
    expect(error.code).toBe('CANCELLED');
    expect(closed()).toBe(true);
  });
});
