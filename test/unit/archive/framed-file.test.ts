import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frameCompressions } from '../../../src/archive/frame-codec.ts';
import { type FramedFileOptions, writeFramedFile } from '../../../src/archive/framed-file.ts';
import type { FramedEntry } from '../../../src/archive/frames.ts';
import { cutFile, disk, diskBody, FRAME_BYTES, MTIME, machine } from './framed.ts';
import { errorOf, expectSameBytes, temporaryFolder } from './helpers.ts';

const options: FramedFileOptions = { source: 'a', compression: 'zstd', frameBytes: FRAME_BYTES, mtime: MTIME };

/** A later run: another time, and frames of another size if it had the say. */
const again: FramedFileOptions = { ...options, mtime: new Date(), frameBytes: 999 };

async function uninterrupted(more: Partial<FramedFileOptions> = {}): Promise<Buffer> {
  const location = join(temporaryFolder(), 'vm');
  await writeFramedFile(location, machine(), { ...options, ...more });
  return await readFile(location);
}

/** Writes until the source breaks at a byte of its disk. */
async function interrupt(location: string, cutAt: number, more: Partial<FramedFileOptions> = {}): Promise<void> {
  const work = writeFramedFile(location, machine(undefined, cutAt), { ...options, ...more });
  await expect(work).rejects.toThrow('connection reset');
}

describe.each(frameCompressions)('an archive file that was interrupted (%s)', (compression) => {
  it('becomes the same, byte for byte, wherever the source broke, and broke again', async () => {
    const expected = await uninterrupted({ compression });
    const cuts = fc.array(fc.nat(disk.byteLength - 1), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(cuts, async (bytes) => {
        const location = join(temporaryFolder(), 'vm');
        for (const cutAt of bytes.sort((a, b) => a - b)) await interrupt(location, cutAt, { compression });
        await writeFramedFile(location, machine(), { ...options, compression });
        expectSameBytes(await readFile(location), expected);
      }),
      { numRuns: 6 },
    );
  }, 60_000);

  it('becomes the same wherever its file and journal were cut', async () => {
    const expected = await uninterrupted({ compression });
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (share, lines) => {
          const location = join(temporaryFolder(), 'vm');
          await interrupt(location, disk.byteLength - 10, { compression });
          for (const [path, left] of [
            [`${location}.partial`, share],
            [`${location}.journal`, lines],
          ] as const) {
            await cutFile(path, Math.floor((await stat(path)).size * left));
          }
          // The time of the first run is lost with the head of its journal.
          await writeFramedFile(location, machine(), { ...options, compression });
          expectSameBytes(await readFile(location), expected);
        },
      ),
      { numRuns: 6 },
    );
  }, 60_000);
});

