import { expect, test } from 'vitest';
import type { Driver } from '../../../src/releases/record.ts';
import { selectByRelease } from '../../../src/releases/select-records.ts';
import { readAll } from './make-record.ts';

function recordOf(id: string, driver: Driver = 'secret') {
  const [namespace = '', release = '', revision = ''] = id.split('/');
  return { driver, namespace, release, objectName: `sh.helm.release.v1.${release}.v${revision}`, id };
}

/** Sorted by namespace and object name, as the server lists them. */
const sorted = (ids: readonly string[]) =>
  ids
    .map((id) => recordOf(id))
    .sort((a, b) => (`${a.namespace}/${a.objectName}` < `${b.namespace}/${b.objectName}` ? -1 : 1));

async function* streamOf<T>(items: readonly T[]) {
  yield* items;
}

test('the records of a release are chosen from together, also among those of releases whose names look alike', async () => {
  const groups: string[][] = [];
  const ids = [
    'n/rel/1',
    'n/rel/2',
    'n/rel/3',
    'n/rel.v2/1',
    'n/rel.v2/10',
    'n/rel.v2.v1/1',
    'n/rel-a/1',
    'm/rel/4',
    'n/z/1',
  ];
  const stream = selectByRelease(streamOf(sorted(ids)), (records) => {
    groups.push(records.map(({ id }) => id));
    return records.slice(0, 1);
  });
  const kept = await readAll(stream);
  expect(groups.toSorted()).toEqual([
    ['m/rel/4'],
    ['n/rel-a/1'],
    ['n/rel.v2.v1/1'],
    ['n/rel.v2/1', 'n/rel.v2/10'],
    ['n/rel/1', 'n/rel/2', 'n/rel/3'],
    ['n/z/1'],
  ]);
  expect(kept).toHaveLength(6);
});

test("the two drivers' records of one name are two releases", async () => {
  const records = [recordOf('n/a/1'), recordOf('n/a/1', 'configmap'), recordOf('n/a/2')];
  const groups: string[] = [];
  await readAll(
    selectByRelease(streamOf(records), (group) => {
      groups.push(group.map(({ driver, id }) => `${driver} ${id}`).join());
      return [];
    }),
  );
  expect(groups).toEqual(['secret n/a/1,secret n/a/2', 'configmap n/a/1']);
});

test('no more than one release is held back', async () => {
  const chosen: string[] = [];
  const stream = selectByRelease(streamOf(sorted(['n/a/1', 'n/b/1', 'n/c/1'])), (records) => {
    chosen.push(records[0]?.release ?? '');
    return records;
  });
  await stream.next();
  expect(chosen).toEqual(['a']);
});
