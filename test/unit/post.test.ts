import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeTemporaryDirectory } from '../../src/door.ts';
import { cleanUp } from '../../src/post.ts';

let parent: string;
beforeEach(() => {
  parent = realpathSync(mkdtempSync(join(tmpdir(), 'post-test-')));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

async function clean(folder: string | undefined, temporaryParent = parent) {
  const said: string[] = [];
  await cleanUp({
    env: folder === undefined ? {} : { STATE_temporaryDirectory: folder },
    temporaryParent,
    info: (message) => said.push(message),
    warn: async (message) => void said.push(`warning: ${message}`),
    cleanUpClusters: async () => [],
  });
  return said;
}

/** After a main part that was killed while it had things in a cluster. */
async function cleanClusters(run: string, cleanUpClusters: (run: string) => Promise<readonly string[]>) {
  const said: string[] = [];
  await cleanUp({
    env: { STATE_run: run },
    temporaryParent: parent,
    info: (message) => said.push(message),
    warn: async (message) => void said.push(`warning: ${message}`),
    cleanUpClusters,
  });
  return said.slice(1);
}

it('takes away what a main part that was killed has left in the cluster, and says what', async () => {
  const said = await cleanClusters('abc', async (run) => [`/apis/export.kubevirt.io/v1/${run}`]);
  expect(said).toEqual([
    'Cleaned up in the cluster what an interrupted run had left:\n/apis/export.kubevirt.io/v1/abc',
  ]);
});

it('asks no cluster after a main part that came to its end', async () => {
  expect(await cleanClusters('', () => Promise.reject(new Error('asked')))).toEqual([]);
});

it('warns of what it can not take away, and does not fail', async () => {
  expect(await cleanClusters('abc', () => Promise.reject(new Error('No answer.')))).toEqual([
    'warning: Not everything could be cleaned up in the cluster: No answer.',
  ]);
});

it('removes the folder of a main part that was killed, with the kubeconfig in it', async () => {
  const folder = await makeTemporaryDirectory(parent);
  mkdirSync(join(folder, 'transship-kubeconfig-abc'));
  writeFileSync(join(folder, 'transship-kubeconfig-abc', 'config'), 'token: x');
  expect(await clean(folder)).toEqual([`Removed ${folder}, which an interrupted run had left behind.`]);
  expect(existsSync(folder)).toBe(false);
});

it('says that the folder is already gone after a main part that ended well', async () => {
  expect(await clean(join(parent, 'transship-abcdef'))).toEqual([
    'Nothing to clean up: the temporary folder is already gone.',
  ]);
});

it('says that there was none after a main part that stopped at its inputs', async () => {
  expect(await clean(undefined)).toEqual(['Nothing to clean up: no temporary folder was made.']);
});

it('leaves a folder alone that Transship does not make', async () => {
  const folder = join(parent, 'my-sources');
  mkdirSync(folder);
  expect(await clean(folder)).toEqual([
    `warning: ${folder} was left alone: it is not a folder that Transship makes in ${parent}.`,
  ]);
  expect(existsSync(folder)).toBe(true);
});

it('leaves a folder of a fitting name alone that is elsewhere, also by a path that winds there', async () => {
  const elsewhere = join(parent, 'elsewhere');
  const temporary = join(parent, 'temporary');
  mkdirSync(elsewhere);
  mkdirSync(temporary);
  const folder = await makeTemporaryDirectory(elsewhere);
  const winding = folder.replace(elsewhere, `${temporary}/../elsewhere`);
  for (const path of [folder, winding]) {
    expect(await clean(path, temporary)).toEqual([
      `warning: ${path} was left alone: it is not a folder that Transship makes in ${temporary}.`,
    ]);
  }
  expect(existsSync(folder)).toBe(true);
});

it('removes a link in place of the folder, and not what it points to', async () => {
  const sources = join(parent, 'my-sources');
  mkdirSync(sources);
  const link = join(parent, 'transship-abcdef');
  symlinkSync(sources, link);
  expect(await clean(link)).toEqual([`Removed ${link}, which an interrupted run had left behind.`]);
  expect(existsSync(sources)).toBe(true);
});
