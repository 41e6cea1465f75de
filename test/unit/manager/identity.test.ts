import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { isSameManager, isSamePath, managerOf, nameManager, normalisePath } from '../../../src/manager/identity.ts';

it.each([
  ['s3://b', 's3://b'],
  ['s3://b/', 's3://b'],
  ['s3://b//p/q//', 's3://b/p/q'],
  ['/data/snapshots/', '/data/snapshots'],
  ['/data/./a/../b', '/data/b'],
  ['snapshots', resolve('snapshots')],
])('%s is the place %s', (path, normal) => {
  expect(normalisePath(path)).toBe(normal);
  expect(isSamePath(path, normal)).toBe(true);
});

it('two prefixes of a bucket are two places', () => {
  expect(isSamePath('s3://b/stage', 's3://b/stage-2')).toBe(false);
});

it('is made of a name as users write it', () => {
  expect(managerOf({ cluster: 'c1', name: 'ops/transship', path: 's3://b/p/' })).toEqual({
    ...{ cluster: 'c1', namespace: 'ops', release: 'transship', path: 's3://b/p' },
  });
  expect(managerOf({ cluster: undefined, name: 'ops/transship', path: 's3://b' })).toEqual({
    ...{ namespace: 'ops', release: 'transship', path: 's3://b' },
  });
});

const manager = managerOf({ cluster: 'c1', name: 'ops/transship', path: 's3://b/p' });

it.each([
  ['cluster', { cluster: 'c2' }],
  ['unknown cluster', { cluster: undefined }],
  ['namespace', { namespace: 'dev' }],
  ['release', { release: 'second' }],
])('one of another %s is another', (_, change) => {
  expect(isSameManager(manager, { ...manager, ...change })).toBe(false);
});

it('the same one may call the path another name', () => {
  expect(isSameManager(manager, { ...manager, path: '/mnt/p' })).toBe(true);
});

it('is named by release, namespace and cluster, as far as known', () => {
  expect(nameManager(manager)).toBe('release transship in namespace ops of cluster c1');
  expect(nameManager({ namespace: 'ops', release: 'transship' })).toBe('release transship in namespace ops');
});
