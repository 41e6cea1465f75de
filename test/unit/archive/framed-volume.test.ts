import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decompress } from '../../../src/archive/compression.ts';
import { formatManifest } from '../../../src/archive/digests.ts';
import { type Entry, entryOf, isFile } from '../../../src/archive/entry.ts';
import { frameCompressions } from '../../../src/archive/frame-codec.ts';
import { writeFramedArchive } from '../../../src/archive/frame-writer.ts';
import { type FramedFileOptions, writeFramedFile } from '../../../src/archive/framed-file.ts';
import type { FramedEntry } from '../../../src/archive/frames.ts';
import type { PartCompression } from '../../../src/archive/part.ts';
import { packTar } from '../../../src/archive/tar.ts';
import { diskUsage, KIB, MIB } from './file-trees.ts';
import { collectPieces, diskBody, FRAME_BYTES, MTIME } from './framed.ts';
import { collect, errorOf, expectSameBytes, noise, run, streamOf, temporaryFolder } from './helpers.ts';

const none = Buffer.alloc(0);
const root = 'volumes/data';

/** Holes between data that does not compress: one at the start, one of odd size, one at the end. */
const holes = [
  { start: 0, length: 50_000 },
  { start: 120_003, length: 199_999 },
  { start: 400_000, length: 100_000 },
];
const image = noise(500_000, 9);
for (const { start, length } of holes) image.fill(0, start, start + length);

/** A volume with all that a file system has; its sparse file may break at a byte. */
function volume(watch: { opened: number[] } = { opened: [] }, cutAt = Infinity) {
  const owner = { uid: 1_000_660_000, gid: 107 };
  return async function* (): AsyncGenerator<FramedEntry> {
    yield { path: 'resources/vm.yaml', size: 4, body: Buffer.from('vm: ') };
    yield { path: root, type: 'directory', mode: 0o2770, owner, size: 0, body: none };
    yield { path: `${root}/run.sh`, mode: 0o4755, size: 5, body: Buffer.from('exit\n'), mtime: new Date('2020-02-02') };
    yield {
      path: `${root}/${'l'.repeat(120)}`,
      type: 'symlink',
      linkTarget: 'run.sh',
      mode: 0o777,
      size: 0,
      body: none,
    };
    yield { path: `${root}/sparse.img`, size: image.byteLength, holes, body: diskBody(image, watch, cutAt) };
    yield { path: `${root}/small`, size: 700, holes: [{ start: 100, length: 500 }], body: small };
    yield { path: `${root}/blank`, size: 9_000, holes: [{ start: 0, length: 9_000 }], body: Buffer.alloc(9_000) };
    yield { path: `${root}/again`, type: 'hardlink', linkTarget: `${root}/run.sh`, size: 0, body: none };
    yield { path: `${root}/tail`, size: 30_000, body: noise(30_000, 5) };
  };
}
const small = Buffer.alloc(700, 'x');
small.fill(0, 100, 600);

/** A disk that is all but empty: some data at odd places. */
const blank = Buffer.alloc(3 * MIB + 777);
for (const [at, length] of [
  [0, 512],
  [1_000_000, 40_000],
  [3 * MIB + 700, 77],
] as const) {
  noise(length, at).copy(blank, at);
}

function machineWith(disk: Buffer, watch: { opened: number[] } = { opened: [] }, cutAt = Infinity) {
  return async function* (): AsyncGenerator<FramedEntry> {
    yield { path: 'resources/vm.yaml', size: 4, body: Buffer.from('vm: ') };
    yield { path: 'volumes/root/disk.img', size: disk.byteLength, body: diskBody(disk, watch, cutAt) };
    yield { path: 'volumes/next/disk.img', size: 20_000, body: diskBody(noise(20_000, 8), { opened: [] }) };
  };
}

const options = { frameBytes: FRAME_BYTES, mtime: MTIME };

async function archiveOf(entries: AsyncIterable<FramedEntry>, compression: PartCompression, more = {}) {
  const parts: Uint8Array[] = [];
  for await (const { bytes } of writeFramedArchive(entries, { ...options, compression, ...more })) parts.push(bytes);
  return Buffer.concat(parts);
}

/** The tar that packTar writes of the same entries and their manifest. */
async function tarOf(framed: AsyncIterable<FramedEntry>): Promise<Buffer> {
  const entries: Entry[] = [];
  const lines: [string, string][] = [];
  for await (const { body, ...entry } of framed) {
    const content = body instanceof Uint8Array ? body : await collectPieces(body(0));
    entries.push({ ...entry, body: content });
    if (isFile(entry)) lines.push([entry.path, createHash('sha1').update(content).digest('hex')]);
  }
  return await collect(packTar(streamOf(...entries, entryOf('manifest', formatManifest(lines))), { mtime: MTIME }));
}

