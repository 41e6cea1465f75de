import pLimit from 'p-limit';
import { type Clock, systemClock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type Discovery, discover } from '../cluster/discovery.ts';
import { cancelledBy, messageOf } from '../errors.ts';
import type { Driver } from '../releases/record.ts';
import type { Reporter } from '../report/reporter.ts';
import { snapshotKinds, staleVersions } from '../resources/list-kinds.ts';
import { createScope, type NamespaceScope } from '../resources/scope.ts';
import { createFilter, kindsWithStatus } from '../resources/selection.ts';
import { mirrorCluster } from './mirror-cluster.ts';
import type { DigestContext } from './mirror-digest.ts';
import { followKinds } from './mirror-kinds.ts';
import { openObjectLog } from './mirror-log.ts';
import { planCollections } from './mirror-plan.ts';
import { createWatches } from './mirror-watches.ts';
import type { Reflector } from './reflector.ts';

/** What is exported, as far as it tells what there is to watch. */
export interface MirrorOptions {
  /** Names and globs; `*` is every namespace. */
  readonly namespaces: readonly string[];
  /** `releases`, `resources`. */
  readonly include: readonly string[];
  /** Where to look for records of releases. */
  readonly drivers: readonly Driver[];
  /** As an export of resources is given them: what it leaves out for certain is no change. */
  readonly resources?: ResourceChoice | undefined;
  /** This user's alone. The objects are kept in a file there, not in memory. */
  readonly temporaryDirectory: string;
  /** Told when something has changed that the export could have; often, while much changes. */
  readonly onChange: () => void;
  readonly reporter: Reporter;
  /** Ends the mirror as `close` does. */
  readonly signal: AbortSignal;
  readonly clock?: Clock | undefined;
}

interface ResourceChoice {
  readonly selector?: string | undefined;
  readonly exclude?: readonly string[] | undefined;
  readonly clusterResources?: 'needed' | 'all' | 'none' | undefined;
  readonly restoreStatus?: readonly string[] | undefined;
}

/** How it stands with a mirror. */
export interface MirrorStats {
  /** Kept on disk. */
  readonly objects: number;
  /** Open now. */
  readonly watches: number;
  /** Watches that are not open but should be. */
  readonly behind: number;
  /** Milliseconds since the first of these was open. */
  readonly behindFor: number;
  /** Lists after the first of a collection. */
  readonly relists: number;
  /** Watches that ended; the server ends each every few minutes. */
  readonly reconnects: number;
}

/** What an export reads, kept up to date by watching it. */
export interface Mirror {
  /** Answers lists of what is watched without asking the server; all else goes through. */
  readonly cluster: Cluster;
  /** Grows with each change that the export could have. */
  changed(): number;
  stats(): MirrorStats;
  /** Ends all watches and removes the file. */
  close(): Promise<void>;
}

/** Lists at once; each has a page in memory several times over while it is parsed. */
const LISTS_AT_ONCE = 4;
/** Milliseconds for which what is kept is good enough after its watch broke; then the server is asked. */
const GRACE = 10_000;

/**
 * Lists and watches all that an export would read. Resolves when it is all there.
 *
 * @throws TransshipError `INPUT` for a selector, a pattern or a kind that can't be understood; `BACKEND` when the disk is full
 * @throws ClusterError when the API server can't be reached or fails. What may not be read is left to the export to tell
 */
