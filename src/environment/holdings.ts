import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { TransshipError } from '../errors.ts';
import { releaseKey } from '../releases/target-releases.ts';
import type { Reporter } from '../report/reporter.ts';
import { isGlob, matcherOf } from '../selection/name-patterns.ts';
import { type ClaimContext, findTemplateClaims, findVolumesInUse } from './claims.ts';
import { ENVIRONMENT_LABEL, type Environment } from './environment.ts';
import { findEnvironments } from './find.ts';
import { deletableKinds, type FoundObject, listMetadata, tellUnlisted } from './labelled.ts';
import { markerName } from './marker.ts';
import { createIsOfRelease, type OwnRelease, readOwnRelease, releaseOfRecord } from './own-releases.ts';
import { createIsControllersCopy, isLeftToOwner, uidsOf } from './owned.ts';

/** All that an environment has, and what becomes of each when it is torn down. */
export interface Holdings {
  readonly environment: Environment;
  readonly releases: readonly OwnRelease[];
  readonly objects: readonly FoundObject[];
  /** Made from the templates of its StatefulSets, in its own namespaces. */
  readonly claims: readonly FoundObject[];
  readonly definitions: readonly FoundObject[];
  /** Those that an import made. */
  readonly namespaces: readonly FoundObject[];
  readonly markers: readonly FoundObject[];
  /** What bears the label and yet has to stay, with why, going on from "it …". */
  readonly staying: readonly { readonly object: FoundObject; readonly why: string }[];
  /** Uids of all that bears the label. */
  readonly labelled: ReadonlySet<string>;
}

