import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Artifact, DefaultArtifactClient, FindOptions } from '@actions/artifact';
import type { PartReader } from '../archive/part.ts';
import { TransshipError } from '../errors.ts';
import { artifactError } from './artifact-errors.ts';
import { type ArtifactSource, artifactUrl } from './artifact-source.ts';
import type { Bytes, StoredSnapshot } from './backend.ts';
import { untilAborted, waitUnlessAborted } from './bytes.ts';
import { openFile } from './file-reader.ts';
import { failTo, writeNewFile } from './files.ts';
import { runQuietly } from './toolkit-output.ts';

const READ_SIZE = 1024 * 1024;

/** All artifacts of a run. */
export async function listArtifacts(source: ArtifactSource): Promise<Artifact[]> {
  const doing = `list the artifacts of run ${source.runId}`;
  return (await call(doing, source, (client) => client.listArtifacts(findOptions(source)))).artifacts;
}

/** The artifact that a run has of that name. */
export async function findArtifact(name: string, source: ArtifactSource): Promise<StoredArtifact | undefined> {
  const found = (await listArtifacts(source)).find((artifact) => artifact.name === name);
  if (found === undefined) return undefined;
  const { id: artifactId, size, digest } = found;
  return { artifactId, size, digest, location: artifactUrl(source, artifactId, process.env) };
}

/**
 * Deletes an artifact of a run; one that is not there is no error.
 *
 * @throws TransshipError `BACKEND`, for another run also when the token lacks `actions: write`
 */
export async function deleteArtifact(name: string, source: ArtifactSource): Promise<void> {
  const remove = (client: DefaultArtifactClient) => client.deleteArtifact(name, findOptions(source));
  try {
    await call(`delete the artifact ${name}`, source, remove, 'write');
  } catch (error) {
    // An answer that was lost is asked for again by the toolkit, which then finds nothing.
    const left = await findArtifact(name, source).catch(() => 'unknown');
    if (left !== undefined) throw error;
  }
}

/**
 * Uploads bytes as an artifact of one raw file.
 *
 * @throws TransshipError `SNAPSHOT_EXISTS` when the run has one of that name
 * @throws TransshipError `BACKEND`, `CANCELLED`; an error of `bytes` itself is rethrown as it is
 */
export async function storeArtifact(
  name: string,
  bytes: Bytes,
  source: ArtifactSource,
  retentionDays?: number,
  signal?: AbortSignal,
): Promise<{ size: number; artifactId: number; digest: string }> {
  const folder = await makeFolder();
  let uploading: Promise<unknown> | undefined;
  try {
    const file = join(folder, name);
    const size = await writeNewFile(file, bytes, signal);
    const sent = upload(file, source, retentionDays);
    uploading = sent;
    return { size, ...(await orUndo(sent, name, source, signal)) };
  } finally {
    if (uploading !== undefined && signal?.aborted) {
      // The toolkit cannot be stopped: it may still read the file.
      const remove = () => removeFolder(folder);
      uploading.then(remove, remove).catch(() => {});
    } else {
      await removeFolder(folder);
    }
  }
}

async function upload(
  file: string,
  source: ArtifactSource,
  retentionDays: number | undefined,
): Promise<{ artifactId: number; digest: string }> {
  const options = { skipArchive: true, ...(retentionDays === undefined ? {} : { retentionDays }) };
  // With skipArchive the artifact is called like the file, whatever name is given.
  const { id, digest } = await call(`upload the artifact ${basename(file)}`, source, (client) =>
    client.uploadArtifact(basename(file), [file], dirname(file), options),
  );
  if (id === undefined || digest === undefined) {
    throw new TransshipError('BACKEND', 'GitHub gave the artifact no id or no digest.');
  }
  return { artifactId: id, digest: `sha256:${digest}` };
}

/**
 * Waits for an upload. When `signal` fires first it returns at once, while the upload goes on: the toolkit cannot stop
 * it. Should the process live long enough for it to finish, the artifact is deleted again.
 */
async function orUndo<T>(
  upload: Promise<T>,
  name: string,
  source: ArtifactSource,
  signal: AbortSignal | undefined,
): Promise<T> {
  try {
    return await waitUnlessAborted(upload, signal);
  } catch (error) {
    const undo = () => call(`delete the artifact ${name}`, source, (client) => client.deleteArtifact(name));
    if (signal?.aborted) upload.then(undo).catch(() => {});
    throw error;
  }
}

