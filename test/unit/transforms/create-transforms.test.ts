import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { configMap, deployment, transformsOf, transformsOfFile } from './transform-objects.ts';

const claim = (spec: Record<string, unknown>, annotations?: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'data', namespace: 'stage', ...(annotations === undefined ? {} : { annotations }) },
  spec,
});

describe('transforms', () => {
  it('are empty without any input, and give back the same object', async () => {
    const transforms = await transformsOf({});
    const object = deployment();
    expect(transforms.isEmpty).toBe(true);
    expect(transforms.apply(object)).toBe(object);
    expect(transforms.unused()).toEqual([]);
  });

  it('are empty with nothing but namespaces, which others map', async () => {
    const transforms = await transformsOf({ namespaceMap: { stage: 'prod', same: 'same' } });
    expect(transforms.isEmpty).toBe(true);
    expect([...transforms.namespaces]).toEqual([['stage', 'prod']]);
  });

  it('give back the same object when nothing in it changes, and another one when something does', async () => {
    const transforms = await transformsOf({ replaceText: { 'stage.example': 'prod.example' } });
    const same = configMap('a', { url: 'http://example' });
    const other = configMap('b', { url: 'http://stage.example' });
    expect(transforms.apply(same)).toBe(same);
    const changed = transforms.apply(other);
    expect(changed).not.toBe(other);
    expect(changed).toEqual(configMap('b', { url: 'http://prod.example' }));
  });

  it('run in the order of the file, each on what the one before has left, and the inputs after them', async () => {
    const transforms = await transformsOf({
      file: {
        path: 't.yaml',
        text: 'version: 1\ntransforms:\n- replace: { text: a, with: b }\n- replace: { text: b, with: c }\n',
      },
      replaceText: { c: 'd' },
    });
    expect(transforms.apply(configMap('x', { key: 'a' })).data).toEqual({ key: 'd' });
  });

  it('select by kind, name, namespace and labels', async () => {
    const transforms = await transformsOfFile(`
  - select: { kinds: [deployments.apps], names: ['web-*'], namespaces: [sta*], labels: 'app=web-1' }
    mergePatch: { spec: { replicas: 5 } }
`);
    const replicas = (object: KubeObject) => (transforms.apply(object).spec as { replicas: number }).replicas;
    expect(replicas(deployment('web-1'))).toBe(5);
    expect(replicas(deployment('web-2'))).toBe(1);
    expect(replicas(deployment('api-1'))).toBe(1);
    const elsewhere = deployment('web-1');
    elsewhere.metadata.namespace = 'other';
    expect(replicas(elsewhere)).toBe(1);
    expect(replicas({ ...deployment('web-1'), kind: 'StatefulSet' })).toBe(1);
    expect(replicas({ ...deployment('web-1'), apiVersion: 'example.com/v1' })).toBe(1);
  });

  it('select by the labels of the snapshot, whatever a transform before has made of them', async () => {
    const transforms = await transformsOfFile(`
  - labels: { set: { app: other } }
  - select: { labels: app=web }
    annotations: { set: { seen: 'yes' } }
`);
    const { metadata } = transforms.apply(deployment());
    expect(metadata.labels).toEqual({ app: 'other' });
    expect(metadata.annotations).toEqual({ seen: 'yes' });
  });

  it('select nothing without a namespace by one, but what comes to one', async () => {
    const transforms = await transformsOfFile(`
  - select: { namespaces: [stage] }
    labels: { set: { a: b } }
`);
    const role = (): KubeObject => ({ apiVersion: 'v1', kind: 'Thing', metadata: { name: 'r' } });
    expect(transforms.apply(role()).metadata.labels).toBeUndefined();
    expect(transforms.apply(role(), 'stage').metadata.labels).toEqual({ a: 'b' });
  });

  it('map storage classes of claims, their templates, custom resources and the old annotation, but not classes', async () => {
    const transforms = await transformsOf({ storageClassMap: { standard: 'fast' } });
    expect(transforms.apply(claim({ storageClassName: 'standard' })).spec).toEqual({ storageClassName: 'fast' });
    expect(transforms.apply(claim({ storageClassName: 'other' })).spec).toEqual({ storageClassName: 'other' });
    const old = transforms.apply(claim({}, { 'volume.beta.kubernetes.io/storage-class': 'standard' }));
    expect(old.metadata.annotations).toEqual({ 'volume.beta.kubernetes.io/storage-class': 'fast' });
    const set = {
      ...deployment(),
      kind: 'StatefulSet',
      spec: { volumeClaimTemplates: [claim({ storageClassName: 'standard' })] },
    };
    expect(transforms.apply(set).spec).toEqual({ volumeClaimTemplates: [claim({ storageClassName: 'fast' })] });
    const disk = {
      apiVersion: 'cdi.kubevirt.io/v1beta1',
      kind: 'DataVolume',
      metadata: { name: 'd' },
      spec: { pvc: { storageClassName: 'standard' } },
    };
    expect(transforms.apply(disk).spec).toEqual({ pvc: { storageClassName: 'fast' } });
    const storageClass = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'standard' } };
    expect(transforms.apply(storageClass)).toBe(storageClass);
  });

  it('set and remove labels and annotations, of pod templates too where that is asked for', async () => {
    const transforms = await transformsOfFile(`
  - labels: { set: { tier: prod }, remove: [app], templates: true }
  - annotations: { remove: ['argocd.argoproj.io/*'] }
`);
    const object = deployment();
    object.metadata.annotations = { 'argocd.argoproj.io/sync-wave': '1', 'argocd.argoproj.io/hook': 'x' };
    const changed = transforms.apply(object);
    expect(changed.metadata).toEqual({ name: 'web', namespace: 'stage', labels: { tier: 'prod' } });
    expect(changed.spec).toMatchObject({ template: { metadata: { labels: { tier: 'prod' } } } });
  });

  it('set labels of the object alone by default', async () => {
    const transforms = await transformsOfFile('  - labels: { set: { tier: prod } }\n');
    const changed = transforms.apply(deployment());
    expect(changed.metadata.labels).toEqual({ app: 'web', tier: 'prod' });
    expect(changed.spec).toEqual(deployment().spec);
  });

  it('apply JSON patches', async () => {
    const transforms = await transformsOfFile(`
  - jsonPatch:
      - { op: test, path: /spec/replicas, value: 1 }
      - { op: replace, path: /spec/replicas, value: 3 }
      - { op: add, path: /spec/template/spec/containers/-, value: { name: extra } }
      - { op: add, path: /metadata/annotations, value: { 'a/b': c } }
      - { op: remove, path: /metadata/annotations/a~1b }
`);
    const changed = transforms.apply(deployment());
    expect(changed.spec).toMatchObject({
      replicas: 3,
      template: { spec: { containers: [{ name: 'app' }, { name: 'extra' }] } },
    });
    expect(changed.metadata.annotations).toEqual({});
  });

  it('give each object values of its own', async () => {
    const transforms = await transformsOfFile('  - jsonPatch: [{ op: add, path: /metadata/annotations, value: {} }]\n');
    const [first, second] = [transforms.apply(deployment('a')), transforms.apply(deployment('b'))];
    expect(first.metadata.annotations).not.toBe(second.metadata.annotations);
  });

  it.each([
    [
      'a path that is missing',
      '{ op: replace, path: /spec/secret/0, value: 1 }',
      'operation 1 (replace /spec/secret/0) finds nothing at /spec/secret/0.',
    ],
    [
      'a test that fails',
      '{ op: test, path: /spec/replicas, value: 7 }',
      'operation 1 (test /spec/replicas) finds another value.',
    ],
    [
      'a source that is missing',
      '{ op: move, from: /spec/x, path: /spec/y }',
      'operation 1 (move /spec/y) finds nothing at /spec/x.',
    ],
  ])('stop at %s of a JSON patch, without telling values', async (_, operation, problem) => {
    const transforms = await transformsOfFile(`  - name: scale\n    jsonPatch: [${operation}]\n`);
    expect(() => transforms.apply(deployment())).toThrow(
      expect.objectContaining({
        code: 'INPUT',
        message: `scale (transforms.yaml:3:5) can't be applied to Deployment stage/web: ${problem}`,
      }),
    );
  });

  it.each([
    ['apiVersion', 'mergePatch: { apiVersion: apps/v2 }', 'apiVersion'],
    ['the kind', 'jsonPatch: [{ op: replace, path: /kind, value: DaemonSet }]', 'kind'],
    ['the name', 'mergePatch: { metadata: { name: other } }', 'metadata.name'],
    ['the namespace', 'strategicPatch: { metadata: { namespace: prod } }', 'metadata.namespace; namespaces does that'],
  ])('never change %s', async (_, action, field) => {
    const transforms = await transformsOfFile(`  - ${action}\n`);
    expect(() => transforms.apply(deployment())).toThrow(
      expect.objectContaining({
        code: 'INPUT',
        message: `transforms[0] (transforms.yaml:3:5) can't be applied to Deployment stage/web: it would change ${field}.`,
      }),
    );
  });

  it('may repeat what identifies the object, as patches for other tools do', async () => {
    const transforms = await transformsOfFile(
      '  - select: { names: [web] }\n    strategicPatch: { kind: Deployment, metadata: { name: web }, spec: { replicas: 4 } }\n',
    );
    expect(transforms.apply(deployment()).spec).toMatchObject({ replicas: 4 });
  });
});

