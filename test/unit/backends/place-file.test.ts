import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LinkFile, placeFile } from '../../../src/backends/place-file.ts';

/** As a file system without hard links answers. */
const noLinks: LinkFile = async () => {
  throw Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM', syscall: 'link' });
};

let folder: string;
let final: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-place-'));
  final = join(folder, 's.tar');
});

afterEach(() => rm(folder, { recursive: true }));

describe.each<[string, LinkFile | undefined]>([
  ['with hard links', undefined],
  ['without hard links', noLinks],
])('on a file system %s', (_what, link) => {
  it('gives a file its name', async () => {
    await placeFile(await partial('one'), final, link);
    expect(await readFile(final, 'utf8')).toBe('one');
    expect(await readdir(folder)).toEqual(['s.tar']);
  });

  it('lets exactly one of many win', async () => {
    const partials = await Promise.all(Array.from({ length: 20 }, (_, index) => partial(`writer ${index}`)));
    const results = await Promise.allSettled(partials.map((path) => placeFile(path, final, link)));
    const winners = results.flatMap(({ status }, index) => (status === 'fulfilled' ? [`writer ${index}`] : []));
    expect(winners).toEqual([await readFile(final, 'utf8')]);
    const losers = results.filter((result) => result.status === 'rejected');
    expect(new Set(losers.map(({ reason }) => reason.code))).toEqual(new Set(['SNAPSHOT_EXISTS']));
    expect(await readdir(folder)).not.toContain('s.tar.lock');
  });

  it('does not replace what is there', async () => {
    await writeFile(final, 'first');
    await expect(placeFile(await partial('second'), final, link)).rejects.toMatchObject({ code: 'SNAPSHOT_EXISTS' });
    expect(await readFile(final, 'utf8')).toBe('first');
  });
});

it('names the lock that a killed writer left on a file system without hard links', async () => {
  await writeFile(`${final}.lock`, '');
  await expect(placeFile(await partial('one'), final, noLinks)).rejects.toMatchObject({
    code: 'SNAPSHOT_EXISTS',
    message: `Another export is writing ${final}: ${final}.lock exists.`,
    hint: expect.stringContaining('remove that file'),
  });
});

it('tells any other failure of the system', async () => {
  const full: LinkFile = async () => {
    throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'link' });
  };
  await expect(placeFile(await partial('one'), final, full)).rejects.toMatchObject({
    code: 'BACKEND',
    message: `Cannot write ${final}: the disk is full.`,
  });
});

let partials = 0;

async function partial(content: string): Promise<string> {
  partials += 1;
  const path = `${final}.${partials}.partial`;
  await writeFile(path, content);
  return path;
}
