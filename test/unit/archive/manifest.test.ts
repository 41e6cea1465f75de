import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decompress } from '../../../src/archive/compression.ts';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { verifyManifest } from '../../../src/archive/manifest.ts';
import { readFilesystem } from '../../../src/archive/read-filesystem.ts';
import { writeTree } from '../../../src/archive/tree.ts';
import { writeArchive } from '../../../src/archive/write.ts';
import { diskUsage, KIB, MIB, makeVolume } from './file-trees.ts';
import { collect, collectFiles, errorOf, inPieces, noise, run, streamOf, temporaryFolder } from './helpers.ts';

const mtime = new Date('2026-01-31T12:00:00Z');
const options = { compression: 'none', mtime, index: false } as const;
const SIZE = MIB;
const HOLE = { start: 64 * KIB, length: 800 * KIB };
const nothing = new Uint8Array();

/** A machine with a disk that is half holes, and a volume of files. */
function machine(): Entry[] {
  const disk = noise(SIZE);
  disk.fill(0, HOLE.start, HOLE.start + HOLE.length);
  return [
    entryOf('resources/vm.yaml', 'kind: VirtualMachine\n'),
    entryOf('resources/pvc-root.yaml', 'kind: PersistentVolumeClaim\n'),
    {
      path: 'volumes/root/disk.img',
      size: SIZE,
      body: inPieces(disk, 99_999),
      holes: [HOLE],
    },
    { path: 'volumes/files', type: 'directory', mode: 0o2770, size: 0, body: nothing },
    { ...entryOf('volumes/files/run.sh', '#!/bin/sh\n'), type: 'file', mode: 0o755 },
    { path: 'volumes/files/run', type: 'symlink', linkTarget: 'run.sh', size: 0, body: nothing },
    { path: 'volumes/files/again.sh', type: 'hardlink', linkTarget: 'volumes/files/run.sh', size: 0, body: nothing },
  ];
}

