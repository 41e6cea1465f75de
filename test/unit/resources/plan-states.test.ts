import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { ABSENT, type States } from '../../../src/plan/states.ts';
import { objectOf, plan, prepare, targetWith } from './target-bed.ts';

const shop = objectOf('v1 Namespace shop');
const app = (value: string, metadata = {}) => objectOf('v1 ConfigMap shop/app', { data: { a: value }, metadata });
const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'boss', uid: '' };
const files = {
  'shop/configmaps.json': [app('1'), objectOf('v1 ConfigMap shop/new')],
  'shop/secrets.json': [objectOf('v1 Secret shop/key', { metadata: { ownerReferences: [owner] } })],
  'bills/configmaps.json': [objectOf('v1 ConfigMap bills/app')],
};
const job = (uid: string) => objectOf('batch/v1 Job shop/boss', { metadata: { uid } });

async function statesOf(objects: readonly KubeObject[], run: typeof prepare | typeof plan = prepare): Promise<States> {
  const states: States = new Map();
  await run(files, targetWith(objects), { states, replace: true });
  return states;
}

/** Which states two targets have otherwise. */
async function changedBy(before: readonly KubeObject[], after: readonly KubeObject[]): Promise<string[]> {
  const [old, now] = [await statesOf(before), await statesOf(after)];
  return [...old.keys()].filter((key) => old.get(key) !== now.get(key));
}

describe('the states that an import is bound to', () => {
  it('are of every wanted object, of owners, and of namespaces that are not brought', async () => {
    const states = await statesOf([shop, app('1')]);
    expect([...states.keys()].sort()).toEqual([
      'object /ConfigMap/bills/app',
      'object /ConfigMap/shop/app',
      'object /ConfigMap/shop/new',
      'object /Namespace//bills',
      'object /Namespace//shop',
      'object /Secret/shop/key',
      'object batch/Job/shop/boss',
    ]);
    expect(
      [...states]
        .filter(([, state]) => state === ABSENT)
        .map(([key]) => key)
        .sort(),
    ).toEqual([
      'object /ConfigMap/bills/app',
      'object /ConfigMap/shop/new',
      'object /Namespace//bills',
      'object /Secret/shop/key',
      'object batch/Job/shop/boss',
    ]);
  });

  it('are the same in a plan', async () => {
    for (const objects of [[], [shop, app('1')], [shop, app('2'), job('1')]]) {
      expect(await statesOf(objects, plan)).toEqual(await statesOf(objects));
    }
  });

  it('change with an object, and say nothing of what it holds', async () => {
    expect(await changedBy([shop, app('1')], [shop, app('2')])).toEqual(['object /ConfigMap/shop/app']);
    const states = await statesOf([shop, app('a secret')]);
    expect(JSON.stringify([...states])).not.toContain('secret');
  });

  it('change when an object comes, goes, or gets an owner', async () => {
    expect(await changedBy([shop], [shop, app('1')])).toEqual(['object /ConfigMap/shop/app']);
    const owned = app('1', { ownerReferences: [{ ...owner, uid: '7' }] });
    expect(await changedBy([shop, app('1')], [shop, owned])).toEqual(['object /ConfigMap/shop/app']);
  });

  it('change when an owner is another one now, or a namespace has come', async () => {
    expect(await changedBy([shop, job('1')], [shop, job('2')])).toEqual(['object batch/Job/shop/boss']);
    const bills = objectOf('v1 Namespace bills');
    expect(await changedBy([shop], [shop, bills])).toEqual(['object /Namespace//bills']);
  });

  it('stay when only the server and its controllers wrote, or the label of an environment came', async () => {
    const touched = app('1', { resourceVersion: '8', labels: { 'transship.dev/environment': 'pr-7' } });
    expect(await changedBy([shop, app('1')], [shop, { ...touched, status: { seen: true } }])).toEqual([]);
  });
});
