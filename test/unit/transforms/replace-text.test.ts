import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { configMap, transformsOf, transformsOfFile } from './transform-objects.ts';

const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString('base64');

const secret = (data: Record<string, string>, name = 's'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'stage' },
  type: 'Opaque',
  data,
});

const replaceIn = async (paths: string, object: KubeObject): Promise<KubeObject> =>
  (await transformsOfFile(`  - replace: { text: stage, with: prod, in: [${paths}] }\n`)).apply(object);

describe('replacing text everywhere', () => {
  it('changes all strings but what says which object it is', async () => {
    const transforms = await transformsOf({ replaceText: { stage: 'prod' } });
    const object: KubeObject = {
      apiVersion: 'stage/v1',
      kind: 'stage',
      metadata: {
        name: 'stage',
        namespace: 'stage',
        uid: 'stage',
        labels: { env: 'stage', stage: 'x' },
        ownerReferences: [{ apiVersion: 'v1', kind: 'stage', name: 'stage', uid: 'stage' }],
        managedFields: [{ manager: 'stage' }],
      },
      spec: {
        host: 'a.stage.b',
        list: ['stage', 5, null, { deep: 'x-stage' }],
        template: { metadata: { name: 'stage' } },
      },
    };
    expect(transforms.apply(object)).toEqual({
      ...object,
      metadata: { ...object.metadata, labels: { env: 'prod', stage: 'x' } },
      spec: { host: 'a.prod.b', list: ['prod', 5, null, { deep: 'x-prod' }], template: { metadata: { name: 'prod' } } },
    });
  });

  it('takes all pairs at once, so that two may swap, and the longer one first', async () => {
    const transforms = await transformsOf({ replaceText: { blue: 'green', green: 'blue', 'green.example': 'www' } });
    const { data } = transforms.apply(configMap('c', { key: 'blue green green.example' }));
    expect(data).toEqual({ key: 'green blue www' });
  });

  it('takes every character for itself', async () => {
    const transforms = await transformsOf({ replaceText: { 'a.b|c$': '$&-$1' } });
    expect(transforms.apply(configMap('c', { key: 'axb a.b|c$' })).data).toEqual({ key: 'axb $&-$1' });
  });

  it('looks into the values of Secrets, and leaves those that are no text', async () => {
    const transforms = await transformsOf({ replaceText: { 'stage.example': 'prod.example' } });
    const binary = base64(Uint8Array.of(0xff, 0xfe, ...Buffer.from('stage.example')));
    const { data } = transforms.apply(secret({ url: base64('https://ö.stage.example/'), binary }));
    expect(data).toEqual({ url: base64('https://ö.prod.example/'), binary });
  });

  it('leaves what only looks like text: release records, binary data, certificates, large numbers', async () => {
    const transforms = await transformsOf({ replaceText: { a: 'b', 9: '8' } });
    const record = secret({ release: base64('aaaa') }, 'sh.helm.release.v1.web.v1');
    expect(transforms.apply(record)).toBe(record);
    const binary: KubeObject = { ...configMap('c', {}), binaryData: { x: 'aaaa' } };
    expect(transforms.apply(binary)).toBe(binary);
    const hook: KubeObject = { ...configMap('c', {}), webhooks: [{ clientConfig: { caBundle: 'aaaa' } }] };
    expect(transforms.apply(hook)).toBe(hook);
    const large: KubeObject = { ...configMap('c', {}), n: JSON.rawJSON('9007199254740993') };
    expect(transforms.apply(large)).toBe(large);
  });

  it('leaves CustomResourceDefinitions, unless they are selected by their kind', async () => {
    const crd = (): KubeObject => ({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'x' },
      spec: { description: 'stage' },
    });
    const all = await transformsOf({ replaceText: { stage: 'prod' } });
    expect(all.apply(crd())).toEqual(crd());
    const chosen = await transformsOfFile(
      '  - select: { kinds: [CustomResourceDefinition] }\n    replace: { text: stage, with: prod }\n',
    );
    expect(chosen.apply(crd()).spec).toEqual({ description: 'prod' });
  });
});

describe('replacing text in chosen fields', () => {
  const ingress = (): KubeObject => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name: 'i', annotations: { 'a.b/c': 'stage', other: 'stage' } },
    spec: { tls: [{ hosts: ['stage'] }], rules: [{ host: 'stage', http: { path: 'stage' } }, { host: 'stage' }] },
  });

  it.each([
    ['"spec.rules[*].host"', { rules: [{ host: 'prod', http: { path: 'stage' } }, { host: 'prod' }] }],
    ['"spec.rules[1].host"', { rules: [{ host: 'stage', http: { path: 'stage' } }, { host: 'prod' }] }],
    ['spec.*.*.host', { rules: [{ host: 'prod', http: { path: 'stage' } }, { host: 'prod' }] }],
    ['spec.**.path', { rules: [{ host: 'stage', http: { path: 'prod' } }, { host: 'stage' }] }],
    ['spec.rules.**', { rules: [{ host: 'prod', http: { path: 'prod' } }, { host: 'prod' }] }],
    ['"**.hosts[*]"', { tls: [{ hosts: ['prod'] }] }],
  ])('%s', async (path, changed) => {
    const { spec } = ingress();
    expect((await replaceIn(path, ingress())).spec).toEqual({ ...(spec as object), ...changed });
  });

  it('names keys with dots in brackets', async () => {
    const { metadata } = await replaceIn(`'metadata.annotations["a.b/c"]'`, ingress());
    expect(metadata.annotations).toEqual({ 'a.b/c': 'prod', other: 'stage' });
  });

  it('replaces once where two paths meet, and never what says which object it is', async () => {
    const object = configMap('stage', { key: 'stage' });
    const transforms = await transformsOfFile(
      "  - replace: { text: stage, with: stage-stage, in: ['**', data.*, data.key] }\n",
    );
    expect(transforms.apply(object)).toEqual(configMap('stage', { key: 'stage-stage' }));
  });

  it('looks into the values of Secrets', async () => {
    const { data } = await replaceIn('data.url', secret({ url: base64('stage'), other: base64('stage') }));
    expect(data).toEqual({ url: base64('prod'), other: base64('stage') });
  });

  it('replaces what a regular expression finds, with its groups', async () => {
    const transforms = await transformsOfFile(
      `  - replace: { regex: '([a-z]+)\\.STAGE\\.', flags: i, with: '$1.prod.', in: [data.*] }\n`,
    );
    expect(transforms.apply(configMap('c', { key: 'api.stage.x, Web.stage.y' })).data).toEqual({
      key: 'api.prod.x, Web.prod.y',
    });
  });
});
