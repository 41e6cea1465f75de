import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { differingPaths, fingerprint } from '../../../src/resources/equality.ts';

const web: KubeObject = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'shop', labels: { app: 'web', tier: 'front' } },
  spec: { replicas: 2, template: { spec: { containers: [{ name: 'web', image: 'web:1' }] } } },
};

describe('the fingerprint of an object', () => {
  it('does not depend on the order of keys', () => {
    const { spec, metadata, ...head } = web;
    const { labels, ...names } = metadata;
    const turned = { spec, metadata: { labels: { tier: 'front', app: 'web' }, ...names }, ...head };
    expect(fingerprint(turned)).toBe(fingerprint(web));
  });

  it('does not depend on status, owner references and what the server keeps', () => {
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'a', uid: '1' };
    const metadata = { ...web.metadata, uid: '7', resourceVersion: '12', generation: 3, ownerReferences: [owner] };
    expect(fingerprint({ ...web, metadata, status: { replicas: 2 } })).toBe(fingerprint(web));
  });

  it('takes empty labels, annotations and finalizers for absent ones', () => {
    const bare = { ...web, metadata: { name: 'web' } };
    const empty = { ...web, metadata: { name: 'web', labels: {}, annotations: {}, finalizers: [] } };
    expect(fingerprint(empty)).toBe(fingerprint(bare));
  });

  it('keeps the order of lists and empty maps of a spec', () => {
    const of = (spec: unknown) => fingerprint({ ...web, spec });
    expect(of({ args: ['a', 'b'] })).not.toBe(of({ args: ['b', 'a'] }));
    expect(of({ emptyDir: {} })).not.toBe(of({}));
  });
});

describe('the paths in which two objects differ', () => {
  it('lead to the innermost field, and say nothing of its value', () => {
    const other = structuredClone(web);
    other.metadata.labels = { app: 'web', tier: 'back' };
    Object.assign(other, {
      spec: { replicas: 2, template: { spec: { containers: [{ name: 'web', image: 'web:2' }] } } },
    });
    expect(differingPaths(web, other, 3)).toEqual(['spec.template.spec.containers[0].image', 'metadata.labels.tier']);
  });

  it('quote keys that are no plain words', () => {
    const a = { ...web, data: { 'app.conf': 'secret one' } };
    const b = { ...web, data: { 'app.conf': 'secret two' } };
    expect(differingPaths(a, b, 3)).toEqual(['data["app.conf"]']);
  });

  it('end at a list whose length differs, and are no more than asked for', () => {
    const a = { ...web, spec: { ports: [1], a: 1, b: 1, c: 1 } };
    const b = { ...web, spec: { ports: [1, 2], a: 2, b: 2, c: 2 } };
    expect(differingPaths(a, b, 3)).toEqual(['spec.ports', 'spec.a', 'spec.b']);
  });
});
