import type { PartCompression, PartStore, WrittenPart } from '../archive/part.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { messageOf } from '../errors.ts';
import { formatSize } from '../report/format.ts';
import type { Reporter } from '../report/reporter.ts';
import type { VmResult } from '../report/results.ts';
import type { VmTarget } from './choose-vms.ts';
import type { RunningVms } from './collect-check.ts';
import type { VmDescription } from './description.ts';
import { archiveEntries, type StoredVolume } from './export-entries.ts';
import type { LinkChoice } from './export-object.ts';
import { findOrigin } from './export-origin.ts';
import { createProgress, type ExportProgress } from './export-progress.ts';
import { formatSources, parseSources } from './export-sources.ts';
import { nameSource } from './export-state.ts';
import type { VmHttp } from './http.ts';
import type { VmPart } from './part-list.ts';

/** What all exports of a run have in common. */
export interface ExportVmOptions {
  readonly running: RunningVms;
  readonly links: LinkChoice;
  /** Milliseconds that each export may take at most. */
  readonly ttl: number;
  /** Milliseconds for each step that is waited for, and without a byte. */
  readonly timeout: number;
  readonly compression: PartCompression;
  /** The time of the files in an archive. */
  readonly created: Date;
  /** age recipients. */
  readonly encryptTo?: readonly string[] | undefined;
  /** Labels all that is made for a while. */
  readonly run: string;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

export interface ExportVmContext extends ExportVmOptions {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  readonly store: PartStore;
  readonly http: VmHttp;
  /** Bytes of each of the four ranges of a disk that are read at once. */
  readonly rangeBytes: number;
}

/** An object by what it goes by. */
export interface OwnedByVm {
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface ExportedVm {
  readonly part: VmPart;
  readonly result: VmResult;
  /** The machine, its DataVolumes and claims. */
  readonly owned: readonly OwnedByVm[];
}

/** To be called at the end, whatever that is. */
export type AtEnd = (work: () => Promise<void>) => void;

/**
 * Exports one machine, snapshot or claim into an archive of its own. All that is made for it in the cluster is taken away
 * at the end, also after a failure or a cancel; a machine that was stopped is started again.
 *
 * @throws TransshipError
 */
export function exportVm(target: VmTarget, context: ExportVmContext): Promise<ExportedVm> {
  return withEnds((atEnd) => exportTarget(target, context, atEnd), context.reporter);
}

async function exportTarget(target: VmTarget, context: ExportVmContext, atEnd: AtEnd): Promise<ExportedVm> {
  const { store, compression, encryptTo, created, reporter, signal } = context;
  const what = nameSource(target);
  const left = parseSources(store.interrupted.get(target.part));
  const { description, sources, from, refusal } = await findOrigin(target, left, context, atEnd);
  if (sources.length === 0) {
    reporter.info(`The ${what} has no volumes that could be exported: its archive has its objects only.`);
  }
  const progress = createProgress(what, reporter);
  const entries = archiveEntries(description, sources, { ...context, progress });
  const written = await store.write({
    name: target.part,
    mtime: created,
    source: formatSources(from),
    entries: entries.read,
    onRestart(why) {
      const told = refusal === undefined ? why : `${refusal.charAt(0).toUpperCase()}${refusal.slice(1)}.`;
      reporter.warn(`The export of the ${what}, which was interrupted, starts over. ${told}`, 'Export starts over');
    },
    ...{ compression, encryptTo, signal },
  });
  const volumes = await entries.volumes();
  reporter.info(summaryOf(what, volumes, written, progress));
  return {
    part: partOf(target, description, volumes, written, context),
    result: resultOf(target, description, volumes, written),
    owned: ownedBy(target, description),
  };
}

function summaryOf(what: string, volumes: readonly StoredVolume[], written: WrittenPart, progress: ExportProgress) {
  const bytes = volumes.reduce((sum, { size }) => sum + size, 0);
  const seconds = (progress.elapsed() / 1000).toFixed(1);
  const kept = written.kept === 0 ? '' : `; ${formatSize(written.kept)} of it were left by an interrupted export`;
  return `Exported the ${what}: ${formatSize(bytes)} in ${formatSize(written.size)}, ${seconds} s${kept}.`;
}

function partOf(
  { kind, namespace, name }: VmTarget,
  { vm }: VmDescription,
  volumes: readonly StoredVolume[],
  { file, size, digest }: WrittenPart,
  { compression, encryptTo = [] }: ExportVmContext,
): VmPart {
  return {
    kind,
    namespace,
    name: vm?.metadata.name ?? name,
    ...(kind === 'snapshot' ? { snapshot: name } : {}),
    ...{ file, size, digest, compression },
    encrypted: encryptTo.length > 0,
    volumes: [...volumes],
  };
}

function resultOf(
  { kind, namespace, name }: VmTarget,
  { vm }: VmDescription,
  volumes: readonly StoredVolume[],
  { size, location, kept }: WrittenPart,
): VmResult {
  const resumed = kept === 0 ? {} : { resumed: kept };
  return {
    ...{ kind, namespace, volumes, size, location },
    name: vm?.metadata.name ?? name,
    outcome: 'exported',
    ...resumed,
  };
}

export function ownedBy({ namespace }: VmTarget, { vm, objects }: VmDescription): OwnedByVm[] {
  const all: readonly KubeObject[] = vm === undefined ? objects : [vm, ...objects];
  return all.flatMap(({ apiVersion, kind, metadata }) => {
    if (!['VirtualMachine', 'DataVolume', 'PersistentVolumeClaim'].includes(kind)) return [];
    const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
    return [{ group, kind, namespace: metadata.namespace ?? namespace, name: metadata.name }];
  });
}

/** Does what is to be done at the end in reverse order, and all of it. */
async function withEnds<T>(work: (atEnd: AtEnd) => Promise<T>, reporter: Reporter): Promise<T> {
  const ends: (() => Promise<void>)[] = [];
  const outcome = await work((end) => ends.unshift(end)).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const problems: unknown[] = [];
  for (const end of ends) await end().catch((error: unknown) => problems.push(error));
  if ('value' in outcome && problems.length === 0) return outcome.value;
  if ('value' in outcome) throw problems[0];
  for (const problem of problems) reporter.warn(messageOf(problem), 'Left behind');
  throw outcome.error;
}
