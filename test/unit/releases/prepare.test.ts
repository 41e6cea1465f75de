import { describe, expect, test } from 'vitest';
import { readBundles } from '../../../src/releases/bundles.ts';
import { createRecordMapper } from '../../../src/releases/map-record.ts';
import { type PreparedRelease, prepareReleases } from '../../../src/releases/prepare.ts';
import { archiveOf } from './bundle-files.ts';
import type { RecordSpec } from './make-record.ts';

interface Prepared {
  readonly releases: PreparedRelease[];
  readonly looked: string[];
}

async function prepare(specs: RecordSpec[], map: Record<string, string> = {}, major: 3 | 4 = 4): Promise<Prepared> {
  const files = await archiveOf(specs);
  const bundles = await readBundles(files, { namespaces: [], exclude: [], history: 'all' });
  const looked: string[] = [];
  const mapper = createRecordMapper(new Map(Object.entries(map)));
  const releases = await prepareReleases(files, bundles, mapper, major, ({ key }, { revision }) => {
    looked.push(`${key} ${revision}`);
  });
  return { releases, looked };
}

/** A manifest that names its namespace often. */
const CONFIGS = `---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: c, namespace: shop }\n`.repeat(9_000);

describe('prepareReleases', () => {
  test('describes each release as it will be, by the revision that runs or else by the newest', async () => {
    const { releases, looked } = await prepare(
      [
        { release: 'web', revision: 4, status: 'superseded' },
        { release: 'web', revision: 5, status: 'deployed' },
        { release: 'web', revision: 6, status: 'failed' },
        { release: 'gone', revision: 1, status: 'uninstalled', chart: {} },
      ],
      { shop: 'prod' },
    );
    expect(releases.map(({ row }) => row)).toEqual([
      {
        ...{ name: 'gone', namespace: 'prod', chart: '', chartVersion: '', appVersion: '' },
        ...{ revision: 1, status: 'uninstalled', revisions: 1 },
      },
      {
        ...{ name: 'web', namespace: 'prod', chart: 'app', chartVersion: '1.2.3', appVersion: '9.9' },
        ...{ revision: 5, status: 'deployed', revisions: 3 },
      },
    ]);
    expect(looked).toEqual(['prod/web/secret 5']);
  });

  test('loads records as they are to stand: mapped, with the status they can have', async () => {
    const { releases } = await prepare([{ revision: 1 }, { revision: 2 }], { shop: 'prod' });
    const [release] = releases;
    const [first] = release?.bundle.revisions ?? [];
    if (release === undefined || first === undefined) throw new Error('There is one.');
    const record = await release.load(first);
    expect(record).toMatchObject({ namespace: 'prod', status: 'superseded' });
    expect(JSON.parse(record.json)).toMatchObject({ namespace: 'prod', apply_method: 'ssa' });
  });

  test('takes the apply method from records that Helm 3 is to keep, and nothing else', async () => {
    const { releases } = await prepare([{}], {}, 3);
    const [four] = (await prepare([{}])).releases;
    const [three] = releases;
    if (four?.bundle.running === undefined || three?.bundle.running === undefined) throw new Error('It runs.');
    const { apply_method, ...rest } = JSON.parse((await four.load(four.bundle.running)).json);
    expect(apply_method).toBe('ssa');
    expect(JSON.parse((await three.load(three.bundle.running)).json)).toEqual(rest);
  });

  test.each<[string, RecordSpec, RecordSpec]>([
    ['of one driver', { namespace: 'a' }, { namespace: 'b' }],
    ['of both drivers', { namespace: 'a' }, { namespace: 'b', driver: 'configmap' }],
  ])('refuses two releases that the map would make one, %s', async (_, one, other) => {
    await expect(prepare([one, other], { a: 'prod', b: 'prod' })).rejects.toMatchObject({
      code: 'INPUT',
      message: 'namespace-map: release web of a and of b would both become prod/web.',
    });
  });

  test('refuses a release that would take the place of one that stays', async () => {
    await expect(prepare([{ namespace: 'a' }, { namespace: 'b' }], { a: 'b' })).rejects.toMatchObject({
      code: 'INPUT',
    });
  });

  test('lets namespaces change places, and one release be kept by both drivers', async () => {
    const swapped = await prepare([{ namespace: 'a' }, { namespace: 'b' }], { a: 'b', b: 'a' });
    expect(swapped.releases.map(({ namespace }) => namespace)).toEqual(['b', 'a']);
    const twins = await prepare([{ driver: 'secret' }, { driver: 'configmap' }]);
    expect(twins.releases.map(({ key }) => key)).toEqual(['shop/web/configmap', 'shop/web/secret']);
    expect(twins.looked).toHaveLength(1);
  });

  test('refuses a record that only the map makes too large', async () => {
    const long = 'n'.repeat(63);
    // Stored as plain JSON: gzip would make nothing of what repeats.
    const specs: RecordSpec[] = [{ manifest: CONFIGS, plain: true }, { revision: 2 }];
    await prepare(specs, { shop: 'prod' });
    await expect(prepare(specs, { shop: long })).rejects.toMatchObject({
      code: 'RECORD_INVALID',
      message: expect.stringMatching(new RegExp(`^Revision 1 of release ${long}/web has \\d+ bytes packed`)),
    });
  });
});
