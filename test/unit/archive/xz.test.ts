import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { abortable } from '../../../src/archive/streams.ts';
import { compressXz, decompressXz, type XzParts } from '../../../src/archive/xz.ts';
import { TransshipError } from '../../../src/errors.ts';
import {
  collect,
  endless,
  errorOf,
  expectSameBytes,
  inPieces,
  noise,
  run,
  silentAfter,
  streamOf,
  temporaryFolder,
} from './helpers.ts';

const text = Buffer.from('kind: ConfigMap\n'.repeat(50_000));

const addon: XzParts = {
  platform: 'linux-x64',
  load: async () => (await import('../../../src/archive/lazy/lzma.ts')).library,
  program: '/no/such/program',
};
const program: XzParts = {
  platform: 'plan9-mips',
  load: () => Promise.reject(new Error('must not be loaded')),
  program: 'xz',
};

describe.each([
  ['the addon', addon],
  ['the xz program', program],
])('xz by %s', (_name, parts) => {
  it('writes what the xz program reads, with CRC64', async () => {
    const packed = await collect(compressXz(inPieces(text, 100_000), parts));
    expectSameBytes(await run('xz', ['-dc'], packed), text);
    // Stream flags: the check's id, https://tukaani.org/xz/xz-file-format.txt 2.1.1.2
    expect(packed.subarray(6, 8)).toEqual(Buffer.from([0, 4]));
  });

  it('writes no bytes as an empty stream', async () => {
    expectSameBytes(await run('xz', ['-dc'], await collect(compressXz(streamOf(), parts))), Buffer.alloc(0));
  });

  it('reads what the xz program writes, all streams of several', async () => {
    const packed = Buffer.concat([await run('xz', ['-c'], text), await run('xz', ['-c', '-0', '-T2'], noise(3000))]);
    for (const size of [11, 1000, packed.byteLength]) {
      const read = await collect(decompressXz(inPieces(packed, size), parts));
      expectSameBytes(read, Buffer.concat([text, noise(3000)]));
    }
  });

  it('packs and unpacks 4 MiB of the letters YZ, the mark that ends an xz stream, at once', async () => {
    const letters = Buffer.alloc(4 << 20, 'YZ');
    const packed = await collect(compressXz(inPieces(letters, 1 << 20), parts));
    expectSameBytes(await run('xz', ['-dc'], packed), letters);
    expectSameBytes(await collect(decompressXz(streamOf(packed), parts)), letters);
  });

  it('refuses a stream that is cut anywhere', async () => {
    const packed = await run('xz', ['-c'], Buffer.from('short and sweet'));
    for (let length = 1; length < packed.byteLength; length += 5) {
      const { code, message } = await errorOf(collect(decompressXz(streamOf(packed.subarray(0, length)), parts)));
      expect(code, `cut at ${length}`).toBe('ARCHIVE_DAMAGED');
      expect(message).toContain('cut or damaged');
    }
  });

  it('refuses a flipped bit and anything that follows', async () => {
    const packed = await run('xz', ['-c'], noise(5000));
    const flipped = Buffer.from(packed);
    flipped.writeUInt8(flipped.readUInt8(2500) ^ 1, 2500);
    for (const pieces of [[flipped], [packed, Buffer.from('garbage')], [Buffer.concat([packed, Buffer.from('x')])]]) {
      const { code } = await errorOf(collect(decompressXz(streamOf(...pieces), parts)));
      expect(code).toBe('ARCHIVE_DAMAGED');
    }
  });

  it('refuses a stream that takes too much memory', async () => {
    const packed = await run('xz', ['-c', '-T1', '--lzma2=preset=0,dict=1GiB'], text);
    const { code, message } = await errorOf(collect(decompressXz(streamOf(packed), parts)));
    expect(code).toBe('ARCHIVE_UNSUPPORTED');
    expect(message).toBe('The xz stream takes more than 512 MiB of memory to decompress.');
  });

  it('passes on the error of its source', async () => {
    async function* failing() {
      yield text;
      throw new Error('connection reset');
    }
    await expect(collect(compressXz(failing(), parts))).rejects.toThrow('connection reset');
    const packed = await run('xz', ['-c'], text);
    async function* cut() {
      yield packed.subarray(0, 100);
      throw new Error('connection reset');
    }
    await expect(collect(decompressXz(cut(), parts))).rejects.toThrow('connection reset');
  });

  it('closes its source when the reader stops early', async () => {
    const { source, closed } = endless(noise(1 << 20));
    for await (const _piece of compressXz(source, parts)) break;
    expect(closed()).toBe(true);
  }, 30_000);
});

