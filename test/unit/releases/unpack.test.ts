import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { readStoredRecord, type StoredRecord } from '../../../src/releases/record.ts';
import { unpackRecords } from '../../../src/releases/unpack.ts';
import { makeJson, makeObject, type RecordSpec } from './make-record.ts';

function stored(spec: RecordSpec): StoredRecord {
  const record = readStoredRecord(makeObject(spec));
  if (record === undefined) throw new Error('no record');
  return record;
}

const textsOf = async (specs: readonly RecordSpec[]) =>
  (await unpackRecords(specs.map(stored))).map(({ encoding, bytes }) => [encoding, bytes.toString()]);

const long = makeJson({ release: 'long', manifest: Array.from({ length: 9999 }, (_, i) => i).join() });

test('records unpacked together are the same as one by one, packed or plain, of both drivers, of any size', async () => {
  expect(
    await textsOf([
      { release: 'a' },
      { release: 'plain', plain: true },
      { release: 'long', json: long },
      { release: 'map', driver: 'configmap' },
      { release: 'plain-map', driver: 'configmap', plain: true },
      { release: 'b' },
    ]),
  ).toEqual([
    ['gzip', makeJson({ release: 'a' })],
    ['plain', makeJson({ release: 'plain' })],
    ['gzip', long],
    ['gzip', makeJson({ release: 'map' })],
    ['plain', makeJson({ release: 'plain-map' })],
    ['gzip', makeJson({ release: 'b' })],
  ]);
});

test('a payload of several gzip members, which Helm reads as one, is read as one', async () => {
  const json = makeJson({ release: 'parts' });
  const parts = Buffer.concat([gzipSync(json.slice(0, 50)), gzipSync(json.slice(50))]).toString('base64');
  expect(await textsOf([{ release: 'a' }, { release: 'parts', driver: 'configmap', payload: parts }])).toEqual([
    ['gzip', makeJson({ release: 'a' })],
    ['gzip', json],
  ]);
});

const long64 = 'QUJD'.repeat(100);
const chartOf = (...files: { name: string; data: string }[]) => ({ metadata: { name: 'app' }, files });
const releaseOf = async (spec: RecordSpec) => (await unpackRecords([stored(spec)]))[0]?.release;

test("the contents of a chart's files are not parsed, and all else is", async () => {
  const files = [
    { name: 'a \\"data\\":\\"', data: long64 },
    { name: 'b', data: 'QUJD' },
  ];
  const spec = { chart: chartOf(...files), manifest: `{"data":"${long64}"}` };
  const whole = JSON.parse(makeJson(spec));
  whole.chart.files[0].data = '';
  expect(await releaseOf(spec)).toEqual(whole);
});

test('a long text that is no base64 is parsed, whatever is in it', async () => {
  const spec = { chart: chartOf({ name: 'a', data: `${long64}"data":"${long64}\\` }, { name: 'b', data: 'QUJD' }) };
  expect(await releaseOf(spec)).toEqual(JSON.parse(makeJson(spec)));
});

test('the CRDs of a chart are parsed', async () => {
  const spec = { chart: chartOf({ name: 'crds/a.yaml', data: long64 }) };
  expect(await releaseOf(spec)).toEqual(JSON.parse(makeJson(spec)));
});

test('no records are no work', async () => {
  expect(await unpackRecords([])).toEqual([]);
});

test.each([
  ['cut in the middle', (packed: Buffer) => packed.subarray(0, packed.byteLength >> 1)],
  ['cut before its checksum', (packed: Buffer) => packed.subarray(0, -8)],
  [
    'with a wrong checksum',
    (packed: Buffer) => Buffer.concat([packed.subarray(0, -8), Buffer.alloc(4), packed.subarray(-4)]),
  ],
  ['with a wrong size', (packed: Buffer) => Buffer.concat([packed.subarray(0, -4), Buffer.from([1, 0, 0, 0])])],
  ['that claims to be huge', (packed: Buffer) => Buffer.concat([packed.subarray(0, -4), Buffer.alloc(4, 0xff)])],
  ['of three bytes', (packed: Buffer) => packed.subarray(0, 3)],
])('among many, the one %s is named', async (_, damage) => {
  const payload = damage(gzipSync(makeJson({ release: 'bad' }))).toString('base64');
  const specs: RecordSpec[] = [{ release: 'a' }, { release: 'bad', driver: 'configmap', payload }, { release: 'b' }];
  await expect(unpackRecords(specs.map(stored))).rejects.toMatchObject({
    code: 'RECORD_INVALID',
    message: expect.stringMatching(
      /^ConfigMap shop\/sh\.helm\.release\.v1\.bad\.v1 is no readable .* can't be decompressed: /,
    ),
  });
});

test('a payload that would fill the memory is refused', async () => {
  const bomb = gzipSync(Buffer.alloc(129 * 1024 * 1024), { level: 1 }).toString('base64');
  await expect(unpackRecords([stored({ driver: 'configmap', payload: bomb })])).rejects.toThrow(
    "can't be decompressed",
  );
});