describe('going on with an archive file', () => {
  it('reads the source from where it stopped, not again', async () => {
    const location = join(temporaryFolder(), 'vm');
    await interrupt(location, 400_000);
    const watch: { opened: number[] } = { opened: [] };
    const { kept } = await writeFramedFile(location, machine(watch), options);
    expect(watch.opened).toHaveLength(1);
    expect(watch.opened[0]).toBeGreaterThan(400_000 - 3 * FRAME_BYTES);
    expect(kept).toBeGreaterThan(70_000);
  });

  it('goes on after the process was killed', async () => {
    const location = join(temporaryFolder(), 'vm');
    const script = join(import.meta.dirname, 'write-framed-file.ts');
    const child = spawn(process.execPath, [script, location, '250000'], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(existsSync(location)).toBe(false);
    const watch: { opened: number[] } = { opened: [] };
    const entries = async function* (): AsyncGenerator<FramedEntry> {
      yield { path: 'volumes/root/disk.img', size: disk.byteLength, body: diskBody(disk, watch) };
    };
    await writeFramedFile(location, entries, again);
    expect(watch.opened[0]).toBeGreaterThan(150_000);
    const whole = join(temporaryFolder(), 'vm');
    await writeFramedFile(whole, entries, options);
    expectSameBytes(await readFile(location), await readFile(whole));
  });

  it('leaves nothing but the archive', async () => {
    const folder = temporaryFolder();
    await interrupt(join(folder, 'vm'), 100_000);
    expect((await readdir(folder)).sort()).toEqual(['vm.journal', 'vm.partial']);
    await writeFramedFile(join(folder, 'vm'), machine(), options);
    expect(await readdir(folder)).toEqual(['vm']);
  });

  it('needs only the end when it was killed before the file got its name', async () => {
    const location = join(temporaryFolder(), 'vm');
    const place = async () => {
      throw new Error('killed');
    };
    await expect(writeFramedFile(location, machine(), { ...options, place })).rejects.toThrow('killed');
    const watch: { opened: number[] } = { opened: [] };
    await writeFramedFile(location, machine(watch), again);
    expect(watch.opened).toEqual([]);
    expectSameBytes(await readFile(location), await uninterrupted());
  });

  it('throws away a frame that is not what was written, and all behind it', async () => {
    const location = join(temporaryFolder(), 'vm');
    await interrupt(location, 400_000);
    const file = await open(`${location}.partial`, 'r+');
    await file.write(Buffer.from('?'), 0, 1, 40_000);
    await file.close();
    const watch: { opened: number[] } = { opened: [] };
    await writeFramedFile(location, machine(watch), options);
    expect(watch.opened[0]).toBeLessThan(40_000);
    expectSameBytes(await readFile(location), await uninterrupted());
  });
});

describe('starting over', () => {
  async function restarted(entries: () => AsyncIterable<FramedEntry>, more: Partial<FramedFileOptions> = {}) {
    const location = join(temporaryFolder(), 'vm');
    await interrupt(location, 400_000);
    const why: string[] = [];
    const { kept } = await writeFramedFile(location, entries, {
      ...options,
      ...more,
      onRestart: (one) => why.push(one),
    });
    expect(kept).toBe(0);
    return { why, archive: await readFile(location) };
  }

  async function* changed(change: (entry: FramedEntry) => FramedEntry): AsyncGenerator<FramedEntry> {
    for await (const entry of machine()()) yield change(entry);
  }

  it('says so when the source is another one', async () => {
    const { why, archive } = await restarted(machine(), { source: 'b' });
    expect(why).toEqual(['The source is not the one that was exported then.']);
    expectSameBytes(archive, await uninterrupted());
  });

  it('says so when a small file has changed', async () => {
    const body = Buffer.from('kind: VirtualMachinf\n');
    const { why } = await restarted(() =>
      changed((entry) => (entry.path === 'resources/vm.yaml' ? { ...entry, body } : entry)),
    );
    expect(why).toEqual(['resources/vm.yaml has changed.']);
  });

  it('says so when the disk under way has another size', async () => {
    const grown = Buffer.concat([disk, disk]);
    const { why } = await restarted(() =>
      changed((entry) =>
        entry.path === 'volumes/root/disk.img'
          ? { ...entry, size: grown.byteLength, body: diskBody(grown, { opened: [] }) }
          : entry,
      ),
    );
    expect(why).toEqual([`volumes/root/disk.img had ${disk.byteLength} bytes then, and has ${grown.byteLength} now.`]);
  });

  it('says so when there is another file where one was', async () => {
    const { why } = await restarted(() => changed((entry) => ({ ...entry, path: entry.path.replace('root', 'boot') })));
    expect(why).toEqual(['Where volumes/root/disk.img was exported then, there is volumes/boot/disk.img now.']);
  });

  it('says so when the journal is damaged', async () => {
    const location = join(temporaryFolder(), 'vm');
    await interrupt(location, 400_000);
    await writeFile(`${location}.journal`, 'no journal\n');
    const why: string[] = [];
    await writeFramedFile(location, machine(), { ...options, onRestart: (one) => why.push(one) });
    expect(why).toEqual([expect.stringMatching(/^The journal is damaged: /)]);
    expectSameBytes(await readFile(location), await uninterrupted());
  });

  it('does not throw away what is stored before it has something better', async () => {
    const location = join(temporaryFolder(), 'vm');
    await interrupt(location, 400_000);
    const before = await stat(`${location}.partial`);
    const gone = (): never => {
      throw new Error('no cluster');
    };
    await expect(writeFramedFile(location, gone, options)).rejects.toThrow('no cluster');
    expect((await stat(`${location}.partial`)).size).toBe(before.size);
  });
});

describe('an archive file that cannot be written', () => {
  it('says where and why', async () => {
    const location = join(temporaryFolder(), 'missing', 'vm');
    const error = await errorOf(writeFramedFile(location, machine(), options));
    expect(error).toMatchObject({ code: 'BACKEND', message: expect.stringContaining(location) });
  });
});
