import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../cluster/cluster.ts';
import { messageOf, TransshipError } from '../errors.ts';
import { cloneJson } from '../json.ts';
import { isMap } from '../values.ts';
import { createJsonPatcher } from './json-patch.ts';
import { checkImagePair, createImageMapper } from './map-images.ts';
import { createStorageClassMapper } from './map-storage-classes.ts';
import { applyMergePatch } from './merge-patch.ts';
import { readTransformFile } from './read-file.ts';
import { createPairReplacer, createReplacer } from './replace-text.ts';
import { createSelector, type Selector } from './select-objects.ts';
import { createMetadataSetter } from './set-metadata.ts';
import type { ActionSpec, Pair, TransformSpec } from './spec.ts';
import { applyStrategicPatch } from './strategic-patch.ts';
import type { Transforms } from './transforms.ts';

/** What an import is asked to change on the way in. */
export interface TransformInputs {
  /** The input `transforms`, read. */
  readonly file?: { readonly path: string; readonly text: string } | undefined;
  readonly namespaceMap: Readonly<Record<string, string>>;
  readonly storageClassMap: Readonly<Record<string, string>>;
  readonly imageMap: Readonly<Record<string, string>>;
  readonly replaceText: Readonly<Record<string, string>>;
}

/**
 * Makes the transforms of an import: those of the file in their order, then the inputs `storage-class-map`, `image-map` and
 * `replace-text`.
 *
 * @throws TransshipError `INPUT` for what is wrong in the file, with its lines and columns, and for maps that contradict
 */
export async function createTransforms(inputs: TransformInputs): Promise<Transforms> {
  const specs = inputs.file === undefined ? [] : readTransformFile(inputs.file.path, inputs.file.text);
  const all = [...specs, ...specsOfInputs(inputs)];
  const namespacePairs = all.flatMap(({ action }) => (action.type === 'namespaces' ? action.pairs : []));
  const namespaces = joinNamespaces(namespacePairs);
  const steps: Step[] = [];
  for (const spec of all) {
    if (spec.action.type !== 'namespaces') steps.push(await createStep(spec, spec.action));
  }
  const hasLabelSelectors = steps.some(({ spec }) => spec.select.labels !== undefined);
  const met = new Set<string>();
  const see = (namespace: string | undefined): void => {
    if (namespace !== undefined && namespaces.size > 0 && namespaces.has(namespace)) met.add(namespace);
  };
  return {
    namespaces,
    isEmpty: steps.length === 0,
    see,
    mayChange: (text) => steps.some(({ selector, action }) => selector.mayMatch(text) && action.mayChange(text)),
    apply: (object, defaultNamespace) => {
      const namespace = object.metadata.namespace ?? defaultNamespace;
      see(object.kind === 'Namespace' && object.apiVersion === 'v1' ? object.metadata.name : namespace);
      if (steps.length === 0) return object;
      const labels = hasLabelSelectors ? { ...object.metadata.labels } : NO_LABELS;
      let changed = false;
      for (const step of steps) {
        if (step.selector.matches({ object, namespace, labels })) changed = runStep(step, object) || changed;
      }
      return changed ? { ...object } : object;
    },
    unused: () => [
      ...namespacePairs.filter(({ from }) => !met.has(from)).map(({ from, place }) => `${place}: namespace ${from}`),
      ...steps.flatMap(nameUnused),
    ],
    digest: digestOf(all),
  };
}

const NO_LABELS = {};

/** A transform at work. */
interface Step {
  readonly spec: TransformSpec;
  readonly selector: Selector;
  readonly action: Action;
  isUsed: boolean;
}

interface Action {
  /** Changes the object in place; says whether anything changed. @throws Error saying why it can't, without values */
  apply(object: KubeObject): boolean;
  /** Whether it may change a document in YAML; false only when that is certain. */
  mayChange(text: string): boolean;
  /** Of an action of several pairs, those that did nothing. */
  unused?(): readonly Pair[];
}

function runStep(step: Step, object: KubeObject): boolean {
  const { apiVersion, kind } = object;
  const { name, namespace } = object.metadata;
  const fail = (problem: string, cause?: unknown): never => {
    const id = namespace === undefined ? name : `${namespace}/${name}`;
    throw new TransshipError('INPUT', `${titleOf(step.spec)} can't be applied to ${kind} ${id}: ${problem}.`, {
      hint: 'Change the transform, or give it a select that leaves this object out.',
      cause,
    });
  };
  let changed = false;
  try {
    changed = step.action.apply(object);
  } catch (error) {
    return fail(messageOf(error), error);
  }
  if (!changed) return false;
  const { metadata } = object;
  if (!isMap(metadata)) return fail('it would remove metadata');
  if (object.apiVersion !== apiVersion) return fail('it would change apiVersion');
  if (object.kind !== kind) return fail('it would change kind');
  if (metadata.name !== name) return fail('it would change metadata.name');
  if (metadata.namespace !== namespace) return fail('it would change metadata.namespace; namespaces does that');
  step.isUsed = true;
  return true;
}