/** What it takes to bring an artifact here. */
export type StoredArtifact = Pick<StoredSnapshot, 'artifactId' | 'digest' | 'location' | 'size'>;

/** An artifact's bytes from the start; all of it is brought here and checked first. */
export async function* readArtifact(stored: StoredArtifact, source: ArtifactSource, signal?: AbortSignal): Bytes {
  const folder = await makeFolder();
  try {
    const file = await waitUnlessAborted(download(stored, source, folder), signal);
    yield* untilAborted(createReadStream(file, { highWaterMark: READ_SIZE }), signal);
  } finally {
    await removeFolder(folder);
  }
}

/**
 * Opens an artifact to be read from anywhere: it is brought here first.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` when it did not arrive as it was uploaded
 * @throws TransshipError `BACKEND`, `CANCELLED`
 */
export async function openArtifact(
  stored: StoredArtifact,
  source: ArtifactSource,
  temporaryDirectory: string,
  signal?: AbortSignal,
): Promise<PartReader> {
  const folder = await makeFolder(temporaryDirectory);
  const downloading = download(stored, source, folder);
  try {
    const reader = await openFile(await waitUnlessAborted(downloading, signal), signal);
    // Of an open file nothing is left however the process ends; Windows keeps it until it is closed.
    if (process.platform !== 'win32') await removeFolder(folder);
    return {
      ...reader,
      async close() {
        await reader.close();
        await removeFolder(folder);
      },
    };
  } catch (error) {
    // The toolkit cannot be stopped: it may still write.
    if (signal?.aborted)
      downloading
        .catch(() => {})
        .then(() => removeFolder(folder))
        .catch(() => {});
    await removeFolder(folder);
    throw error;
  }
}

/** Downloads an artifact, checks it, and returns the path of its one file. */
async function download(stored: StoredArtifact, source: ArtifactSource, folder: string): Promise<string> {
  const { artifactId, digest, location, size } = stored;
  if (artifactId === undefined) throw new TransshipError('INPUT', `${location} is not an artifact.`);
  const options = {
    path: folder,
    skipDecompress: true,
    ...(digest === undefined ? {} : { expectedHash: digest }),
    ...findOptions(source),
  };
  const doing = `download the artifact ${location}`;
  const { digestMismatch } = await call(doing, source, (client) => client.downloadArtifact(artifactId, options));
  if (digestMismatch === true) throw damaged(location, `its SHA-256 is not ${digest}`);
  const [name, second] = await readdir(folder).catch(failTo('read', folder));
  if (name === undefined || second !== undefined) throw damaged(location, 'it is not one file');
  const file = join(folder, name);
  const stats = await stat(file).catch(failTo('read', file));
  if (stats.size !== size) throw damaged(location, `it has ${stats.size} bytes instead of ${size}`);
  return file;
}

function damaged(location: string, what: string): TransshipError {
  return new TransshipError('ARCHIVE_DAMAGED', `The artifact ${location} did not arrive as it was uploaded: ${what}.`, {
    hint: 'Run again; if it happens once more, export again.',
  });
}

/** Loads the toolkit and calls it; what it throws becomes an error for the user. Side effect: see below. */
async function call<T>(
  doing: string,
  source: ArtifactSource,
  use: (client: DefaultArtifactClient) => Promise<T>,
  right: 'read' | 'write' = 'read',
): Promise<T> {
  // The toolkit reads it when it is loaded. At its own 1000 it would leave out the rest of a larger run, telling nobody
  // but the log: `latest` could be any.
  process.env.ACTIONS_ARTIFACT_MAX_ARTIFACT_COUNT ??= '100000';
  const { DefaultArtifactClient } = await import('@actions/artifact');
  try {
    return await runQuietly(() => use(new DefaultArtifactClient()));
  } catch (error) {
    throw artifactError(error, doing, source, right);
  }
}

function findOptions({ token, repository, runId }: ArtifactSource): FindOptions {
  if (token === undefined) return {};
  const [repositoryOwner = '', repositoryName = ''] = repository.split('/');
  return { findBy: { token, repositoryOwner, repositoryName, workflowRunId: Number(runId) } };
}

/** A folder of our own where the runner cleans up after each job. */
function makeFolder(parent = process.env.RUNNER_TEMP || tmpdir()): Promise<string> {
  return mkdtemp(join(parent, 'transship-')).catch(failTo('write', parent));
}

function removeFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true }).catch(failTo('write', folder));
}
