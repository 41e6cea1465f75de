import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { releaseKey } from '../releases/target-releases.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ObjectFailure, ReleaseResult, ResourceResult } from '../report/results.ts';
import { nameObject } from '../resources/resource.ts';
import { isRecreatable } from '../resources/rules.ts';
import { ENVIRONMENT_LABEL, type Environment, PRUNE_ANNOTATION } from './environment.ts';
import { deletableKinds, type FoundObject, listMetadata, type PrunableObject, tellUnlisted } from './labelled.ts';
import { markerName } from './marker.ts';
import { createIsOfRelease, type OwnRelease, readOwnRelease, releaseOfRecord } from './own-releases.ts';
import { createIsControllersCopy, isLeftToOwner, uidsOf } from './owned.ts';
import { createRemovalTally } from './removal-tally.ts';
import { type RemoveOptions, remove } from './remove.ts';

export type { PrunableObject } from './labelled.ts';

/** What former imports brought and the snapshot no longer has. */
export interface Prunable {
  /** Sorted by what tells them apart. */
  readonly objects: readonly PrunableObject[];
  readonly releases: readonly PrunableRelease[];
}

export interface PrunableRelease {
  readonly namespace: string;
  readonly name: string;
}

export interface FindPrunableOptions {
  readonly environment: Environment;
  /** Where to look for what is in namespaces. */
  readonly namespaces: readonly string[];
  /** By keyOf: whether the snapshot has an object. Say so of all where resources are not part of the import. */
  readonly keeps: (key: string) => boolean;
  /** Whether the snapshot has a release. Say so of all where releases are not part of the import. */
  readonly keepsRelease: (namespace: string, name: string) => boolean;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** More than these are looked through at once, where that is allowed. */
const NAMESPACES_ONE_BY_ONE = 4;

/**
 * Finds what carries an environment's label and is no longer wanted. Never: namespaces, CRDs, volumes and their claims, which
 * hold data or other objects, and which a warning names; what bears the annotation `transship.dev/prune: "false"`; what
 * belongs to a release that exists, or to an owner that takes it along or looks after it.
 *
 * @throws ClusterError
 */
export async function findPrunable(
  cluster: Cluster,
  discovery: Discovery,
  options: FindPrunableOptions,
): Promise<Prunable> {
  const { environment, namespaces, keeps, keepsRelease, reporter, signal } = options;
  const places = new Set(namespaces);
  const { objects, unlisted } = await listMetadata(cluster, {
    kinds: deletableKinds(discovery),
    labelSelector: `${ENVIRONMENT_LABEL}=${environment.name}`,
    namespaces,
    everywhere: namespaces.length > NAMESPACES_ONE_BY_ONE,
    signal,
  });
  tellUnlisted(cluster, unlisted, `What environment ${environment.name} has of them is not pruned.`, reporter);
  const labelled = objects.filter(({ id }) => id.namespace === undefined || places.has(id.namespace));
  const isKept = ({ keys }: FoundObject) => keys.some(keeps);

  const records = labelled.filter((object) => releaseOfRecord(object) !== undefined);
  const releases = await findReleases(cluster, options, records, isKept);
  const unwanted = labelled.filter(
    (object) =>
      releaseOfRecord(object) === undefined &&
      !isMarker(object, environment) &&
      !isWantedNamespace(object, places) &&
      !isKept(object) &&
      object.metadata.deletionTimestamp === undefined,
  );
  const [candidates = [], held = []] = [true, false].map((is) =>
    unwanted.filter(({ id }) => isRecreatable(id.group, id.kind) === is),
  );
  if (held.length > 0) reporter.warn(...describeHeld(held, environment));

  const present = uidsOf(labelled);
  const going = uidsOf(candidates);
  const isControllersCopy = createIsControllersCopy(labelled);
  const isOfRelease = createIsOfRelease(cluster, new Set(), signal);
  const found: PrunableObject[] = [];
  for (const object of candidates) {
    if (object.metadata.annotations?.[PRUNE_ANNOTATION] === 'false') continue;
    if (isControllersCopy(object) || isLeftToOwner(object, present, going)) continue;
    if (await isOfRelease(object)) continue;
    const { id, path, uid, kind } = object;
    found.push({ id, path, uid, kind });
  }
  return { objects: found, releases: releases.filter(({ namespace, name }) => !keepsRelease(namespace, name)) };
}

/**
 * Deletes what {@link findPrunable} found, in the reverse of the order of an import.
 *
 * @throws ClusterError only for what concerns all of it
 */
export async function prune(
  { objects, releases }: Prunable,
  options: RemoveOptions & { readonly environment: Environment },
): Promise<{ resources: ResourceResult[]; releases: ReleaseResult[]; failures: ObjectFailure[] }> {
  const { cluster, environment, signal } = options;
  const own: OwnRelease[] = [];
  for (const release of releases) {
    const found = await readOwnRelease(cluster, environment, release, signal);
    if (found !== undefined) own.push(found);
  }
  const tally = createRemovalTally();
  const results = await remove({ objects, releases: own }, tally, options);
  return { ...tally.result(), releases: results };
}

/** Those whose newest record is labelled, and of which none travels as a plain Secret. */
async function findReleases(
  cluster: Cluster,
  { environment, signal }: FindPrunableOptions,
  records: readonly FoundObject[],
  isKept: (object: FoundObject) => boolean,
): Promise<PrunableRelease[]> {
  const byRelease = Map.groupBy(records, (record) =>
    releaseKey(record.id.namespace ?? '', releaseOfRecord(record) ?? ''),
  );
  const found: PrunableRelease[] = [];
  for (const [first, ...others] of byRelease.values()) {
    if (first === undefined || [first, ...others].some(isKept)) continue;
    const place = { namespace: first.id.namespace ?? '', name: releaseOfRecord(first) ?? '' };
    if ((await readOwnRelease(cluster, environment, place, signal)) !== undefined) found.push(place);
  }
  return found;
}

function isMarker({ id }: FoundObject, environment: Environment): boolean {
  return id.group === '' && id.kind === 'ConfigMap' && id.name === markerName(environment);
}

/** One that an import is about is wanted, whether the snapshot has the Namespace itself or not. */
function isWantedNamespace({ id }: FoundObject, places: ReadonlySet<string>): boolean {
  return id.group === '' && id.kind === 'Namespace' && places.has(id.name);
}

function describeHeld(held: readonly FoundObject[], { name }: Environment): [message: string, title: string] {
  const names = held.map(({ id }) => nameObject(id));
  const shown = names.slice(0, 10).join(', ') + (names.length > 10 ? ` and ${names.length - 10} more` : '');
  return [
    `An import for environment ${name} brought these, and the snapshot no longer has them: ${shown}. ` +
      'Namespaces, CRDs, volumes and their claims hold data or other objects, so they are never pruned: delete them yourself, or with teardown.',
    'Not pruned',
  ];
}