describe('choosing how to do xz', () => {
  it('takes the program where the addon does not load', async () => {
    const parts = { ...program, platform: 'linux-x64', load: () => Promise.reject(new Error('wrong ELF class')) };
    const packed = await collect(compressXz(streamOf(text), parts));
    expectSameBytes(await collect(decompressXz(streamOf(packed), parts)), text);
  });

  it('says both ways out where there is neither', async () => {
    const parts = { ...program, program: '/no/such/xz' };
    for (const work of [compressXz(streamOf(text), parts), decompressXz(streamOf(text), parts)]) {
      const { code, message, hint } = await errorOf(collect(work));
      expect(code).toBe('ARCHIVE_UNSUPPORTED');
      expect(message).toBe('xz can be neither written nor read here: there is no program /no/such/xz on PATH.');
      expect(hint).toContain('install xz');
      expect(hint).toContain('zstd, gzip or none');
    }
  });
});

describe('the xz program', () => {
  /** A stand-in that notes its process id before it becomes the real one. */
  function noted() {
    const folder = temporaryFolder();
    const path = join(folder, 'xz');
    const pid = join(folder, 'pid');
    writeFileSync(path, `#!/bin/sh\necho $$ > '${pid}'\nexec xz "$@"\n`);
    chmodSync(path, 0o700);
    return { parts: { ...program, program: path }, pid: () => Number(readFileSync(pid, 'utf8')) };
  }

  it('is gone when the reader stops early', async () => {
    const { parts, pid } = noted();
    for await (const _piece of compressXz(endless(noise(1 << 20)).source, parts)) break;
    expect(() => process.kill(pid(), 0)).toThrow('ESRCH');
  }, 30_000);

  it('is gone when its source fails', async () => {
    const { parts, pid } = noted();
    async function* failing() {
      yield noise(1 << 20);
      throw new Error('connection reset');
    }
    await expect(collect(compressXz(failing(), parts))).rejects.toThrow('connection reset');
    expect(() => process.kill(pid(), 0)).toThrow('ESRCH');
  });

  it('is gone when a cancel interrupts a source that is silent', async () => {
    const { parts, pid } = noted();
    const controller = new AbortController();
    const reading = collect(compressXz(abortable(silentAfter(noise(1 << 20)), controller.signal), parts));
    const outcome = errorOf(reading);
    await waitFor(() => pid() > 0);
    controller.abort(new TransshipError('CANCELLED', 'stopped by the user'));
    expect((await outcome).message).toBe('stopped by the user');
    expect(() => process.kill(pid(), 0)).toThrow('ESRCH');
  });

  it('is told nothing by XZ_OPT and XZ_DEFAULTS', async () => {
    process.env.XZ_OPT = '--check=none';
    process.env.XZ_DEFAULTS = '--format=lzma';
    try {
      const packed = await collect(compressXz(streamOf(text), program));
      expect(packed.subarray(0, 8).toString('hex')).toBe('fd377a585a000004');
    } finally {
      delete process.env.XZ_OPT;
      delete process.env.XZ_DEFAULTS;
    }
  });
});

async function waitFor(condition: () => boolean): Promise<void> {
  for (;;) {
    try {
      if (condition()) return;
    } catch {
      // Not yet.
    }
    await new Promise(setImmediate);
  }
}
