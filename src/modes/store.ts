import { suffixOf } from '../archive/compression.ts';
import { createEncryption } from '../archive/encryption.ts';
import { withAge } from '../archive/encryption-header.ts';
import type { Entry } from '../archive/entry.ts';
import { refusePlaintext } from '../archive/plaintext.ts';
import { writeTree } from '../archive/tree.ts';
import { writeArchive } from '../archive/write.ts';
import type { Backend, WrittenSnapshot } from '../backends/backend.ts';
import { isPublicRepository } from '../backends/repository-visibility.ts';
import { HELM_EXPORT_SUFFIX } from '../backends/selector.ts';
import { TransshipError } from '../errors.ts';
import type { ExportInputs } from '../inputs.ts';
import type { RunContext } from './run.ts';

/** A snapshot to be stored. */
export interface NewSnapshot {
  readonly id: string;
  readonly created: Date;
  /** The name of the cluster's context. */
  readonly cluster: string;
  /** `_snapshot.json` first; read once. */
  readonly entries: AsyncIterable<Entry>;
}

type GuardInputs = Pick<ExportInputs, 'encrypt-to' | 'allow-plaintext' | 'github-token'>;
type StoreInputs = Pick<ExportInputs, 'layout' | 'compression' | 'encrypt-to' | 'allow-plaintext' | 'github-token'> &
  Partial<Pick<ExportInputs, 'format'>>;

/**
 * Stores a snapshot in the layout or format that the inputs name, encrypted when they name recipients.
 *
 * @returns what was stored, with its size and digest
 * @throws TransshipError `INPUT` when it would put secrets into an artifact of a public repository
 */
export async function storeSnapshot(
  backend: Backend,
  { id, created, cluster, entries: given }: NewSnapshot,
  inputs: StoreInputs,
  { env, signal }: Pick<RunContext, 'env' | 'signal'>,
): Promise<WrittenSnapshot> {
  const { layout, compression = 'zstd', 'encrypt-to': encryptTo } = inputs;
  // A recipient that is none is told before anything is read.
  if (encryptTo !== undefined) await createEncryption(encryptTo);
  const entries = await guard(given, backend, inputs, env);
  if (layout === 'tree') {
    const tree = writeTree(entries, signal, encryptTo);
    const written = await backend.writeTree(id, cluster, tree.entries, signal);
    const { size, digest } = tree.summary();
    return { ...written, size, digest };
  }
  const isArchive = inputs.format !== 'helm-export';
  const file = isArchive
    ? writeArchive(entries, { compression, mtime: created, encryptTo, signal })
    : (await import('../helm-export/write.ts')).writeHelmExport(entries, { encryptTo, signal });
  const suffix = withAge(isArchive ? suffixOf(compression) : HELM_EXPORT_SUFFIX, encryptTo);
  const written = await backend.write(id, suffix, file.bytes, signal);
  const { size, digest } = file.summary();
  return { ...written, size, digest };
}

/** Artifacts are as public as their repository; who reads other places is their owner's to say. */
async function guard(
  entries: AsyncIterable<Entry>,
  backend: Backend,
  inputs: StoreInputs,
  env: RunContext['env'],
): Promise<AsyncIterable<Entry>> {
  const place = await findPublicPlace(backend, inputs, env);
  return place === undefined ? entries : refusePlaintext(entries, place);
}

/**
 * The archives of virtual machines hold disks, and Secrets where the machines have some.
 *
 * @throws TransshipError `INPUT` when they would go into an artifact of a public repository without encryption
 */
export async function refuseDisks(backend: Backend, inputs: GuardInputs, env: RunContext['env']): Promise<void> {
  const place = await findPublicPlace(backend, inputs, env);
  if (place === undefined) return;
  throw new TransshipError('INPUT', `The disks of virtual machines would be put into ${place}, for all to read.`, {
    hint: 'Give encrypt-to an age public key, use another backend, or set allow-plaintext to true.',
  });
}

/** Where the snapshot goes, when that is for all to read; undefined when it is not, or that is wanted. */
async function findPublicPlace(
  backend: Backend,
  inputs: GuardInputs,
  env: RunContext['env'],
): Promise<string | undefined> {
  if (backend.name !== 'artifact' || inputs['encrypt-to'] !== undefined || inputs['allow-plaintext']) return undefined;
  const isPublic = await isPublicRepository(env, inputs['github-token'], fetch);
  if (isPublic === false) return undefined;
  const repository = env.GITHUB_REPOSITORY ?? 'this run';
  return isPublic === true
    ? `an artifact of the public repository ${repository}`
    : `an artifact of ${repository}, should it be public, which could not be found out`;
}
