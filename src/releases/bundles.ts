import { type Entry, entryOf } from '../archive/entry.ts';
import { parseLabelSelector } from '../selection/label-selector.ts';
import { matcherOf } from '../selection/name-patterns.ts';
import { highest, keepNewest, pickRunning } from './history.ts';
import { mayManage } from './may-manage.ts';
import type { Driver, ReleaseRecord } from './record.ts';
import { withStatus } from './record-edits.ts';
import { entryToRecord, isRecordPath } from './record-entry.ts';

/** The files of an archive whose digests have been checked, in any order and as often as needed. */
export interface ArchiveFiles {
  /** In the archive's order. */
  paths(): Iterable<string>;
  read(path: string): Promise<Buffer>;
}

/** Which of an archive's releases to bring in. */
export interface BundleChoice {
  /** Names and globs; empty takes every namespace. */
  readonly namespaces: readonly string[];
  readonly selector?: string | undefined;
  /** Globs of release names, or of `namespace/release`. */
  readonly exclude: readonly string[];
  readonly history: 'all' | number;
}

/** One release in an archive: where its records are, without their payloads. */
export interface ReleaseBundle {
  readonly driver: Driver;
  /** The namespace at the source. */
  readonly namespace: string;
  readonly name: string;
  /** Oldest first. */
  readonly revisions: readonly BundledRevision[];
  /** The revision to install; undefined when nothing of the release runs, and only its history travels. */
  readonly running: BundledRevision | undefined;
  /** Changes each record on its way in. */
  readonly edit?: ((record: ReleaseRecord) => ReleaseRecord) | undefined;
}

export interface BundledRevision {
  readonly path: string;
  readonly revision: number;
  readonly status: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Whether it could be one of Transship itself. */
  readonly mayManage: boolean;
}

/**
 * Finds the releases to bring in.
 *
 * @throws TransshipError `INPUT` for a selector that can't be read
 */
export async function readBundles(files: ArchiveFiles, choice: BundleChoice): Promise<ReleaseBundle[]> {
  const all = await readAll(files);
  const matchers = choice.namespaces.map(matcherOf);
  const excluded = choice.exclude.map(matcherOf);
  const selected = choice.selector === undefined ? () => true : parseLabelSelector(choice.selector);
  return all
    .filter(({ namespace }) => matchers.length === 0 || matchers.some((matches) => matches(namespace)))
    .filter(({ namespace, name }) => !excluded.some((matches) => matches(name) || matches(`${namespace}/${name}`)))
    .filter(({ revisions }) => selected(highest(revisions)?.labels ?? {}))
    .map((bundle) =>
      choice.history === 'all' ? bundle : { ...bundle, revisions: keepNewest(bundle.revisions, choice.history) },
    );
}

/**
 * Reads one record as it is to stand at the target: with the status it can have there. Of a whole history just the one
 * that runs is `deployed`, and what was under way at the source is under way no more.
 */
export async function readRecord(
  files: ArchiveFiles,
  bundle: ReleaseBundle,
  { path, revision }: BundledRevision,
): Promise<ReleaseRecord> {
  const original = await entryToRecord(await entryAt(files, path));
  const record = bundle.edit?.(original) ?? original;
  if (record.status === 'deployed' && revision !== bundle.running?.revision) return withStatus(record, 'superseded');
  return record.status.startsWith('pending-') ? withStatus(record, 'failed') : record;
}

async function readAll(files: ArchiveFiles): Promise<ReleaseBundle[]> {
  const bundles = new Map<string, { driver: Driver; namespace: string; name: string; revisions: BundledRevision[] }>();
  for (const path of files.paths()) {
    if (!isRecordPath(path)) continue;
    const record = await entryToRecord(await entryAt(files, path));
    const { driver, namespace, release, revision, status, labels, json } = record;
    const key = `${namespace}/${release}/${driver}`;
    const bundle = bundles.get(key) ?? { driver, namespace, name: release, revisions: [] };
    bundle.revisions.push({ path, revision, status, labels, mayManage: mayManage(json) });
    bundles.set(key, bundle);
  }
  const sorted = [...bundles.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, bundle]) => {
      const revisions = bundle.revisions.toSorted((a, b) => a.revision - b.revision);
      return { ...bundle, revisions, running: pickRunning(revisions) };
    });
  return sorted.map((bundle) =>
    sorted.some((other) => isNewer(other, bundle)) ? { ...bundle, running: undefined } : bundle,
  );
}

/**
 * Whether a release is kept by another driver too, and that one wrote last. Then the objects are those of the other, and
 * of this one only a history is left, as when somebody has changed `HELM_DRIVER`.
 */
function isNewer(other: ReleaseBundle, bundle: ReleaseBundle): boolean {
  if (other === bundle || other.namespace !== bundle.namespace || other.name !== bundle.name) return false;
  const [theirs, ours] = [writtenAt(other.running), writtenAt(bundle.running)];
  return theirs > ours || (theirs === ours && other.driver < bundle.driver);
}

/** Unix seconds, as Helm writes them into its labels. */
function writtenAt(revision: BundledRevision | undefined): number {
  return revision === undefined ? -1 : Number(revision.labels.modifiedAt ?? revision.labels.createdAt ?? 0);
}

async function entryAt(files: ArchiveFiles, path: string): Promise<Entry> {
  return entryOf(path, await files.read(path));
}
