import { describe, expect, test } from 'vitest';
import { readBundles } from '../../../src/releases/bundles.ts';
import { createRecordMapper } from '../../../src/releases/map-record.ts';
import { prepareReleases } from '../../../src/releases/prepare.ts';
import { decodeRecord } from '../../../src/releases/record.ts';
import { findTargetReleases } from '../../../src/releases/target-releases.ts';
import { contentDigest, findUnchanged } from '../../../src/releases/unchanged.ts';
import { archiveOf } from './bundle-files.ts';
import { makeJson, makeObject, type RecordSpec } from './make-record.ts';
import { type MemoryCluster, memoryCluster } from './memory-cluster.ts';
import { putAll } from './restore-options.ts';

const pathOf = (revision: number) => `/api/v1/namespaces/prod/secrets/sh.helm.release.v1.web.v${revision}`;

async function prepare(specs: RecordSpec[]) {
  const files = await archiveOf(specs);
  const bundles = await readBundles(files, { namespaces: [], exclude: [], history: 'all' });
  return prepareReleases(files, bundles, createRecordMapper(new Map([['shop', 'prod']])), 4, () => {});
}

/** Whether the releases of the archive are unchanged, by key, in a cluster that has them, and then was changed. */
async function unchangedAfter(specs: RecordSpec[], change: (cluster: MemoryCluster) => void, replace = false) {
  const releases = await prepare(specs);
  const cluster = memoryCluster();
  await putAll(cluster, releases);
  change(cluster);
  const existing = await findTargetReleases(cluster, releases);
  return findUnchanged(cluster, releases, existing, { replace });
}

const HISTORY: RecordSpec[] = [{ revision: 1 }, { revision: 2, status: 'pending-rollback' }, { revision: 3 }];

describe('a release of the target', () => {
  test('is unchanged when each of its records is what the import would write, status and all', async () => {
    const unchanged = await unchangedAfter(HISTORY, () => {});
    expect([...unchanged]).toMatchObject([['prod/web/secret', { revision: 3, status: 'deployed' }]]);
  });

  test('of which nothing runs is unchanged, too', async () => {
    const unchanged = await unchangedAfter([{ status: 'uninstalled' }], () => {});
    expect([...unchanged]).toMatchObject([['prod/web/secret', { status: 'uninstalled' }]]);
  });

  test.each<[string, (cluster: MemoryCluster) => void]>([
    ['has one record more', ({ objects }) => objects.set(pathOf(4), makeObject({ namespace: 'prod', revision: 4 }))],
    ['lacks one', ({ objects }) => objects.delete(pathOf(1))],
    ['lacks all', ({ objects }) => objects.clear()],
    [
      'has another one',
      ({ objects }) =>
        objects.set(pathOf(1), makeObject({ namespace: 'prod', status: 'superseded', manifest: '# other\n' })),
    ],
    [
      'has one that stands in for an original',
      ({ objects }) => {
        const annotations = { 'transship.dev/frozen': 'upgrade:abc' };
        const object = objects.get(pathOf(3));
        if (object !== undefined) object.metadata.annotations = annotations;
      },
    ],
  ])('is not, when it %s', async (_, change) => {
    expect((await unchangedAfter(HISTORY, change)).size).toBe(0);
  });
});

describe('with replace, a release of the target', () => {
  const running = { manifest: '# runs\n' };
  const original: RecordSpec = { revision: 3, ...running };
  /** The target has the release under a history of its own, the newest revision as given. */
  const own = (newest: RecordSpec) => (cluster: MemoryCluster) => {
    cluster.objects.clear();
    for (const spec of [
      { revision: 7, status: 'superseded' },
      { revision: 8, ...newest },
    ]) {
      cluster.objects.set(pathOf(spec.revision), makeObject({ namespace: 'prod', ...spec }));
    }
  };

  test('is unchanged when what is deployed last is what would be', async () => {
    const unchanged = await unchangedAfter([original], own(running), true);
    expect([...unchanged]).toMatchObject([['prod/web/secret', { revision: 8, status: 'deployed' }]]);
    expect((await unchangedAfter([original], own(running), false)).size).toBe(0);
  });

  test.each<[string, RecordSpec]>([
    ['another manifest', { manifest: '# other\n' }],
    ['another chart', { ...running, chart: { metadata: { name: 'app', version: '2.0.0' } } }],
    ['failed', { ...running, status: 'failed' }],
    ['no readable record', { json: '{' }],
  ])('is not, when it has %s', async (_, newest) => {
    expect((await unchangedAfter([original], own(newest), true)).size).toBe(0);
  });
});

describe('contentDigest', () => {
  const digest = async (fields: object) => {
    const record = await decodeRecord(makeObject());
    return contentDigest({ ...record, json: JSON.stringify({ ...JSON.parse(makeJson()), ...fields }) });
  };

  test('is the same whatever the times, revision and order of keys, and when hooks ran', async () => {
    const hook = { name: 'a', kind: 'Job', path: 'x', manifest: 'y' };
    const one = await digest({ version: 1, config: { a: 1, b: { c: 2, d: 3 } }, hooks: [{ ...hook, last_run: {} }] });
    const config = { b: { d: 3, c: 2 }, a: 1 };
    expect(await digest({ version: 2, info: { status: 'failed' }, config, hooks: [hook] })).toBe(one);
    expect(await digest({ config, hooks: [{ ...hook, manifest: 'z' }] })).not.toBe(one);
    expect(await digest({ config: { ...config, a: 2 }, hooks: [hook] })).not.toBe(one);
  });

  test('takes no values and no hooks for empty ones', async () => {
    expect(await digest({ config: null, hooks: null })).toBe(await digest({ config: {}, hooks: undefined }));
  });

  test('tells numbers apart that JavaScript can not', async () => {
    const record = await decodeRecord(makeObject());
    const of = (number: string) => contentDigest({ ...record, json: `{"config":{"n":${number}}}` });
    expect(of('12345678901234567890')).not.toBe(of('12345678901234567891'));
  });
});