async function unpack(archive: Buffer, compression: PartCompression): Promise<string> {
  const folder = temporaryFolder();
  await run('tar', ['-xp', ...(compression === 'none' ? [] : [`--${compression}`]), '-C', folder], archive);
  await run('sh', ['-c', `cd '${folder}' && sha1sum --quiet --strict -c manifest`]);
  return folder;
}

describe.each(frameCompressions)('a volume in frames (%s)', (compression) => {
  it('is the tar that packTar writes', async () => {
    const archive = await archiveOf(volume()(), compression);
    expectSameBytes(await collect(decompress(streamOf(archive))), await tarOf(volume()()));
  });

  it('is unpacked by GNU tar: links, modes, owners, times, holes', async () => {
    const archive = await archiveOf(volume()(), compression);
    const folder = await unpack(archive, compression);
    const data = (name: string) => join(folder, root, name);
    expect(lstatSync(data('')).mode & 0o7777).toBe(0o2770);
    expect(lstatSync(data('run.sh')).mode & 0o7777).toBe(0o4755);
    expect(lstatSync(data('run.sh')).mtimeMs).toBe(Date.parse('2020-02-02'));
    expect(statSync(data('again')).ino).toBe(statSync(data('run.sh')).ino);
    expect(readlinkSync(data('l'.repeat(120)))).toBe('run.sh');
    expectSameBytes(readFileSync(data('sparse.img')), image);
    expect(diskUsage(data('sparse.img'))).toBeLessThan(200 * KIB);
    expectSameBytes(readFileSync(data('small')), small);
    expect(statSync(data('blank')).size).toBe(9_000);
    const list = await run('tar', ['--numeric-owner', '-tvf', '-'], await collect(decompress(streamOf(archive))));
    expect(list.toString()).toMatch(/^drwxrws--- 1000660000\/107 .* volumes\/data\/$/m);
    const manifest = readFileSync(join(folder, 'manifest'), 'utf8');
    expect(manifest.trim().split('\n')).toHaveLength(6);
  });

  it('becomes the same wherever its sparse file broke', async () => {
    const expected = await archiveOf(volume()(), compression);
    await fc.assert(
      fc.asyncProperty(fc.nat(image.byteLength - 1), async (cutAt) => {
        const location = join(temporaryFolder(), 'vm');
        const file: FramedFileOptions = { ...options, source: 'a', compression };
        await expect(writeFramedFile(location, volume(undefined, cutAt), file)).rejects.toThrow('connection reset');
        await writeFramedFile(location, volume(), file);
        expectSameBytes(await readFile(location), expected);
      }),
      { numRuns: 6, examples: [[120_003], [320_002], [499_999]] },
    );
  }, 60_000);
});

describe('a volume in frames', () => {
  it('is read on from where it stopped, also in a sparse file', async () => {
    const location = join(temporaryFolder(), 'vm');
    const file: FramedFileOptions = { ...options, source: 'a', compression: 'zstd' };
    await expect(writeFramedFile(location, volume(undefined, 390_000), file)).rejects.toThrow('connection reset');
    const watch: { opened: number[] } = { opened: [] };
    await writeFramedFile(location, volume(watch), file);
    expect(watch.opened).toHaveLength(1);
    expect(watch.opened[0]).toBeGreaterThan(320_002);
  });

  it('starts over when what precedes a content is another than then', async () => {
    const location = join(temporaryFolder(), 'vm');
    const file: FramedFileOptions = { ...options, source: 'a', compression: 'zstd' };
    await expect(writeFramedFile(location, volume(undefined, 390_000), file)).rejects.toThrow('connection reset');
    const why: string[] = [];
    const changed = async function* () {
      for await (const entry of volume()()) yield entry.type === 'symlink' ? { ...entry, linkTarget: 'small' } : entry;
    };
    const { kept } = await writeFramedFile(location, changed, { ...file, onRestart: (one) => why.push(one) });
    expect({ why, kept }).toEqual({ why: [`${root}/${'l'.repeat(120)} has changed.`], kept: 0 });
  });

  it('refuses data in a hole, and a link that leads out', async () => {
    const body = Buffer.alloc(5_000);
    body[600] = 1;
    const data = await errorOf(
      archiveOf(streamOf({ path: 'f', size: 5_000, holes: [{ start: 0, length: 5_000 }], body }), 'zstd'),
    );
    expect(data).toMatchObject({ code: 'ARCHIVE_DAMAGED', message: 'The body of f has data in a hole, at byte 0.' });
    const link = { path: 'l', type: 'symlink', linkTarget: '../x', size: 0, body: none } as const;
    expect((await errorOf(archiveOf(streamOf(link), 'zstd'))).code).toBe('ARCHIVE_UNSUPPORTED');
  });
});

