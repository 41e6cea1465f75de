import { describe, expect, test } from 'vitest';
import { entryOf } from '../../../src/archive/entry.ts';
import { type Driver, decodeRecord, type ReleaseRecord } from '../../../src/releases/record.ts';
import { entryToRecord, isRecordPath, recordToEntry } from '../../../src/releases/record-entry.ts';
import { makeObject } from './make-record.ts';

const DELICATE =
  '{"name":"web", "info":{"notes":"\\u003c}\\n é \u2028"},"config":{"n":12345678901234567890,"z":-0},"version":3}\n';

async function makeRecord(driver: Driver = 'secret', plain = false): Promise<ReleaseRecord> {
  const object = makeObject({ driver, plain, revision: 3, json: DELICATE, labels: { team: 'a' } });
  object.metadata.annotations = { note: 'kept\nas it is' };
  return decodeRecord(object);
}

const toEntry = (record: ReleaseRecord, shadowed?: boolean) =>
  recordToEntry(record, Buffer.from(record.json), shadowed);
const textOf = async () => Buffer.from(toEntry(await makeRecord()).body as Buffer).toString();

describe('a record in an archive', () => {
  test('stands at _releases/<namespace>/<release>/<revision>.json', async () => {
    const { path } = toEntry(await makeRecord());
    expect(path).toBe('_releases/shop/web/3.json');
    expect([isRecordPath(path), isRecordPath('releases/x.json')]).toEqual([true, false]);
  });

  test('has its labels in the first line and the JSON exactly as stored in the rest', async () => {
    expect(await textOf()).toBe(
      '{"record":{"driver":"secret","namespace":"shop","release":"web","revision":3,"encoding":"gzip",' +
        '"labels":{"owner":"helm","name":"web","version":"3","status":"deployed","createdAt":"1","team":"a"},' +
        `"annotations":{"note":"kept\\nas it is"}},\n"release":${DELICATE}}\n`,
    );
  });

  test('leaves behind which environment it was brought for, and no other label', async () => {
    const record = await makeRecord();
    const labels = { ...record.labels, 'transship.dev/environment': 'pr-1' };
    const read = await entryToRecord(toEntry({ ...record, labels }));
    expect(read.labels).toEqual(record.labels);
  });

  test('is JSON to any reader', async () => {
    const parsed = JSON.parse(await textOf());
    expect([parsed.record.labels.team, parsed.release.info.notes]).toEqual(['a', '<}\n é \u2028']);
  });

  test.each([
    ['secret', false],
    ['secret', true],
    ['configmap', false],
  ] as const)('comes back the same (%s, plain: %s)', async (driver, plain) => {
    const record = await makeRecord(driver, plain);
    const entry = toEntry(record);
    expect(entry.size).toBe((entry.body as Buffer).byteLength);
    expect(await entryToRecord(entry)).toEqual(record);
  });

  test('has a name of its own when both drivers hold the revision', async () => {
    const record = await makeRecord('configmap');
    const entry = toEntry(record, true);
    expect(entry.path).toBe('_releases/shop/web/3.configmap.json');
    expect(await entryToRecord(entry)).toEqual(record);
  });

  test.each<[string, (text: string) => string]>([
    ['was cut short', (text) => text.slice(0, -2)],
    ['lost its first line', (text) => text.slice(text.indexOf('\n') + 1)],
    ['is one line', (text) => text.replaceAll('\n', '')],
    ['was printed again', (text) => JSON.stringify(JSON.parse(text), undefined, 1)],
    ['has another driver', (text) => text.replace('"secret"', '"sql"')],
    ['has an unknown field', (text) => text.replace('"record":{', '"record":{"more":1,')],
    ['has no labels', (text) => text.replace(/"labels":\{[^}]*\},/, '')],
    ['has a namespace that is a path', (text) => text.replace('"namespace":"shop"', '"namespace":"../shop"')],
    ['is of another release', (text) => text.replace('"release":"web"', '"release":"other"')],
    ['is of another revision', (text) => text.replace('"revision":3', '"revision":4')],
    ['has a release that is not JSON', (text) => text.replace('"version":3', '"version":')],
    ['has a release of another name', (text) => text.replace('"name":"web", ', '"name":"other", ')],
    ['is empty', () => ''],
  ])('is refused when it %s', async (_, damage) => {
    const entry = entryOf('_releases/shop/web/3.json', damage(await textOf()));
    await expect(entryToRecord(entry)).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: expect.stringContaining('_releases/shop/web/3.json is no release record: '),
    });
  });

  test('is refused when its bytes are not UTF-8', async () => {
    const bytes = Buffer.from(await textOf());
    bytes[bytes.indexOf('é')] = 0xff;
    await expect(entryToRecord(entryOf('_releases/shop/web/3.json', bytes))).rejects.toThrow('it is not UTF-8');
  });
});
