import { createHash } from 'node:crypto';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { TransshipError } from '../errors.ts';
import { parseLabelSelector } from '../selection/label-selector.ts';
import { missingNamespace } from '../selection/missing-namespace.ts';
import { isGlob, matcherOf, nearestNames } from '../selection/name-patterns.ts';
import { type ChoicePattern, readPattern } from './choose-patterns.ts';
import type { VmSource } from './export-state.ts';
import { needVmKind } from './kinds.ts';
import { allowed, CLAIMS, type NamespacedKind } from './temporary-objects.ts';

/** Which virtual machines, snapshots of them and claims to export. */
export interface VmChoice {
  /** Names and globs; `*` is every namespace. Where a pattern below names one itself, that is looked at instead. */
  readonly namespaces: readonly string[];
  /** Names and globs, of names or of `namespace/name`. With none of the three: all VMs of the namespaces. */
  readonly vms?: readonly string[] | undefined;
  readonly snapshots?: readonly string[] | undefined;
  readonly pvcs?: readonly string[] | undefined;
  /** A label selector; what is given by its name need not match it. */
  readonly selector?: string | undefined;
  /** Names and globs, of names or of `namespace/name`: what matches one is left out however it was chosen. */
  readonly exclude?: readonly string[] | undefined;
}

/** One to be exported, into an archive of its own. */
export interface VmTarget extends VmSource {
  readonly uid: string;
  /** What its archive is called, without the ending; no other of the same choice is called so. */
  readonly part: string;
}

interface Sort {
  readonly kind: VmTarget['kind'];
  readonly input: 'vms' | 'vm-snapshots' | 'pvcs';
  readonly noun: string;
  readonly patterns: readonly string[] | undefined;
  readonly find: () => NamespacedKind;
}

/**
 * Finds what is to be exported, sorted by kind, namespace and name.
 *
 * @throws TransshipError `INPUT` naming the input, for a name that does not exist, with the nearest there are; for a glob
 * that matches nothing, a namespace that does not exist and a selector that can't be read
 * @throws TransshipError `NOT_SERVED` where KubeVirt is not installed; `FORBIDDEN` when they may not be listed
 */
