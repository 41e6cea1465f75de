import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { packTar, readTar, tarSpan } from '../../../src/archive/tar.ts';
import { TransshipError } from '../../../src/errors.ts';
import {
  collect,
  collectFiles,
  endless,
  entriesOf,
  errorOf,
  expectSameBytes,
  inPieces,
  noise,
  run,
  silentAfter,
  streamOf,
  temporaryFolder,
} from './helpers.ts';

const mtime = new Date('2026-01-31T12:00:00Z');
const pack = (files: Record<string, string | Uint8Array>) => collect(packTar(entriesOf(files), { mtime }));

const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is left out
  .map((text) => `x${text.replace(/[\u0000-\u001F\u007F\\/:\uFFFD]/g, '').trim()}`)
  .filter((text) => text.isWellFormed());
const path = fc.array(segment, { minLength: 1, maxLength: 8 }).map((segments) => segments.join('/'));
const file = fc.tuple(path, fc.uint8Array({ maxLength: 1500 }));
// A file that another path needs as a folder is refused.
const clash = (a: string, b: string) => a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
const tree = fc
  .array(file, { maxLength: 8 })
  .map((files) => files.filter(([name], index) => !files.slice(0, index).some(([other]) => clash(name, other))));

describe('packing a tar', () => {
  it('makes what GNU tar unpacks: same paths, content, mode and time', async () => {
    const files = {
      'a.json': '{}',
      'empty.json': '',
      [`long/${'n'.repeat(200)}/${'m'.repeat(120)}.json`]: 'long',
      'ünï/日本.json': 'not ASCII',
      'block.bin': noise(1024),
      'large.bin': noise(3_000_000),
    };
    const folder = temporaryFolder();
    const umask = process.umask();
    await run('tar', ['-xpf', '-', '-C', folder], await pack(files));
    process.umask(umask);
    for (const [name, content] of Object.entries(files)) {
      expectSameBytes(readFileSync(join(folder, name)), Buffer.from(content), name);
    }
    const stat = execFileSync('stat', ['-c', '%a %Y', join(folder, 'a.json')], { encoding: 'utf8' });
    expect(stat).toBe(`600 ${mtime.getTime() / 1000}\n`);
  });

  it('makes the same bytes of the same entries', async () => {
    const files = { 'a.json': '{}', 'ünï.json': 'x' };
    expect(await pack(files)).toEqual(await pack(files));
  });

  it('writes the time 2038 for any later one, which the library cannot count to', async () => {
    const tar = await collect(packTar(entriesOf({ a: '' }), { mtime: new Date('2100-01-01T00:00:00Z') }));
    const list = (await run('tar', ['--utc', '--full-time', '-tvf', '-'], tar)).toString();
    expect(list).toContain('2038-01-19 03:14:07');
  });

  it('hands on pieces of about a mebibyte, however small or large the bodies', async () => {
    const small = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`f${i}`, noise(5000)]));
    const sizes: number[] = [];
    for await (const piece of packTar(entriesOf({ ...small, large: noise(5_000_000) }), { mtime })) {
      sizes.push(piece.byteLength);
    }
    expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThanOrEqual(1 << 20);
    expect(Math.max(...sizes)).toBeLessThan(2 << 20);
  });

  it('tells how many bytes an entry takes, up to where the next one starts', async () => {
    await fc.assert(
      fc.asyncProperty(tree, async (files) => {
        const entries = files.map(([name, content]) => entryOf(name, content));
        const tar = await collect(packTar(streamOf(...entries), { mtime }));
        const span = entries.reduce((sum, entry) => sum + tarSpan(entry.path, entry.size), 0);
        expect(tar.byteLength).toBe(span + 1024);
      }),
      { numRuns: 100 },
    );
    for (let length = 80; length < 1100; length++) {
      const name = `${'d'.repeat(50)}/`.repeat(length / 51) + 'f'.repeat(length % 51 || 1);
      const tar = await collect(packTar(streamOf(entryOf(name, 'x')), { mtime }));
      expect(tar.byteLength, name).toBe(tarSpan(name, 1) + 1024);
    }
  });

  it('refuses a body that is shorter or longer than its size, naming the entry', async () => {
    const body = () => inPieces(noise(100_000), 999);
    const short = await errorOf(
      collect(packTar(streamOf({ path: 'disk.img', size: 100_001, body: body() }), { mtime })),
    );
    expect(short.message).toBe('The body of disk.img ended after 100000 of 100001 bytes.');
    const long = await errorOf(collect(packTar(streamOf({ path: 'disk.img', size: 99_999, body: body() }), { mtime })));
    expect(long.message).toBe('The body of disk.img has more than the 99999 bytes it should have.');
    const wrong = await errorOf(collect(packTar(streamOf({ ...entryOf('a', 'abc'), size: 2 }), { mtime })));
    expect(wrong.message).toBe('The body of a has more than the 2 bytes it should have.');
  });

  it('refuses a path that leads out of the archive, naming it', async () => {
    const { code, message } = await errorOf(pack({ '../../etc/passwd': 'x' }));
    expect(code).toBe('ARCHIVE_UNSUPPORTED');
    expect(message).toBe('The path "../../etc/passwd" leads out of the archive.');
  });

  it('does not read ahead of its reader by more than a piece', async () => {
    let read = 0;
    async function* body() {
      for (;;) {
        read += 65_536;
        yield noise(65_536);
      }
    }
    const reader = packTar(streamOf({ path: 'disk.img', size: 2 ** 40, body: body() }), { mtime });
    await reader.next();
    await new Promise(setImmediate);
    expect(read).toBeLessThanOrEqual(1 << 20);
    await reader.return(undefined);
  });

  it('closes the entries and the body it is in when the reader stops early', async () => {
    const body = endless(noise(65_536));
    let closed = false;
    async function* entries(): AsyncGenerator<Entry> {
      try {
        yield { path: 'disk.img', size: 2 ** 40, body: body.source };
      } finally {
        closed = true;
      }
    }
    for await (const _piece of packTar(entries(), { mtime })) break;
    expect(body.closed()).toBe(true);
    expect(closed).toBe(true);
  });

  it('ends with the reason when the signal fires inside a silent body', async () => {
    const controller = new AbortController();
    const body = silentAfter(noise(100));
    const entries = streamOf({ path: 'disk.img', size: 1000, body });
    const packing = errorOf(collect(packTar(entries, { mtime, signal: controller.signal })));
    await new Promise(setImmediate);
    controller.abort(new TransshipError('CANCELLED', 'stopped by the user'));
    expect((await packing).message).toBe('stopped by the user');
  });

  it('passes on the error of a body', async () => {
    async function* body() {
      yield noise(100);
      throw new Error('connection reset');
    }
    await expect(collect(packTar(streamOf({ path: 'a', size: 1000, body: body() }), { mtime }))).rejects.toThrow(
      'connection reset',
    );
  });
});

