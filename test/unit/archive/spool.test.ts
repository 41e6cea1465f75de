import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Entry } from '../../../src/archive/entry.ts';
import { type SpoolOptions, spoolArchive, spoolEntries } from '../../../src/archive/spool.ts';
import { writeTree } from '../../../src/archive/tree.ts';
import { writeArchive } from '../../../src/archive/write.ts';
import { TransshipError } from '../../../src/errors.ts';
import {
  collect,
  collectFiles,
  entriesOf,
  errorOf,
  expectSameBytes,
  inPieces,
  noise,
  silentAfter,
  streamOf,
  temporaryFolder,
} from './helpers.ts';

const mtime = new Date(0);
const disk = noise(3_000_000);
const files = {
  '_snapshot.json': '{}',
  'shop/a.json': 'a'.repeat(600),
  'empty.json': '',
  'disk.img': disk,
  'z.json': 'z',
};

async function stored() {
  const writing = writeArchive(entriesOf(files), { compression: 'zstd', mtime });
  const bytes = await collect(writing.bytes);
  return { bytes, summary: writing.summary() };
}

/** Opened and closed again when the test is over. */
async function spool(bytes: Uint8Array, options: Partial<SpoolOptions> = {}) {
  const opened = await spoolArchive(inPieces(bytes, 65_536), { directory: temporaryFolder(), ...options });
  onTestFinished(() => opened.close());
  return opened;
}