export async function chooseVms(
  cluster: Cluster,
  discovery: Discovery,
  choice: VmChoice,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<VmTarget[]> {
  const { namespaces, snapshots, pvcs, exclude = [] } = choice;
  const isOpen = [choice.vms, snapshots, pvcs].every((patterns = []) => patterns.length === 0);
  const kindOf = (name: 'VirtualMachine' | 'VirtualMachineSnapshot') => () =>
    needVmKind(discovery, name, cluster.context);
  const sorts: readonly Sort[] = [
    {
      ...{ kind: 'vm', input: 'vms', noun: 'VM', find: kindOf('VirtualMachine') },
      patterns: isOpen ? ['*'] : choice.vms,
    },
    {
      ...{ kind: 'snapshot', input: 'vm-snapshots', noun: 'VM snapshot', find: kindOf('VirtualMachineSnapshot') },
      patterns: snapshots,
    },
    { kind: 'pvc', input: 'pvcs', noun: 'claim', patterns: pvcs, find: () => CLAIMS },
  ];
  const selects = choice.selector === undefined ? () => true : parseLabelSelector(choice.selector);
  const excludes = exclude.map(matcherOf);
  const isExcluded = ({ metadata: { name, namespace } }: KubeObject) =>
    excludes.some((matches) => matches(name) || matches(`${namespace}/${name}`));

  const chosen: Omit<VmTarget, 'part'>[] = [];
  for (const { kind, input, noun, patterns: texts = [], find } of sorts) {
    if (texts.length === 0) continue;
    const patterns = texts.map((text) => readPattern(text, namespaces));
    const found = await list(cluster, find(), { noun, patterns, signal });
    for (const pattern of isOpen ? [] : patterns) {
      if (!found.some(pattern.matches)) throw nothingMatches(input, noun, pattern, found);
    }
    const taken = found.filter(
      (object) =>
        !isExcluded(object) &&
        patterns.some(({ isName, matches }) => matches(object) && (isName || selects(object.metadata.labels ?? {}))),
    );
    chosen.push(
      ...taken
        .map(({ metadata: { name, namespace = '', uid = '' } }) => ({ kind, namespace, name, uid }))
        .sort(compare),
    );
  }
  const parts = new Set<string>();
  return chosen.map((target) => {
    const part = partOf(target, parts);
    parts.add(part);
    return { ...target, part };
  });
}

interface ListOptions {
  readonly noun: string;
  readonly patterns: readonly ChoicePattern[];
  readonly signal: AbortSignal | undefined;
}

/** All that patterns may match: of the namespaces that are named, or of all where a glob stands for some. */
async function list(
  cluster: Cluster,
  kind: NamespacedKind,
  { noun, patterns, signal }: ListOptions,
): Promise<KubeObject[]> {
  const wanted = [...new Set(patterns.flatMap(({ namespaces }) => namespaces))];
  const isWide = wanted.some(isGlob);
  const found: KubeObject[] = [];
  for (const namespace of isWide ? [undefined] : wanted) {
    const { group, apiVersion, plural } = kind;
    const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
    const path = `${group === '' ? '/api' : '/apis'}/${apiVersion}${scope}/${plural}`;
    const purpose = `Looking for ${noun}s`;
    await allowed({ verb: 'list', group, resource: plural, namespace: namespace ?? '*', purpose }, async () => {
      for await (const object of cluster.list(path, { metadataOnly: true, signal })) found.push(object);
    });
  }
  // The server answers a list in a namespace that does not exist with nothing.
  const empty = wanted.filter((name) => !isGlob(name) && !found.some(({ metadata }) => metadata.namespace === name));
  for (const namespace of empty) await checkNamespace(cluster, namespace, signal);
  return found;
}

/** @throws TransshipError `INPUT` when it does not exist */
async function checkNamespace(cluster: Cluster, namespace: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}`;
    if ((await findObject(cluster, path, signal)) !== undefined) return;
  } catch (error) {
    // Who may not look at it still may do in it what he has rights for.
    if (error instanceof TransshipError && error.code === 'FORBIDDEN') return;
    throw error;
  }
  throw await missingNamespace(cluster, namespace, signal);
}

function nothingMatches(
  input: string,
  noun: string,
  { text, isName, name, namespaces }: ChoicePattern,
  found: readonly KubeObject[],
): TransshipError {
  const inThese = namespaces.map(matcherOf);
  const there = found.filter(({ metadata }) => inThese.some((matches) => matches(metadata.namespace ?? '')));
  const names = [...new Set(there.map(({ metadata }) => metadata.name))];
  const nearest = nearestNames(name, names);
  const where = `the namespace${namespaces.length === 1 ? '' : 's'} ${namespaces.join(', ')}`;
  const [first] = nearest.length > 0 ? [`Did you mean ${nearest.join(' or ')}?`] : [];
  const some = names.slice(0, NAMES_TOLD).join(', ');
  const more = names.length > NAMES_TOLD ? ` and ${names.length - NAMES_TOLD} more` : '';
  const hint = first ?? (names.length === 0 ? `There is no ${noun} in ${where}.` : `There are: ${some}${more}.`);
  return isName
    ? new TransshipError('INPUT', `${input} names "${text}": there is no such ${noun} in ${where}.`, { hint })
    : new TransshipError('INPUT', `${input} has "${text}", which matches no ${noun} in ${where}.`, { hint });
}

/** How many names of what there is are told. */
const NAMES_TOLD = 10;

/** Of a file's name, what suffixes for compression, encryption and an interrupted export leave room for. */
const MOST_IN_NAME = 180;

/** `shop.db`; a namespace has no dot, so that only those of different kinds can be called the same. */
function partOf({ kind, namespace, name }: VmSource, taken: ReadonlySet<string>): string {
  const plain = shorten(`${namespace}.${name}`);
  if (!taken.has(plain)) return plain;
  for (let count = 1; ; count += 1) {
    const candidate = shorten(`${namespace}.${name}-${kind}${count === 1 ? '' : `-${count}`}`);
    if (!taken.has(candidate)) return candidate;
  }
}

function shorten(text: string): string {
  if (text.length <= MOST_IN_NAME) return text;
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 12);
  return `${text.slice(0, MOST_IN_NAME - hash.length - 1)}-${hash}`;
}

function compare(a: Omit<VmSource, 'kind'>, b: Omit<VmSource, 'kind'>): number {
  const [one, other] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`];
  return one === other ? 0 : one < other ? -1 : 1;
}
