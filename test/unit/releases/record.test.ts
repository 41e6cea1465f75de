import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { TransshipError } from '../../../src/errors.ts';
import {
  decodeRecord,
  MAX_RECORD_BYTES,
  parseRelease,
  readStoredRecord,
  recordToObject,
} from '../../../src/releases/record.ts';
import { makeJson, makeObject, type RecordSpec } from './make-record.ts';

/** Everything that JSON.parse and JSON.stringify would change. */
const DELICATE = `{"name":"web","info":{"status":"deployed","notes":"\\u003ca\\u003e \\u2028 \\/ é 😀"},"config":{"big":12345678901234567890,"zero":-0,"e":1e2, "dup":1,"dup":2},"version":1}`;

async function failureOf(spec: RecordSpec): Promise<TransshipError> {
  const error = await decodeRecord(makeObject(spec)).catch((caught: unknown) => caught);
  if (!(error instanceof TransshipError)) throw new Error('it was decoded');
  return error;
}

describe('decodeRecord', () => {
  test.each([
    ['a gzipped Secret', 'secret', false],
    ['a gzipped ConfigMap', 'configmap', false],
    ['a plain Secret', 'secret', true],
    ['a plain ConfigMap', 'configmap', true],
  ] as const)('gives the JSON of %s byte for byte', async (_, driver, plain) => {
    const record = await decodeRecord(makeObject({ driver, plain, json: DELICATE, labels: { team: 'a' } }));
    expect(record).toEqual({
      driver,
      namespace: 'shop',
      objectName: 'sh.helm.release.v1.web.v1',
      labels: { owner: 'helm', name: 'web', version: '1', status: 'deployed', createdAt: '1', team: 'a' },
      annotations: undefined,
      release: 'web',
      revision: 1,
      status: 'deployed',
      encoding: plain ? 'plain' : 'gzip',
      json: DELICATE,
    });
  });

  test('reads release and revision from the right end of the name', async () => {
    const record = await decodeRecord(makeObject({ release: 'a.v2', revision: 13 }));
    expect([record.release, record.revision]).toEqual(['a.v2', 13]);
  });

  test('unpacks a payload that is large enough for the thread pool', async () => {
    const notes = randomBytes(100_000).toString('hex');
    const json = `{"name":"web","version":1,"info":{"notes":"${notes}"}}`;
    expect((await decodeRecord(makeObject({ json }))).json).toBe(json);
  });

  test.each<[string, RecordSpec, string]>([
    ['no payload', { payload: '' }, 'it has no data.release'],
    [
      'a payload that is neither',
      { payload: Buffer.from('aGVsbG8=').toString('base64') },
      'its payload is neither gzip nor JSON',
    ],
    ['gzip of something else', { json: 'hello' }, 'its payload is not JSON'],
    ['JSON that is no release', { json: '[]' }, 'its payload is JSON, but no release'],
    ['a hook without a manifest', { json: '{"name":"web","version":1,"info":{},"hooks":[{}]}' }, 'but no release'],
    ['another release', { json: makeJson({ release: 'other', revision: 7 }) }, 'its payload is revision 7 of other'],
    ['labels of another release', { labels: { name: 'other' } }, 'its labels say revision 1 of other'],
    ['labels of another revision', { labels: { version: '3' } }, 'its labels say revision 3 of web'],
  ])('refuses a record with %s, naming it and what is wrong', async (_, spec, problem) => {
    const error = await failureOf({ ...spec, namespace: 'prod' });
    expect(error.code).toBe('RECORD_INVALID');
    expect(error.message).toContain('Secret prod/sh.helm.release.v1.web.v1 is no readable Helm release record: ');
    expect(error.message).toContain(problem);
  });

  test('refuses a payload that was cut short or has a flipped bit', async () => {
    const object = makeObject({ driver: 'configmap', json: makeJson({ manifest: randomBytes(500).toString('hex') }) });
    const packed = Buffer.from(String((object.data as { release: string }).release), 'base64');
    const flipped = Buffer.from(packed);
    flipped.writeUInt8(flipped.readUInt8(300) ^ 1, 300);
    for (const damaged of [packed.subarray(0, 200), packed.subarray(0, -4), flipped]) {
      const error = await failureOf({ driver: 'configmap', payload: damaged.toString('base64') });
      expect(error.message).toContain("its payload can't be decompressed: ");
    }
  });

  test('refuses a plain payload that is not UTF-8', async () => {
    const bytes = Buffer.from(makeJson({ manifest: 'x?x' }));
    bytes[bytes.indexOf('?')] = 0xff;
    const error = await failureOf({ driver: 'configmap', payload: bytes.toString('base64') });
    expect(error.message).toContain('its payload is not UTF-8');
  });

  test('does not quote the payload in its message, for that may hold secrets', async () => {
    const error = await failureOf({ json: '{"name":"web","config":{"password":"hunter2"' });
    expect(error.message).not.toContain('hunter2');
    expect(String(error.cause)).not.toContain('hunter2');
  });

  test('refuses an object that is no record at all', async () => {
    const object = makeObject();
    object.metadata.name = 'sh.helm.release.v1.web';
    await expect(decodeRecord(object)).rejects.toThrow('Secret shop/sh.helm.release.v1.web is no Helm release record.');
  });
});

