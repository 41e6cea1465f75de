import type { Discovery } from '../cluster/discovery.ts';
import { TransshipError } from '../errors.ts';
import { releaseKey } from '../releases/target-releases.ts';
import type { ObjectFailure, ReleaseResult, ResourceResult } from '../report/results.ts';
import { nameObject } from '../resources/resource.ts';
import { labelClaims } from './claims.ts';
import { deleteAtOnce } from './delete-objects.ts';
import { findEnvironments, isExpired } from './find.ts';
import { findHoldings, type Holdings } from './holdings.ts';
import type { FoundObject, PrunableObject } from './labelled.ts';
import { findOccupants, findUsers, nameSome, type OccupantContext } from './occupants.ts';
import { uidsOf } from './owned.ts';
import { createRemovalTally, type RemovalTally } from './removal-tally.ts';
import { type RemoveOptions, remove } from './remove.ts';

export interface TeardownOptions extends Omit<RemoveOptions, 'undo'> {
  readonly discovery: Discovery;
  /** The one to remove; with `expired`, only if its time is over. */
  readonly name?: string | undefined;
  /** All whose time is over. */
  readonly expired?: boolean | undefined;
  /** Only what is in these; names and globs. */
  readonly namespaces?: readonly string[] | undefined;
  /** Nothing is done: the result is what would be. */
  readonly dryRun: boolean;
  readonly now: Date;
}

export interface TeardownResult {
  /** Those that were torn down, wholly or in part. */
  readonly environments: readonly string[];
  /** Those that were deleted. */
  readonly namespaces: readonly string[];
  readonly releases: readonly ReleaseResult[];
  readonly resources: readonly ResourceResult[];
  readonly failures: readonly ObjectFailure[];
}

/**
 * Removes what imports have labelled as an environment's, and nothing else: releases by Helm, then objects, CRDs and
 * namespaces that an import made and nobody else uses, its marker last. What fails leaves namespaces and marker, so that
 * the next one goes on.
 *
 * @throws TransshipError `INPUT` for an environment that there is nothing of, naming those there are
 * @throws TransshipError `FORBIDDEN` when it can't be looked for
 */
export async function teardown(options: TeardownOptions): Promise<TeardownResult> {
  const { dryRun, reporter } = options;
  const environments = await findNames(options);
  const tally = createRemovalTally();
  const releases: ReleaseResult[] = [];
  const namespaces: string[] = [];
  for (const name of environments) {
    const holdings = await findHoldings({ name }, options);
    if (holdings === undefined) throw await nothingOf(name, options);
    reporter.info(`${dryRun ? 'This would tear' : 'Tearing'} down environment ${name}: ${describe(holdings)}.`);
    tellStaying(holdings, options);
    const done = await (dryRun ? pretend : carryOut)(holdings, tally, options);
    releases.push(...done.releases);
    namespaces.push(...done.namespaces);
  }
  return { environments, namespaces: namespaces.sort(), releases, ...tally.result() };
}

interface Done {
  readonly releases: readonly ReleaseResult[];
  readonly namespaces: readonly string[];
}

async function findNames(options: TeardownOptions): Promise<string[]> {
  const { cluster, name, expired, namespaces, now, reporter, signal } = options;
  if (expired !== true) return name === undefined ? [] : [name];
  const found = await findEnvironments(cluster, { name, namespaces, signal });
  const names = found.filter((one) => isExpired(one, now)).map((one) => one.name);
  if (names.length === 0) {
    const which = name === undefined ? 'No environment has' : `Environment ${name} has not`;
    reporter.info(`${which} expired: nothing to tear down.`);
  }
  return names;
}

async function nothingOf(name: string, { cluster, namespaces, signal }: TeardownOptions): Promise<TransshipError> {
  const others = (await findEnvironments(cluster, { namespaces, signal })).map((one) => one.name);
  const where = namespaces === undefined ? cluster.context : `${namespaces.join(', ')} of ${cluster.context}`;
  return new TransshipError('INPUT', `environment: there is nothing of "${name}" in ${where}.`, {
    hint:
      others.length === 0 ? 'There are no environments at all.' : `There are these environments: ${others.join(', ')}.`,
  });
}

async function pretend(holdings: Holdings, tally: RemovalTally, options: TeardownOptions): Promise<Done> {
  const { releases, objects, claims } = holdings;
  for (const object of [...objects, ...claims]) tally.deleted(object);
  for (const object of await unusedDefinitions(holdings, options)) tally.deleted(object);
  const namespaces = await freeNamespaces(holdings, options);
  for (const object of namespaces) tally.deleted(object);
  return {
    releases: releases.map(({ row }) => ({ ...row, outcome: 'deleted' })),
    namespaces: namespaces.map(({ id }) => id.name),
  };
}

