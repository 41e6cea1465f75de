import { describe, expect, test } from 'vitest';
import { decodeRecord, type ReleaseRecord } from '../../../src/releases/record.ts';
import { replacedRecord } from '../../../src/releases/replaced-record.ts';
import { makeObject, type RecordSpec } from './make-record.ts';

const hook = (name: string, ran?: string) => ({
  ...{ name, kind: 'Job', path: `app/templates/${name}.yaml`, manifest: `name: ${name}`, events: ['pre-upgrade'] },
  ...(ran === undefined ? {} : { last_run: { started_at: ran, phase: 'Succeeded' } }),
});

async function record(spec: RecordSpec, fields: object = {}): Promise<ReleaseRecord> {
  const decoded = await decodeRecord(makeObject(spec));
  return { ...decoded, json: JSON.stringify({ ...JSON.parse(decoded.json), ...fields }) };
}

describe('replacedRecord', () => {
  test('is the original under the revision, times and status that Helm gave it here', async () => {
    const written = await record(
      { revision: 8, driver: 'configmap', chart: { metadata: { name: 'frozen' } } },
      { config: null },
    );
    const original = await record({ revision: 3, manifest: '# original\n' }, { config: { a: 1 } });
    const replaced = replacedRecord(written, original, 'shop/web revision 3, snapshot x');
    const { info, ...release } = JSON.parse(replaced.json);
    expect(release).toEqual({ ...JSON.parse(original.json), info: undefined, version: 8 });
    expect(info).toEqual({
      ...JSON.parse(written.json).info,
      description: 'Install complete (from shop/web revision 3, snapshot x)',
    });
    expect(replaced).toMatchObject({ revision: 8, driver: 'configmap', objectName: written.objectName });
  });

  test('keeps every byte of the original that is not of this cluster', async () => {
    const original = await record({
      json: '{"name":"web","info":{"status":"deployed"},"version":1,"config":{"n":12345678901234567890,"z":-0},"manifest":"\\u003ca"}',
    });
    const json =
      '{"name":"web","info":{"status":"deployed"},"version":1,"config":{"n":12345678901234567890,"z":-0},"manifest":"\\u003ca"}';
    const replaced = replacedRecord(await record({ revision: 2 }), { ...original, json }, 'x');
    expect(replaced.json).toContain('"config":{"n":12345678901234567890,"z":-0},"manifest":"\\u003ca"}');
  });

  test('has the labels of the user, and the status of Helm', async () => {
    const written = await record({
      revision: 8,
      status: 'failed',
      labels: { own: 'yes', team: 'old', modifiedAt: '9' },
    });
    const original = await record({ revision: 3, labels: { team: 'new', createdAt: '1', modifiedAt: '2' } });
    expect(replacedRecord(written, original, 'x').labels).toEqual({
      ...{ name: 'web', owner: 'helm', status: 'failed', version: '8', createdAt: '1', modifiedAt: '9' },
      ...{ own: 'yes', team: 'new' },
    });
  });

  test('says so of a hook, too, that ran before Helm was killed', async () => {
    const written = await record({ revision: 8 }, { hooks: [hook('b', 'now')] });
    const original = await record({ revision: 3 }, { hooks: [hook('a', 'then'), hook('b')] });
    const replaced = replacedRecord(written, original, 'x', [hook('a', 'before')]);
    expect(JSON.parse(replaced.json).hooks).toEqual([hook('a', 'before'), hook('b', 'now')]);
  });

  test('says of each hook when it ran here, and keeps what did not run', async () => {
    const written = await record({ revision: 8 }, { hooks: [hook('b', 'now'), hook('a', 'now')] });
    const original = await record({ revision: 3 }, { hooks: [hook('a', 'then'), hook('b'), hook('c', 'then')] });
    expect(JSON.parse(replacedRecord(written, original, 'x').json).hooks).toEqual([
      hook('a', 'now'),
      hook('b', 'now'),
      hook('c', 'then'),
    ]);
  });
});
