import { describe, expect, it } from 'vitest';
import {
  addressOf,
  idOfKey,
  keyOfAddress,
  keysBeginWith,
  lastNameOf,
  parseS3Place,
  snapshotKey,
  treesBeginWith,
} from '../../../src/backends/s3-place.ts';

describe('a place in S3', () => {
  it.each([
    ['s3://backups', '', 's3://backups/transship-26-01-31_12-00-00.tar.zst'],
    ['s3://backups/', '', 's3://backups/transship-26-01-31_12-00-00.tar.zst'],
    ['s3://backups/a/b', 'a/b/', 's3://backups/a/b/transship-26-01-31_12-00-00.tar.zst'],
    ['s3://backups/a/b/', 'a/b/', 's3://backups/a/b/transship-26-01-31_12-00-00.tar.zst'],
    ['s3://my.backups-1/ä b', 'ä b/', 's3://my.backups-1/ä b/transship-26-01-31_12-00-00.tar.zst'],
  ])('%s keeps its snapshots under %j', (path, prefix, address) => {
    const place = parseS3Place(path);
    expect(place.prefix).toBe(prefix);
    const key = snapshotKey(place, '26-01-31_12-00-00', '.tar.zst');
    expect(addressOf(place, key)).toBe(address);
    expect(keyOfAddress(place, address)).toBe(key);
    expect(idOfKey(place, key)).toBe('26-01-31_12-00-00');
  });

  it('keeps files of Helm releases beside archives', () => {
    const place = parseS3Place('s3://backups/a');
    const key = snapshotKey(place, '26-01-31_12-00-00', '.gz');
    expect(key).toBe('a/helm-releases-26-01-31_12-00-00.gz');
    expect(idOfKey(place, key)).toBe('26-01-31_12-00-00');
    expect(keysBeginWith(place, '26-01')).toEqual(['a/transship-26-01', 'a/helm-releases-26-01']);
  });

  it.each(['s3:/backups', 's3://', 's3://Backups', 's3://a', 'https://backups', './folder', 's3://-a-/x'])(
    'is not %s',
    (path) => {
      expect(() => parseS3Place(path)).toThrow(
        expect.objectContaining({
          code: 'INPUT',
          message: `path: "${path}" is not a place in S3. Give s3://bucket or s3://bucket/prefix.`,
        }),
      );
    },
  );

  it.each([
    [
      's3://backups/stage/transship-26-01-31_12-00-00.tar.zst',
      'Give s3://backups/stage as path and 26-01-31_12-00-00 as snapshot.',
    ],
    ['s3://backups/backup.tar.gz', 'Give s3://backups.'],
    [
      's3://backups/stage/helm-releases-26-01-31_12-00-00.gz',
      'Give s3://backups/stage as path and 26-01-31_12-00-00 as snapshot.',
    ],
  ])('is not the address of one object, %s', (path, hint) => {
    expect(() => parseS3Place(path)).toThrow(expect.objectContaining({ code: 'INPUT', hint }));
  });

  it.each([
    'a/transship-26-01-31_12-00-00.tar.zst/deeper',
    'a/b/transship-26-01-31_12-00-00.tar.zst',
    'a/other-26-01-31_12-00-00.tar.zst',
    'a/transship-notes.txt',
    'transship-26-01-31_12-00-00.tar.zst',
  ])('takes no notice of an object %s', (key) => {
    expect(idOfKey(parseS3Place('s3://backups/a'), key)).toBeUndefined();
  });

  it.each([
    ['s3://backups', 'stage/backup/', 'backups'],
    ['s3://backups/a/b/', 'a/b/stage/backup/', 'b'],
  ])('%s keeps the trees of a cluster under %s, and is called %s itself', (path, start, name) => {
    expect(treesBeginWith(parseS3Place(path), 'stage')).toBe(start);
    expect(lastNameOf(parseS3Place(path))).toBe(name);
  });

  it('does not read an address in another bucket', () => {
    expect(() => keyOfAddress(parseS3Place('s3://backups/a'), 's3://backups2/a/x')).toThrow(
      's3://backups2/a/x is not in s3://backups/.',
    );
  });
});