async function carryOut(holdings: Holdings, total: RemovalTally, options: TeardownOptions): Promise<Done> {
  const { tally, hasFailed } = watchFailures(total);
  const claims = await labelClaims(contextOf(holdings, options), holdings.claims);
  const objects = [...holdings.objects, ...claims];
  const releases = await remove({ releases: holdings.releases, objects }, tally, options);
  const isStuck = () => hasFailed() || releases.some(({ outcome }) => outcome !== 'deleted');
  if (!isStuck()) await deleteAtOnce(await unusedDefinitions(holdings, options), tally, options);
  if (isStuck()) {
    options.reporter.warn(
      `Not all of environment ${holdings.environment.name} could be removed: its namespaces and markers stay. Run the teardown again when the cause is gone.`,
      'Environment left',
    );
    return { releases, namespaces: [] };
  }
  const gone = new Set<string>();
  const deleted = (object: PrunableObject) => {
    gone.add(object.id.name);
    tally.deleted(object);
  };
  await deleteAtOnce(await freeNamespaces(holdings, options), { ...tally, deleted }, options);
  if (!hasFailed()) {
    // A namespace that an import made and others use by now is for the next teardown, which finds it by its marker.
    const made = new Set(holdings.namespaces.map(({ id }) => id.name));
    const markers = holdings.markers.filter(({ id }) => !made.has(id.namespace ?? ''));
    // They are no object that anybody has brought.
    await deleteAtOnce(markers, { ...tally, deleted() {} }, options);
  }
  return { releases, namespaces: [...gone] };
}

/** CRDs take all their custom resources along: those of others must not be among them. */
async function unusedDefinitions(holdings: Holdings, options: TeardownOptions): Promise<FoundObject[]> {
  const unused: FoundObject[] = [];
  for (const definition of holdings.definitions) {
    const kind = options.discovery.kinds.find(({ plural, group }) => `${plural}.${group}` === definition.id.name);
    const users = kind === undefined ? [] : await findUsers(occupantContext(holdings, options), kind);
    if (users.length === 0) unused.push(definition);
    else tellLeft(nameObject(definition.id), users, options);
  }
  return unused;
}

async function freeNamespaces(holdings: Holdings, options: TeardownOptions): Promise<FoundObject[]> {
  const free: FoundObject[] = [];
  for (const namespace of holdings.namespaces) {
    const occupants = await findOccupants(occupantContext(holdings, options), namespace.id.name);
    if (occupants.length === 0) free.push(namespace);
    else tellLeft(nameObject(namespace.id), occupants, options);
  }
  return free;
}

function tellLeft(what: string, others: readonly string[], { dryRun, reporter }: TeardownOptions): void {
  const stays = dryRun ? 'would be' : 'is';
  reporter.warn(`${what} ${stays} left, for there is what the import did not bring: ${nameSome(others)}.`, 'Left');
}

function tellStaying({ staying, environment }: Holdings, { reporter }: TeardownOptions): void {
  for (const [why, all] of Map.groupBy(staying, (one) => one.why)) {
    const names = all.map(({ object }) => nameObject(object.id));
    reporter.warn(`Left, though labelled for environment ${environment.name}: ${nameSome(names)}. It ${why}.`, 'Left');
  }
}

function contextOf(holdings: Holdings, { cluster, discovery, signal }: TeardownOptions) {
  const { environment, labelled } = holdings;
  const releases = new Set(holdings.releases.map(({ namespace, name }) => releaseKey(namespace, name)));
  return { cluster, discovery, environment, labelled, releases, signal };
}

function occupantContext(holdings: Holdings, options: TeardownOptions): OccupantContext {
  const staying = uidsOf(holdings.staying.map(({ object }) => object));
  return { ...contextOf(holdings, options), going: uidsOf(holdings.claims), staying };
}

function watchFailures(total: RemovalTally): { tally: RemovalTally; hasFailed(): boolean } {
  let failed = false;
  const tally: RemovalTally = {
    ...total,
    failed(object, message) {
      failed = true;
      total.failed(object, message);
    },
  };
  return { tally, hasFailed: () => failed };
}

function describe({ releases, objects, claims, definitions, namespaces }: Holdings): string {
  const parts = [
    [releases.length, 'release'],
    [objects.length + claims.length + definitions.length, 'object'],
    [namespaces.length, 'namespace'],
  ] as const;
  return parts.map(([count, noun]) => `${count} ${noun}${count === 1 ? '' : 's'}`).join(', ');
}
