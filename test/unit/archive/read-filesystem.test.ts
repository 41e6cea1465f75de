import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readFilesystem } from '../../../src/archive/read-filesystem.ts';
import { TransshipError } from '../../../src/errors.ts';
import { collectEntries, GIB, KIB, MIB, makeVolume, writeSparse } from './file-trees.ts';
import { errorOf, expectSameBytes, inPieces, noise, run, silentAfter, streamOf, temporaryFolder } from './helpers.ts';

/** As the export server packs: https://github.com/kubevirt/kubevirt/blob/main/pkg/storage/export/virt-exportserver/exportserver.go */
const packed = (folder: string, ...options: string[]) => run('tar', [...options, '-Scf', '-', '-C', folder, '.']);

const read = (tar: Uint8Array, size = 65_536) => collectEntries(readFilesystem(inPieces(tar, size)));

describe('reading the tar of a file system', () => {
  it.each([
    ['gnu', []],
    ['posix', ['--sparse-version=0.0']],
    ['posix', ['--sparse-version=0.1']],
    ['posix', ['--sparse-version=1.0']],
  ])('gives what GNU tar packed, in format %s %s: content, modes, owners, times and links', async (format, options) => {
    const folder = temporaryFolder();
    makeVolume(folder);
    const tar = await packed(folder, `--format=${format}`, '--owner=:1000660000', '--group=:107', ...options);
    const found = await read(tar);
    const names = execFileSync('find', ['.', '-printf', '%P\\n'], { cwd: folder, encoding: 'utf8' }).trimEnd();
    expect([...found.keys()].sort()).toEqual(
      names
        .split('\n')
        .map((name) => name || '.')
        .sort(),
    );

    for (const [path, { type, mode, owner, content, size }] of found) {
      expect(owner, path).toEqual({ uid: 1_000_660_000, gid: 107 });
      if (type === 'symlink' || type === 'hardlink') continue;
      expect(mode, path).toBe(statSync(join(folder, path)).mode & 0o7777);
      if (type !== 'file') continue;
      expect(size, path).toBe(content.byteLength);
      expectSameBytes(content, readFileSync(join(folder, path)), path);
    }
    expect(found.get('.')?.type).toBe('directory');
    expect(found.get('conf/empty')).toMatchObject({ type: 'directory', mode: 0o1777, size: 0 });
    expect(found.get('conf/current')).toMatchObject({ type: 'symlink', linkTarget: 'app.ini' });
    expect(found.get('conf/up')).toMatchObject({ type: 'symlink', linkTarget: '../conf' });
    expect(found.get('long-link')?.linkTarget).toHaveLength(442);
    expect(found.get('plain.bin')?.mtime).toEqual(new Date(1_600_000_000_000));
    const linked = [found.get('conf/app.ini'), found.get('hard.ini')];
    expect(linked.map((entry) => entry?.type).sort()).toEqual(['file', 'hardlink']);
    const link = linked.find((entry) => entry?.type === 'hardlink');
    expect(link?.linkTarget).toBe(linked.find((entry) => entry !== link)?.path);
    expect(found.get('plain.bin')?.holes).toBeUndefined();
    expect(found.get('blank.img')?.holes).toEqual([{ start: 0, length: 4 * MIB }]);
    expect(found.get('disk.img')?.holes).toEqual([
      { start: 4 * KIB, length: 3 * MIB - 4 * KIB },
      { start: 3 * MIB + 64 * KIB, length: 5 * MIB - 68 * KIB },
    ]);
    expect(found.get('tail-hole.img')?.holes).toEqual([
      { start: 0, length: 4 * KIB },
      { start: 12 * KIB, length: 2 * MIB + 5 - 12 * KIB },
    ]);
  });

  it.each([
    ['gnu', []],
    ['posix', ['--sparse-version=0.0']],
    ['posix', ['--sparse-version=0.1']],
    ['posix', ['--sparse-version=1.0']],
  ])(
    'reads maps of more parts than a header holds, in format %s %s, however the bytes are cut',
    async (format, options) => {
      const folder = temporaryFolder();
      const parts = Array.from({ length: 150 }, (_, i) => [i * 12 * KIB, noise(4 * KIB, i + 1)] as const);
      writeSparse(join(folder, 'many.img'), 150 * 12 * KIB, parts);
      const tar = await packed(folder, `--format=${format}`, ...options);
      for (const size of [333, 512, 1_000_000]) {
        const many = (await read(tar, size)).get('many.img');
        expectSameBytes(many?.content ?? Buffer.alloc(0), readFileSync(join(folder, 'many.img')));
        expect(many?.holes).toEqual(parts.map(([start]) => ({ start: start + 4 * KIB, length: 8 * KIB })));
      }
    },
  );

  it.each([['gnu'], ['posix']])('reads a sparse file of more than 8 GiB, in format %s', async (format) => {
    const folder = temporaryFolder();
    const data = noise(8 * KIB);
    const size = 9 * GIB + 1;
    writeSparse(join(folder, 'huge.img'), size, [[9 * GIB - 16 * KIB, data]]);
    const tar = await packed(folder, `--format=${format}`);
    let length = 0;
    const found: Uint8Array[] = [];
    for await (const entry of readFilesystem(streamOf(tar))) {
      if (entry.type !== 'file' || entry.body instanceof Uint8Array) continue;
      expect(entry.size).toBe(size);
      expect(entry.holes).toEqual([
        { start: 0, length: 9 * GIB - 16 * KIB },
        { start: 9 * GIB - 8 * KIB, length: 8 * KIB + 1 },
      ]);
      for await (const piece of entry.body) {
        if (length >= 9 * GIB - 16 * KIB && length < 9 * GIB - 8 * KIB) found.push(piece);
        length += piece.byteLength;
      }
    }
    expect(length).toBe(size);
    expectSameBytes(Buffer.concat(found), data);
  });

  it('reads old tars, which mark a folder by its name only', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'a'));
    writeFileSync(join(folder, 'a/f'), 'x');
    const found = await read(await run('tar', ['--format=v7', '-cf', '-', '-C', folder, '.']));
    expect([...found].map(([path, { type, content }]) => [path, type, content.toString()])).toEqual([
      ['.', 'directory', ''],
      ['a', 'directory', ''],
      ['a/f', 'file', 'x'],
    ]);
  });

  it('skips what its reader leaves of a body, holes too', async () => {
    const folder = temporaryFolder();
    makeVolume(folder);
    const seen: string[] = [];
    for await (const { path, body } of readFilesystem(streamOf(await packed(folder)))) {
      seen.push(path);
      if (path === 'disk.img' && !(body instanceof Uint8Array)) for await (const _piece of body) break;
    }
    expect(seen).toContain('disk.img');
    expect(seen).toContain('plain.bin');
  });

  it('leaves out pipes and hard links to them, and tells', async () => {
    const folder = temporaryFolder();
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    linkSync(join(folder, 'pipe'), join(folder, 'same-pipe'));
    writeFileSync(join(folder, 'file'), 'x');
    const skipped: string[] = [];
    const entries = readFilesystem(streamOf(await packed(folder, '--sort=name')), {
      onSkip: (path) => skipped.push(path),
    });
    expect([...(await collectEntries(entries)).keys()]).toEqual(['.', 'file']);
    expect(skipped).toEqual(['pipe', 'same-pipe']);
  });

  it('refuses paths that lead out, are absolute, come twice or lead through a symlink, naming them', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), 'x');
    const renamed = (to: string) => run('tar', ['-P', '-cf', '-', '-C', folder, `--transform=s,^f$,${to},`, 'f']);
    const other = temporaryFolder();
    mkdirSync(join(folder, 'd'));
    writeFileSync(join(folder, 'd/f'), 'x');
    symlinkSync('.', join(other, 'd'));
    const cases = [
      [await renamed('../f'), 'The path "../f" leads out of the archive.'],
      [await renamed('a/../../f'), 'The path "a/../../f" leads out of the archive.'],
      [await renamed('/f'), 'The path "/f" is absolute.'],
      [await run('tar', ['-cf', '-', '-C', folder, 'f', 'f', '--hard-dereference']), 'The path "f" is there twice.'],
      [
        await run('tar', ['-cf', '-', '-C', other, 'd', '-C', folder, 'd/f']),
        'The path "d/f" leads through the symlink d.',
      ],
      [await run('tar', ['-cf', '-', '-C', other, 'd', '-C', folder, 'd']), 'The path "d" is a file and a folder.'],
    ] as const;
    for (const [tar, message] of cases) {
      expect(await errorOf(read(tar))).toMatchObject({ code: 'ARCHIVE_UNSUPPORTED', message });
    }
  });

  it('refuses links that point out, naming link and target', async () => {
    const linkTo = async (target: string, name = 'a/link') => {
      const folder = temporaryFolder();
      mkdirSync(join(folder, 'a'));
      symlinkSync(target, join(folder, name));
      return run('tar', ['-cf', '-', '-C', folder, '.']);
    };
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), 'x');
    linkSync(join(folder, 'f'), join(folder, 'g'));
    const hard = (to: string) =>
      run('tar', ['-P', '-cf', '-', '-C', folder, `--transform=flags=h;s,^f$,${to},`, 'f', 'g']);
    const cases = [
      [await linkTo('/etc/shadow'), 'The link "a/link" points to "/etc/shadow", which is absolute.'],
      [await linkTo('../../x'), 'The link "a/link" points to "../../x", which leads outside.'],
      [await linkTo('..', 'link'), 'The link "link" points to "..", which leads outside.'],
      [await linkTo('b/../../..'), 'The link "a/link" points to "b/../../..", which goes up again after a name.'],
      [await hard('../f'), 'The link "g" points to "../f", which is no file before it.'],
      [await hard('/etc/shadow'), 'The link "g" points to "/etc/shadow", which is no file before it.'],
    ] as const;
    for (const [tar, message] of cases) {
      expect(await errorOf(read(tar))).toMatchObject({ code: 'ARCHIVE_UNSUPPORTED', message });
    }
  });

  it('refuses a tar that is cut anywhere, naming the last entry', async () => {
    const folder = temporaryFolder();
    writeSparse(
      join(folder, 'disk.img'),
      40 * 12 * KIB,
      Array.from({ length: 40 }, (_, i) => [i * 12 * KIB, noise(4 * KIB)]),
    );
    writeFileSync(join(folder, 'n'.repeat(150)), 'long');
    for (const format of ['gnu', 'posix']) {
      const tar = await packed(folder, `--format=${format}`, '--sort=name', '--blocking-factor=1');
      for (let length = 0; length < tar.byteLength; length += length < 8000 ? 1 + (length % 511) : 16_000) {
        const { code, message } = await errorOf(read(tar.subarray(0, length)));
        expect(code, `cut at ${length}`).toBe('ARCHIVE_DAMAGED');
        expect(message, `cut at ${length}`).toMatch(
          /^The tar is cut: it ends inside or right after (its start|\.|disk\.img|n{150})\.$/,
        );
      }
      const { message } = await errorOf(read(tar.subarray(0, tar.byteLength - 512)));
      expect(message).toContain('nnn');
    }
  });

  it('refuses a tar with a flipped bit in a header, or something behind its end', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), 'x');
    const tar = await packed(folder);
    const flipped = Buffer.from(tar);
    flipped[512 + 100] = (flipped[512 + 100] ?? 0) ^ 1;
    expect(await errorOf(read(flipped))).toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: 'The tar is damaged inside or right after .: a header has another checksum than it says.',
    });
    const longer = await errorOf(read(Buffer.concat([tar, Buffer.from('more')])));
    expect(longer.message).toBe('The tar is followed by something else.');
  });

  it.each([
    ['0,4096,2048,4096', 'the map of a sparse file is out of order'],
    ['0,4096,9000000', 'the map of a sparse file has no pairs'],
    ['0,4096', 'a sparse file has 8192 bytes of data, and a map of 4096'],
    ['0,8192,1e3,1', 'a header has a size of "1e3"'],
    ['0,8192,99999999999999999,0', 'a header has a size of 100000000000000000'],
  ])('refuses a damaged map of a sparse file: %s', async (map, problem) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), noise(8192));
    const records = [`GNU.sparse.size=1000000`, `GNU.sparse.map=${map}`];
    const error = await errorOf(
      read(withPax(await run('tar', ['--format=ustar', '-cf', '-', '-C', folder, '.']), records)),
    );
    expect(error.message).toBe(`The tar is damaged inside or right after f: ${problem}.`);
  });

  it('yields nothing for a tar of nothing, so that its reader can tell', async () => {
    expect((await read(Buffer.alloc(10_240))).size).toBe(0);
  });

  it('closes its source when the reader stops early, between entries or inside one', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), noise(3 * MIB));
    const tar = await packed(folder);
    for (const stopInside of [false, true]) {
      let closed = false;
      async function* source() {
        try {
          yield* inPieces(tar, 10_000);
        } finally {
          closed = true;
        }
      }
      for await (const { body } of readFilesystem(source())) {
        if (!stopInside) break;
        if (body instanceof Uint8Array) continue;
        for await (const _piece of body) break;
        break;
      }
      expect(closed).toBe(true);
    }
  });

  it('ends with the reason when the signal fires while the source is silent', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), noise(MIB));
    const controller = new AbortController();
    const source = silentAfter((await packed(folder)).subarray(0, 5000));
    const reading = errorOf(collectEntries(readFilesystem(source, { signal: controller.signal })));
    await new Promise(setImmediate);
    controller.abort(new TransshipError('CANCELLED', 'stopped by the user'));
    expect((await reading).message).toBe('stopped by the user');
  });
});

/** Puts PAX records before the second entry, the first file. */
function withPax(tar: Buffer, records: readonly string[]): Buffer {
  const lines = records.map((record) => {
    let length = record.length + 2;
    while (String(length).length + record.length + 2 !== length) length = String(length).length + record.length + 2;
    return `${length} ${record}\n`;
  });
  const body = Buffer.alloc(512);
  body.write(lines.join(''));
  const header = Buffer.from(tar.subarray(512, 1024));
  header.write(`${lines.join('').length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('x', 156);
  header.fill(' ', 148, 156);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return Buffer.concat([tar.subarray(0, 512), header, body, tar.subarray(512)]);
}