describe('readStoredRecord', () => {
  test.each([
    'web',
    'sh.helm.release.v1.web.v0',
    'sh.helm.release.v1.web.v01',
    'sh.helm.release.v1..v',
    'sh.helm.release.v1.web.v1.bak',
  ])('takes an object named %s for no record', (name) => {
    const object = makeObject();
    object.metadata.name = name;
    expect(readStoredRecord(object)).toBeUndefined();
  });

  test('does not look at the type of a Secret, as Helm does not', () => {
    expect(readStoredRecord({ ...makeObject(), type: 'Opaque' })?.release).toBe('web');
  });
});

describe('recordToObject', () => {
  test.each([
    ['secret', false],
    ['secret', true],
    ['configmap', false],
    ['configmap', true],
  ] as const)('makes the object that decodes to the same record (%s, plain: %s)', async (driver, plain) => {
    const record = await decodeRecord(makeObject({ driver, plain, json: DELICATE, labels: { team: 'a' } }));
    const object = await recordToObject(record);
    expect(await decodeRecord(object)).toEqual(record);
  });

  test("makes a Secret of Helm's type with all labels, and nothing the server owns", async () => {
    const { data, ...rest } = await recordToObject(await decodeRecord(makeObject({ labels: { team: 'a' } })));
    expect(rest).toEqual({
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'helm.sh/release.v1',
      metadata: {
        name: 'sh.helm.release.v1.web.v1',
        namespace: 'shop',
        labels: { owner: 'helm', name: 'web', version: '1', status: 'deployed', createdAt: '1', team: 'a' },
      },
    });
    expect(Object.keys(data as object)).toEqual(['release']);
  });

  test('packs the same record into the same bytes every time', async () => {
    const record = await decodeRecord(makeObject());
    expect(await recordToObject(record)).toEqual(await recordToObject(record));
  });

  test.each(['secret', 'configmap'] as const)('refuses a %s of more than 1 MiB packed', async (driver) => {
    const fill = (length: number) => `{"name":"web","version":1,"info":{"notes":"${'n'.repeat(length)}"}}`;
    const fits = (MAX_RECORD_BYTES / 4) * 3 - fill(0).length;
    const record = await decodeRecord(makeObject({ driver, plain: true, json: fill(fits) }));
    await expect(recordToObject(record)).resolves.toBeDefined();
    await expect(recordToObject({ ...record, json: fill(fits + 1) })).rejects.toThrow(
      'Revision 1 of release shop/web has 1048580 bytes packed, more than the 1048576 that a',
    );
  });
});

test('parseRelease gives the parts of a release', async () => {
  const release = parseRelease(await decodeRecord(makeObject({ release: 'web', revision: 4 })));
  expect([release.name, release.version, release.chart?.metadata?.version]).toEqual(['web', 4, '1.2.3']);
});