export interface HoldingsOptions {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  /** Only what is in these; names and globs. */
  readonly namespaces?: readonly string[] | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds all that bears an environment's label, with its marker or without.
 *
 * @returns undefined when there is nothing
 * @throws TransshipError `FORBIDDEN` when it can't be looked for
 */
export async function findHoldings(environment: Environment, options: HoldingsOptions): Promise<Holdings | undefined> {
  const { cluster, discovery, reporter, signal } = options;
  const places = await findPlaces(environment, options);
  const kinds = deletableKinds(discovery);
  const { objects, unlisted } = await listMetadata(cluster, {
    kinds: kinds.filter((kind) => kind.namespaced || places.hasAll || isNamespace(kind)),
    labelSelector: `${ENVIRONMENT_LABEL}=${environment.name}`,
    namespaces: places.names,
    everywhere: places.everywhere,
    signal,
  });
  const canList = !unlisted.some(({ kind }) => isNamespace(kind));
  const notListed = canList ? [] : await readNamespaces(environment, places.names, options);
  const whatThen = `What environment ${environment.name} has of them stays.`;
  tellUnlisted(
    cluster,
    unlisted.filter(({ kind }) => !isNamespace(kind)),
    whatThen,
    reporter,
  );

  const all = [...objects, ...notListed].filter(({ id }) => {
    const namespace = isNamespace(id) ? id.name : id.namespace;
    return namespace === undefined || places.isChosen(namespace);
  });
  const isCopy = createIsControllersCopy(all);
  const labelled = all.filter((object) => !isCopy(object));
  if (labelled.length === 0) return undefined;

  const sorted = Map.groupBy(labelled, (object) => roleOf(object, environment));
  const of = (role: Role) => sorted.get(role) ?? [];
  const { releases, orphans } = await findReleases(of('record'), environment, options);
  const own = new Set(releases.map(({ namespace, name }) => releaseKey(namespace, name)));
  const uids = uidsOf(labelled);
  const { claims, strays } = await findClaims(of('namespace'), of('marker'), {
    ...{ cluster, discovery, environment, releases: own, labelled: uids, signal },
  });
  if (strays.length > 0) reporter.warn(...describeStrays(strays, environment));

  const staying = await findStaying([...of('object'), ...of('definition')], claims, own, options);
  const stays = new Set(staying.map(({ object }) => object.uid));
  const goes = ({ uid }: FoundObject) => !stays.has(uid);
  const goingUids = uidsOf(labelled.filter(goes));
  return {
    environment,
    releases,
    objects: of('object').filter((object) => goes(object) && !isLeftToOwner(object, uids, goingUids)),
    claims,
    definitions: of('definition').filter(goes),
    namespaces: of('namespace'),
    markers: of('marker'),
    staying: [...staying, ...orphans],
    labelled: uids,
  };
}

interface Places {
  readonly names: readonly string[];
  readonly everywhere: boolean;
  isChosen(namespace: string): boolean;
  /** Whether these are all that the environment has, so that what is in no namespace goes too. */
  readonly hasAll: boolean;
}

async function findPlaces(
  { name }: Environment,
  { cluster, namespaces, reporter, signal }: HoldingsOptions,
): Promise<Places> {
  const [found] = await findEnvironments(cluster, { name, namespaces, signal });
  const matchers = (namespaces ?? ['*']).map(matcherOf);
  const isChosen = (namespace: string) => matchers.some((matches) => matches(namespace));
  const explicit = (namespaces ?? []).filter((pattern) => !isGlob(pattern));
  const names = [...new Set([...(found?.namespaces ?? []), ...explicit])].sort();
  const everywhere = namespaces === undefined || namespaces.some(isGlob);
  const others = namespaces === undefined ? [] : await findElsewhere(cluster, name, isChosen, signal);
  if (others.length > 0) {
    reporter.info(`Environment ${name} is also in ${others.join(', ')}: what it has outside of namespaces stays.`);
  }
  return { names, everywhere, isChosen, hasAll: others.length === 0 };
}

/** Who may only look into some namespaces has brought nothing to others. */
async function findElsewhere(
  cluster: Cluster,
  name: string,
  isChosen: (namespace: string) => boolean,
  signal?: AbortSignal,
): Promise<string[]> {
  try {
    const [found] = await findEnvironments(cluster, { name, signal });
    return (found?.namespaces ?? []).filter((namespace) => !isChosen(namespace));
  } catch (error) {
    if (error instanceof TransshipError && error.code === 'FORBIDDEN') return [];
    throw error;
  }
}

/** Namespaces may be read one by one where they may not be listed. */
async function readNamespaces(
  { name }: Environment,
  namespaces: readonly string[],
  { cluster, discovery, signal }: HoldingsOptions,
): Promise<FoundObject[]> {
  const kind = discovery.findKind('v1', 'Namespace');
  if (kind === undefined) return [];
  const found: FoundObject[] = [];
  for (const namespace of namespaces) {
    try {
      const path = `${collectionPath(kind)}/${namespace}`;
      const live = await findObject(cluster, path, signal);
      if (live?.metadata.uid === undefined || live.metadata.labels?.[ENVIRONMENT_LABEL] !== name) continue;
      const id = { group: '', kind: 'Namespace', name: namespace };
      found.push({ id, path, uid: live.metadata.uid, kind, keys: [], metadata: live.metadata });
    } catch (error) {
      if (!(error instanceof ClusterError && error.status === 403)) throw error;
    }
  }
  return found;
}

type Role = 'record' | 'marker' | 'namespace' | 'definition' | 'object';

function roleOf(object: FoundObject, environment: Environment): Role {
  const { id } = object;
  if (releaseOfRecord(object) !== undefined) return 'record';
  if (isNamespace(id)) return 'namespace';
  if (id.group === 'apiextensions.k8s.io' && id.kind === 'CustomResourceDefinition') return 'definition';
  return id.group === '' && id.kind === 'ConfigMap' && id.name === markerName(environment) ? 'marker' : 'object';
}

function isNamespace({ group, kind }: Pick<ResourceKind, 'group' | 'kind'>): boolean {
  return group === '' && kind === 'Namespace';
}

/** A release whose newest revision bears no label is somebody's who took it over, older records and all. */
async function findReleases(
  records: readonly FoundObject[],
  environment: Environment,
  { cluster, signal }: HoldingsOptions,
): Promise<{ releases: OwnRelease[]; orphans: Holdings['staying'] }> {
  const releases: OwnRelease[] = [];
  const orphans: { object: FoundObject; why: string }[] = [];
  const byRelease = Map.groupBy(records, (record) =>
    releaseKey(record.id.namespace ?? '', releaseOfRecord(record) ?? ''),
  );
  for (const [first, ...others] of byRelease.values()) {
    if (first === undefined) continue;
    const place = { namespace: first.id.namespace ?? '', name: releaseOfRecord(first) ?? '' };
    const release = await readOwnRelease(cluster, environment, place, signal);
    const why = `is an old revision of release ${place.namespace}/${place.name}, which is no longer the environment's`;
    if (release !== undefined) releases.push(release);
    else orphans.push(...[first, ...others].map((object) => ({ object, why })));
  }
  return { releases, orphans };
}

/** Elsewhere than in its own namespaces, a claim without the label is left with its data. */
async function findClaims(
  made: readonly FoundObject[],
  markers: readonly FoundObject[],
  context: ClaimContext,
): Promise<{ claims: FoundObject[]; strays: FoundObject[] }> {
  const own = new Set(made.map(({ id }) => id.name));
  const places = new Set([...own, ...markers.flatMap(({ id }) => id.namespace ?? [])]);
  const found = await findTemplateClaims(context, [...places].sort());
  const { claims = [], strays = [] } = Object.groupBy(found, ({ id }) =>
    own.has(id.namespace ?? '') ? 'claims' : 'strays',
  );
  return { claims, strays };
}

async function findStaying(
  objects: readonly FoundObject[],
  claims: readonly FoundObject[],
  own: ReadonlySet<string>,
  { cluster, signal }: HoldingsOptions,
): Promise<{ object: FoundObject; why: string }[]> {
  const isOfRelease = createIsOfRelease(cluster, own, signal);
  const staying: { object: FoundObject; why: string }[] = [];
  for (const object of objects) {
    if (await isOfRelease(object)) staying.push({ object, why: 'belongs to a Helm release now' });
  }
  const volumes = objects.filter(({ id }) => id.group === '' && id.kind === 'PersistentVolume');
  const going = uidsOf([...objects, ...claims]);
  for (const object of await findVolumesInUse({ cluster, signal }, volumes, going)) {
    staying.push({ object, why: 'is bound to a claim that stays' });
  }
  return staying;
}

function describeStrays(claims: readonly FoundObject[], { name }: Environment): [message: string, title: string] {
  const names = claims.map(({ id }) => `${id.namespace}/${id.name}`).join(', ');
  return [
    `StatefulSets of environment ${name} have had these claims made in namespaces that it did not make: ${names}. They stay, with their data: delete them yourself.`,
    'Claims left',
  ];
}
