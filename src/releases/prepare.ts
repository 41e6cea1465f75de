import { TransshipError } from '../errors.ts';
import type { ReleaseResult } from '../report/results.ts';
import type { ArchiveFiles, BundledRevision, ReleaseBundle } from './bundles.ts';
import { readRecord } from './bundles.ts';
import { describeChart } from './helm-release.ts';
import { highest } from './history.ts';
import { mapRecord, type RecordMapper } from './map-record.ts';
import { MAX_RECORD_BYTES, parseRelease, type ReleaseRecord, recordToObject } from './record.ts';
import { withoutApplyMethod } from './record-edits.ts';
import { releaseKey } from './target-releases.ts';

/** A release that has been looked through and can be brought in. */
export interface PreparedRelease {
  /** Tells it from all others of this import. */
  readonly key: string;
  readonly bundle: ReleaseBundle;
  /** At the target: after the namespace map. */
  readonly namespace: string;
  readonly name: string;
  /** What the result will say of it, but for its outcome. */
  readonly row: Omit<ReleaseResult, 'outcome' | 'message'>;
  /** Reads one of its records as it is to stand at the target. */
  load(revision: BundledRevision): Promise<ReleaseRecord>;
}

/** Of fewer bytes even those that can't be compressed fit into an object: base64 makes a third more of them. */
const SMALL_JSON_BYTES = MAX_RECORD_BYTES * 0.7;

/**
 * Looks through every record before anything changes: that it can be read, mapped, and stored at the target.
 *
 * @param helmMajor - a Helm 3 knows no apply method; its records must not claim one
 * @param look - gets the record that runs, of each release that has one
 * @param refuse - gets what is wrong with a release; where it does not throw that, the release is left out
 * @throws TransshipError `INPUT` when two releases would become one
 */
export async function prepareReleases(
  files: ArchiveFiles,
  bundles: readonly ReleaseBundle[],
  mapper: RecordMapper,
  helmMajor: 3 | 4,
  look: (release: PreparedRelease, running: ReleaseRecord) => void,
  refuse: (error: unknown) => void = rethrow,
): Promise<PreparedRelease[]> {
  const prepared: PreparedRelease[] = [];
  for (const bundle of bundles) {
    const load = async (revision: BundledRevision): Promise<ReleaseRecord> => {
      const record = mapRecord(await readRecord(files, bundle, revision), mapper);
      return helmMajor === 3 && parseRelease(record).apply_method !== undefined ? withoutApplyMethod(record) : record;
    };
    const shown = bundle.running ?? highest(bundle.revisions);
    try {
      let release: PreparedRelease | undefined;
      let running: ReleaseRecord | undefined;
      for (const revision of bundle.revisions) {
        const record = await load(revision);
        if (Buffer.byteLength(record.json) >= SMALL_JSON_BYTES) await recordToObject(record);
        if (revision !== shown) continue;
        release = describe(bundle, record, load);
        if (revision === bundle.running) running = record;
      }
      if (release === undefined) continue;
      if (running !== undefined) look(release, running);
      prepared.push(release);
    } catch (error) {
      refuse(error);
    }
  }
  try {
    refuseCollisions(prepared);
  } catch (error) {
    refuse(error);
  }
  return prepared;
}

function rethrow(error: unknown): never {
  throw error;
}

function describe(bundle: ReleaseBundle, record: ReleaseRecord, load: PreparedRelease['load']): PreparedRelease {
  const { namespace, release: name, driver, revision, status } = record;
  const row = { name, namespace, ...describeChart(parseRelease(record)), revision, status };
  return {
    key: `${releaseKey(namespace, name)}/${driver}`,
    bundle,
    namespace,
    name,
    row: { ...row, revisions: bundle.revisions.length },
    load,
  };
}

function refuseCollisions(releases: readonly PreparedRelease[]): void {
  const firsts = new Map<string, PreparedRelease>();
  for (const second of releases) {
    const key = releaseKey(second.namespace, second.name);
    const first = firsts.get(key) ?? second;
    firsts.set(key, first);
    if (first.bundle.namespace === second.bundle.namespace) continue;
    throw new TransshipError(
      'INPUT',
      `namespace-map: release ${first.name} of ${first.bundle.namespace} and of ${second.bundle.namespace} would both become ${first.namespace}/${first.name}.`,
      { hint: 'Map these namespaces to different ones, or exclude one of the releases.' },
    );
  }
}
