import { describe, expect, test } from 'vitest';
import { type BundleChoice, readBundles, readRecord } from '../../../src/releases/bundles.ts';
import { archiveOf } from './bundle-files.ts';
import type { RecordSpec } from './make-record.ts';

const ALL: BundleChoice = { namespaces: [], exclude: [], history: 'all' };

const SPECS: RecordSpec[] = [
  { namespace: 'shop', release: 'web', revision: 10, status: 'deployed', labels: { team: 'a' } },
  { namespace: 'shop', release: 'web', revision: 2, status: 'superseded', labels: { team: 'b' } },
  { namespace: 'shop', release: 'web', revision: 9, status: 'failed' },
  { namespace: 'shop', release: 'db', revision: 1, status: 'uninstalled' },
  { namespace: 'shop-test', release: 'web', revision: 1, status: 'deployed' },
  { namespace: 'infra', release: 'dns', revision: 1, status: 'deployed', driver: 'configmap' },
];

async function names(choice: Partial<BundleChoice>, specs = SPECS): Promise<string[]> {
  const bundles = await readBundles(await archiveOf(specs), { ...ALL, ...choice });
  return bundles.map(({ namespace, name }) => `${namespace}/${name}`);
}

describe('readBundles', () => {
  test('finds each release with its revisions in number order, and the one that runs', async () => {
    const bundles = await readBundles(await archiveOf(SPECS, { '_snapshot.json': '{}' }), ALL);
    const shown = bundles.map(({ namespace, name, driver, revisions, running }) => ({
      release: `${namespace}/${name} ${driver}`,
      revisions: revisions.map(({ revision }) => revision),
      running: running?.revision,
    }));
    expect(shown).toEqual([
      { release: 'infra/dns configmap', revisions: [1], running: 1 },
      { release: 'shop-test/web secret', revisions: [1], running: 1 },
      { release: 'shop/db secret', revisions: [1], running: undefined },
      { release: 'shop/web secret', revisions: [2, 9, 10], running: 10 },
    ]);
  });

  test.each<[Partial<BundleChoice>, string[]]>([
    [{ namespaces: ['shop'] }, ['shop/db', 'shop/web']],
    [{ namespaces: ['shop*'] }, ['shop-test/web', 'shop/db', 'shop/web']],
    [{ namespaces: ['*'], exclude: ['web'] }, ['infra/dns', 'shop/db']],
    [{ exclude: ['shop/*', 'd?s'] }, ['shop-test/web']],
    [{ selector: 'team=a' }, ['shop/web']],
    [{ selector: 'team=b' }, []],
    [{ exclude: ['*'] }, []],
  ])('chooses %j', async (choice, expected) => {
    expect(await names(choice)).toEqual(expected);
  });

  test('keeps the running revision however short the history', async () => {
    const specs: RecordSpec[] = [
      { revision: 1, status: 'superseded' },
      { revision: 2, status: 'deployed' },
      { revision: 3, status: 'failed' },
      { revision: 4, status: 'pending-upgrade' },
    ];
    const [bundle] = await readBundles(await archiveOf(specs), { ...ALL, history: 1 });
    expect(bundle?.revisions.map(({ revision }) => revision)).toEqual([2, 4]);
    expect(bundle?.running?.revision).toBe(2);
  });

  test('refuses a record that is not one', async () => {
    const files = await archiveOf([], { '_releases/shop/web/1.json': '{"record":' });
    await expect(readBundles(files, ALL)).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' });
  });

  test('of a release that both drivers keep, takes the one that was written last for the one that runs', async () => {
    const files = await archiveOf([
      { revision: 3, driver: 'secret', labels: { createdAt: '100' } },
      { revision: 4, driver: 'configmap', labels: { createdAt: '90', modifiedAt: '200' } },
    ]);
    const bundles = await readBundles(files, ALL);
    expect(bundles.map(({ driver, running }) => [driver, running?.revision])).toEqual([
      ['configmap', 4],
      ['secret', undefined],
    ]);
  });
});

describe('readRecord', () => {
  test.each([
    ['superseded', 'deployed', 'superseded'],
    ['failed', 'pending-install', 'failed'],
    ['failed', 'pending-rollback', 'failed'],
    ['superseded', 'superseded', 'superseded'],
    ['failed', 'failed', 'failed'],
  ])('makes %s of a %s revision before the running one, in label and payload', async (becomes, status, same) => {
    const files = await archiveOf([
      { revision: 1, status },
      { revision: 2, status: 'deployed' },
    ]);
    const [bundle] = await readBundles(files, ALL);
    const [first, running] = bundle?.revisions ?? [];
    if (bundle === undefined || first === undefined || running === undefined) throw new Error('There are two.');
    const record = await readRecord(files, bundle, first);
    expect([record.status, record.labels.status, JSON.parse(record.json).info.status]).toEqual([
      becomes,
      same,
      becomes,
    ]);
    expect(await readRecord(files, bundle, running)).toMatchObject({ status: 'deployed' });
  });

  test('changes no byte of a record whose status can stay', async () => {
    const json =
      '{"name":"web","info":{"status":"deployed","x":-0},"version":1,"config":{"big":12345678901234567890},"manifest":"\\u003ca\\u003e"}';
    const files = await archiveOf([{ json }]);
    const [bundle] = await readBundles(files, ALL);
    if (bundle?.running === undefined) throw new Error('It runs.');
    expect((await readRecord(files, bundle, bundle.running)).json).toBe(json);
  });
});
