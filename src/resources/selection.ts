import type { KubeObject } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import { parseLabelSelector } from '../selection/label-selector.ts';
import { isGlob, matcherOf, nearestNames } from '../selection/name-patterns.ts';
import { groupOf, OPT_OUT_LABEL } from './resource.ts';

/** What a kind goes by: of a cluster's discovery, or as a snapshot has it. */
export interface KindNames {
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular?: string | undefined;
  readonly shortNames?: readonly string[] | undefined;
  readonly namespaced: boolean;
}

/** Which objects to take. */
export interface ResourceFilter {
  /** False: no object of this kind can be taken, so it needs no LIST. */
  takesKind(kind: KindNames): boolean;
  /** Whether an object has the labels asked for and is not left out. */
  takes(object: KubeObject, plural: string): boolean;
  /** Whether an object is left out by `exclude` or by its own label; for what others need, whatever its labels. */
  excludes(object: KubeObject, plural: string): boolean;
  /** The exclude patterns that left nothing out so far. */
  unused(): readonly string[];
}

export interface FilterOptions {
  /** A label selector that the objects themselves must match. */
  readonly selector?: string | undefined;
  /** `KIND`, `KIND/NAME` or `NAMESPACE/KIND/NAME`, with globs; patterns of releases among them are passed over. */
  readonly exclude: readonly string[];
  /** Every kind there is to choose from. */
  readonly kinds: readonly KindNames[];
  /** Whether a pattern that names no kind may be one of releases: `NAME` or `NAMESPACE/NAME`. */
  readonly alsoReleases: boolean;
  /** Where the kinds are from, for messages: `the cluster stage`, `the snapshot`. */
  readonly where: string;
}

/**
 * Reads `selector` and `exclude` for plain objects.
 *
 * @throws TransshipError `INPUT` for a selector that can't be read, or naming every pattern whose kind is unknown
 */
export function createFilter({ selector, exclude, kinds, alsoReleases, where }: FilterOptions): ResourceFilter {
  const selects = selector === undefined ? undefined : parseLabelSelector(selector);
  const used = new Set<string>();
  const patterns = exclude.map((text) => readPattern(text, kinds, alsoReleases));
  refuse(patterns, kinds, alsoReleases, where);
  // By kind, so that an object costs a look-up where no pattern concerns it.
  const whole = new Set<string>();
  const rules = new Map<string, Rule[]>();
  for (const pattern of patterns) {
    if (pattern.of !== 'objects') continue;
    for (const kind of pattern.kinds) addRule(pattern, kind);
  }

  function addRule({ text, namespace, name }: ObjectsPattern, { group, plural, namespaced }: KindNames): void {
    if (namespace !== undefined && !namespaced) return;
    const rule = { text, namespace: testOf(namespace), name: testOf(name) };
    const key = resourceKey(plural, group);
    if (rule.namespace === undefined && rule.name === undefined) {
      whole.add(key);
      used.add(text);
    } else {
      const others = rules.get(key);
      if (others === undefined) rules.set(key, [rule]);
      else others.push(rule);
    }
  }

  function excludes({ apiVersion, metadata }: KubeObject, plural: string): boolean {
    if (metadata.labels?.[OPT_OUT_LABEL] === 'true') return true;
    const key = resourceKey(plural, groupOf(apiVersion));
    if (whole.has(key)) return true;
    let isExcluded = false;
    for (const rule of rules.get(key) ?? []) {
      if (rule.name?.(metadata.name) === false || rule.namespace?.(metadata.namespace ?? '') === false) continue;
      used.add(rule.text);
      isExcluded = true;
    }
    return isExcluded;
  }

  return {
    takesKind: ({ group, plural }) => !whole.has(resourceKey(plural, group)),
    takes: (object, plural) =>
      (selects === undefined || selects(object.metadata.labels ?? {})) && !excludes(object, plural),
    excludes,
    unused: () => patterns.filter(({ of, text }) => of === 'objects' && !used.has(text)).map(({ text }) => text),
  };
}

/**
 * Whether a pattern of `exclude` means releases where both releases and objects are chosen from. What names a kind, or
 * has three parts, means objects.
 */
export function isReleasePattern(pattern: string, kinds: readonly KindNames[]): boolean {
  return readPattern(pattern, kinds, true).of === 'releases';
}

/**
 * The kinds that go by a name: plural, singular, short name or kind, in any case, with or without `.group`; or a glob
 * over plurals, with or without group. Several where groups share it.
 *
 * @param input - the input that has the name, for messages
 * @param where - where the kinds are from, for messages: `the cluster stage`, `the snapshot`
 * @throws TransshipError `INPUT` naming the nearest kinds when there is none
 */
export function findKinds(name: string, kinds: readonly KindNames[], input: string, where: string): KindNames[] {
  const found = matchKinds(name, kinds);
  if (found.length > 0) return found;
  throw new TransshipError('INPUT', `${input} has "${name}", which is no kind of object in ${where}.`, {
    hint: `${didYouMean(nearestKinds(name, kinds))}Write a kind, with its group where several have it, such as deployments or deployments.apps.`,
  });
}