describe('what transforms say of themselves', () => {
  it('names those that changed nothing, with their places', async () => {
    const transforms = await transformsOf({
      file: {
        path: 't.yaml',
        text: `version: 1
transforms:
  - name: replicas
    select: { names: [nobody] }
    mergePatch: { spec: { replicas: 3 } }
  - labels: { set: { app: web } }
  - images:
      registry.stage.example: registry.prod.example
      quay.io: registry.prod.example/quay
  - namespaces:
      stage: prod
      nowhere: prod
`,
      },
      storageClassMap: { standard: 'fast' },
      namespaceMap: { unknown: 'x' },
      replaceText: { 'nothing has this': '' },
    });
    transforms.apply(deployment());
    expect(transforms.unused()).toEqual([
      't.yaml:12:7: namespace nowhere',
      'namespace-map: namespace unknown',
      'replicas (t.yaml:3:5)',
      'transforms[1] (t.yaml:6:5)',
      't.yaml:9:7: "quay.io"',
      'storage-class-map: "standard"',
      'replace-text: "nothing has this"',
    ]);
  });

  it('counts a namespace that a Namespace or a release is', async () => {
    const transforms = await transformsOf({ namespaceMap: { a: 'x', b: 'y', c: 'z' } });
    transforms.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } });
    transforms.see('b');
    expect(transforms.unused()).toEqual(['namespace-map: namespace c']);
  });

  it('joins namespaces of the file and the input, and refuses those that contradict', async () => {
    const file = { path: 't.yaml', text: 'version: 1\ntransforms:\n  - namespaces: { stage: prod }\n' };
    const joined = await transformsOf({ file, namespaceMap: { stage: 'prod', test: 'other' } });
    expect([...joined.namespaces]).toEqual([
      ['stage', 'prod'],
      ['test', 'other'],
    ]);
    await expect(transformsOf({ file, namespaceMap: { stage: 'live' } })).rejects.toThrow(
      expect.objectContaining({
        code: 'INPUT',
        message: 'Namespace stage becomes prod (t.yaml:3:19) and live (namespace-map).',
      }),
    );
  });

  it('have a digest of what they do, not of how it is written', async () => {
    const digest = async (text: string) => (await transformsOf({ file: { path: 't', text } })).digest;
    const one = await digest('version: 1\ntransforms:\n  - name: a\n    replace: { text: a, with: b }\n');
    const same = await digest('{"version": 1, "transforms": [{"replace": {"text": "a", "with": "b"}}]}');
    const other = await digest('{"version": 1, "transforms": [{"replace": {"text": "a", "with": "c"}}]}');
    expect(same).toBe(one);
    expect(other).not.toBe(one);
    expect(one).toMatch(/^[0-9a-f]{64}$/);
  });

  it('refuses an image-map that names no images', async () => {
    await expect(transformsOf({ imageMap: { 'https://registry.example': 'x' } })).rejects.toThrow(
      'image-map: "https://registry.example" has a scheme. Leave https:// away.',
    );
  });
});
