import { expect, it } from 'vitest';
import type { ResourceKind } from '../../../src/cluster/discovery.ts';
import { createKnownKinds, type DefinedKind, readDefinedKind } from '../../../src/resources/known-kinds.ts';
import { createServe } from '../../../src/resources/servable.ts';
import { crdOf, discoveryOf, kindOf, snapshotKindsOf } from './target-bed.ts';

interface World {
  /** What the source served. */
  readonly source?: readonly ResourceKind[];
  readonly target?: readonly ResourceKind[];
  readonly crds?: readonly DefinedKind[];
  readonly otherCrds?: readonly string[];
  readonly replace?: boolean;
}

/** How an object goes to the target: `apiVersion`, and what else there is to say. */
function serve(apiVersion: string, kind: string, world: World): string | undefined {
  const { source = [], target = [], crds = [], otherCrds = [], replace = false } = world;
  const discovery = discoveryOf(target);
  const found = createServe({
    discovery,
    known: createKnownKinds(snapshotKindsOf(source), crds, discovery),
    defined: new Map(crds.map((crd) => [`${crd.kind}.${crd.group}`, crd])),
    otherCrds: new Set(otherCrds),
    replace,
  })(apiVersion, kind);
  if (found === undefined) return undefined;
  const { isCustom, isServed, isRewritten } = found;
  const marks = [isCustom && 'custom', !isServed && 'to come', isRewritten && 'rewritten'].filter(Boolean);
  return [found.kind.apiVersion, ...marks].join(', ');
}

function definedBy(versions: readonly string[]): DefinedKind {
  const defined = readDefinedKind(crdOf('widgets.example.com', 'Widget', versions));
  if (defined === undefined) throw new Error('It is a CRD.');
  return defined;
}

it('takes what the target serves as it is, preferred there or not', () => {
  const target = [kindOf('autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler', ['v2', 'v1'])];
  expect(serve('autoscaling/v1', 'HorizontalPodAutoscaler', { target })).toBe('autoscaling/v1');
});

it('rewrites to a version that the source knew too, in the order of the target', () => {
  const source = [kindOf('example.com/v1alpha1 widgets Widget', ['v1alpha1', 'v1beta1', 'v1beta2'])];
  const target = [kindOf('example.com/v2 widgets Widget', ['v2', 'v1beta2', 'v1beta1'])];
  expect(serve('example.com/v1alpha1', 'Widget', { source, target })).toBe('example.com/v1beta2, rewritten');
});

it('rewrites to the preferred version of the target where the source knew none', () => {
  const target = [kindOf('example.com/v2 widgets Widget', ['v2', 'v1'])];
  expect(serve('example.com/v1alpha1', 'Widget', { target })).toBe('example.com/v2, rewritten');
});

it('does not rewrite to a kind of the same name in another group', () => {
  const target = [kindOf('other.com/v1 widgets Widget')];
  expect(serve('example.com/v1', 'Widget', { target })).toBeUndefined();
});

it('waits for a CRD that travels, in the versions that it serves', () => {
  const crds = [definedBy(['v1'])];
  expect(serve('example.com/v1', 'Widget', { crds })).toBe('example.com/v1, custom, to come');
  expect(serve('example.com/v2', 'Widget', { crds })).toBeUndefined();
});

it('waits for the CRD of a release whose kind the source has described', () => {
  const source = [kindOf('example.com/v1 widgets Widget')];
  const otherCrds = ['widgets.example.com'];
  expect(serve('example.com/v1', 'Widget', { source, otherCrds })).toBe('example.com/v1, custom, to come');
  expect(serve('example.com/v1', 'Widget', { source })).toBeUndefined();
});

it('knows that a CRD which the target has goes on to serve the same, unless it is replaced', () => {
  const world = { crds: [definedBy(['v2'])], target: [kindOf('example.com/v1 widgets Widget')] };
  expect(serve('example.com/v2', 'Widget', world)).toBe('example.com/v1, custom, rewritten');
  expect(serve('example.com/v2', 'Widget', { ...world, replace: true })).toBe('example.com/v2, custom, to come');
});
