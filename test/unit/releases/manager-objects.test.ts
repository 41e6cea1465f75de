import { expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { isOfManager } from '../../../src/releases/manager-objects.ts';

const manager = { namespace: 'ops', release: 'transship', path: 's3://b/p' };

function object(kind: string, metadata: Partial<KubeObject['metadata']>): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name: 'x', namespace: 'ops', ...metadata } };
}

const marks = (release: string, namespace = 'ops') => ({
  annotations: { 'meta.helm.sh/release-name': release, 'meta.helm.sh/release-namespace': namespace },
});

it.each<[string, KubeObject, boolean]>([
  ['what it brought', object('Deployment', marks('transship')), true],
  ['what it brought to another namespace', object('Role', { ...marks('transship'), namespace: 'shop' }), true],
  ['what another release brought', object('Deployment', marks('web')), false],
  ['what one of its name elsewhere brought', object('Deployment', marks('transship', 'dev')), false],
  ['its record', object('Secret', { name: 'sh.helm.release.v1.transship.v12' }), true],
  ['its record in a ConfigMap', object('ConfigMap', { name: 'sh.helm.release.v1.transship.v1' }), true],
  ['a record of another release', object('Secret', { name: 'sh.helm.release.v1.transship-2.v1' }), false],
  ['a record in another namespace', object('Secret', { ...record('transship'), namespace: 'dev' }), false],
  ['anything else', object('Secret', { name: 'transship' }), false],
])('%s', (_, one, isOurs) => {
  expect(isOfManager(one, manager)).toBe(isOurs);
});

function record(release: string) {
  return { name: `sh.helm.release.v1.${release}.v1` };
}