describe.each(frameCompressions)('a disk that is all but empty (%s)', (compression) => {
  const held = { heldBytes: 128 * KIB };

  it('is a sparse file, which GNU tar unpacks with its holes', async () => {
    const archive = await archiveOf(machineWith(blank)(), compression, held);
    const tar = await collect(decompress(streamOf(archive)));
    expect(tar.byteLength).toBeLessThan(160 * KIB);
    const folder = await unpack(archive, compression);
    expectSameBytes(readFileSync(join(folder, 'volumes/root/disk.img')), blank);
    expect(diskUsage(join(folder, 'volumes/root/disk.img'))).toBeLessThan(160 * KIB);
  });

  it('is written as it is when it has more data than may be held', async () => {
    const full = Buffer.from(blank);
    noise(500_000).copy(full, 1_500_000);
    const archive = await archiveOf(machineWith(full)(), compression, held);
    expectSameBytes(await collect(decompress(streamOf(archive))), await tarOf(machineWith(full)()));
  });

  it('becomes the same wherever it broke', async () => {
    const full = Buffer.from(blank);
    noise(500_000).copy(full, 1_500_000);
    for (const disk of [blank, full]) {
      const expected = await archiveOf(machineWith(disk)(), compression, held);
      const file: FramedFileOptions = { ...options, ...held, source: 'a', compression };
      for (const cutAt of [900_000, 1_800_000, 2_500_000]) {
        const location = join(temporaryFolder(), 'vm');
        const broken = writeFramedFile(location, machineWith(disk, undefined, cutAt), file);
        await expect(broken).rejects.toThrow('connection reset');
        await writeFramedFile(location, machineWith(disk), file);
        expectSameBytes(await readFile(location), expected, `broken at ${cutAt}`);
      }
    }
  }, 60_000);
});

describe('a disk that became a sparse file', () => {
  const file: FramedFileOptions = { ...options, heldBytes: 128 * KIB, source: 'a', compression: 'zstd' };

  /** Breaks behind the sparse file, and loses all but some frames of what was stored. */
  async function interrupt(location: string, frames: number): Promise<void> {
    const entries = async function* () {
      for await (const entry of machineWith(blank)()) {
        if (entry.path !== 'volumes/next/disk.img') yield entry;
      }
      yield { path: 'volumes/next/disk.img', size: 100_000, body: diskBody(noise(100_000), { opened: [] }, 99_000) };
    };
    await expect(writeFramedFile(location, entries, file)).rejects.toThrow('connection reset');
    const lines = (await readFile(`${location}.journal`, 'utf8')).split('\n');
    expect(lines.length).toBeGreaterThan(frames + 2);
    await writeFile(`${location}.journal`, `${lines.slice(0, frames + 1).join('\n')}\n`);
  }

  it('is gone on with, behind it and in the middle of it', async () => {
    const whole = join(temporaryFolder(), 'vm');
    await writeFramedFile(whole, machineWith(blank), file);
    for (const frames of [1, 2, 4]) {
      const location = join(temporaryFolder(), 'vm');
      await interrupt(location, frames);
      const { kept } = await writeFramedFile(location, machineWith(blank), file);
      expect(kept).toBeGreaterThan(0);
      expectSameBytes(await readFile(location), await readFile(whole), `${frames} frames`);
    }
  });

  it('starts over when it has other holes now', async () => {
    const other = Buffer.from(blank);
    noise(9_000, 4).copy(other, 2_000_000);
    const location = join(temporaryFolder(), 'vm');
    await interrupt(location, 2);
    const why: string[] = [];
    await writeFramedFile(location, machineWith(other), { ...file, onRestart: (one) => why.push(one) });
    expect(why).toEqual(['volumes/root/disk.img has changed.']);
    expectSameBytes(await readFile(location), await archiveOf(machineWith(other)(), 'zstd', file));
  });

  it('is refused when it is shorter or longer than it should be', async () => {
    for (const [size, problem] of [
      [blank.byteLength + 1, `ended after ${blank.byteLength} of ${blank.byteLength + 1} bytes.`],
      [blank.byteLength - 1, `has more than the ${blank.byteLength - 1} bytes it should have.`],
    ] as const) {
      const entry = { path: 'disk.img', size, body: diskBody(blank, { opened: [] }) };
      const error = await errorOf(archiveOf(streamOf(entry), 'zstd', file));
      expect(error).toMatchObject({ code: 'ARCHIVE_DAMAGED', message: `The body of disk.img ${problem}` });
    }
  });
});
