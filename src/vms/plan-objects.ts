import { hash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { cloneJson } from '../json.ts';
import type { VmDescription } from './description.ts';
import { ABSENT, objectKey, type Seen } from './plan-states.ts';
import { uniqueName } from './plan-volumes.ts';
import type { LookUp } from './read-object.ts';
import { findMatchers, findReferences, type MatcherReference, mapIn, type ObjectReference } from './vm-references.ts';

export interface ObjectOptions {
  readonly discovery: Discovery;
  /** At the target. */
  readonly lookUp: LookUp;
  /** Of the machine at the target. */
  readonly name: string;
  readonly namespace: string;
  readonly random: () => string;
  /** Whether something else of the same import brings an object, by {@link objectKey}. */
  readonly isBrought?: ((key: string) => boolean) | undefined;
  /** Uids of objects that an interrupted import has made for this machine: they are its own, whatever they are like. */
  readonly left: ReadonlySet<string>;
}

export interface ObjectPlan {
  /** To be created before the machine, in this order. */
  readonly objects: readonly KubeObject[];
  /** Names of the revisions the machine is to be pinned to. */
  readonly revisions: Readonly<Partial<Record<MatcherReference['role'], string>>>;
  readonly problems: readonly string[];
  readonly notes: readonly string[];
  /** What the target had. */
  readonly seen: Seen;
}

/** What one object came to. */
interface Outcome {
  readonly seen?: readonly [key: string, state: string];
  readonly create?: KubeObject;
  readonly problem?: string;
  readonly note?: string;
}

/** Made of templates, or made by KubeVirt for each machine. */
const NOT_BROUGHT = ['PersistentVolumeClaim', 'DataVolume', 'ControllerRevision'];
const INSTANCETYPES = 'instancetype.kubevirt.io';

/**
 * Plans what a machine needs beside its disks: what travels is created unless it is there; what does not travel has to be
 * there.
 */
export async function planObjects(
  vm: KubeObject,
  { objects }: VmDescription,
  options: ObjectOptions,
): Promise<ObjectPlan> {
  const from = vm.metadata.namespace;
  const matchers = findMatchers(vm);
  const revisions = matchers.map((matcher) => planRevision(matcher, objects, options));
  const travelling = objects.filter(({ kind }) => !NOT_BROUGHT.includes(kind));
  const references = [...findReferences(vm), ...matchers.flatMap(({ object }) => object ?? [])];
  const isPinned = (reference: ObjectReference) =>
    revisions.some(({ matcher, copy }) => matcher.object === reference && copy !== undefined);

  const outcomes = await Promise.all([
    ...travelling.map((object) => planObject(object, from, options)),
    ...references
      .filter((reference) => !travelling.some((object) => isNamedBy(object, reference, from)))
      .map((reference) => needObject(reference, from, options, isPinned(reference))),
  ]);
  return {
    objects: [...outcomes.flatMap(({ create }) => create ?? []), ...revisions.flatMap(({ copy }) => copy ?? [])],
    revisions: Object.fromEntries(
      revisions.flatMap(({ matcher, copy }) => (copy ? [[matcher.role, copy.metadata.name]] : [])),
    ),
    problems: outcomes.flatMap(({ problem }) => problem ?? []),
    notes: [...outcomes.flatMap(({ note }) => note ?? []), ...revisions.flatMap(({ note }) => note ?? [])],
    seen: new Map(outcomes.flatMap(({ seen }) => (seen === undefined ? [] : [seen]))),
  };
}

/**
 * The revision gets a name of its own: under the old one it may be there already, owned by another machine, and would go
 * with that.
 */
function planRevision(
  matcher: MatcherReference,
  objects: readonly KubeObject[],
  { name, namespace, random }: ObjectOptions,
): { matcher: MatcherReference; copy?: KubeObject; note?: string } {
  const { role, object, revision } = matcher;
  const found = objects.find((one) => one.kind === 'ControllerRevision' && one.metadata.name === revision?.name);
  if (found === undefined) {
    const note = `The revision ${revision?.name} of its ${role} is not in the archive: it will be made of what ${object?.name} is at the target.`;
    return revision === undefined ? { matcher } : { matcher, note };
  }
  const copy = cloneJson(found);
  const { ownerReferences, ...metadata } = copy.metadata;
  const renamed = uniqueName(name, object?.name ?? role, random());
  return { matcher, copy: { ...copy, metadata: { ...metadata, name: renamed, namespace } } };
}

/** An object that travels: of the machine's namespace to that it comes to, any other to where it was. */
async function planObject(object: KubeObject, from: string | undefined, options: ObjectOptions): Promise<Outcome> {
  const { discovery, lookUp, isBrought } = options;
  const group = groupOf(object);
  const served =
    discovery.findKind(object.apiVersion, object.kind) ??
    discovery.kinds.find((kind) => kind.group === group && kind.kind === object.kind);
  const { namespace: before, ...metadata } = object.metadata;
  const namespace = served?.namespaced === true ? moved(before, from, options) : undefined;
  const what = nameOf(object.kind, namespace ?? before, metadata.name);
  if (served === undefined) {
    return { problem: `The machine needs the ${what}, and the target serves no ${object.kind} of ${group || 'v1'}.` };
  }
  const key = objectKey({ group, kind: object.kind, namespace, name: metadata.name });
  const create: KubeObject = {
    ...cloneJson(object),
    apiVersion: served.apiVersion,
    metadata: { ...metadata, ...(namespace !== undefined && { namespace }) },
  };
  // Should it not come after all, it is created when it is its turn.
  if (isBrought?.(key) === true) return { create };
  const reference = { group, kind: object.kind, namespace, name: metadata.name, by: 'archive', isOptional: false };
  const { object: there, missing } = await lookUp(reference);
  if (missing?.isDenied === true)
    return { problem: `${what} may not be read at the target. ${missing.hint ?? ''}`.trim() };
  if (there === undefined) {
    if (before !== undefined && namespace === before && before !== from && before !== options.namespace) {
      return {
        problem: `The machine needs the ${what}, which is not at the target: it is of another namespace, and has to be made there first.`,
      };
    }
    return { create, seen: [key, ABSENT] };
  }
  const seen = [key, contentOf(there)] as const;
  if (options.left.has(there.metadata.uid ?? '')) return { create, seen };
  if (isSame(there, object)) return { seen };
  return {
    seen,
    problem: `The ${what} is at the target, and differs from the one the machine needs: delete or rename one of them, or import into another namespace.`,
  };
}

/** An object that does not travel. */
async function needObject(
  reference: ObjectReference,
  from: string | undefined,
  options: ObjectOptions,
  isPinned: boolean,
): Promise<Outcome> {
  if (isPinned) return {};
  const isInstancetype = reference.group === INSTANCETYPES;
  const namespace = reference.namespace === undefined ? undefined : moved(reference.namespace, from, options);
  if (options.isBrought?.(objectKey({ ...reference, namespace })) === true) return {};
  const { missing } = await options.lookUp({ ...reference, namespace });
  // What may not be read may well be there.
  if (missing === undefined || missing.isDenied) return {};
  const what = `${missing.message} at the target, and the archive does not bring it.`;
  return reference.isOptional && !isInstancetype ? { note: what } : { problem: what };
}

function moved(namespace: string | undefined, from: string | undefined, options: ObjectOptions): string {
  return namespace === undefined || namespace === from ? options.namespace : namespace;
}

function isNamedBy(
  object: KubeObject,
  { group, kind, namespace, name }: ObjectReference,
  from: string | undefined,
): boolean {
  const within = namespace === undefined ? undefined : (object.metadata.namespace ?? from);
  return object.kind === kind && groupOf(object) === group && object.metadata.name === name && within === namespace;
}

/** Only of Secrets and ConfigMaps: with others the machine would start with another password or key. Networks are the target's own. */
export function isSame(there: KubeObject, brought: KubeObject): boolean {
  const content = ({ data, binaryData, type }: KubeObject) => [mapIn(data), mapIn(binaryData), type ?? 'Opaque'];
  return isDeepStrictEqual(content(there), content(brought));
}

function contentOf({ data, binaryData, type }: KubeObject): string {
  return hash('sha256', JSON.stringify([data, binaryData, type])).slice(0, 32);
}

function groupOf({ apiVersion }: KubeObject): string {
  return apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
}

function nameOf(kind: string, namespace: string | undefined, name: string): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}
