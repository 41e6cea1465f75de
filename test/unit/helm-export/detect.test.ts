import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { writeArchive } from '../../../src/archive/write.ts';
import { isHelmExport } from '../../../src/helm-export/detect.ts';
import { CREATED, joinBytes, recordEntry, SNAPSHOT_ENTRY, streamOf, writeFile } from './helpers.ts';

describe('a helm-export file', () => {
  test('is known by its first bytes', async () => {
    const message = gunzipSync(await writeFile([SNAPSHOT_ENTRY, await recordEntry({})]));
    expect(isHelmExport(message.subarray(0, 512))).toBe(true);
  });

  test.each([
    ['one without a time', '\x0a\x08\x12\x06v2.8.2'],
    ['one with empty metadata', '\x0a\x00\x12\x05\x0a\x03web'],
    ['one without metadata', '\x12\x05\x0a\x03web'],
  ])('is also %s', (_, text) => {
    expect(isHelmExport(Buffer.from(text))).toBe(true);
  });

  test('is no archive', async () => {
    const archive = writeArchive(streamOf([SNAPSHOT_ENTRY]), { compression: 'none', mtime: CREATED });
    expect(isHelmExport((await joinBytes(archive.bytes)).subarray(0, 512))).toBe(false);
  });

  test.each([
    ['nothing', ''],
    ['a line break', '\n'],
    ['text', '\nhello, world'],
    ['JSON', '{"a":1}'],
    ['zeros', '\0'.repeat(512)],
    ['a number without an end', `\x0a${'\u00ff'.repeat(9)}`],
  ])('is not %s', (_, text) => {
    expect(isHelmExport(Buffer.from(text, 'latin1'))).toBe(false);
  });
});
