import { execFileSync } from 'node:child_process';
import { lstatSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { readFilesystem } from '../../../src/archive/read-filesystem.ts';
import { packTar, tarSpan } from '../../../src/archive/tar.ts';
import { alignHoles } from '../../../src/archive/tar-sparse.ts';
import { zeros } from '../../../src/archive/zeros.ts';
import { collectEntries, diskUsage, GIB, KIB, MIB, makeVolume } from './file-trees.ts';
import { collect, errorOf, expectSameBytes, inPieces, noise, run, streamOf, temporaryFolder } from './helpers.ts';

const mtime = new Date('2026-01-31T12:00:00Z');
const pack = (...entries: Entry[]) => collect(packTar(streamOf(...entries), { mtime }));

/** Unpacks as a user does who wants modes as they were. */
async function unpack(tar: Uint8Array): Promise<string> {
  const folder = temporaryFolder();
  await run('tar', ['-xpf', '-', '-C', folder], tar);
  return folder;
}

/** A body with noise but for its holes. */
function sparse(path: string, size: number, holes: readonly { start: number; length: number }[]): Entry {
  const body = noise(size);
  for (const { start, length } of holes) body.fill(0, start, start + length);
  return { path, size, body: inPieces(body, 100_000), holes };
}

describe('packing a file system', () => {
  it('makes what GNU tar unpacks to the same volume: content, holes, modes, times and links', async () => {
    const volume = temporaryFolder();
    makeVolume(volume);
    const packed = await run('tar', ['-Scf', '-', '-C', volume, '--transform=flags=rh;s,^\\.,vol,', '.']);
    const copy = join(await unpack(await collect(packTar(readFilesystem(streamOf(packed)), { mtime }))), 'vol');
    const facts = (folder: string) =>
      execFileSync('find', ['.', '-printf', '%P %y %m %U:%G %n %l %s %T@\\n'], { cwd: folder, encoding: 'utf8' })
        // Whole seconds, as GNU's format has them; of links there are none in a tar that is read back here.
        .replaceAll(/\.\d+$/gm, '')
        .trim()
        .split('\n')
        .sort();
    const comparable = (lines: string[]) => lines.filter((line) => !/ d \d+ /.test(line));
    expect(comparable(facts(copy))).toEqual(comparable(facts(volume)));
    for (const name of ['disk.img', 'tail-hole.img', 'blank.img', 'plain.bin']) {
      expectSameBytes(readFileSync(join(copy, name)), readFileSync(join(volume, name)), name);
      expect(diskUsage(join(copy, name)), name).toBe(diskUsage(join(volume, name)));
    }
    expect(statSync(join(copy, 'conf/empty')).mode & 0o7777).toBe(0o1777);
    expect(statSync(join(copy, 'hard.ini')).ino).toBe(statSync(join(copy, 'conf/app.ini')).ino);
    expect(readlinkSync(join(copy, 'conf/up'))).toBe('../conf');
  });

  it('takes no space for holes, wherever they are', async () => {
    const holes = [
      { start: 0, length: 64 * KIB },
      { start: 68 * KIB, length: MIB },
      { start: 3 * MIB + 10, length: MIB },
    ];
    const tar = await pack(sparse('a.img', 4 * MIB + 10, holes), entryOf('b', 'next'));
    expect(tar.byteLength).toBeLessThan(2 * MIB + 100 * KIB);
    const folder = await unpack(tar);
    const expected = await collect(sparse('a.img', 4 * MIB + 10, holes).body as AsyncIterable<Uint8Array>);
    expectSameBytes(readFileSync(join(folder, 'a.img')), expected);
    expect(diskUsage(join(folder, 'a.img'))).toBeLessThan(2 * MIB + 64 * KIB);
    expect(readFileSync(join(folder, 'b'), 'utf8')).toBe('next');
  });

  it('keeps zeros as data where a hole does not begin or end with a block, as GNU tar needs it', async () => {
    const holes = [
      { start: 100, length: 500 },
      { start: 5_000, length: 5_000 },
      { start: 20_001, length: 2_000 },
    ];
    expect(alignHoles(holes, 22_001)).toEqual([
      { start: 5_120, length: 4_608 },
      { start: 20_480, length: 1_521 },
    ]);
    const folder = await unpack(await pack(sparse('a.img', 22_001, holes), entryOf('b', 'next')));
    const expected = await collect(sparse('a.img', 22_001, holes).body as AsyncIterable<Uint8Array>);
    expectSameBytes(readFileSync(join(folder, 'a.img')), expected);
    expect(readFileSync(join(folder, 'b'), 'utf8')).toBe('next');
  });

  it('packs a file of 9 GiB that is one hole into a few blocks', async () => {
    const size = 9 * GIB;
    const tar = await pack({
      path: 'huge.img',
      size,
      body: streamOf(...zeros(size)),
      holes: [{ start: 0, length: size }],
    });
    expect(tar.byteLength).toBeLessThan(8 * KIB);
    const file = join(await unpack(tar), 'huge.img');
    expect(statSync(file).size).toBe(size);
    expect(diskUsage(file)).toBe(0);
  });

  it('gives what it does not know the usual values: its own time, root, and no access for others', async () => {
    const folder = await unpack(
      await pack({ path: 'd', type: 'directory', size: 0, body: new Uint8Array() }, entryOf('d/f', 'x')),
    );
    const facts = (path: string) => {
      const { mode, uid, gid, mtimeMs } = lstatSync(join(folder, path));
      return [mode & 0o7777, uid, gid, mtimeMs];
    };
    expect(facts('d')).toEqual([0o700, 0, 0, mtime.getTime()]);
    expect(facts('d/f')).toEqual([0o600, 0, 0, mtime.getTime()]);
  });

  it('keeps a mode of 0, owners that are large, and times before 1970 as 1970', async () => {
    const owner = { uid: 1_000_660_000, gid: 262_144 };
    const tar = await pack({ ...entryOf('f', 'x'), mode: 0, owner, mtime: new Date('1960-01-01') });
    const list = (await run('tar', ['--utc', '--numeric-owner', '--full-time', '-tvf', '-'], tar)).toString();
    expect(list).toBe('---------- 1000660000/262144 1 1970-01-01 00:00:00 f\n');
  });

  it('refuses a hole in which there is something, naming file and place', async () => {
    const body = new Uint8Array(10_000);
    body[7000] = 1;
    const error = await errorOf(
      pack({ path: 'disk.img', size: 10_000, body: inPieces(body, 6000), holes: [{ start: 4096, length: 4096 }] }),
    );
    expect(error).toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: 'The body of disk.img has data in a hole, at byte 6000.',
    });
  });

  it('refuses a sparse body that is shorter or longer than its size', async () => {
    const holes = [{ start: 0, length: 4096 }];
    const short = await errorOf(pack({ path: 'a', size: 10_001, body: new Uint8Array(10_000), holes }));
    expect(short.message).toBe('The body of a ended after 10000 of 10001 bytes.');
    const long = await errorOf(pack({ path: 'a', size: 9999, body: new Uint8Array(10_000), holes }));
    expect(long.message).toBe('The body of a has more than the 9999 bytes it should have.');
  });

  it('refuses links that lead out, or to what is not there yet', async () => {
    const link = (type: 'symlink' | 'hardlink', linkTarget: string): Entry => {
      return { path: 'l', type, linkTarget, size: 0, body: new Uint8Array() };
    };
    expect((await errorOf(pack(link('symlink', '/etc')))).message).toBe(
      'The link "l" points to "/etc", which is absolute.',
    );
    expect((await errorOf(pack(link('hardlink', 'f'), entryOf('f', '')))).message).toBe(
      'The link "l" points to "f", which is no file before it.',
    );
  });

  it('tells how many bytes an entry of any kind takes', async () => {
    const name = fc.constantFrom(
      'f',
      'ü',
      'n'.repeat(99),
      'n'.repeat(100),
      'n'.repeat(101),
      `${'n'.repeat(90)}ü${'m'.repeat(60)}`,
    );
    const facts = fc.record({
      path: name,
      type: fc.constantFrom('file', 'directory', 'symlink'),
      linkTarget: name,
      uid: fc.constantFrom(0, 262_143, 262_144, 4_000_000_000),
      holes: fc.constantFrom([], [{ start: 0, length: 700 }], [{ start: 100, length: 500 }]),
    });
    await fc.assert(
      fc.asyncProperty(facts, async ({ path, type, linkTarget, uid, holes }) => {
        const isFile = type === 'file';
        const size = isFile ? 700 : 0;
        const entry = {
          path,
          type: type as 'file',
          size,
          body: new Uint8Array(size),
          owner: { uid, gid: 0 },
          ...(type === 'symlink' ? { linkTarget } : {}),
          ...(isFile ? { holes } : {}),
        };
        expect((await pack(entry)).byteLength).toBe(tarSpan(path, size, entry) + 1024);
      }),
      { numRuns: 200 },
    );
  });

  it('gives back any sparse file, however holes and pieces are cut', async () => {
    const cuts = fc.array(fc.integer({ min: 0, max: 270_000 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(cuts, fc.integer({ min: 5000, max: 70_000 }), async (places, piece) => {
        const size = 270_000;
        const sorted = [...new Set(places)].sort((a, b) => a - b);
        const holes: { start: number; length: number }[] = [];
        for (let i = 0; i + 1 < sorted.length; i += 2) {
          holes.push({ start: sorted[i] ?? 0, length: (sorted[i + 1] ?? 0) - (sorted[i] ?? 0) });
        }
        const content = noise(size);
        for (const { start, length } of holes) content.fill(0, start, start + length);
        const tar = await pack({ path: 'f', size, body: inPieces(content, piece), holes });
        const read = (await collectEntries(readFilesystem(inPieces(tar, piece)))).get('f');
        expectSameBytes(read?.content ?? Buffer.alloc(0), content);
        expect(read?.holes ?? []).toEqual(alignHoles(holes, size));
      }),
      { numRuns: 30 },
    );
  });
});