/**
 * The kinds whose status travels, as `group/kind`.
 *
 * @param names - as users name them
 * @throws TransshipError `INPUT` for one that is no kind
 */
export function kindsWithStatus(names: readonly string[], kinds: readonly KindNames[], where: string): Set<string> {
  const found = names.flatMap((name) => findKinds(name, kinds, 'restore-status', where));
  return new Set(found.map(({ group, kind }) => `${group}/${kind}`));
}

type Test = (text: string) => boolean;

/** What one pattern asks of the objects of one kind; undefined for anything. */
interface Rule {
  readonly text: string;
  readonly namespace: Test | undefined;
  readonly name: Test | undefined;
}

interface ObjectsPattern {
  readonly of: 'objects';
  readonly text: string;
  readonly kinds: readonly KindNames[];
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

type Pattern =
  | ObjectsPattern
  | { readonly of: 'releases'; readonly text: string }
  | { readonly of: 'unknown'; readonly text: string; readonly kind: string }
  | { readonly of: 'nothing'; readonly text: string };

function readPattern(text: string, kinds: readonly KindNames[], alsoReleases: boolean): Pattern {
  const parts = text.split('/');
  if (parts.length > 3 || parts.includes('')) return { of: 'nothing', text };
  const [namespace, kind = '', name] = parts.length === 3 ? parts : [undefined, ...parts];
  const mayBeReleases = alsoReleases && parts.length < 3;
  // `s*` is a fair pattern of releases: that it is one of Secrets and Services too must not lose them.
  const isOfNames = mayBeReleases && isGlob(kind) && !isAnything(kind) && !kind.includes('.');
  const found = isOfNames ? [] : matchKinds(kind, kinds);
  if (found.length > 0) return { of: 'objects', text, kinds: found, namespace, name };
  return mayBeReleases ? { of: 'releases', text } : { of: 'unknown', text, kind };
}

function matchKinds(name: string, kinds: readonly KindNames[]): KindNames[] {
  const wanted = name.toLowerCase();
  if (isGlob(wanted)) {
    const matches = matcherOf(wanted);
    return kinds.filter(({ group, plural }) => matches(plural) || (group !== '' && matches(`${plural}.${group}`)));
  }
  return kinds.filter(({ group, kind, plural, singular, shortNames = [] }) => {
    const names = [plural, singular, kind.toLowerCase(), ...shortNames];
    return names.includes(wanted) || (group !== '' && names.some((one) => `${one}.${group}` === wanted));
  });
}

/** @throws TransshipError `INPUT` naming every pattern that means nothing */
function refuse(patterns: readonly Pattern[], kinds: readonly KindNames[], alsoReleases: boolean, where: string): void {
  const malformed = patterns.filter(({ of }) => of === 'nothing').map(({ text }) => `"${text}"`);
  if (malformed.length > 0) {
    const ofReleases = alsoReleases ? '; for releases NAME or NAMESPACE/NAME' : '';
    throw new TransshipError('INPUT', `exclude has ${malformed.join(', ')}, which can't be read.`, {
      hint: `Write KIND, KIND/NAME or NAMESPACE/KIND/NAME${ofReleases}. * and ? may stand in each part.`,
    });
  }
  const unknown = patterns.filter((pattern) => pattern.of === 'unknown');
  if (unknown.length === 0) return;
  const problems = unknown.map(({ text, kind }) =>
    text === kind
      ? `exclude has "${text}", which is no kind of object in ${where}.`
      : `exclude has "${text}", but "${kind}" is no kind of object in ${where}.`,
  );
  const nearest = new Set(unknown.flatMap(({ kind }) => nearestKinds(kind, kinds)));
  throw new TransshipError('INPUT', problems.join(' '), {
    hint: `${didYouMean([...nearest])}To leave out objects of any kind by name, write */web-*; in one namespace, shop/*/web-*.`,
  });
}

/** The kinds that were probably meant, by their plurals; with groups where the name has one. */
function nearestKinds(name: string, kinds: readonly KindNames[]): string[] {
  if (isGlob(name)) return [];
  const wanted = name.toLowerCase();
  const pluralOf = new Map<string, string>();
  for (const { group, kind, plural } of kinds) {
    const suffix = group !== '' && wanted.includes('.') ? `.${group}` : '';
    for (const one of [plural, kind.toLowerCase()]) pluralOf.set(`${one}${suffix}`, `${plural}${suffix}`);
  }
  // A few letters are found in the middle of many a long name.
  const isLikely = (one: string) => wanted.length > 3 || one.length - wanted.length < 3;
  const nearest = nearestNames(wanted, [...pluralOf.keys()].filter(isLikely), 6);
  return [...new Set(nearest.map((one) => pluralOf.get(one) ?? one))].slice(0, 3);
}

function didYouMean(names: readonly string[]): string {
  return names.length === 0 ? '' : `Did you mean ${names.join(' or ')}? `;
}

function testOf(pattern: string | undefined): Test | undefined {
  return pattern === undefined || isAnything(pattern) ? undefined : matcherOf(pattern);
}

function isAnything(pattern: string): boolean {
  return /^\*+$/.test(pattern);
}

function resourceKey(plural: string, group: string): string {
  return `${plural}.${group}`;
}
