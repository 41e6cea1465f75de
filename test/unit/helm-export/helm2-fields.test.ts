import { describe, expect, test } from 'vitest';
import { decodeFile, rawEntry, recordEntry, SNAPSHOT_ENTRY, writeFile } from './helpers.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const textOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();

/** What anyone sees who knows the proposal's messages, and nothing of Transship. */
async function readRelease(stored: object) {
  const release = { name: 'web', info: {}, version: 3, namespace: 'shop', ...stored };
  const { releases } = await decodeFile(await writeFile([SNAPSHOT_ENTRY, rawEntry(JSON.stringify(release), 3)]));
  const [first] = releases;
  if (first === undefined) throw new Error('there is no release');
  return first;
}

describe('a release in a helm-export file has the fields of Helm 2', () => {
  test('name, revision, namespace and manifest', async () => {
    const manifest = '---\n# Source: app/templates/a.yaml\nkind: ConfigMap\n';
    expect(await readRelease({ manifest })).toMatchObject({ name: 'web', version: 3, namespace: 'shop', manifest });
  });

  test.each([
    ['deployed', 1],
    ['uninstalled', 2],
    ['superseded', 3],
    ['failed', 4],
    ['uninstalling', 5],
    ['pending-install', 6],
    ['pending-upgrade', 7],
    ['pending-rollback', 8],
    ['unknown', 0],
    ['of-the-future', 0],
  ])('status %s as %i', async (status, code) => {
    expect((await readRelease({ info: { status } })).info?.status?.code).toBe(code);
  });

  test('times to the nanosecond, description and notes', async () => {
    const { info } = await readRelease({
      info: {
        first_deployed: '2026-01-02T03:04:05.123456789+01:00',
        last_deployed: '2026-01-02T03:04:05Z',
        deleted: '',
        description: 'Upgrade complete',
        notes: 'Thank <you>',
      },
    });
    expect(info?.firstDeployed).toMatchObject({ seconds: 1_767_319_445n, nanos: 123_456_789 });
    expect(info?.lastDeployed).toMatchObject({ seconds: 1_767_323_045n, nanos: 0 });
    expect(info?.deleted).toBeUndefined();
    expect([info?.Description, info?.status?.notes]).toEqual(['Upgrade complete', 'Thank <you>']);
  });

  test('the chart, with the schema of its values among the files', async () => {
    const { chart } = await readRelease({
      chart: {
        metadata: {
          name: 'app',
          version: '1.2.3',
          appVersion: '9',
          apiVersion: 'v2',
          deprecated: true,
          maintainers: [{ name: 'Ann', email: 'ann@example.com', url: 'https://example.com' }],
          keywords: ['k'],
          annotations: { a: 'b' },
        },
        templates: [{ name: 'templates/a.yaml', data: base64('kind: {{ .Values.kind }}') }],
        files: [{ name: 'README.md', data: base64('# app') }],
        schema: base64('{"type":"object"}'),
        values: { replicas: 2 },
      },
    });
    expect(chart?.metadata).toMatchObject({
      name: 'app',
      version: '1.2.3',
      appVersion: '9',
      apiVersion: 'v2',
      deprecated: true,
      maintainers: [{ name: 'Ann', email: 'ann@example.com', url: 'https://example.com' }],
      keywords: ['k'],
      annotations: { a: 'b' },
    });
    expect(chart?.templates.map(({ name, data }) => [name, textOf(data)])).toEqual([
      ['templates/a.yaml', 'kind: {{ .Values.kind }}'],
    ]);
    expect(chart?.files.map(({ typeUrl, value }) => [typeUrl, textOf(value)])).toEqual([
      ['README.md', '# app'],
      ['values.schema.json', '{"type":"object"}'],
    ]);
    expect(chart?.values?.raw).toBe('{"replicas":2}');
    expect(chart?.dependencies).toEqual([]);
  });

  test("the user's values as YAML that Go reads", async () => {
    const { config } = await readRelease({ config: { a: 'x\u0085\u2028\ufeff', b: [1, null] } });
    expect(config?.raw).toBe('{"a":"x\\u0085\\u2028\\ufeff","b":[1,null]}');
    expect((await readRelease({ config: null })).config).toBeUndefined();
  });

  test('hooks, with their events, weights and delete policies', async () => {
    const hook = (name: string, more: object) => ({
      name,
      kind: 'Job',
      path: `app/templates/${name}`,
      manifest: 'm',
      ...more,
    });
    const { hooks, info } = await readRelease({
      hooks: [
        hook('migrate', {
          events: ['pre-install', 'post-upgrade', 'pre-rollback', 'crd-install', 'of-the-future'],
          weight: -5,
          delete_policies: ['hook-succeeded', 'of-the-future', 'before-hook-creation', 'hook-failed'],
          last_run: { started_at: '2026-01-02T03:04:00Z', completed_at: '2026-01-02T03:04:05Z', phase: 'Succeeded' },
        }),
        hook('smoke', {
          events: ['test'],
          last_run: { started_at: '2026-01-02T03:04:00Z', completed_at: '2026-01-02T03:04:05Z', phase: 'Failed' },
        }),
      ],
    });
    expect(hooks).toMatchObject([
      {
        name: 'migrate',
        kind: 'Job',
        path: 'app/templates/migrate',
        manifest: 'm',
        events: [1, 6, 7, 11, 0],
        weight: -5,
        deletePolicies: [0, 2, 1],
        lastRun: { seconds: 1_767_323_045n },
        deleteTimeout: 60n,
      },
      { name: 'smoke', events: [9], weight: 0, deletePolicies: [] },
    ]);
    expect(info?.status?.lastTestSuiteRun?.results).toMatchObject([{ name: 'smoke', status: 2 }]);
  });

  test('and the file says when it was made, and by what', async () => {
    const { metadata } = await decodeFile(await writeFile([SNAPSHOT_ENTRY, await recordEntry({})]));
    expect(metadata?.createdAt).toMatchObject({ seconds: 1_769_860_800n, nanos: 0 });
    expect(metadata?.tillerVersion).toBe('transship/0.1.0');
  });
});
