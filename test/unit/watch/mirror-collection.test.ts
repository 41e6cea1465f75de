import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { KubeObject, ListOptions, WatchEvent } from '../../../src/cluster/cluster.ts';
import { createMirrorCollection, type MirrorCollectionOptions } from '../../../src/watch/mirror-collection.ts';
import { openObjectLog } from '../../../src/watch/mirror-log.ts';

function secret(name: string, fields: object = {}, metadata: object = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'shop', ...metadata }, ...fields };
}

const added = (object: KubeObject): WatchEvent => ({ type: 'ADDED', object, resourceVersion: '1' });
const deleted = (object: KubeObject): WatchEvent => ({ type: 'DELETED', object, resourceVersion: '1' });

async function open(options: Partial<MirrorCollectionOptions> = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'transship-collection-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const log = await openObjectLog({ directory, order: () => [] });
  onTestFinished(() => log.close());
  let changes = 0;
  const collection = createMirrorCollection({
    log,
    markOf: ({ data }) => (typeof data === 'string' ? data.length : 0),
    takes: () => true,
    isQuiet: () => false,
    keepsManagedFields: false,
    labelSelector: undefined,
    onChange: () => {
      changes += 1;
    },
    ...options,
  });
  const pages = async (listOptions: ListOptions = {}) => {
    const all: KubeObject[][] = [];
    for await (const page of collection.pages(listOptions)) all.push([...page]);
    return all;
  };
  const names = async (listOptions?: ListOptions) =>
    (await pages(listOptions)).flat().map(({ metadata }) => metadata.name);
  return { log, collection, pages, names, changes: () => changes };
}

