import { gunzipSync, gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { beforeAll, describe, expect, test } from 'vitest';
import { entryOf } from '../../../src/archive/entry.ts';
import { ExportSchema } from '../../../src/helm-export/generated/hapi/export_pb.ts';
import { CRDS_ENTRY, decodeFile, readFile, recordEntry, SNAPSHOT_ENTRY, writeFile } from './helpers.ts';

let file: Buffer;
let message: Buffer;

beforeAll(async () => {
  file = await writeFile([SNAPSHOT_ENTRY, await recordEntry({ manifest: 'x'.repeat(200) }), CRDS_ENTRY]);
  message = gunzipSync(file);
});

const codeOf = (bytes: Uint8Array) =>
  readFile(bytes).then(
    () => 'read',
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  );
const messageOf = (bytes: Uint8Array) =>
  readFile(bytes).then(
    () => 'read',
    (error: unknown) => (error instanceof Error ? error.message : error),
  );

describe('a helm-export file that is damaged is refused as a damaged archive', () => {
  test('when it is cut, at whatever byte', async () => {
    for (let size = 0; size < file.byteLength; size++) {
      expect([size, await codeOf(file.subarray(0, size))]).toEqual([size, 'ARCHIVE_DAMAGED']);
    }
  }, 60_000);

  test('when its message is cut within a field, at whatever byte', async () => {
    const whole = await decodeFile(file);
    // What ends between two fields is a whole message.
    const ends = [{ metadata: whole.metadata }, { metadata: whole.metadata, releases: whole.releases }].map(
      ({ metadata, releases = [] }) =>
        toBinary(ExportSchema, create(ExportSchema, { ...(metadata && { metadata }), releases })).byteLength,
    );
    for (let size = 0; size < message.byteLength; size++) {
      const code = await codeOf(gzipSync(message.subarray(0, size), { level: 1 }));
      expect([size, code]).toEqual([size, ends.includes(size) ? 'read' : 'ARCHIVE_DAMAGED']);
    }
  }, 60_000);

  test('when a byte of it differs, at whatever place', async () => {
    for (let at = 0; at < file.byteLength; at += 1) {
      // In gzip's own head, the time and the system say nothing of the content.
      if (at >= 3 && at < 10) continue;
      const other = Buffer.from(file);
      other[at] = (other[at] ?? 0) ^ 0x55;
      expect([at, await codeOf(other)]).toEqual([at, 'ARCHIVE_DAMAGED']);
    }
  }, 60_000);

  test('when something follows it', async () => {
    for (const more of ['more', '\0more']) {
      expect(await codeOf(Buffer.concat([file, Buffer.from(more)]))).toBe('ARCHIVE_DAMAGED');
    }
    expect(await codeOf(gzipSync(Buffer.concat([message, Buffer.from('more')])))).toBe('ARCHIVE_DAMAGED');
  });

  test('when two are put together', async () => {
    expect(await messageOf(Buffer.concat([file, file]))).toBe(
      'The helm-export file has its metadata twice, or not first.',
    );
  });

  test('when it is no protobuf', async () => {
    expect(await messageOf(gzipSync('\x0b'))).toBe('The helm-export file is no protobuf: its field 1 has the type 3.');
    expect(await messageOf(gzipSync('\x00'))).toBe('The helm-export file is no protobuf: it has a field 0.');
    expect(await messageOf(gzipSync(Buffer.alloc(11, 0xff)))).toBe(
      'The helm-export file is no protobuf: it has a number of more than 10 bytes.',
    );
    expect(await messageOf(gzipSync('\x12\x02\x0a\x09'))).toMatch(
      /^The helm-export file is no protobuf of the kind: hapi\.release\.Release: /,
    );
    expect(await codeOf(gzipSync('\x12\x02\x0a\x09'))).toBe('ARCHIVE_DAMAGED');
  });

  test('when it is empty', async () => {
    expect(await messageOf(gzipSync(''))).toBe('The helm-export file is empty.');
  });

  test('when a field of it is larger than any record', async () => {
    const head = new BinaryWriter().tag(2, 2).uint32(0xffffffff).finish();
    expect(await messageOf(gzipSync(head))).toBe(
      'The helm-export file has a field 2 of 4294967295 bytes, more than the 142606336 of any record.',
    );
  });

  test.each([
    ['hooks', Buffer.from([0x32, 0])],
    ['events of a hook', Buffer.from([0x32, 2, 0x28, 1])],
    ['templates', Buffer.from([0x1a, 2, 0x12, 0])],
  ])('when it would unpack to millions of %s', async (_, bytes) => {
    const release = Buffer.concat(Array.from({ length: 300_000 }, () => bytes));
    const file = gzipSync(new BinaryWriter().tag(2, 2).bytes(release).finish());
    expect(await messageOf(file)).toBe(
      'The helm-export file has a release of more than 200000 values, which no release has.',
    );
  });

  test('when numbers side by side would fill the memory', async () => {
    const hook = new BinaryWriter().tag(5, 2).bytes(new Uint8Array(10_000_000)).finish();
    const release = new BinaryWriter().tag(6, 2).bytes(hook).finish();
    expect(await codeOf(gzipSync(new BinaryWriter().tag(2, 2).bytes(release).finish()))).toBe('ARCHIVE_DAMAGED');
  });

  test('when charts are in charts without end', async () => {
    let chart: Uint8Array = new Uint8Array();
    for (let depth = 0; depth < 1000; depth++) chart = new BinaryWriter().tag(3, 2).bytes(chart).finish();
    const file = gzipSync(new BinaryWriter().tag(2, 2).bytes(chart).finish());
    expect(await messageOf(file)).toBe('The helm-export file has messages more than 32 deep.');
  });

  test('when a field is not there that its record was made of', async () => {
    const whole = await decodeFile(file);
    const [release] = whole.releases;
    if (release?.transshipRecord?.json[0] === undefined) throw new Error('there is no record');
    release.transshipRecord.json[0].cut = 8;
    release.transshipRecord.json[0].index = 5;
    expect(await messageOf(gzipSync(toBinary(ExportSchema, whole)))).toBe(
      'Revision 1 of release shop/web is not whole: a field that its record is made of is missing.',
    );
  });

  test('when its snapshot is none', async () => {
    const whole = await decodeFile(file);
    if (whole.metadata !== undefined) whole.metadata.transshipSnapshot = Buffer.from('{}');
    expect(await codeOf(gzipSync(toBinary(ExportSchema, whole)))).toBe('ARCHIVE_DAMAGED');
  });
});

describe('a helm-export file can not lead anywhere', () => {
  test.each(['../x', '/etc/passwd', '_snapshot.json', 'a\\b'])('with a file %s', async (path) => {
    const whole = await decodeFile(file);
    whole.transshipFiles = [{ $typeName: 'transship.helm_export.File', path, content: Buffer.from('x') }];
    expect(await codeOf(gzipSync(toBinary(ExportSchema, whole)))).toBe('ARCHIVE_UNSUPPORTED');
  });

  test('with a record at the path of something else', async () => {
    const whole = await decodeFile(file);
    const [release] = whole.releases;
    if (release?.transshipRecord !== undefined) release.transshipRecord.path = 'customresourcedefinitions.json';
    expect(await messageOf(gzipSync(toBinary(ExportSchema, whole)))).toBe(
      'Revision 1 of release shop/web has the path "customresourcedefinitions.json", which is not that of a record.',
    );
  });

  test('with a file at the path of a record', async () => {
    const whole = await decodeFile(file);
    whole.transshipFiles = [
      { $typeName: 'transship.helm_export.File', path: '_releases/shop/web/9.json', content: Buffer.from('{}') },
    ];
    expect(await codeOf(gzipSync(toBinary(ExportSchema, whole)))).toBe('ARCHIVE_DAMAGED');
  });

  test('nor is one written of entries that have no snapshot first', async () => {
    await expect(writeFile([entryOf('a.json', '{}')])).rejects.toThrow('A snapshot starts with _snapshot.json.');
  });
});
