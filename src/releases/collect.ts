import type { Entry } from '../archive/entry.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type CrdNeeds, createCrdNeeds } from '../crds/needs.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ReleaseResult } from '../report/results.ts';
import { parseLabelSelector } from '../selection/label-selector.ts';
import { isGlob, matcherOf } from '../selection/name-patterns.ts';
import { inBatches, mapInOrder } from '../streams.ts';
import { noteCrdNeeds } from './crd-needs.ts';
import { describeChart } from './helm-release.ts';
import { highest, keepNewest, pickRunning } from './history.ts';
import { type ListedRecord, listRecords } from './list-records.ts';
import { checkNamespace } from './namespace-check.ts';
import { type OwnedObject, readOwned } from './owned.ts';
import type { Driver, HelmRelease } from './record.ts';
import { recordToEntry } from './record-entry.ts';
import { selectByRelease } from './select-records.ts';
import { unpackRecords } from './unpack.ts';

/** Which releases to export, and how much of each. */
export interface CollectOptions {
  /** Names and globs; `*` is every namespace. */
  readonly namespaces: readonly string[];
  /** A label selector that a release's newest record must match, as with `helm list -l`. */
  readonly selector?: string | undefined;
  /** Globs of release names, or of `namespace/release`. */
  readonly exclude?: readonly string[] | undefined;
  /** How many of the newest revisions travel; the one that runs always does. */
  readonly history: 'all' | number;
  /** Whether to tell what objects the releases own, which costs a look into their manifests. */
  readonly withOwned?: boolean | undefined;
  /** Where to look for records; both by default. */
  readonly drivers?: readonly Driver[] | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** What an export of releases came to. */
export interface CollectedReleases {
  /** One row a release, sorted by namespace and name. */
  readonly releases: readonly ReleaseResult[];
  /** The custom kinds that the releases use, for {@link collectCrds}. */
  readonly crdNeeds: CrdNeeds;
  /** What the running revision of each release has in its manifest and hooks; empty unless asked for. */
  readonly owned: readonly OwnedObject[];
}

/** An export of releases under way. */
export interface ReleaseCollection {
  /** One entry a record, as they come; read once. */
  readonly entries: AsyncIterable<Entry>;
  /** What was exported; complete after the last entry. */
  result(): CollectedReleases;
}

/** How many records, and bytes of packed payload, are unpacked in one go: small ones many, large ones few. */
const BATCH = { items: 64, bytes: 512 * 1024 };

/** One being decompressed in the thread pool while another is read. */
const BATCHES_AT_ONCE = 2;

/**
 * Reads every Helm release of the chosen namespaces with its history, as a stream of entries. Finding no release is no
 * error, so that a scheduled export of a cluster that is still empty succeeds; it is said in a warning.
 *
 * @throws TransshipError `INPUT` for a selector that can't be read, or a namespace that is named but does not exist
 * @throws TransshipError `RECORD_INVALID` for a record that can't be decoded, naming it
 * @throws TransshipError `FORBIDDEN` when records may not be listed
 */
export function collectReleases(cluster: Cluster, options: CollectOptions): ReleaseCollection {
  const tallies = new Map<string, Tally>();
  const crdNeeds = createCrdNeeds();
  return {
    entries: streamEntries(cluster, options, tallies, crdNeeds),
    result: () => ({
      releases: [...tallies.values()].map(toResult).sort(compareResults),
      crdNeeds,
      owned: [...tallies.values()].flatMap(({ namespace, running, revisions }) =>
        running === undefined || pickRunning(revisions)?.revision !== running.revision
          ? []
          : readOwned(running.release, namespace),
      ),
    }),
  };
}

interface Tally {
  readonly driver: Driver;
  readonly namespace: string;
  readonly name: string;
  readonly revisions: Revision[];
  /** The revision that runs, as far as known; of those seen only this one is kept, and only if it is asked for. */
  running?: Running | undefined;
}

interface Running {
  readonly revision: number;
  readonly status: string;
  readonly release: HelmRelease;
}

interface Revision {
  readonly revision: number;
  readonly status: string;
  readonly chart: string;
  readonly chartVersion: string;
  readonly appVersion: string;
}

async function* streamEntries(
  cluster: Cluster,
  options: CollectOptions,
  tallies: Map<string, Tally>,
  crdNeeds: CrdNeeds,
): AsyncGenerator<Entry> {
  const { namespaces, drivers = ['secret', 'configmap'], reporter, signal } = options;
  const choose = chooserOf(options);
  const excluded = excluderOf(options.exclude ?? []);
  const listed = listRecords(cluster, { namespaces, drivers, signal }, (namespace, count) =>
    checkNamespace(cluster, namespace, count, reporter, signal),
  );
  const wanted = without(listed, excluded.test);
  const chosen = choose === undefined ? wanted : selectByRelease(wanted, choose);
  const batches = inBatches(chosen, ({ payload }) => payload.length, BATCH);
  for await (const batch of mapInOrder(batches, BATCHES_AT_ONCE, unpackRecords)) {
    signal?.throwIfAborted();
    for (const { record, encoding, bytes, release } of batch) {
      const tally = tallyOf(tallies, record);
      tally.revisions.push(toRevision(record, release));
      if (tally.revisions.length === 1) reporter.progress(`Reading release ${record.namespace}/${record.release}`);
      if (options.withOwned === true) tally.running = pickOf(tally.running, { ...record, release });
      noteCrdNeeds(crdNeeds, release, record.status === 'deployed');
      yield recordToEntry({ ...record, encoding }, bytes, record.shadowed);
    }
  }
  warn(options, tallies, excluded.unused());
}

/** Picks among one release's records; undefined when all are wanted, so that none has to be held back. */
function chooserOf({ selector, history }: CollectOptions) {
  if (selector === undefined && history === 'all') return undefined;
  const matches = selector === undefined ? () => true : parseLabelSelector(selector);
  return (records: readonly ListedRecord[]): readonly ListedRecord[] => {
    if (!matches(highest(records)?.labels ?? {})) return [];
    return history === 'all' ? records : keepNewest(records, history);
  };
}

function excluderOf(patterns: readonly string[]) {
  const matchers = patterns.map((pattern) => ({ pattern, matches: matcherOf(pattern) }));
  const used = new Set<string>();
  return {
    test({ namespace, release }: ListedRecord): boolean {
      const found = matchers.filter(({ matches }) => matches(release) || matches(`${namespace}/${release}`));
      for (const { pattern } of found) used.add(pattern);
      return found.length > 0;
    },
    unused: () => patterns.filter((pattern) => !used.has(pattern)),
  };
}

async function* without<T>(items: AsyncIterable<T>, isUnwanted: (item: T) => boolean): AsyncGenerator<T> {
  for await (const item of items) if (!isUnwanted(item)) yield item;
}

function tallyOf(tallies: Map<string, Tally>, { driver, namespace, release }: ListedRecord): Tally {
  const key = `${driver}/${namespace}/${release}`;
  const tally = tallies.get(key) ?? { driver, namespace, name: release, revisions: [] };
  tallies.set(key, tally);
  return tally;
}

function pickOf(known: Running | undefined, { revision, status, release }: Running): Running | undefined {
  const candidates = known === undefined ? [] : [known];
  return pickRunning([...candidates, { revision, status, release }]);
}

function toRevision({ revision, status }: ListedRecord, release: HelmRelease): Revision {
  return { revision, status, ...describeChart(release) };
}

function toResult({ namespace, name, revisions }: Tally): ReleaseResult {
  const { revision, status, ...chart } = pickRunning(revisions) ?? highest(revisions) ?? NO_REVISION;
  return { name, namespace, ...chart, revision, revisions: revisions.length, status, outcome: 'exported' };
}

const NO_REVISION: Revision = { revision: 0, status: 'unknown', chart: '', chartVersion: '', appVersion: '' };

function compareResults(a: ReleaseResult, b: ReleaseResult): number {
  const [left, right] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function warn(
  { namespaces, selector, reporter }: CollectOptions,
  tallies: Map<string, Tally>,
  unused: readonly string[],
): void {
  for (const pattern of unused) {
    reporter.warn(`exclude has "${pattern}", which matches no release.`, 'Nothing excluded');
  }
  for (const { driver, namespace, name } of tallies.values()) {
    if (driver !== 'configmap' || !tallies.has(`secret/${namespace}/${name}`)) continue;
    reporter.warn(
      `Release ${namespace}/${name} is stored in Secrets and in ConfigMaps. To Helm these are two releases; both travel.`,
      'Release stored twice',
    );
  }
  if (tallies.size === 0 && (namespaces.some(isGlob) || selector !== undefined)) {
    const matching = selector === undefined ? '' : ` matching "${selector}"`;
    reporter.warn(`No Helm release${matching} was found in ${namespaces.join(', ')}.`, 'Nothing to export');
  }
}
