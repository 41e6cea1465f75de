import { describe, expect, it } from 'vitest';
import { quoteLikeGo } from '../../../src/releases/json-splice.ts';
import { createRecordMapper, mapRecord } from '../../../src/releases/map-record.ts';
import type { ReleaseRecord } from '../../../src/releases/record.ts';
import { describeNamespaceWarning, namespaceMapOf } from '../../../src/transforms/namespace-map.ts';
import type { Transforms } from '../../../src/transforms/transforms.ts';
import { transformsOf, transformsOfFile } from '../transforms/transform-objects.ts';

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

describe('mapRecord with transforms', () => {
  const transformed = (before: ReleaseRecord, transforms: Transforms, mapper = mapperOf(transforms)) =>
    mapRecord(before, mapper);
  const mapperOf = (transforms: Transforms) => createRecordMapper(transforms.namespaces, undefined, transforms);

  it('changes the documents of the manifest and the hooks, and keeps every other byte of the JSON', async () => {
    const transforms = await transformsOf({ replaceText: { 'stage.example': 'prod.example' } });
    const host = 'data:\n  host: stage.example # of the shop\n';
    const manifest = `---\n# Source: web/a.yaml\n# why\n${document('a', host)}--- \n\n# Source: web/b.yaml\n${document('b')}`;
    const before = record({
      manifest,
      hook: `# Source: web/h.yaml\n${document('h', host)}`,
      config: '{"host":"stage.example"}',
    });
    const after = transformed(before, transforms);
    expect(after.json).toBe(before.json.replaceAll('host: stage.example', 'host: prod.example'));
    expect({ ...after, json: '' }).toEqual({ ...before, json: '' });
  });

  it('changes objects first and maps their namespaces then', async () => {
    const transforms = await transformsOf({
      namespaceMap: { stage: 'prod' },
      file: {
        path: 't',
        text: 'version: 1\ntransforms:\n- select: { namespaces: [stage] }\n  annotations: { set: { seen: "yes" } }\n',
      },
    });
    const after = transformed(record({ manifest: document('a') }), transforms);
    expect(JSON.parse(after.json).manifest).toBe(
      document('a', '  annotations:\n    seen: "yes"\n').replace('namespace: stage', 'namespace: prod'),
    );
    expect(transforms.unused()).toEqual([]);
  });

  it('takes every document of a hook that has several', async () => {
    const transforms = await transformsOfFile('  - labels: { set: { team: shop } }\n');
    const after = transformed(record({ hook: `${document('a')}---\n${document('b')}` }), transforms);
    const labelled = (name: string) => document(name, '  labels:\n    team: shop\n');
    expect(JSON.parse(after.json).hooks[0].manifest).toBe(`${labelled('a')}---\n${labelled('b')}`);
  });

  it('leaves a record alone in which nothing changes', async () => {
    const transforms = await transformsOf({ replaceText: { 'nowhere.example': 'x' } });
    const before = record({ manifest: document('a') });
    expect(transformed(before, transforms)).toBe(before);
  });

  it('changes every revision, and a document that several have the same way', async () => {
    const transforms = await transformsOfFile('  - labels: { set: { team: shop } }\n');
    const mapper = mapperOf(transforms);
    const manifests = [1, 2].map(
      (revision) => JSON.parse(mapRecord(record({ manifest: document('a'), revision }), mapper).json).manifest,
    );
    expect(manifests).toEqual(Array(2).fill(document('a', '  labels:\n    team: shop\n')));
  });

  it('names the revision in which a transform can not be applied', async () => {
    const transforms = await transformsOfFile('  - jsonPatch: [{ op: remove, path: /data/secret }]\n');
    expect(() => transformed(record({ manifest: document('a'), revision: 3 }), transforms)).toThrow(
      expect.objectContaining({
        code: 'INPUT',
        message:
          "Revision 3 of release stage/web: transforms[0] (transforms.yaml:3:5) can't be applied to ConfigMap stage/a: " +
          'operation 1 (remove /data/secret) finds nothing at /data/secret.',
      }),
    );
  });

  it('warns of a document that no parser reads, and changes the others', async () => {
    const transforms = await transformsOfFile('  - labels: { set: { team: shop } }\n');
    const broken = 'kind: X\nmetadata: { namespace: stage\n';
    const mapper = mapperOf(transforms);
    const after = transformed(record({ manifest: `${broken}---\n${document('a')}` }), transforms, mapper);
    expect(JSON.parse(after.json).manifest).toBe(`${broken}---\n${document('a', '  labels:\n    team: shop\n')}`);
    expect([...mapper.warnings].flatMap(([, list]) => list.map(describeNamespaceWarning))).toEqual([
      expect.stringMatching(/^X was not transformed and stayed as it is, for it can't be read as YAML: /),
    ]);
  });

  it('counts a namespace as met that only a record is in', async () => {
    const transforms = await transformsOf({ namespaceMap: { stage: 'prod', other: 'x' } });
    transformed(record(), transforms);
    expect(transforms.unused()).toEqual(['namespace-map: namespace other']);
  });
});
