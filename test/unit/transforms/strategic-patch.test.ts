import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { applyMergePatch } from '../../../src/transforms/merge-patch.ts';
import { applyStrategicPatch } from '../../../src/transforms/strategic-patch.ts';
import { deployment } from './transform-objects.ts';

type Spec = Record<string, unknown>;

function patchPod(before: Spec, patch: Spec): unknown {
  const object = deployment('web', before);
  applyStrategicPatch(object, { spec: { template: { spec: patch } } });
  return (object.spec as { template: { spec: unknown } }).template.spec;
}

describe('a strategic patch of a built-in kind', () => {
  it('merges containers, variables and mounts by their keys', () => {
    const before = {
      containers: [
        {
          name: 'app',
          image: 'a',
          env: [
            { name: 'A', value: '1' },
            { name: 'B', value: '2' },
          ],
        },
        { name: 'sidecar', image: 's', volumeMounts: [{ mountPath: '/a', name: 'x' }] },
      ],
    };
    const patch = {
      containers: [
        { name: 'sidecar', volumeMounts: [{ mountPath: '/a', readOnly: true }] },
        { name: 'app', env: [{ name: 'B', value: '3' }] },
      ],
    };
    expect(patchPod(before, patch)).toEqual({
      containers: [
        { name: 'sidecar', image: 's', volumeMounts: [{ mountPath: '/a', name: 'x', readOnly: true }] },
        {
          name: 'app',
          image: 'a',
          env: [
            { name: 'A', value: '1' },
            { name: 'B', value: '3' },
          ],
        },
      ],
    });
  });

  it('puts new items before those it does not name, as the API server does', () => {
    const names = (value: unknown) => (value as { containers: { name: string }[] }).containers.map(({ name }) => name);
    const before = { containers: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] };
    expect(names(patchPod(before, { containers: [{ name: 'new' }] }))).toEqual(['new', 'a', 'b', 'c']);
    expect(names(patchPod(before, { containers: [{ name: 'b' }, { name: 'new' }] }))).toEqual(['a', 'b', 'new', 'c']);
  });

  it('deletes items and fields, and replaces lists and maps', () => {
    const before = {
      containers: [{ name: 'a' }, { name: 'b', resources: { limits: { cpu: '1' } } }],
      volumes: [{ name: 'v', emptyDir: {} }],
      nodeSelector: { a: 'b' },
      hostNetwork: true,
    };
    const patch = {
      containers: [
        { name: 'a', $patch: 'delete' },
        { name: 'b', resources: { $patch: 'replace', requests: { cpu: '2' } } },
      ],
      volumes: [{ $patch: 'replace' }, { name: 'w' }],
      nodeSelector: { $patch: 'delete' },
      hostNetwork: null,
    };
    expect(patchPod(before, patch)).toEqual({
      containers: [{ name: 'b', resources: { requests: { cpu: '2' } } }],
      volumes: [{ name: 'w' }],
      nodeSelector: {},
    });
  });

  it('replaces lists that have no key, and keeps no directive or null in what is new', () => {
    expect(
      patchPod(
        { tolerations: [{ key: 'a' }], containers: [] },
        { tolerations: [{ key: 'b' }], dnsConfig: { options: [{ name: 'x', $patch: 'delete' }], searches: null } },
      ),
    ).toEqual({ tolerations: [{ key: 'b' }], dnsConfig: { options: [] }, containers: [] });
  });

  it('merges the ports of a Service by port, and of a container by containerPort', () => {
    const service: KubeObject = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's' },
      spec: { ports: [{ port: 80, name: 'http' }] },
    };
    applyStrategicPatch(service, { spec: { ports: [{ port: 80, nodePort: 30080 }] } });
    expect(service.spec).toEqual({ ports: [{ port: 80, name: 'http', nodePort: 30080 }] });
    const ports = [{ containerPort: 80, name: 'http' }];
    expect(
      patchPod({ containers: [{ name: 'a', ports }] }, { containers: [{ name: 'a', ports: [{ containerPort: 81 }] }] }),
    ).toEqual({ containers: [{ name: 'a', ports: [{ containerPort: 81 }, { containerPort: 80, name: 'http' }] }] });
  });

  it('adds to finalizers and removes from them', () => {
    const object: KubeObject = { ...deployment(), metadata: { name: 'web', finalizers: ['a', 'b'] } };
    applyStrategicPatch(object, { metadata: { finalizers: ['c'] } });
    expect(object.metadata.finalizers).toEqual(['a', 'b', 'c']);
    applyStrategicPatch(object, { metadata: { '$deleteFromPrimitiveList/finalizers': ['a', 'b'] } });
    expect(object.metadata.finalizers).toEqual(['c']);
  });

  it('refuses items without their key', () => {
    expect(() => patchPod({}, { containers: [{ image: 'x' }] })).toThrow('spec.template.spec.containers has no name');
  });
});

describe('a strategic patch of a custom resource', () => {
  const engine = (): KubeObject => ({
    apiVersion: 'example.com/v1',
    kind: 'Engine',
    metadata: { name: 'e' },
    spec: { containers: [{ name: 'a', image: 'x' }], size: { cpu: 1, memory: 2 } },
  });

  it('merges maps and replaces lists', () => {
    const object = engine();
    applyStrategicPatch(object, { spec: { containers: [{ name: 'a' }], size: { cpu: 3 } } });
    expect(object.spec).toEqual({ containers: [{ name: 'a' }], size: { cpu: 3, memory: 2 } });
  });

  it('refuses to delete an item, for nobody knows its key', () => {
    const patch = { spec: { containers: [{ name: 'a', $patch: 'delete' }] } };
    expect(() => applyStrategicPatch(engine(), patch)).toThrow('the items of spec.containers have no merge key');
  });
});

describe('a merge patch', () => {
  // https://www.rfc-editor.org/rfc/rfc7386#appendix-A
  it.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('of %j with %j gives %j', (target, patch, expected) => {
    applyMergePatch(target, patch);
    expect(target).toEqual(expected);
  });
});
