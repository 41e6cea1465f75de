import { describe, expect, it } from 'vitest';
import {
  checkPartFile,
  formatMarker,
  formatRecord,
  groupIdOf,
  groupIdsAmong,
  groupName,
  isSamePart,
  nextId,
  parseMarker,
  parseRecord,
  partFileName,
  partNameOf,
} from '../../../src/backends/part-group.ts';

const ID = '26-01-31_12-00-00';
const DIGEST = `sha256:${'0a'.repeat(32)}`;

describe('names', () => {
  it('tell a group from other folders', () => {
    expect(groupIdOf(groupName(ID))).toBe(ID);
    for (const name of [
      'stage',
      `${ID}.vms`,
      `other-${ID}.vms`,
      `transship-${ID}.tar`,
      'transship-26-02-31_12-00-00.vms',
    ]) {
      expect(groupIdOf(name), name).toBeUndefined();
    }
    expect(groupIdsAmong([groupName(ID), 'x', groupName('26-02-01_00-00-00')])).toEqual(['26-02-01_00-00-00', ID]);
  });

  it('of parts end as their archives do', () => {
    expect(partFileName({ name: 'shop.db', compression: 'xz' })).toBe('shop.db.tar.xz');
    expect(partFileName({ name: 'shop.db', compression: 'none', encryptTo: ['age1'] })).toBe('shop.db.tar.age');
    expect(partNameOf('shop.db.tar.age')).toBe('shop.db');
    expect(partNameOf('_export.json')).toBeUndefined();
    expect(() => partFileName({ name: '../db', compression: 'xz' })).toThrow("can't be the name");
  });

  it('of a second later go over midnight', () => {
    expect(nextId('26-12-31_23-59-59')).toBe('27-01-01_00-00-00');
  });

  it('that a snapshot gives are two plain ones', () => {
    expect(checkPartFile(`transship-${ID}.vms/shop.db.tar.xz`)).toEqual([`transship-${ID}.vms`, 'shop.db.tar.xz']);
    for (const file of ['', 'a', 'a/', '/a', 'a/b/c', '../a', 'a/..', 'a/.b', 'a\\b/c', 'a/b\n']) {
      expect(() => checkPartFile(file), file).toThrow("can't be the name of a part");
    }
  });
});

describe('what is kept beside parts', () => {
  it('is read as it was written', () => {
    const marker = { id: ID, scope: 'all', begun: '2026-01-31T12:00:00.000Z', name: 'shop.db' };
    expect(parseMarker(Buffer.from(formatMarker(marker)))).toEqual(marker);
    const record = { name: 'shop.db', source: 'a', encryptTo: ['age1'], size: 5, digest: DIGEST };
    expect(parseRecord(Buffer.from(formatRecord(record)))).toEqual(record);
  });

  it('is nothing when it is cut or of another kind', () => {
    for (const text of ['', '{"id":', '[]', '{"id":1}']) expect(parseMarker(Buffer.from(text)), text).toBeUndefined();
    expect(parseMarker(undefined)).toBeUndefined();
    expect(parseRecord(Buffer.from('{"name":"a","source":"b","size":-1,"digest":"x"}'))).toBeUndefined();
  });

  it('counts only for the same source and the same keys', () => {
    const record = { name: 'a', source: 's', size: 1, digest: DIGEST };
    expect(isSamePart(record, { source: 's' })).toBe(true);
    expect(isSamePart(record, { source: 't' })).toBe(false);
    expect(isSamePart(record, { source: 's', encryptTo: ['age1'] })).toBe(false);
    expect(isSamePart({ ...record, encryptTo: ['age1'] }, { source: 's', encryptTo: ['age1'] })).toBe(true);
  });
});