describe('a collection on disk', () => {
  test('is in the order in which the server has it', async () => {
    const { collection, pages } = await open();
    const places = [
      ['b', 'x'],
      ['a-b', 'x'],
      ['a', 'z'],
      ['a', 'é😀'],
      ['a', 'é\uffee'],
      ['a', 'B'],
    ];
    await collection.apply(places.map(([namespace, name]) => added(secret(name ?? '', {}, { namespace }))));
    const found = (await pages()).flat().map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
    const inBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
    expect(found).toEqual(places.map(([namespace, name]) => `${namespace}/${name}`).sort(inBytes));
  });

  test('comes in pages of about the size asked for', async () => {
    const { collection, pages } = await open();
    await collection.apply(
      Array.from({ length: 1200 }, (_, index) => added(secret(`s${index}`, { data: 'x'.repeat(index < 4 ? 900 : 1) }))),
    );
    expect((await pages()).map((page) => page.length)).toEqual([500, 500, 200]);
    expect((await pages({ pageBytes: 2000 }))[0]?.length).toBeLessThan(30);
    expect((await pages({ pageBytes: 1 })).map((page) => page.length)).toEqual(Array(1200).fill(1));
  });

  test('gives objects that are the own of who asks, each digit kept', async () => {
    const { collection, pages } = await open();
    const exact: KubeObject = JSON.parse('{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}');
    exact.n = JSON.rawJSON('9007199254740993');
    await collection.apply([added(exact)]);
    const [[first] = []] = await pages();
    expect(JSON.stringify(first)).toContain('"n":9007199254740993');
    Object.assign(first ?? {}, { n: 1 });
    expect(JSON.stringify((await pages())[0])).toContain('9007199254740993');
  });

  test('is as it was when the reading began', async () => {
    const { collection } = await open();
    await collection.apply(['a', 'b', 'c'].map((name) => added(secret(name, { data: 'old' }))));
    const reading = collection.pages({ pageBytes: 1 });
    const seen = [(await reading.next()).value];
    await collection.apply([added(secret('b', { data: 'newer' })), deleted(secret('c'))]);
    for await (const page of reading) seen.push(page);
    expect(seen.flat()).toMatchObject(['a', 'b', 'c'].map((name) => ({ metadata: { name }, data: 'old' })));
  });

  test('ends for who has gone, with the reason', async () => {
    const { collection } = await open();
    await collection.apply([added(secret('a'))]);
    await expect(collection.pages({ signal: AbortSignal.abort() }).next()).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('has managed fields only where an export looks at them', async () => {
    for (const keepsManagedFields of [true, false]) {
      const { collection, pages } = await open({ keepsManagedFields });
      await collection.apply([added(secret('a', {}, { managedFields: [{ manager: 'x' }] }))]);
      expect('managedFields' in ((await pages())[0]?.[0]?.metadata ?? {})).toBe(keepsManagedFields);
    }
  });
});

describe('what an export asks for', () => {
  const record = secret('record', { type: 'helm.sh/release.v1' }, { labels: { owner: 'helm' } });
  const lookalike = secret('lookalike', {}, { labels: { owner: 'helm' } });
  const typed = secret('typed', { type: 'helm.sh/release.v1' });

  test('is told by labels and by the type of Secrets', async () => {
    const { collection, names } = await open();
    await collection.apply([record, lookalike, typed, secret('plain', {}, { labels: { team: 'a' } })].map(added));
    expect(await names({ labelSelector: 'owner=helm' })).toEqual(['lookalike', 'record']);
    expect(await names({ fieldSelector: 'type!=helm.sh/release.v1' })).toEqual(['lookalike', 'plain']);
    expect(await names({ labelSelector: 'team in (a,b)' })).toEqual(['plain']);
    expect(await names({ labelSelector: 'owner!=helm,team' })).toEqual(['plain']);
  });

  test('is served as far as it is watched', async () => {
    const { collection } = await open();
    expect(collection.serves({})).toBe(true);
    expect(collection.serves({ labelSelector: 'team=a' })).toBe(true);
    expect(collection.serves({ fieldSelector: 'type!=helm.sh/release.v1' })).toBe(true);
    expect(collection.serves({ fieldSelector: 'metadata.name=a' })).toBe(false);
    expect(collection.serves({ metadataOnly: true })).toBe(false);
    const { collection: records } = await open({ labelSelector: 'owner=helm' });
    expect(records.serves({ labelSelector: 'owner=helm' })).toBe(true);
    expect(records.serves({ labelSelector: 'team=a,owner=helm' })).toBe(true);
    expect(records.serves({ labelSelector: 'team=a' })).toBe(false);
    expect(records.serves({})).toBe(false);
  });
});

describe('a change', () => {
  test('is told once for what comes together, when its mark is another', async () => {
    const { collection, changes } = await open();
    await collection.apply(['a', 'b'].map((name) => added(secret(name, { data: 'x' }))));
    expect(changes()).toBe(1);
    await collection.apply([added(secret('a', { data: 'y' })), added(secret('b', { data: 'z' }))]);
    expect(changes()).toBe(1);
    await collection.apply([added(secret('a', { data: 'xx' }))]);
    expect(changes()).toBe(2);
    await collection.apply([deleted(secret('a')), deleted(secret('unknown'))]);
    expect(changes()).toBe(3);
  });

  test('is not told of what an export has nothing of', async () => {
    const { collection, changes, names } = await open();
    await collection.apply([added(secret('a'))]);
    await collection.apply([added(secret('a', { status: 1 }))]);
    await collection.apply([deleted(secret('a'))]);
    expect(changes()).toBe(0);
    expect(await names()).toEqual([]);
  });

  test('is not told of what is in a namespace that stays behind', async () => {
    const { collection, changes, names } = await open({ isQuiet: (namespace) => namespace === 'quiet' });
    await collection.apply([added(secret('a', { data: 'x' }, { namespace: 'quiet' }))]);
    await collection.apply([deleted(secret('a', {}, { namespace: 'quiet' })), added(secret('b'))]);
    expect(changes()).toBe(0);
    expect(await names()).toEqual(['b']);
  });

  test('of several to one object that come together, the last one counts', async () => {
    const { collection, names } = await open();
    await collection.apply([
      added(secret('a')),
      deleted(secret('a')),
      added(secret('b')),
      deleted(secret('b')),
      added(secret('b')),
    ]);
    expect(await names()).toEqual(['b']);
  });

  test('is what a later list has otherwise', async () => {
    const { collection, changes, names } = await open();
    await collection.apply(['a', 'b', 'c'].map((name) => added(secret(name, { data: 'x' }))));
    collection.begin();
    await collection.add([secret('a', { data: 'x' }), secret('c', { data: 'y' })]);
    expect(changes()).toBe(1);
    collection.end();
    expect(changes()).toBe(2);
    expect(await names()).toEqual(['a', 'c']);
  });

  test('is not that nothing can be seen any more', async () => {
    const { collection, changes, names, log } = await open();
    await collection.apply([added(secret('a', { data: 'x' }))]);
    collection.clear();
    expect(changes()).toBe(1);
    expect(await names()).toEqual([]);
    expect(log.count()).toBe(0);
  });
});
