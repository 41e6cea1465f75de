import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { link, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LeaseStore } from '../../../src/backends/backend.ts';
import { LocalBackend } from '../../../src/backends/local.ts';
import { createLocalLease } from '../../../src/backends/local-lease.ts';
import type { LinkFile } from '../../../src/backends/place-file.ts';
import type { RaceOrder, RaceResult } from './race-lease.ts';

let folder: string;
let lease: LeaseStore;
let children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-lease-'));
  lease = new LocalBackend(folder).lease;
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await rm(folder, { recursive: true });
});

/** A lease whose writers do something between the look for the newest one and the next one's name. */
function leaseWith(linkFile: LinkFile): LeaseStore {
  return createLocalLease(
    async () => ({ folder }),
    async () => {},
    linkFile,
  );
}

describe('a lease in a folder', () => {
  it('is one file, which says who by its name, and is in no list', async () => {
    expect(await lease.read()).toBeUndefined();
    const first = await lease.write('one', undefined);
    expect(await readdir(folder)).toEqual(['_manager.1.json']);
    const second = await lease.write('two', first);
    expect(await readdir(folder)).toEqual(['_manager.2.json']);
    expect(await readFile(join(folder, '_manager.2.json'), 'utf8')).toBe('two');
    expect(await lease.read()).toEqual({ text: 'two', version: second, age: expect.any(Number) });
    expect(await new LocalBackend(folder).list()).toEqual([]);
  });

  it('is replaced only by who has read it', async () => {
    const first = await lease.write('one', undefined);
    expect(await lease.write('other', undefined)).toBeUndefined();
    const second = await lease.write('two', first);
    expect(await lease.write('late', first)).toBeUndefined();
    expect((await lease.read())?.version).toBe(second);
  });

  it('of a number that was there before is another one', async () => {
    const first = await lease.write('one', undefined);
    await lease.remove();
    expect(await lease.write('late', first)).toBeUndefined();
    await lease.write('anew', undefined);
    expect(await readdir(folder)).toEqual(['_manager.1.json']);
    expect(await lease.write('late', first)).toBeUndefined();
    expect((await lease.read())?.text).toBe('anew');
  });

  it('has the age that the folder’s clock says', async () => {
    await lease.write('one', undefined);
    const hourAgo = new Date(Date.now() - 3_600_000);
    await utimes(join(folder, '_manager.1.json'), hourAgo, hourAgo);
    const { age = 0 } = (await lease.read()) ?? {};
    expect(age).toBeGreaterThanOrEqual(3_600_000 - 1000);
    expect(age).toBeLessThan(3_700_000);
    const later = new Date(Date.now() + 3_600_000);
    await utimes(join(folder, '_manager.1.json'), later, later);
    expect((await lease.read())?.age).toBe(0);
    expect(await readdir(folder)).toEqual(['_manager.1.json']);
  });

  it('makes the folder when only that is missing, and reading makes none', async () => {
    const inside = new LocalBackend(join(folder, 'stage')).lease;
    expect(await inside.read()).toBeUndefined();
    expect(await inside.write('late', '1-abc')).toBeUndefined();
    await inside.remove();
    expect(await readdir(folder)).toEqual([]);
    expect(await inside.write('one', undefined)).toBeDefined();
    const deep = new LocalBackend(join(folder, 'a', 'b')).lease;
    await expect(deep.write('one', undefined)).rejects.toMatchObject({ code: 'BACKEND' });
  });

  it('is removed whatever it is, with all that a killed writer left of older ones', async () => {
    await lease.write('two', await lease.write('one', undefined));
    await writeFile(join(folder, '_manager.1.json'), 'one');
    expect((await lease.read())?.text).toBe('two');
    await lease.remove();
    expect(await readdir(folder)).toEqual([]);
    await lease.remove();
  });

  it('is refused beside a path that is one file', async () => {
    const file = join(folder, 'backup.tar.zst');
    const refusal = {
      code: 'INPUT',
      message: `path: ${JSON.stringify(file)} is one file; a manager needs a folder.`,
    };
    const beside = new LocalBackend(file).lease;
    await expect(beside.read()).rejects.toMatchObject(refusal);
    await expect(beside.write('one', undefined)).rejects.toMatchObject(refusal);
    await expect(beside.remove()).rejects.toMatchObject(refusal);
    expect(await readdir(folder)).toEqual([]);
  });

  it('needs hard links, and leaves nothing without them', async () => {
    const without = leaseWith(async () => {
      throw Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM', syscall: 'link' });
    });
    await expect(without.write('one', undefined)).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringContaining('the file system has no hard links'),
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('a writer that was stopped for a while', () => {
  it('does not win when its number is free again, as others were faster twice', async () => {
    const first = await lease.write('one', undefined);
    const slow = leaseWith(async (existing, name) => {
      await lease.write('three', await lease.write('two', first));
      await link(existing, name);
    });
    expect(await slow.write('late', first)).toBeUndefined();
    expect(await readdir(folder)).toEqual(['_manager.3.json']);
    expect((await lease.read())?.text).toBe('three');
  });

  it('does not win when it found none, and others were faster twice', async () => {
    const slow = leaseWith(async (existing, name) => {
      await lease.write('two', await lease.write('one', undefined));
      await link(existing, name);
    });
    expect(await slow.write('late', undefined)).toBeUndefined();
    expect(await readdir(folder)).toEqual(['_manager.2.json']);
  });

  it('does not win when the lease was removed and taken anew', async () => {
    const first = await lease.write('one', undefined);
    const slow = leaseWith(async (existing, name) => {
      await lease.remove();
      await lease.write('anew', undefined);
      await link(existing, name);
    });
    expect(await slow.write('late', first)).toBeUndefined();
    expect((await lease.read())?.text).toBe('anew');
  });

  it('knows its own success when a network asks twice', async () => {
    const twice = leaseWith(async (existing, name) => {
      await link(existing, name);
      await link(existing, name);
    });
    const version = await twice.write('one', undefined);
    expect((await lease.read())?.version).toBe(version);
    expect(version).toBeDefined();
    expect(await readdir(folder)).toEqual(['_manager.1.json']);
  });
});

describe('of several processes', () => {
  it('exactly one wins each of 20 rounds of 50 racers', async () => {
    const racers = Array.from({ length: 5 }, startRacer);
    let expected: string | undefined;
    for (let round = 0; round < 20; round += 1) {
      const results = await Promise.all(
        racers.map((racer, index) =>
          order(racer, { options: { path: folder }, replace: { expected, racers: 10, name: `${round}-${index}` } }),
        ),
      );
      const winners = results.flat();
      const stored = await lease.read();
      expect(winners).toEqual([stored?.text]);
      expected = stored?.version;
    }
    expect(await readdir(folder)).toEqual(['_manager.20.json']);
  }, 60_000);

  it('none loses what another has counted', async () => {
    const racers = Array.from({ length: 4 }, startRacer);
    await Promise.all(racers.map((racer) => order(racer, { options: { path: folder }, count: 50 })));
    // Whoever was replaced before they knew of their success have counted too, without knowing.
    const { text = '' } = (await lease.read()) ?? {};
    expect(Number(text)).toBeGreaterThanOrEqual(200);
    expect(await readdir(folder)).toEqual([`_manager.${text}.json`]);
  }, 60_000);
});

function startRacer(): ChildProcess {
  const program = fileURLToPath(new URL('race-lease.ts', import.meta.url));
  const child = fork(program, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  children.push(child);
  return child;
}

async function order(racer: ChildProcess, what: RaceOrder): Promise<RaceResult> {
  const answer = once(racer, 'message');
  racer.send(what);
  return (await answer)[0];
}
