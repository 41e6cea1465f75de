import { describe, expect, it } from 'vitest';
import { describePath, findOwner } from '../../../src/backends/place-paths.ts';

const ID = '26-01-31_12-00-00';
const PLAN = `${ID}-${'0a'.repeat(16)}.json`;

describe('a path is Transship’s by its name', () => {
  it.each([
    [`transship-${ID}.tar.zst`, { what: 'archive', id: ID, finished: true }],
    [`transship-${ID}.tar.zst.age`, { what: 'archive', id: ID, finished: true }],
    [`helm-releases-${ID}.gz`, { what: 'archive', id: ID, finished: true }],
    [`transship-${ID}.vms`, { what: 'group', id: ID }],
    [`stage/backup/${ID}`, { what: 'tree', id: ID, finished: true, cluster: 'stage' }],
    [`backup/backup/${ID}`, { what: 'tree', id: ID, finished: true, cluster: 'backup' }],
    [`backup/${ID}`, { what: 'tree', id: ID, finished: true }],
    [`plans/${PLAN}`, { what: 'plan' }],
    ['_manager.json', { what: 'lease' }],
  ])('%s, in a bucket and a folder', (path, kind) => {
    expect(describePath(path, 'bucket')).toEqual(kind);
    expect(describePath(path, 'folder')).toEqual(kind);
  });

  it.each([
    [`transship-${ID}.tar.zst.0123abcd.partial`, { what: 'archive', id: ID, finished: false }],
    [`stage/backup/${ID}.0123abcd.partial`, { what: 'tree', id: ID, finished: false, cluster: 'stage' }],
    [`plans/${PLAN}.0123abcd.partial`, { what: 'stray' }],
    [`transship-${ID}.tar.zst.lock`, { what: 'stray' }],
    ['_manager.0123abcd.partial', { what: 'stray' }],
    ['_manager.17.json', { what: 'lease' }],
  ])('%s, in a folder only', (path, kind) => {
    expect(describePath(path, 'folder')).toEqual(kind);
    expect(describePath(path, 'bucket')).toBeUndefined();
  });

  it.each([
    '',
    'notes.txt',
    `other-${ID}.tar.zst`,
    `transship-${ID}`,
    `transship-${ID}.zip`,
    `stage/other/${ID}`,
    `stage/backup/${ID}/manifest`,
    `stage/backup/${ID}.partial`,
    `stage/backup/notes`,
    `../backup/${ID}`,
    `a/b/backup/${ID}`,
    `stage/transship-${ID}.tar.zst`,
    'plans/notes.json',
    '_manager.json.txt',
  ])('and not %j', (path) => {
    expect(describePath(path, 'folder')).toBeUndefined();
  });
});

it('what is in a tree or a group belongs to it', () => {
  expect(findOwner(`stage/backup/${ID}/shop/pods.json`, 'bucket')).toBe(`stage/backup/${ID}`);
  expect(findOwner(`backup/${ID}/manifest`, 'bucket')).toBe(`backup/${ID}`);
  expect(findOwner(`transship-${ID}.vms/shop.db.tar.zst.parts/00001-abc`, 'bucket')).toBe(`transship-${ID}.vms`);
  expect(findOwner(`transship-${ID}.vms`, 'bucket')).toBeUndefined();
  expect(findOwner('stage/backup/notes.txt', 'bucket')).toBeUndefined();
});