describe('an archive with a manifest only', () => {
  it('is what `tar -xf` and `sha1sum -c` take: resources, volumes, and a manifest of its files', async () => {
    const writing = writeArchive(streamOf(...machine()), { ...options, compression: 'xz' });
    const archive = await collect(writing.bytes);
    const folder = temporaryFolder();
    await run('tar', ['-xJpf', '-', '-C', folder], archive);
    const list = execFileSync('find', ['.', '-printf', '%P %y %m %l\n'], { cwd: folder, encoding: 'utf8' });
    expect(
      list
        .trim()
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => !/^(|resources |volumes |volumes\/root )d/.test(line))
        .sort(),
    ).toEqual([
      'manifest f 600',
      'resources/pvc-root.yaml f 600',
      'resources/vm.yaml f 600',
      'volumes/files d 2770',
      'volumes/files/again.sh f 755',
      'volumes/files/run l 777 run.sh',
      'volumes/files/run.sh f 755',
      'volumes/root/disk.img f 600',
    ]);
    expect(diskUsage(join(folder, 'volumes/root/disk.img'))).toBeLessThan(SIZE - HOLE.length + 64 * KIB);
    const check = execFileSync('sha1sum', ['-c', 'manifest'], { cwd: folder, encoding: 'utf8' });
    expect(check.trim().split('\n')).toEqual([
      'resources/vm.yaml: OK',
      'resources/pvc-root.yaml: OK',
      'volumes/root/disk.img: OK',
      'volumes/files/run.sh: OK',
    ]);
    expect(writing.summary()).toMatchObject({ files: 4, bytes: SIZE + 59 });
  });

  it('comes back as it was written', async () => {
    const archive = await collect(writeArchive(streamOf(...machine()), { ...options, compression: 'zstd' }).bytes);
    const read: unknown[] = [];
    for await (const { body, ...entry } of verifyManifest(readFilesystem(decompress(streamOf(archive))))) {
      const content = body instanceof Uint8Array ? body : await collect(body);
      expect(content.byteLength).toBe(entry.size);
      read.push(entry);
    }
    const usual = { type: 'file', mode: 0o600, mtime, owner: { uid: 0, gid: 0 } };
    expect(read).toEqual(machine().map(({ body: _body, ...entry }) => ({ ...usual, ...entry })));
  });

  it('may have been packed by others, the manifest first and hard links in it', async () => {
    const folder = temporaryFolder();
    makeVolume(folder);
    const sums = execFileSync('sh', ['-c', 'find . -type f -printf "%P\\0" | xargs -0 sha1sum'], { cwd: folder });
    writeFileSync(join(folder, 'manifest'), sums);
    expect(readFileSync(join(folder, 'manifest'), 'utf8')).toContain('  hard.ini\n');
    const tar = await run('tar', ['-Scf', '-', '-C', folder, 'manifest', '--exclude=./manifest', '.']);
    const paths = (await collectFiles(verifyManifest(readFilesystem(streamOf(tar))))).map(([path]) => path);
    expect(paths).toContain('disk.img');
    expect(paths).not.toContain('manifest');
  });

  it('is refused when a file differs, is missing, is too much, or when there is no manifest', async () => {
    const read = async (change: (folder: string) => void) => {
      const archive = await collect(writeArchive(streamOf(...machine()), options).bytes);
      const folder = temporaryFolder();
      await run('tar', ['-xf', '-', '-C', folder], archive);
      change(folder);
      const tar = await run('tar', ['-Scf', '-', '-C', folder, '.']);
      return errorOf(collectFiles(verifyManifest(readFilesystem(streamOf(tar)))));
    };
    const flip = await read((folder) => writeFileSync(join(folder, 'resources/vm.yaml'), 'kind: virtualMachine\n'));
    expect(flip.message).toMatch(
      /^resources\/vm\.yaml is damaged: its SHA-1 is [0-9a-f]{40}; the manifest says [0-9a-f]{40}\.$/,
    );
    const missing = await read((folder) => execFileSync('rm', [join(folder, 'volumes/root/disk.img')]));
    expect(missing.message).toBe('volumes/root/disk.img is missing: the manifest names it.');
    const more = await read((folder) => writeFileSync(join(folder, 'extra'), ''));
    expect(more.message).toBe('extra is not one of the files that the manifest names.');
    const none = await read((folder) => execFileSync('rm', [join(folder, 'manifest')]));
    expect(none.message).toBe('The archive is not complete: it has no manifest.');
  });

  it('has no room for an entry called manifest', async () => {
    const error = await errorOf(collect(writeArchive(streamOf(entryOf('manifest', 'x')), options).bytes));
    expect(error.message).toBe('manifest is written by the archive itself.');
  });
});

describe('folders and links elsewhere', () => {
  it('stand in an archive with an index, which names files only and where they start', async () => {
    const tar = await collect(writeArchive(streamOf(...machine()), { compression: 'none', mtime }).bytes);
    const files = new Map(await collectFiles(readFilesystem(streamOf(tar))));
    const index: { files: { path: string; offset: number }[] } = JSON.parse(String(files.get('_index.json')));
    expect(index.files.map(({ path }) => path)).toEqual([
      'resources/vm.yaml',
      'resources/pvc-root.yaml',
      'volumes/root/disk.img',
      'volumes/files/run.sh',
    ]);
    for (const { path, offset } of index.files) {
      for await (const entry of readFilesystem(streamOf(tar.subarray(offset)))) {
        expect(entry.path).toBe(path);
        break;
      }
    }
  });

  it.each([[undefined], [['age1lzd99uklcjnc0e7d860axevet2cz99ce9pq6tzuzd05l5nr28ams36nvun']]])(
    'are refused in a tree, which could not keep them (encrypted to %s)',
    async (recipients) => {
      for (const entry of machine()
        .slice(3)
        .filter(({ type }) => type !== 'file')) {
        const error = await errorOf(collectFiles(writeTree(streamOf(entry), undefined, recipients).entries));
        expect(error).toMatchObject({
          code: 'ARCHIVE_UNSUPPORTED',
          message: `${entry.path} is a ${entry.type}; a tree has plain files only.`,
        });
      }
    },
  );
});
