import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { Entry } from '../../../src/archive/entry.ts';
import type { Backend, Bytes } from '../../../src/backends/backend.ts';
import { LocalBackend } from '../../../src/backends/local.ts';
import { storeSnapshot } from '../../../src/modes/store.ts';
import { collect, entriesOf, errorOf, temporaryFolder } from '../archive/helpers.ts';
import { newKeys } from '../archive/keys.ts';

const ID = '26-01-31_12-00-00';
const RECORDS = { '_snapshot.json': '{}', '_releases/shop/web/1.json': '{}' };
const plain = { layout: 'archive', compression: 'zstd', 'allow-plaintext': false } as const;
const snapshotOf = (entries: AsyncIterable<Entry>) => ({
  id: ID,
  created: new Date('2026-01-31T12:00:00Z'),
  cluster: 'stage',
  entries,
});

/** What a step of a run has, whose event says so of the repository. */
function stepIn(repository: { visibility?: string }) {
  const file = join(temporaryFolder(), 'event.json');
  writeFileSync(file, JSON.stringify({ repository: { full_name: 'octo-org/shop', ...repository } }));
  const env = { GITHUB_REPOSITORY: 'octo-org/shop', GITHUB_EVENT_PATH: file, GITHUB_API_URL: 'http://127.0.0.1:9' };
  return { env, signal: new AbortController().signal };
}

/** A backend that keeps one archive: of artifacts, but without GitHub. */
function artifacts() {
  const uploads: { suffix: string; bytes: Buffer }[] = [];
  const write = async (id: string, suffix: string, bytes: Bytes) => {
    const whole = await collect(bytes);
    uploads.push({ suffix, bytes: whole });
    return { id, layout: 'archive', location: 'the artifact', size: whole.byteLength, state: 'complete' } as const;
  };
  const backend: Backend = Object.assign(new LocalBackend(temporaryFolder()), { name: 'artifact' as const, write });
  return { backend, uploads };
}

describe('an artifact of a public repository', () => {
  it('takes no release records, and nothing is uploaded', async () => {
    const { backend, uploads } = artifacts();
    const store = storeSnapshot(backend, snapshotOf(entriesOf(RECORDS)), plain, stepIn({ visibility: 'public' }));
    expect(await errorOf(store)).toMatchObject({
      code: 'INPUT',
      message:
        'The snapshot holds release records (of shop/web), which have values and Secrets in them, and everyone could read them in an artifact of the public repository octo-org/shop.',
      hint: expect.stringMatching(/encrypt-to.*allow-plaintext/),
    });
    expect(uploads).toEqual([]);
  });

  it('takes them when they are encrypted, or when that is wanted', async () => {
    const { backend, uploads } = artifacts();
    const { recipient } = await newKeys();
    for (const inputs of [
      { ...plain, 'encrypt-to': [recipient] },
      { ...plain, 'allow-plaintext': true },
    ]) {
      await storeSnapshot(backend, snapshotOf(entriesOf(RECORDS)), inputs, stepIn({ visibility: 'public' }));
    }
    expect(uploads.map(({ suffix }) => suffix)).toEqual(['.tar.zst.age', '.tar.zst']);
  });

  it('takes what holds no secret', async () => {
    const { backend, uploads } = artifacts();
    const entries = entriesOf({ '_snapshot.json': '{}', 'shop/configmaps.json': '{}' });
    await storeSnapshot(backend, snapshotOf(entries), plain, stepIn({ visibility: 'public' }));
    expect(uploads).toHaveLength(1);
  });

  it('is what an artifact is taken for when nobody says', async () => {
    const { backend, uploads } = artifacts();
    expect(await errorOf(storeSnapshot(backend, snapshotOf(entriesOf(RECORDS)), plain, stepIn({})))).toMatchObject({
      code: 'INPUT',
      message: expect.stringContaining('of octo-org/shop, should it be public, which could not be found out.'),
    });
    expect(uploads).toEqual([]);
  });
});

it('an artifact of a private repository takes release records', async () => {
  const { backend, uploads } = artifacts();
  await storeSnapshot(backend, snapshotOf(entriesOf(RECORDS)), plain, stepIn({ visibility: 'private' }));
  expect(uploads).toHaveLength(1);
});

it('another place takes release records, whatever the repository', async () => {
  const backend = new LocalBackend(temporaryFolder());
  await storeSnapshot(backend, snapshotOf(entriesOf(RECORDS)), plain, stepIn({ visibility: 'public' }));
  expect(await backend.list()).toHaveLength(1);
});

it('a recipient that is none is told before anything is read', async () => {
  const read = vi.fn(() => entriesOf(RECORDS)[Symbol.asyncIterator]());
  const inputs = { ...plain, 'encrypt-to': ['age1nobody'] };
  const store = storeSnapshot(
    new LocalBackend(temporaryFolder()),
    snapshotOf({ [Symbol.asyncIterator]: read }),
    inputs,
    stepIn({}),
  );
  expect(await errorOf(store)).toMatchObject({
    code: 'INPUT',
    message: 'encrypt-to: "age1nobody" is no recipient of age.',
  });
  expect(read).not.toHaveBeenCalled();
});
