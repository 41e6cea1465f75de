import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compressions } from '../../../src/archive/compression.ts';
import { ArchiveDamagedError } from '../../../src/archive/damage.ts';
import { type Entry, entryOf } from '../../../src/archive/entry.ts';
import { readArchive } from '../../../src/archive/read.ts';
import { packTar, readTar } from '../../../src/archive/tar.ts';
import { writeArchive } from '../../../src/archive/write.ts';
import { TransshipError } from '../../../src/errors.ts';
import {
  collect,
  collectFiles,
  entriesOf,
  errorOf,
  inPieces,
  noise,
  run,
  silentAfter,
  streamOf,
  temporaryFolder,
} from './helpers.ts';

const mtime = new Date('2026-01-31T12:00:00Z');
const files = { '_snapshot.json': '{}', 'shop/a.json': 'a'.repeat(600), 'shop/b.json': 'b' };
const expected = Object.entries(files).map(([path, content]): [string, Buffer] => [path, Buffer.from(content)]);
/** Compared a hundred times faster than buffers. */
const textOf = (content: [string, Buffer][]) =>
  JSON.stringify(content.map(([path, body]) => [path, body.toString('hex')]));

const write = (compression: 'zstd' | 'xz' | 'gzip' | 'none') =>
  collect(writeArchive(entriesOf(files), { compression, mtime }).bytes);
const read = (bytes: Uint8Array) => collectFiles(readArchive(streamOf(bytes)));

/** An archive as a tool other than Transship might make it of another one's files. */
async function edited(edit: (files: Map<string, Buffer>) => void): Promise<Buffer> {
  const content = new Map(await collectFiles(readTar(streamOf(await write('none')))));
  edit(content);
  return collect(packTar(streamOf(...[...content].map(([path, body]) => entryOf(path, body))), { mtime }));
}

describe('reading an archive', () => {
  it('gives back what was written, with any compression, however its bytes are cut into pieces', async () => {
    const tree = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}\.json$/), fc.uint8Array({ maxLength: 3000 }), {
      maxKeys: 6,
    });
    const archive = fc.tuple(tree, fc.constantFrom(...compressions), fc.integer({ min: 1, max: 3000 }));
    await fc.assert(
      fc.asyncProperty(archive, async ([content, compression, size]) => {
        const stored = await collect(writeArchive(entriesOf(content), { compression, mtime }).bytes);
        const result = await collectFiles(readArchive(inPieces(stored, size)));
        expect(result).toEqual(Object.entries(content).map(([path, body]) => [path, Buffer.from(body)]));
      }),
      { numRuns: 60 },
    );
  });

  it('verifies large bodies also when their reader skips them or stops early', async () => {
    const body = noise(1_000_000);
    const source = () => streamOf<Entry>({ path: 'disk.img', size: body.byteLength, body: inPieces(body, 65_536) });
    const stored = await collect(writeArchive(source(), { compression: 'none', mtime }).bytes);
    const damaged = Buffer.from(stored);
    damaged.writeUInt8(damaged.readUInt8(900_000) ^ 1, 900_000);
    for (const stop of [false, true]) {
      const consume = async (bytes: Uint8Array) => {
        for await (const entry of readArchive(inPieces(bytes, 65_536))) {
          if (stop && !(entry.body instanceof Uint8Array)) for await (const _piece of entry.body) break;
        }
      };
      await consume(stored);
      expect((await errorOf(consume(damaged))).message).toContain('disk.img is damaged: its SHA-256 is');
    }
  });

  it.each([
    ['zstd', ['zstd', '-19']],
    ['pzstd', ['pzstd']],
    ['xz', ['xz', '-T2', '--block-size=4096']],
    ['gzip', ['gzip', '-9']],
    ['no program', ['cat']],
  ])('reads what GNU tar and %s pack of an unpacked archive', async (_name, [program = '', ...args]) => {
    const folder = temporaryFolder();
    await run('tar', ['-xf', '-', '-C', folder], await write('none'));
    const names = [...Object.keys(files), '_index.json', 'manifest'];
    const tar = await run('tar', ['-cf', '-', '-C', folder, ...names]);
    const packed = join(folder, 'packed');
    writeFileSync(packed, await run(program, [...args, ...(program === 'cat' ? [] : ['-c'])], tar));
    expect(await read(await run('cat', [packed]))).toEqual(expected);
  });

  it('ends with the reason when the signal fires while the source is silent', async () => {
    const stored = await write('zstd');
    const controller = new AbortController();
    const reading = errorOf(collectFiles(readArchive(silentAfter(stored.subarray(0, 100)), controller.signal)));
    await new Promise(setImmediate);
    controller.abort(new TransshipError('CANCELLED', 'stopped by the user'));
    expect((await reading).message).toBe('stopped by the user');
  });
});

