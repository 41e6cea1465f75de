import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { writeHelmExport } from '../../../src/helm-export/write.ts';
import { quoteLikeGo } from '../../../src/releases/json-splice.ts';
import {
  CRDS_ENTRY,
  decodeFile,
  rawEntry,
  readFile,
  recordEntry,
  SNAPSHOT_ENTRY,
  streamOf,
  textsOf,
  writeFile,
} from './helpers.ts';

const LONG = 'a line that is long enough to be cut out of the record and put back again\n';
const base64 = (text: string) => Buffer.from(text).toString('base64');

/** A release as Helm 4 stores it, its strings as Go writes them. */
const FULL = `{"name":"web","info":{"first_deployed":"2026-01-02T03:04:05.123456789+01:00","last_deployed":"2026-01-02T03:04:05Z",
"description":${quoteLikeGo(`Upgrade <complete> & more: ${LONG}`)},"status":"deployed","notes":${quoteLikeGo(`${LONG}é \u2028 <&> 𝄞\u0001`)}},
"chart":{"metadata":{"name":"app","version":"1.2.3","apiVersion":"v2","dependencies":[{"name":"redis","version":"1"}]},"lock":null,
"templates":[{"name":"templates/a.yaml","data":"${base64(LONG.repeat(40))}"},{"name":"templates/b.yaml","data":"${base64('short')}","modtime":"2026-01-01T00:00:00Z"}],
"values":{"replicas":12345678901234567890,"zero":-0,"text":${quoteLikeGo(LONG)}},"schema":"${base64(`{"type":"object","x":"${LONG.trim()}"}`)}",
"files":[{"name":"crds/x.yaml","data":"${base64(LONG)}"}]},"config":{"a":{"b":[1,2.50,1e+06]},"password":${quoteLikeGo(`<${LONG}>`)}},
"manifest":${quoteLikeGo(`---\n# Source: app/templates/a.yaml\n${LONG}`)},"hooks":[{"name":"job","kind":"Job","path":"app/templates/h.yaml",
"manifest":${quoteLikeGo(`${LONG}${LONG}`)},"events":["pre-install","test"],"last_run":{"started_at":"2026-01-02T03:04:05Z","completed_at":"","phase":"Succeeded"},
"weight":-5,"delete_policies":["hook-succeeded"],"output_log_policies":["hook-failed"]}],"version":3,"namespace":"shop","apply_method":"ssa"}`;

async function expectSame(entries: Parameters<typeof textsOf>[0]): Promise<void> {
  expect(await readFile(await writeFile(entries))).toEqual(await textsOf(entries));
}

describe('an archive that went through a helm-export file is the same, byte for byte', () => {
  test('with all that Helm 4 stores', () => expectSame([SNAPSHOT_ENTRY, rawEntry(FULL, 3)]));

  test.each([
    [
      'other escapes than Go writes',
      `{"name":"web","info":{},"version":1,"manifest":"\\u003C\\/\\u00e9\\u000a${'x'.repeat(80)}<"}`,
    ],
    [
      'lone surrogates',
      `{"name":"web","info":{"notes":"\\ud800${'x'.repeat(80)}"},"version":1,"manifest":"\\udc00${'y'.repeat(80)}"}`,
    ],
    ['a byte-order mark', `{"name":"web","info":{},"version":1,"manifest":"\ufeff${'x'.repeat(80)}"}`],
    [
      'spaces and line breaks',
      `{ "name": "web",\n "info": {},\n\t"version": 1, "config": { "k": "${'x'.repeat(80)}" } }\n`,
    ],
    [
      'keys that are there twice',
      `{"name":"web","info":{},"version":1,"manifest":"${'a'.repeat(80)}","manifest":"${'b'.repeat(80)}"}`,
    ],
    [
      'Base64 that is not as Go writes it',
      `{"name":"web","info":{},"version":1,"chart":{"files":[{"name":"f","data":"${'QQ=='.repeat(20)}"},null,7]}}`,
    ],
    [
      'URL-safe Base64',
      `{"name":"web","info":{},"version":1,"chart":{"templates":[{"name":"f","data":"${'-_-_'.repeat(20)}"}]}}`,
    ],
    [
      'values that YAML can not hold',
      `{"name":"web","info":{},"version":1,"config":{"k":"\u0085\u007f\u2029${'x'.repeat(80)}"}}`,
    ],
    ['nulls', '{"name":"web","info":{},"version":1,"chart":null,"config":null,"hooks":null}'],
    ['nothing but what it must have', '{"name":"web","info":{},"version":1}'],
    [
      'values of other types',
      '{"name":"web","info":{"notes":7},"version":1,"chart":{"templates":{},"metadata":[1]},"config":[1],"hooks":{}}',
    ],
    [
      'numbers beyond all bounds',
      '{"name":"web","info":{},"version":1,"hooks":[{"manifest":"","path":"","weight":1e400}]}',
    ],
    [
      'a key __proto__',
      `{"name":"web","info":{},"version":1,"chart":{"metadata":{"annotations":{"__proto__":"x"}}},"config":{"__proto__":{"a":"${'x'.repeat(80)}"}}}`,
    ],
  ])('with %s', (_, json) => expectSame([SNAPSHOT_ENTRY, rawEntry(json)]));

  test.each(['pending-install', 'pending-upgrade', 'failed', 'superseded', 'uninstalled', 'of-the-future'])(
    'with the status %s',
    async (status) => expectSame([SNAPSHOT_ENTRY, await recordEntry({ status })]),
  );

  test('with labels, annotations, and records that both drivers hold', async () => {
    const spec = { revision: 2, labels: { team: 'a<b', 'x.io/y': '' } };
    await expectSame([
      SNAPSHOT_ENTRY,
      await recordEntry(spec, { annotations: { note: 'kept\nas it is' } }),
      await recordEntry({ ...spec, driver: 'configmap' }, { shadowed: true }),
      await recordEntry({ ...spec, release: 'other', driver: 'configmap', plain: true }),
    ]);
  });

  test('with the CRDs that its releases need', async () => {
    await expectSame([SNAPSHOT_ENTRY, await recordEntry({}), CRDS_ENTRY]);
  });

  test('with no release', () => expectSame([SNAPSHOT_ENTRY]));

  test('with a chart of several MiB', async () => {
    const files = Array.from({ length: 40 }, (_, index) => ({
      name: `files/${index}`,
      data: Buffer.alloc(100_000, `${index} ~ `).toString('base64'),
    }));
    await expectSame([SNAPSHOT_ENTRY, await recordEntry({ chart: { metadata: { name: 'app' }, files } })]);
  });

  test('whatever the pieces it is read in', async () => {
    const entries = [SNAPSHOT_ENTRY, rawEntry(FULL, 3), CRDS_ENTRY];
    const file = await writeFile(entries);
    for (const piece of [1, 7, 1000]) expect(await readFile(file, piece)).toEqual(await textsOf(entries));
  });

  test('with any texts and values', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 200 });
    const release = fc.record({
      info: fc.record({ description: text, notes: text, status: text }),
      chart: fc.record({
        metadata: fc.dictionary(text, fc.jsonValue({ maxDepth: 2 })),
        templates: fc.array(fc.record({ name: text, data: fc.oneof(text, fc.base64String({ minLength: 80 })) })),
        values: fc.dictionary(text, fc.jsonValue({ maxDepth: 3 })),
      }),
      config: fc.oneof(fc.constant(null), fc.dictionary(text, fc.jsonValue({ maxDepth: 3 }))),
      manifest: text,
      hooks: fc.array(fc.record({ manifest: text, path: text, events: fc.array(text) })),
    });
    const writers = fc.constantFrom(
      (value: unknown) => JSON.stringify(value),
      (value: unknown) => JSON.stringify(value, undefined, 2),
      (value: unknown) => JSON.stringify(value).replace(/[<>&]/g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`),
    );
    await fc.assert(
      fc.asyncProperty(release, writers, async (value, write) => {
        await expectSame([SNAPSHOT_ENTRY, rawEntry(write({ name: 'web', version: 1, ...value }))]);
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});

describe('a helm-export file', () => {
  test('is the same each time it is written', async () => {
    const entries = [SNAPSHOT_ENTRY, rawEntry(FULL, 3), CRDS_ENTRY];
    expect((await writeFile(entries)).equals(await writeFile(entries))).toBe(true);
  });

  test('holds large texts once', async () => {
    const { releases } = await decodeFile(await writeFile([SNAPSHOT_ENTRY, rawEntry(FULL, 3)]));
    const kept = releases[0]?.transshipRecord?.json.map(({ text }) => Buffer.from(text).toString()).join('|') ?? '';
    expect(kept).not.toContain('a line that is long enough');
    expect(kept).not.toContain(base64(LONG).slice(0, 40));
    // Description, notes, template, values, schema, file, config, manifest, hook.
    expect(kept.split('|').length).toBe(10);
  });

  test('says its size and digest once it is written', async () => {
    const writing = writeHelmExport(streamOf([SNAPSHOT_ENTRY]));
    let size = 0;
    for await (const piece of writing.bytes) size += piece.byteLength;
    expect(writing.summary()).toEqual({ size, digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) });
  });

  test('is not written of a record whose payload is no JSON, and the text is not shown', async () => {
    const entry = rawEntry('{"name":"web","secret":oops}');
    const error = await writeFile([SNAPSHOT_ENTRY, entry]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'RECORD_INVALID',
      message: "_releases/shop/web/1.json can't be written: its release is no JSON.",
    });
    expect(inspect(error)).not.toContain('oops');
  });
});
