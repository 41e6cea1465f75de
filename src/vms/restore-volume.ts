import type { Entry } from '../archive/entry.ts';
import { ROOT_PATH } from '../archive/read-filesystem.ts';
import { packTar } from '../archive/tar.ts';
import type { Clock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { VmHttp } from './http.ts';
import type { PlannedVolume } from './plan-volumes.ts';
import { type Digester, type Digesters, type KnownFile, verifiedBytes } from './prepare-digests.ts';
import { sizeOf, type VolumeContent } from './prepare-files.ts';
import { type UploadProxy, uploadVolume } from './upload-disk.ts';
import { notEmpty } from './upload-refusals.ts';
import { fromArchive } from './volume-entries.ts';
import { readVolume, waitUntilReady } from './wait-volume.ts';

export interface VolumeContext {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  readonly http: VmHttp;
  readonly proxy: UploadProxy;
  readonly digesters: Digesters;
  /** Keeps the uploads to as many as there may be at once. */
  readonly slot: <T>(work: () => Promise<T>) => Promise<T>;
  /** Milliseconds without progress. */
  readonly timeout: number;
  readonly retries: number;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is known of the volumes of one machine besides what CDI says. */
export interface VolumeNotes {
  /** The uid of the claim that has been filled and verified, or is about to be. */
  get(name: string): string | undefined;
  set(name: string, uid: string): Promise<void>;
}

/**
 * Fills one volume from its archive, unless an earlier run has. CDI gets the last bytes only when all are as the manifest
 * has them: a claim that is filled is whole.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED`, and what {@link uploadVolume} throws
 */
export async function restoreVolume(
  { name, size, contentType }: PlannedVolume,
  namespace: string,
  content: VolumeContent,
  notes: VolumeNotes,
  context: VolumeContext,
): Promise<void> {
  const { cluster, discovery, http, proxy, digesters, slot, reporter, signal } = context;
  const target = { namespace, pvc: name, size, contentType };
  const state = await waitUntilReady(cluster, discovery, target, context);
  if (state.isFilled) {
    if (!isNoted(notes, name, state.claim?.metadata.uid)) throw notEmpty(`${namespace}/${name}`);
    reporter.info(`${namespace}/${name}: an earlier run has put the disk in place.`);
    return;
  }
  const note = async () => {
    const { claim } = await readVolume(cluster, discovery, target, signal);
    const uid = claim?.metadata.uid;
    if (uid === undefined) throw new TransshipError('IMPORT_FAILED', `The claim ${namespace}/${name} is gone.`);
    await notes.set(name, uid);
  };
  await slot(() =>
    digesters.borrow(sizeOf(content), (digester) =>
      uploadVolume(cluster, discovery, target, () => bytesOf(content, digester, note, signal), {
        ...{ http, proxy, reporter, signal },
        // gzip takes a core four times as long as it takes to send a raw disk, whose zeros CDI punches out.
        encoding: 'raw',
        timeout: context.timeout,
        retries: context.retries,
        clock: context.clock,
      }),
    ),
  );
}

/** Whether a volume that CDI has filled is one that an earlier run has verified. */
export function isNoted(notes: Pick<VolumeNotes, 'get'>, name: string, uid: string | undefined): boolean {
  return uid !== undefined && notes.get(name) === uid;
}

function bytesOf(
  content: VolumeContent,
  digester: Digester,
  onVerified: () => Promise<void>,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  if (content.kind === 'disk') return verifiedBytes(content.disk, digester, onVerified);
  return packTar(entriesOf(content.files, digester, onVerified), { mtime: new Date(0), signal });
}

/** The files of a volume as they are to be in it. The tar ends only when all of them are verified. */
async function* entriesOf(
  files: readonly KnownFile[],
  digester: Digester,
  onVerified: () => Promise<void>,
): AsyncGenerator<Entry> {
  for (const known of files) {
    const { path, size, type, mode, owner, mtime, linkTarget, holes } = known.file;
    const body = type === 'file' ? verifiedBytes(known, digester) : new Uint8Array();
    const pvc = path.split('/')[1] ?? '';
    const entry = fromArchive<Entry>({ path, size, type, mode, owner, mtime, linkTarget, holes, body }, pvc);
    if (entry !== undefined && entry.path !== ROOT_PATH) yield entry;
  }
  await onVerified();
}