describe('a spooled archive', () => {
  it('gives its files in any order, any number of times', async () => {
    const { bytes } = await stored();
    const archive = await spool(bytes);
    expect(archive.paths()).toEqual(Object.keys(files));
    for (const path of ['z.json', 'disk.img', 'empty.json', '_snapshot.json', 'disk.img']) {
      const content = Buffer.from(files[path as keyof typeof files]);
      expectSameBytes(await archive.read(path), content, path);
      const entry = archive.entry(path);
      expect(entry.size).toBe(content.byteLength);
      for (const [, body] of await collectFiles(streamOf<Entry>(entry, entry))) expectSameBytes(body, content, path);
    }
  });

  it('gives its files to many readers at once', async () => {
    const archive = await spool((await stored()).bytes);
    const bodies = await Promise.all(Array.from({ length: 20 }, () => archive.read('disk.img')));
    for (const body of bodies) expectSameBytes(body, disk);
  });

  it('says what was stored', async () => {
    const { bytes, summary } = await stored();
    const { digest, size, files: count, bytes: content } = await spool(bytes, { digest: summary.digest });
    expect({ digest, size, files: count, bytes: content }).toEqual({
      digest: summary.digest,
      size: bytes.byteLength,
      files: 5,
      bytes: 3_000_603,
    });
  });

  it('names a file that it does not have', async () => {
    const archive = await spool((await stored()).bytes);
    expect(archive.has('shop/a.json')).toBe(true);
    expect(archive.has('shop/b.json')).toBe(false);
    expect((await errorOf(archive.read('shop/b.json'))).message).toBe('The snapshot has no shop/b.json.');
  });

  it('is kept in a file that only this user can read', async () => {
    let mode = 0;
    const directory = temporaryFolder();
    async function* watched(bytes: Uint8Array) {
      yield* inPieces(bytes, 65_536);
    }
    const { bytes } = await stored();
    const archive = await spoolArchive(watched(bytes), {
      directory,
      openFile: async (path) => {
        const file = await open(path, 'wx+', 0o600);
        mode = statSync(path).mode & 0o777;
        return file;
      },
    });
    await archive.close();
    expect(mode).toBe(0o600);
  });

  it('has no name on the disk while it is used', async () => {
    const directory = temporaryFolder();
    const archive = await spool((await stored()).bytes, { directory });
    expect(readdirSync(directory)).toEqual([]);
    expectSameBytes(await archive.read('disk.img'), disk);
  });

  it('leaves nothing on the disk when the process is killed', async () => {
    const directory = temporaryFolder();
    const child = spawn(process.execPath, [join(import.meta.dirname, 'spool-for-ever.ts'), directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    expect(await firstLine(child)).toBe('spooling');
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('a spooled tree', () => {
  /** As a backend gives it: all of a tree's files, `_index.json` and `manifest` last. */
  const tree = () => writeTree(entriesOf(files));

  it('gives its files like an archive, and says what was stored', async () => {
    const { entries, summary } = tree();
    const spooled = await spoolEntries(entries, { directory: temporaryFolder() });
    onTestFinished(() => spooled.close());
    expect(spooled.paths()).toEqual(Object.keys(files));
    expectSameBytes(await spooled.read('disk.img'), disk);
    expect((await spooled.read('_snapshot.json')).toString()).toBe('{}');
    const { digest, size, files: count, bytes } = spooled;
    expect({ digest, size, files: count, bytes }).toEqual(summary());
  });

  it('is refused with another digest than the expected one', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const { entries, summary } = tree();
    expect((await errorOf(spoolEntries(entries, { directory: temporaryFolder(), digest }))).message).toBe(
      `The snapshot is not the expected one: its digest is ${summary().digest}, expected is ${digest}.`,
    );
  });

  it('is refused when it is damaged, leaving no file', async () => {
    const directory = temporaryFolder();
    async function* withoutOne() {
      for await (const entry of tree().entries) if (entry.path !== 'z.json') yield entry;
    }
    expect(await errorOf(spoolEntries(withoutOne(), { directory }))).toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: 'z.json is missing: _index.json names it. 1 more differ.',
    });
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('spooling', () => {
  it('refuses an archive with another digest than the expected one', async () => {
    const { bytes, summary } = await stored();
    const digest = `sha256:${'0'.repeat(64)}`;
    const { code, message } = await errorOf(spool(bytes, { digest }));
    expect(code).toBe('ARCHIVE_DAMAGED');
    expect(message).toBe(
      `The snapshot is not the expected one: its digest is ${summary.digest}, expected is ${digest}.`,
    );
  });

  it('refuses an archive that is cut, and closes its file', async () => {
    const { bytes } = await stored();
    let closed = false;
    const openFile = async (path: string) => {
      const file = await open(path, 'wx+');
      const close = file.close.bind(file);
      file.close = () => {
        closed = true;
        return close();
      };
      return file;
    };
    const { code } = await errorOf(spool(bytes.subarray(0, bytes.byteLength / 2), { openFile }));
    expect(code).toBe('ARCHIVE_DAMAGED');
    expect(closed).toBe(true);
  });

  it('says that the disk is full, and where', async () => {
    const directory = temporaryFolder();
    // Every write to it fails with ENOSPC: https://man7.org/linux/man-pages/man4/full.4.html
    const openFile = () => open('/dev/full', 'r+');
    const { code, message, hint } = await errorOf(spool((await stored()).bytes, { directory, openFile }));
    expect(code).toBe('BACKEND');
    expect(message).toBe(`There is no room left in ${directory} to unpack the snapshot.`);
    expect(hint).toContain('free some');
  });

  it('says that its directory is not there', async () => {
    const { code, message } = await errorOf(spool((await stored()).bytes, { directory: '/no/such/directory' }));
    expect(code).toBe('BACKEND');
    expect(message).toContain("can't be unpacked into /no/such/directory: ENOENT");
  });

  it('ends with the reason when the signal fires while the source is silent, leaving no file', async () => {
    const directory = temporaryFolder();
    const controller = new AbortController();
    const source = silentAfter((await stored()).bytes.subarray(0, 2_000_000));
    const spooling = errorOf(spoolArchive(source, { directory, signal: controller.signal }));
    await new Promise(setImmediate);
    controller.abort(new TransshipError('CANCELLED', 'stopped by the user'));
    expect((await spooling).message).toBe('stopped by the user');
    expect(readdirSync(directory)).toEqual([]);
  });
});

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const data of child.stdout ?? []) return String(data).trim();
  return '';
}
