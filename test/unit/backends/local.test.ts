import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Bytes } from '../../../src/backends/backend.ts';
import { LocalBackend } from '../../../src/backends/local.ts';

const ID = '26-01-31_12-00-00';
const run = promisify(execFile);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-local-'));
});

afterEach(() => rm(folder, { recursive: true }));

describe('a folder', () => {
  it('gets a file that only its owner can read, of the time of the snapshot', async () => {
    const written = await new LocalBackend(folder).write(ID, '.tar.zst', bytesOf('hello'));
    expect(written).toEqual({
      id: ID,
      layout: 'archive',
      location: join(folder, `transship-${ID}.tar.zst`),
      size: 5,
      state: 'complete',
    });
    const stats = await stat(written.location);
    expect(stats.mode & 0o777).toBe(0o600);
    expect(stats.mtime).toEqual(new Date('2026-01-31T12:00:00Z'));
    expect(await readdir(folder)).toEqual([`transship-${ID}.tar.zst`]);
  });

  it('is made when only it is missing', async () => {
    const path = join(folder, 'snapshots');
    await new LocalBackend(path).write(ID, '.tar', bytesOf('hello'));
    expect(await readdir(path)).toEqual([`transship-${ID}.tar`]);
  });

  it('is removed again when it was made for an export that failed', async () => {
    const path = join(folder, 'snapshots');
    await expect(new LocalBackend(path).write(ID, '.tar', breakingBytes())).rejects.toThrow('the source broke');
    expect(await readdir(folder)).toEqual([]);
  });

  it('is not made when the folder above it is missing too', async () => {
    const path = join(folder, 'no', 'such');
    await expect(new LocalBackend(path).write(ID, '.tar', bytesOf('x'))).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Cannot write ${path}: the folder it belongs in does not exist.`,
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it('that does not exist holds no snapshots to find, and says so', async () => {
    const path = join(folder, 'none');
    await expect(new LocalBackend(path).find('latest')).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      message: `${path} does not exist.`,
    });
  });

  it('lists what a killed writer left as unfinished, and nothing that is not a snapshot', async () => {
    await writeFile(join(folder, `transship-${ID}.tar.zst.0123abcd.partial`), 'half');
    for (const name of ['notes.txt', `other-${ID}.tar`, `transship-${ID}.tar.zst.lock`, `transship-${ID}.partial`]) {
      await writeFile(join(folder, name), '');
    }
    await mkdir(join(folder, 'transship-26-01-01_00-00-00.tar'));
    expect(await new LocalBackend(folder).list()).toEqual([
      {
        id: ID,
        layout: 'archive',
        location: join(folder, `transship-${ID}.tar.zst.0123abcd.partial`),
        size: 4,
        state: 'unfinished',
      },
    ]);
  });

  it('says that a path through a file is wrong', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(new LocalBackend(join(folder, 'file', 'deeper')).list()).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringMatching(/^Cannot read .+deeper: a part of the path is a file and not a folder\.$/),
    });
  });
});

describe('a file', () => {
  it('is what a path is that ends as an archive', async () => {
    const path = join(folder, 'backup.tar.zst');
    const backend = new LocalBackend(path);
    expect(await backend.write(ID, '.tar.zst', bytesOf('hello'))).toMatchObject({ id: ID, location: path });
    expect(await readdir(folder)).toEqual(['backup.tar.zst']);
    expect(await backend.find(ID)).toEqual({
      id: ID,
      layout: 'archive',
      location: path,
      size: 5,
      state: 'complete',
    });
  });

  it('is found under any name once it is there', async () => {
    const path = join(folder, 'backup');
    await writeFile(path, 'hello');
    await utimes(path, new Date(), new Date('2026-03-01T00:00:00Z'));
    expect((await new LocalBackend(path).find('latest')).id).toBe('26-03-01_00-00-00');
  });

  it('has the id in its name, whatever its time', async () => {
    const path = join(folder, `anything-${ID}.tar.gz`);
    await writeFile(path, '');
    expect((await new LocalBackend(path).find('latest')).id).toBe(ID);
  });

  it('is not written over', async () => {
    const path = join(folder, 'backup.tar');
    await writeFile(path, 'first');
    await expect(new LocalBackend(path).write(ID, '.tar', bytesOf('second'))).rejects.toMatchObject({
      code: 'SNAPSHOT_EXISTS',
      message: `${path} already exists, and a snapshot is never overwritten.`,
    });
    expect(await readFile(path, 'utf8')).toBe('first');
  });

  it('must end as the compression says', async () => {
    await expect(new LocalBackend('backup.tar.gz').write(ID, '.tar.zst', bytesOf('x'))).rejects.toMatchObject({
      code: 'INPUT',
      message: 'path: "backup.tar.gz" must end in .tar.zst, as the archive to write is one.',
    });
  });

  it('needs its folder', async () => {
    const path = join(folder, 'none', 'backup.tar');
    await expect(new LocalBackend(path).write(ID, '.tar', bytesOf('x'))).rejects.toMatchObject({
      code: 'BACKEND',
      message: `Cannot write ${path}: the folder it belongs in does not exist.`,
    });
  });
});

describe('an encrypted archive', () => {
  it('is known by its name, in a folder and as a file, also while it is unfinished', async () => {
    const backend = new LocalBackend(folder);
    const written = await backend.write(ID, '.tar.zst.age', bytesOf('hello'));
    expect(written).toMatchObject({ encrypted: true, location: join(folder, `transship-${ID}.tar.zst.age`) });
    await writeFile(join(folder, `transship-26-01-01_00-00-00.tar.xz.age.0123abcd.partial`), 'half');
    await writeFile(join(folder, `transship-25-01-01_00-00-00.tar`), 'plain');
    expect((await backend.list()).map(({ id, state, encrypted }) => [id, state, encrypted])).toEqual([
      [ID, 'complete', true],
      ['26-01-01_00-00-00', 'unfinished', true],
      ['25-01-01_00-00-00', 'complete', undefined],
    ]);
    expect(await backend.find('latest')).toEqual(written);
    const file = new LocalBackend(join(folder, 'backup.tar.zst.age'));
    expect(await file.write(ID, '.tar.zst.age', bytesOf('hello'))).toMatchObject({ encrypted: true });
  });

  it.each([
    ['backup.tar.zst', '.tar.zst.age'],
    ['backup.tar.zst.age', '.tar.zst'],
  ])('has a name that says so: %s is not %s', async (name, suffix) => {
    await expect(new LocalBackend(join(folder, name)).write(ID, suffix, bytesOf('x'))).rejects.toMatchObject({
      code: 'INPUT',
      message: `path: "${name}" must end in ${suffix}, as the archive to write is one.`,
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('a saved plan', () => {
  const PLAN = `26-01-31_12-00-00-${'0a'.repeat(16)}`;

  it.each([
    ['in the folder', () => folder, () => join(folder, 'plans', `${PLAN}.json`)],
    [
      'beside the file',
      () => join(folder, 'backup.tar.zst'),
      () => join(folder, 'backup.tar.zst.plans', `${PLAN}.json`),
    ],
  ])('is kept %s, for its owner alone, and is no snapshot', async (_where, path, location) => {
    const backend = new LocalBackend(path());
    await backend.write(ID, '.tar.zst', bytesOf('hello'));
    expect(await backend.readPlan(PLAN)).toBeUndefined();
    expect(await backend.writePlan(PLAN, Buffer.from('the plan'))).toBe(location());
    expect((await backend.readPlan(PLAN))?.toString()).toBe('the plan');
    expect((await stat(location())).mode & 0o777).toBe(0o600);
    expect((await backend.list()).map(({ id }) => id)).toEqual([ID]);
  });

  it('can be saved again', async () => {
    const backend = new LocalBackend(folder);
    for (const text of ['same', 'same']) await backend.writePlan(PLAN, Buffer.from(text));
    expect(await readdir(join(folder, 'plans'))).toEqual([`${PLAN}.json`]);
  });

  it('that cannot be written is an error that says why', async () => {
    await writeFile(join(folder, 'plans'), 'a file');
    await expect(new LocalBackend(folder).writePlan(PLAN, Buffer.from('x'))).rejects.toMatchObject({
      code: 'BACKEND',
      message: expect.stringMatching(/: a part of the path is a file and not a folder\.$/),
    });
  });

  it('is not looked for under what is no id', async () => {
    await expect(new LocalBackend(folder).readPlan('../x')).rejects.toMatchObject({ code: 'INPUT' });
  });
});

describe('a write that fails', () => {
  it('leaves no file when the source breaks', async () => {
    await expect(new LocalBackend(folder).write(ID, '.tar', breakingBytes())).rejects.toThrow('the source broke');
    expect(await readdir(folder)).toEqual([]);
  });

  it('leaves no file when the system takes no more bytes', async () => {
    const script = `
      const { LocalBackend } = await import(${JSON.stringify(new URL('../../../src/backends/local.ts', import.meta.url).href)});
      const bytes = (async function* () { for (;;) yield new Uint8Array(65536); })();
      const error = await new LocalBackend(${JSON.stringify(folder)}).write('${ID}', '.tar', bytes).catch((error) => error);
      console.log(JSON.stringify([error.code, error.message.replace(/[0-9a-f]{8}(?=.partial)/, 'X')]));`;
    // The kernel's own limit on the size of a file stands in for a full disk: 2048 blocks of 512 bytes.
    const command = `ulimit -f 2048; exec "$0" --input-type=module --eval "$1"`;
    const { stdout } = await run('sh', ['-c', command, process.execPath, script]);
    expect(JSON.parse(stdout)).toEqual([
      'BACKEND',
      `Cannot write ${join(folder, `transship-${ID}.tar`)}.X.partial: the file would be larger than the file system or a limit allows.`,
    ]);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('reading', () => {
  it('says which file is gone', async () => {
    const backend = new LocalBackend(folder);
    const written = await backend.write(ID, '.tar', bytesOf('hello'));
    await rm(written.location);
    await expect(readAll(backend.read(written))).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      message: `${written.location} does not exist.`,
    });
  });
});

async function* bytesOf(text: string): Bytes {
  yield Buffer.from(text);
}

async function* breakingBytes(): Bytes {
  yield Buffer.from('half');
  throw new Error('the source broke');
}

async function readAll(bytes: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}
