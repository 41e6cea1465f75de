import { describe, expect, it } from 'vitest';
import { quoteLikeGo } from '../../../src/releases/json-splice.ts';
import { createRecordMapper, mapRecord } from '../../../src/releases/map-record.ts';
import type { ReleaseRecord } from '../../../src/releases/record.ts';
import { namespaceMapOf } from '../../../src/transforms/namespace-map.ts';

const MAP = namespaceMapOf({ stage: 'prod' });

const document = (name: string, rest = ''): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n  namespace: stage\n${rest}`;

/** A record whose JSON is written as Go writes it, with a number that JavaScript can't hold. */
function record(
  parts: { manifest?: string; hook?: string; config?: string; revision?: number; release?: string } = {},
): ReleaseRecord {
  const { manifest = '', hook, config = '{}', revision = 1, release = 'web' } = parts;
  const hooks =
    hook === undefined
      ? ''
      : `,"hooks":[{"name":"h","path":"web/templates/h.yaml","manifest":${quoteLikeGo(hook)},"events":["test"]}]`;
  return {
    driver: 'secret',
    namespace: 'stage',
    objectName: `sh.helm.release.v1.${release}.v${revision}`,
    labels: { owner: 'helm' },
    release,
    revision,
    status: 'deployed',
    encoding: 'gzip',
    json: `{"name":"${release}","info":{"notes":"kubectl -n stage \\u003cx\\u003e"},"chart":{"values":{"n":12345678901234567890}},"config":${config},"manifest":${quoteLikeGo(manifest)}${hooks},"version":${revision},"namespace":"stage"}`,
  };
}

function mapOne(before: ReleaseRecord) {
  const mapper = createRecordMapper(MAP);
  return { after: mapRecord(before, mapper), warnings: [...mapper.warnings] };
}

describe('mapRecord', () => {
  it('maps the record, its manifest and its hooks, and keeps every other byte of the JSON', () => {
    const manifest = `---\n# Source: web/a.yaml\n${document('a')}\n--- \n\n${document('b', 'data: { x: "<é>" }\n')}`;
    const before = record({ manifest, hook: document('h') });
    const { after, warnings } = mapOne(before);
    expect(after.namespace).toBe('prod');
    expect(after.json).toBe(
      before.json
        .replaceAll('namespace: stage', 'namespace: prod')
        .replace('"namespace":"stage"', '"namespace":"prod"'),
    );
    expect({ ...after, json: '', namespace: '' }).toEqual({ ...before, json: '', namespace: '' });
    expect(warnings).toEqual([]);
  });

  it('leaves a record alone that names none of the namespaces', () => {
    const before = record({ manifest: document('a') });
    expect(mapRecord(before, createRecordMapper(namespaceMapOf({ other: 'prod' })))).toBe(before);
    expect(mapRecord(before, createRecordMapper(namespaceMapOf({})))).toBe(before);
  });

  it('maps what refers to a mapped namespace from another one', () => {
    const before: ReleaseRecord = { ...record({ manifest: document('a') }), namespace: 'shop' };
    const elsewhere = { ...before, json: before.json.replace('"namespace":"stage"', '"namespace":"shop"') };
    const { after } = mapOne(elsewhere);
    expect(after.namespace).toBe('shop');
    expect(after.json).toBe(elsewhere.json.replace('namespace: stage', 'namespace: prod'));
  });

  it('warns once of what several revisions have, by release', () => {
    const mapper = createRecordMapper(MAP);
    const manifest = document('a', 'data: { url: "http://api.stage.svc/" }\n');
    const more = `${manifest}---\n${document('b', 'data: { url: "http://db.stage.svc/" }\n')}`;
    mapRecord(record({ manifest }), mapper);
    mapRecord(record({ manifest: more, revision: 2 }), mapper);
    mapRecord(record({ manifest: `# changed\n${more}`, revision: 3 }), mapper);
    mapRecord(record({ manifest, release: 'other' }), mapper);
    const found = [...mapper.warnings].map(([release, list]) => [
      release,
      list.map(({ object, text }) => `${object} ${text}`),
    ]);
    expect(found).toEqual([
      ['stage/web', ['ConfigMap a api.stage.svc', 'ConfigMap b db.stage.svc']],
      ['stage/other', ['ConfigMap a api.stage.svc']],
    ]);
  });

  it('says nothing of cluster-wide names that come from the release’s, when it is called like the namespace', () => {
    const role = (name: string): string =>
      `apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: ${name}\n`;
    const manifest = `${role('stage-reader')}---\n${role('stage-web-stage')}`;
    expect(mapOne(record({ manifest, release: 'stage' })).warnings).toEqual([]);
    const { warnings } = mapOne(record({ manifest, release: 'stage-web' }));
    expect(warnings.flatMap(([, list]) => list.map(({ text }) => text))).toEqual(['stage-reader', 'stage-web-stage']);
  });

  it('warns of stored values, which the next upgrade would bring back', () => {
    const { after, warnings } = mapOne(record({ config: '{"db":{"host":"db.stage.svc"},"name":"stage"}' }));
    expect(warnings).toEqual([
      ['stage/web', [{ object: 'Values', path: 'db.host', text: 'db.stage.svc', namespace: 'stage' }]],
    ]);
    expect(after.json).toContain('"host":"db.stage.svc"');
  });

  it('maps the documents it can read of a manifest that has another one', () => {
    const broken = 'kind: X\nmetadata: { namespace: stage\n';
    const { after, warnings } = mapOne(record({ manifest: `${broken}---\n${document('a')}` }));
    expect(JSON.parse(after.json).manifest).toBe(`${broken}---\n${document('a').replace('stage', 'prod')}`);
    expect(warnings.flatMap(([, list]) => list.map(({ unreadable }) => unreadable !== undefined))).toEqual([true]);
  });
});