export async function openMirror(cluster: Cluster, options: MirrorOptions): Promise<Mirror> {
  const { include, drivers, reporter, clock = systemClock } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const scope = createScope(options.namespaces);
  let changes = 0;
  let isOpen = false;
  const limit = pLimit(LISTS_AT_ONCE);
  const shared = {
    clock,
    inTurn: (work: () => Promise<void>) => limit(work),
    onChange() {
      changes += 1;
      if (isOpen) options.onChange();
    },
    onTrouble: (error: unknown) => reporter.debug(`A watch goes on after this: ${messageOf(error)}`),
    signal,
  };
  const log = await openObjectLog({
    directory: options.temporaryDirectory,
    order: () => [...watches.all()].flatMap(({ collection }) => collection.slots()),
  });
  const watches = createWatches({ ...shared, cluster, log, reporter });

  function follow(discovery: Discovery, context: DigestContext) {
    const plan = planCollections({
      discovery,
      names: scope.names,
      filter: context.filter,
      withClusterScoped: options.resources?.clusterResources !== 'none',
      drivers: include.includes('releases') ? drivers : [],
    });
    // What can't be watched is listed by each export.
    const watchable = plan.filter(({ kind }) => kind.verbs.includes('watch'));
    return watches.follow(watchable, context);
  }

  let context: DigestContext | undefined;
  let known = '';
  const kinds = followKinds(cluster, {
    ...shared,
    async discover() {
      const discovery = await discover(cluster, signal);
      const print = printOf(discovery);
      if (print === known || context === undefined) return;
      known = print;
      context = readAgain(context, () => readContext(cluster, discovery, scope, options), shared.onTrouble);
      shared.onChange();
      follow(discovery, context);
      for (const { reflector } of watches.all()) if (reflector.standing().is === 'refused') reflector.again();
    },
    onRespecified(names) {
      for (const { planned, reflector } of watches.all()) {
        if (names.has(`${planned.kind.plural}.${planned.kind.group}`)) reflector.again();
      }
    },
  });
  try {
    await Promise.all(kinds.reflectors.map(({ ready }) => ready));
    const discovery = await discover(cluster, signal);
    context = readContext(cluster, discovery, scope, options);
    known = printOf(discovery);
    await Promise.all(follow(discovery, context).map(({ reflector }) => reflector.ready));
  } catch (error) {
    stop.abort();
    await Promise.all([watches.ended(), kinds.ended()]);
    await log.close();
    throw options.signal.aborted ? cancelledBy(options.signal, 'the first lists of what is watched') : error;
  }
  kinds.begin();

  let closing: Promise<void> | undefined;
  function close(): Promise<void> {
    isOpen = false;
    stop.abort();
    closing ??= Promise.all([watches.ended(), kinds.ended()]).then(() => log.close());
    return closing;
  }
  // Whoever ends it by the signal need not close it too.
  signal.addEventListener('abort', () => void close().catch(shared.onTrouble), { once: true });

  isOpen = true;
  return {
    cluster: mirrorCluster(cluster, (path, listOptions) => {
      const one = watches.at(path);
      if (one === undefined || !isOpen || one.planned.isObject || !one.collection.serves(listOptions)) return undefined;
      const { is, since, failure } = one.reflector.standing();
      if (failure !== undefined) throw failure;
      return is === 'watching' || (is === 'broken' && clock.now() - since < GRACE) ? one.collection : undefined;
    }),
    changed: () => changes,
    stats: () => ({
      objects: log.count(),
      ...sumUp([...[...watches.all()].map(({ reflector }) => reflector), ...kinds.reflectors], watches.past, clock),
    }),
    close,
  };
}

function readContext(
  cluster: Cluster,
  { kinds }: Discovery,
  scope: NamespaceScope,
  { include, resources = {} }: MirrorOptions,
): DigestContext {
  const { selector, exclude = [], restoreStatus = [] } = resources;
  const where = `the cluster ${cluster.context}`;
  const withReleases = include.includes('releases');
  const withStatus = kindsWithStatus(restoreStatus, kinds, where);
  return {
    withReleases,
    filter: include.includes('resources')
      ? createFilter({ selector, exclude, kinds, alsoReleases: withReleases, where })
      : undefined,
    includes: (namespace) => scope.includes(namespace),
    keepStatus: (kind, group) => withStatus.has(`${group}/${kind}`),
  };
}

/** A kind that the inputs name may have gone: the export says so, and what is watched stays as it is. */
function readAgain<T>(before: T, read: () => T, onTrouble: (error: unknown) => void): T {
  try {
    return read();
  } catch (error) {
    onTrouble(error);
    return before;
  }
}

/** What an export says of the kinds that a cluster serves. */
function printOf(discovery: Discovery): string {
  return JSON.stringify([snapshotKinds(discovery), staleVersions(discovery)]);
}

function sumUp(
  reflectors: readonly Reflector[],
  past: Reflector['counts'],
  clock: Clock,
): Omit<MirrorStats, 'objects'> {
  const standings = reflectors.map((reflector) => reflector.standing());
  const behind = standings.filter(({ is }) => is === 'broken' || is === 'listing');
  return {
    watches: standings.filter(({ is }) => is === 'watching').length,
    behind: behind.length,
    behindFor: behind.length === 0 ? 0 : clock.now() - Math.min(...behind.map(({ since }) => since)),
    relists: reflectors.reduce((sum, { counts }) => sum + counts.relists, past.relists),
    reconnects: reflectors.reduce((sum, { counts }) => sum + counts.reconnects, past.reconnects),
  };
}
