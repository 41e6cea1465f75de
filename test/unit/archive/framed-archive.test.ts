import { describe, expect, it } from 'vitest';
import { writeFramedArchive } from '../../../src/archive/frame-writer.ts';
import { openFramedArchive } from '../../../src/archive/framed-archive.ts';
import type { PartCompression } from '../../../src/archive/part.ts';
import { accessTo, collectPieces, disk, FRAME_BYTES, LONG_NAME, MTIME, machine } from './framed.ts';
import { errorOf, expectSameBytes, noise, run } from './helpers.ts';

async function archiveOf(compression: PartCompression): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const options = { compression, frameBytes: FRAME_BYTES, mtime: MTIME };
  for await (const { bytes } of writeFramedArchive(machine()(), options)) parts.push(bytes);
  return Buffer.concat(parts);
}

async function filesOf(archive: Buffer) {
  const source = accessTo(archive);
  const files = new Map<string, { size: number; read(from?: number): Promise<Buffer> }>();
  for await (const { path, size, read } of (await openFramedArchive(source)) ?? []) {
    files.set(path, { size, read: (from) => collectPieces(read(from)) });
  }
  return { files, source };
}

describe.each(['zstd', 'xz', 'none'] as const)('reading an archive from anywhere (%s)', (compression) => {
  it('finds every file', async () => {
    const { files } = await filesOf(await archiveOf(compression));
    expect([...files].map(([path, { size }]) => [path, size])).toEqual([
      ['resources/vm.yaml', 21],
      ['volumes/root/disk.img', disk.byteLength],
      ['volumes/blank/disk.img', 100_000],
      [LONG_NAME, 40_000],
      ['volumes/data/empty', 0],
      ['manifest', expect.any(Number)],
    ]);
  });

  it('reads a file from any byte', async () => {
    const { files } = await filesOf(await archiveOf(compression));
    for (const from of [0, 1, FRAME_BYTES - 1024, FRAME_BYTES, 70_001, 300_000, disk.byteLength - 1, disk.byteLength]) {
      const content = await files.get('volumes/root/disk.img')?.read(from);
      expectSameBytes(content ?? Buffer.from('none'), disk.subarray(from), `from ${from}`);
    }
    expectSameBytes((await files.get(LONG_NAME)?.read()) ?? Buffer.alloc(1), noise(40_000, 3));
    expectSameBytes((await files.get('volumes/data/empty')?.read()) ?? Buffer.alloc(1), Buffer.alloc(0));
  });

  it('reads no more than the frames it needs', async () => {
    const { files, source } = await filesOf(await archiveOf(compression));
    const before = source.count();
    await files.get('volumes/root/disk.img')?.read(disk.byteLength - 1_000);
    expect(source.count() - before).toBeLessThan(2 * FRAME_BYTES);
  });

  it('leaves an archive that was cut to those who read from the start, or refuses it', async () => {
    const archive = await archiveOf(compression);
    for (const cut of [1, 9, 12, 100, archive.byteLength - 600, archive.byteLength]) {
      const list = async () => {
        const files = await openFramedArchive(accessTo(archive.subarray(0, archive.byteLength - cut)));
        for await (const _ of files ?? []);
        return files === undefined ? 'none' : 'files';
      };
      const outcome = await list().catch((error: { code: string }) => error.code);
      expect(['none', 'ARCHIVE_DAMAGED'], `without ${cut} bytes`).toContain(outcome);
    }
  });
});

describe.each(['zstd', 'xz'] as const)('reading frames (%s)', (compression) => {
  it('tells a hole as one', async () => {
    const pieces: unknown[] = [];
    for await (const { path, read } of (await openFramedArchive(accessTo(await archiveOf(compression)))) ?? []) {
      if (path !== 'volumes/blank/disk.img') continue;
      for await (const piece of read(50_000)) pieces.push(piece);
    }
    expect(pieces.some((piece) => !(piece instanceof Uint8Array))).toBe(true);
  });

  it('refuses a frame with a flipped bit', async () => {
    const archive = await archiveOf(compression);
    archive.writeUInt8(archive.readUInt8(40_000) ^ 1, 40_000);
    const { files } = await filesOf(archive);
    expect((await errorOf(files.get('volumes/root/disk.img')?.read() ?? Promise.resolve())).code).toBe(
      'ARCHIVE_DAMAGED',
    );
  });
});

describe('archives of other programs', () => {
  it('are read from anywhere when xz made them in blocks', async () => {
    const tar = await run('xz', ['-dc'], await archiveOf('xz'));
    const { files } = await filesOf(await run('xz', ['-0c', '-T2', '--block-size=20000'], tar));
    expectSameBytes((await files.get('volumes/root/disk.img')?.read(12_345)) ?? Buffer.alloc(0), disk.subarray(12_345));
  });

  it('are left to those who read from the start when they have no index', async () => {
    const tar = await run('xz', ['-dc'], await archiveOf('xz'));
    expect(await openFramedArchive(accessTo(await run('zstd', ['-c'], tar)))).toBeUndefined();
    expect(await openFramedArchive(accessTo(await run('gzip', ['-c'], tar)))).toBeUndefined();
  });
});