describe('reading a tar', () => {
  it('gives back any tree, however the bytes are cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(tree, fc.integer({ min: 1, max: 5000 }), async (files, size) => {
        const tar = await collect(
          packTar(streamOf(...files.map(([name, content]) => entryOf(name, content))), { mtime }),
        );
        const read = await collectFiles(readTar(inPieces(tar, size)));
        expect(read).toEqual(files.map(([name, content]) => [name, Buffer.from(content)]));
      }),
      { numRuns: 100 },
    );
  });

  it.each([['gnu'], ['posix'], ['ustar']])('reads what GNU tar packs in its %s format', async (format) => {
    const folder = temporaryFolder();
    const long = `${'n'.repeat(90)}/${'m'.repeat(90)}.json`;
    mkdirSync(join(folder, 'n'.repeat(90)));
    writeFileSync(join(folder, long), 'long');
    writeFileSync(join(folder, 'empty'), '');
    writeFileSync(join(folder, 'large'), noise(1_000_000));
    const tar = await run('tar', [`--format=${format}`, '--sort=name', '-cf', '-', '-C', folder, '.']);
    for (const size of [700, 65_536]) {
      const files = await collectFiles(readTar(inPieces(tar, size)));
      expect(files.map(([name]) => name)).toEqual(['empty', 'large', long]);
      expect(files[2]?.[1].toString()).toBe('long');
      expectSameBytes(files[1]?.[1] ?? Buffer.alloc(0), noise(1_000_000));
    }
  });

  it('skips what its reader leaves of a body', async () => {
    const tar = await pack({ a: noise(1_000_000), b: noise(1_000_000, 2), c: 'end' });
    const seen: string[] = [];
    for await (const { path: name, body } of readTar(inPieces(tar, 65_536))) {
      seen.push(name);
      if (name === 'a' && !(body instanceof Uint8Array)) for await (const _piece of body) break;
    }
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  it('refuses links, devices and sparse files, naming them', async () => {
    const folder = temporaryFolder();
    symlinkSync('/etc/passwd', join(folder, 'link'));
    const symlink = await run('tar', ['-cf', '-', '-C', folder, 'link']);
    writeFileSync(join(folder, 'sparse'), 'x');
    truncateSync(join(folder, 'sparse'), 10_000_000);
    const sparse = (format: string) => run('tar', ['-S', `--format=${format}`, '-cf', '-', '-C', folder, 'sparse']);
    execFileSync('ln', [join(folder, 'sparse'), join(folder, 'hard')]);
    const hard = await run('tar', ['-cf', '-', '-C', folder, 'sparse', 'hard']);
    const fifo = join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    for (const [tar, message] of [
      [symlink, '"link" is a symlink; an archive has plain files only.'],
      [hard, '"hard" is a link; an archive has plain files only.'],
      [await run('tar', ['-cf', '-', '-C', folder, 'fifo']), '"fifo" is a fifo; an archive has plain files only.'],
      [await sparse('gnu'), '"sparse" is a thing of unknown kind; an archive has plain files only.'],
    ] as const) {
      const error = await errorOf(collectFiles(readTar(streamOf(tar))));
      expect(error.code).toBe('ARCHIVE_UNSUPPORTED');
      expect(error.message).toBe(message);
    }
    const pax = await errorOf(collectFiles(readTar(streamOf(await sparse('posix')))));
    expect(pax.code).toBe('ARCHIVE_UNSUPPORTED');
    expect(pax.message).toMatch(/sparse" is a sparse file; an archive has plain files only\.$/);
  });

  it('refuses paths that lead out, are absolute or come twice, naming them', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), 'x');
    const renamed = (to: string) => run('tar', ['-P', '-cf', '-', '-C', folder, `--transform=s,^f$,${to},`, 'f']);
    const cases = [
      [await renamed('../f'), 'The path "../f" leads out of the archive.'],
      [await renamed('/f'), 'The path "/f" is absolute.'],
      [await run('tar', ['-cf', '-', '-C', folder, 'f', 'f', '--hard-dereference']), 'The path "f" is there twice.'],
    ] as const;
    for (const [tar, message] of cases) {
      const error = await errorOf(collectFiles(readTar(streamOf(tar))));
      expect(error.code).toBe('ARCHIVE_UNSUPPORTED');
      expect(error.message).toBe(message);
    }
  });

  it('refuses a tar that is cut anywhere, naming the last file', async () => {
    const tar = await pack({ 'a.json': noise(700), 'b.json': noise(100), [`${'n'.repeat(150)}`]: noise(10) });
    for (const length of [
      1,
      511,
      512,
      600,
      1535,
      1536,
      1600,
      2047,
      2560,
      3000,
      tar.byteLength - 1024,
      tar.byteLength - 1,
    ]) {
      const { code, message } = await errorOf(collectFiles(readTar(streamOf(tar.subarray(0, length)))));
      expect(code, `cut at ${length}`).toBe('ARCHIVE_DAMAGED');
      expect(message, `cut at ${length}`).toContain('cut');
      if (length > 2100 && length <= 2560) expect(message).toContain('b.json');
    }
  });

  it('passes on the error of its source, also while a body is read', async () => {
    const tar = await pack({ a: noise(1_000_000) });
    async function* failing() {
      yield tar.subarray(0, 500_000);
      throw new Error('connection reset');
    }
    await expect(collectFiles(readTar(failing()))).rejects.toThrow('connection reset');
  });

  it('closes its source when the reader stops early, between files or inside one', async () => {
    const tar = await pack({ a: 'x', b: noise(10_000_000) });
    for (const stopInside of [false, true]) {
      let closed = false;
      async function* source() {
        try {
          yield* inPieces(tar, 10_000);
        } finally {
          closed = true;
        }
      }
      for await (const { body } of readTar(source())) {
        if (!stopInside) break;
        if (body instanceof Uint8Array) continue;
        for await (const _piece of body) break;
        break;
      }
      expect(closed).toBe(true);
    }
  });

  it('ends with the reason when the signal fires while the source is silent', async () => {
    const tar = await pack({ a: noise(1_000_000) });
    const controller = new AbortController();
    const reading = errorOf(collectFiles(readTar(silentAfter(tar.subarray(0, 5000)), controller.signal)));
    await new Promise(setImmediate);
    controller.abort(new TransshipError('CANCELLED', 'stopped by the user'));
    expect((await reading).message).toBe('stopped by the user');
  });

  it('agrees with the library on where entries start', async () => {
    const files = { a: noise(700), [`${'ü'.repeat(90)}`]: 'x', [`${'n'.repeat(150)}`]: noise(9000), z: '' };
    const tar = await pack(files);
    const starts: number[] = [];
    const reader = extract();
    reader.on('entry', (header, stream, next) => {
      // The last header of an entry; a PAX entry has two blocks and its records before it.
      starts.push(stream.offset - (header.pax === null ? 0 : tarSpan(header.name, 0) - 512));
      stream.resume();
      next();
    });
    reader.write(tar);
    reader.end(null);
    await new Promise<void>((resolve) => reader.on('finish', () => resolve()));
    let offset = 0;
    const expected = Object.entries(files).map(([name, content]) => {
      const start = offset;
      offset += tarSpan(name, content.length);
      return start;
    });
    expect(starts).toEqual(expected);
  });
});