/** `hosts (transforms.yaml:3:5)`, or `image-map`. */
function titleOf({ title, place }: TransformSpec): string {
  return place === title ? title : `${title} (${place})`;
}

function nameUnused({ spec, action, isUsed }: Step): string[] {
  if (action.unused === undefined) return isUsed ? [] : [titleOf(spec)];
  return action.unused().map(({ from, place }) => `${place}: ${JSON.stringify(from)}`);
}

async function createStep(spec: TransformSpec, action: Exclude<ActionSpec, { type: 'namespaces' }>): Promise<Step> {
  const selector = createSelector(spec.select);
  return { spec, selector, action: await createAction(action, selector), isUsed: false };
}

async function createAction(spec: Exclude<ActionSpec, { type: 'namespaces' }>, selector: Selector): Promise<Action> {
  switch (spec.type) {
    case 'storageClasses':
      return createStorageClassMapper(spec.pairs);
    case 'images':
      return createImageMapper(spec.pairs);
    case 'replaceText':
      return withoutCrds(createPairReplacer(spec.pairs), selector);
    case 'replace': {
      const { apply, mayChange } = createReplacer(spec.replace);
      return withoutCrds({ apply, mayChange }, selector);
    }
    case 'labels':
    case 'annotations':
      return { apply: createMetadataSetter(spec.type, spec.metadata), mayChange: always };
    case 'jsonPatch': {
      const library = await import('./lazy/json-patch.ts');
      return patching(createJsonPatcher(spec.operations, library));
    }
    case 'mergePatch':
      return patching((object) => applyMergePatch(object, spec.patch));
    case 'strategicPatch':
      return patching((object) => applyStrategicPatch(object, spec.patch));
  }
}

const always = (): boolean => true;

/** Text in definitions of kinds is documentation and rules; who means them names them. */
function withoutCrds(action: Action, selector: Selector): Action {
  const isLeft = (object: KubeObject) => object.kind === 'CustomResourceDefinition' && !selector.namesKind(object);
  return { ...action, apply: (object) => !isLeft(object) && action.apply(object) };
}

function patching(patch: (object: KubeObject) => void): Action {
  return {
    apply: (object) => {
      const before = cloneJson(object);
      patch(object);
      return !isDeepStrictEqual(before, object);
    },
    mayChange: always,
  };
}

function specsOfInputs({ namespaceMap, storageClassMap, imageMap, replaceText }: TransformInputs): TransformSpec[] {
  const pairsOf = (input: string, map: Readonly<Record<string, string>>): Pair[] =>
    Object.entries(map).flatMap(([from, to]) => (from === to ? [] : [{ from, to, place: input }]));
  const images = pairsOf('image-map', imageMap);
  for (const { from, to } of images) {
    const problem = checkImagePair(from, to);
    if (problem !== undefined) throw new TransshipError('INPUT', `image-map: ${problem}`);
  }
  const actions: [string, ActionSpec & { readonly pairs: readonly Pair[] }][] = [
    ['namespace-map', { type: 'namespaces', pairs: pairsOf('namespace-map', namespaceMap) }],
    ['storage-class-map', { type: 'storageClasses', pairs: pairsOf('storage-class-map', storageClassMap) }],
    ['image-map', { type: 'images', pairs: images }],
    ['replace-text', { type: 'replaceText', pairs: pairsOf('replace-text', replaceText) }],
  ];
  return actions
    .filter(([, { pairs }]) => pairs.length > 0)
    .map(([input, action]) => ({ title: input, place: input, select: {}, action }));
}

function joinNamespaces(pairs: readonly Pair[]): ReadonlyMap<string, string> {
  const firsts = new Map<string, Pair>();
  for (const pair of pairs) {
    const first = firsts.get(pair.from) ?? pair;
    firsts.set(pair.from, first);
    if (first.to === pair.to) continue;
    throw new TransshipError(
      'INPUT',
      `Namespace ${pair.from} becomes ${first.to} (${first.place}) and ${pair.to} (${pair.place}).`,
      { hint: 'Leave one of the two.' },
    );
  }
  return new Map([...firsts].map(([from, { to }]) => [from, to]));
}

/** Of what they do, not of how they are called or laid out. */
function digestOf(specs: readonly TransformSpec[]): string {
  const parts = specs.map(({ select, action }) => [
    select,
    'pairs' in action ? [action.type, action.pairs.map(({ from, to }) => [from, to])] : action,
  ]);
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