describe('a damaged archive', () => {
  it.each(compressions)('is told when it is cut anywhere (%s)', async (compression) => {
    const stored = await write(compression);
    const step = Math.max(1, Math.floor(stored.byteLength / 200));
    for (let length = 0; length < stored.byteLength; length += step) {
      const { code, message } = await errorOf(read(stored.subarray(0, length)));
      // Fewer bytes than a format's first ones can't be told from something else.
      if (length >= 512 || (length > 6 && compression !== 'none')) {
        expect(message, `cut at ${length}`).toContain('cut');
        expect(code).toBe('ARCHIVE_DAMAGED');
      }
    }
  });

  it.each(compressions)(
    'is told, or reads the same, for a flipped bit in any byte (%s)',
    async (compression) => {
      const stored = await write(compression);
      let told = 0;
      for (let position = 0; position < stored.byteLength; position++) {
        const flipped = Buffer.from(stored);
        flipped.writeUInt8(flipped.readUInt8(position) ^ (1 << (position % 8)), position);
        try {
          const result = await read(flipped);
          expect(textOf(result), `flipped at ${position}`).toBe(textOf(expected));
        } catch (error) {
          if (!(error instanceof TransshipError)) throw error;
          expect(error.code).toMatch(/^ARCHIVE_(DAMAGED|UNSUPPORTED)$/);
          told++;
        }
      }
      // In a plain tar, what is unused may flip: padding, and the end's zeros.
      expect(told).toBeGreaterThan(stored.byteLength * (compression === 'none' ? 0.2 : 0.95));
    },
    60_000,
  );

  it('is told with expected and actual digest when a file was changed', async () => {
    const tar = await edited((content) => content.set('shop/b.json', Buffer.from('c')));
    const error = await read(tar).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ArchiveDamagedError);
    if (!(error instanceof ArchiveDamagedError)) return;
    expect(error.problems).toEqual([
      'shop/b.json is damaged: its SHA-256 is 2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6; _index.json says 3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d.',
      'shop/b.json is damaged: its SHA-1 is 84a516841ba77a5b4648de2cd0dfcb30ea46dbb4; the manifest says e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98.',
    ]);
    expect(error.message).toBe(`${error.problems[0]} 1 more differ.`);
    expect(error.hint).toContain('Do not import it');
  });

  it('is told when a file has another size, is missing or was added', async () => {
    const longer = await errorOf(read(await edited((content) => content.set('shop/b.json', Buffer.from('bb')))));
    expect(longer.message).toContain('shop/b.json has 2 bytes; _index.json says 1.');
    const missing = await errorOf(read(await edited((content) => content.delete('shop/b.json'))));
    expect(missing.message).toContain('shop/b.json is missing: _index.json names it.');
    const added = await edited((content) => {
      const tail = ['_index.json', 'manifest'].map((path) => [path, content.get(path) ?? Buffer.alloc(0)] as const);
      for (const [path] of tail) content.delete(path);
      content.set('shop/evil.json', Buffer.from('{}'));
      for (const [path, body] of tail) content.set(path, body);
    });
    expect((await errorOf(read(added))).message).toContain(
      'shop/evil.json is not one of the files that _index.json names.',
    );
  });

  it('is told when the index and the manifest were changed to fit, each by the other', async () => {
    const change = (path: string, from: string | RegExp, to: string) =>
      edited((content) => content.set(path, Buffer.from((content.get(path)?.toString() ?? '').replace(from, to))));
    const index = await errorOf(read(await change('_index.json', '"size":1,', '"size":2,')));
    expect(index.message).toContain('shop/b.json has 1 bytes; _index.json says 2.');
    const offset = await errorOf(read(await change('_index.json', /"offset":[1-9]\d*/, '"offset":77')));
    expect(offset.message).toContain('_index.json is damaged: its SHA-1 is');
    const manifest = await errorOf(read(await change('manifest', /^.*b\.json\n/m, '')));
    expect(manifest.message).toBe('shop/b.json is not one of the files that the manifest names.');
    const twice = await errorOf(
      read(
        await change(
          '_index.json',
          '\n]}',
          ',{"path":"shop/b.json","size":1,"sha256":"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d","offset":0}\n]}',
        ),
      ),
    );
    expect(twice.message).toContain('_index.json names shop/b.json twice.');
  });

  it('is told when index or manifest are not there or not last', async () => {
    const noManifest = await errorOf(read(await edited((content) => content.delete('manifest'))));
    expect(noManifest.message).toBe('The snapshot is not complete: it has no manifest after _index.json.');
    const noIndex = await errorOf(read(await edited((content) => content.delete('_index.json'))));
    expect(noIndex.message).toBe('The snapshot is not complete: it has no _index.json after shop/b.json.');
    const after = await errorOf(read(await edited((content) => content.set('z.json', Buffer.alloc(0)))));
    expect(after.message).toBe('z.json follows the manifest, which must be the last file.');
    const swapped = await edited((content) => {
      const index = content.get('_index.json') ?? Buffer.alloc(0);
      content.delete('_index.json');
      content.set('_index.json', index);
    });
    expect((await errorOf(read(swapped))).message).toBe(
      '_index.json follows the manifest, which must be the last file.',
    );
  });

  it('is told when it is a tar of another kind', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'f'), 'x');
    const { code, message } = await errorOf(read(await run('tar', ['-cf', '-', '-C', folder, 'f'])));
    expect(code).toBe('ARCHIVE_DAMAGED');
    expect(message).toBe('The snapshot is not complete: it has no _index.json after f.');
  });
});
