import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Artifact, DefaultArtifactClient, FindOptions } from '@actions/artifact';
import { TransshipError } from '../errors.ts';
import { artifactError } from './artifact-errors.ts';
import {
  type ArtifactOptions,
  type ArtifactSource,
  artifactUrl,
  checkArtifactName,
  findArtifactSource,
  requireRuntime,
} from './artifact-source.ts';
import type { Backend, Bytes, StoredSnapshot, WrittenSnapshot } from './backend.ts';
import { streamOf, untilAborted, waitUnlessAborted } from './bytes.ts';
import { failTo, writeNewFile } from './files.ts';
import { planFileName } from './plans.ts';
import {
  isEncryptedName,
  parseSnapshotFileName,
  selectSnapshot,
  snapshotExists,
  snapshotFileName,
  sortSnapshots,
} from './selector.ts';
import { runQuietly } from './toolkit-output.ts';
import { noTrees } from './trees.ts';

const READ_SIZE = 1024 * 1024;

/**
 * Keeps snapshots as artifacts of a workflow run, each one raw file called `<name>-<id><suffix>`. GitHub shows no
 * artifact before its upload is finished, and keeps its name taken for the rest of the run when that never happens.
 *
 * A saved plan is an artifact `<name>-plan-<id>.json`.
 *
 * Reads this run unless `runId` names another: a token alone does not change where it looks.
 */
export class ArtifactBackend implements Backend {
  readonly name = 'artifact';
  readonly #artifactName: string;
  readonly #options: ArtifactOptions;

  /**
   * @param artifactName - what the artifacts are called, without id and ending
   * @throws TransshipError `INPUT` when GitHub allows no such name
   */
  constructor(artifactName: string, options: ArtifactOptions = {}) {
    checkArtifactName(artifactName);
    this.#artifactName = artifactName;
    this.#options = options;
  }

  async write(id: string, suffix: string, bytes: Bytes, signal?: AbortSignal): Promise<WrittenSnapshot> {
    requireRuntime(process.env);
    if (this.#options.runId !== undefined) {
      throw new TransshipError(
        'INPUT',
        `run-id: ${this.#options.runId} is for reading; artifacts are written to this run.`,
      );
    }
    const source = findArtifactSource({}, process.env);
    const name = snapshotFileName(this.#artifactName, id, suffix);
    const existing = (await this.#list(source)).find((snapshot) => snapshot.id === id);
    if (existing !== undefined) throw snapshotExists(existing.location);

    const { size, artifactId, digest } = await this.#store(name, bytes, source, signal);
    const location = artifactUrl(source, artifactId, process.env);
    const encrypted = isEncryptedName(name);
    const written = {
      id,
      layout: 'archive',
      location,
      size,
      state: 'complete',
      artifactId,
      digest,
      encrypted,
    } as const;
    return { ...written, artifactUrl: location };
  }

  async writeTree(): Promise<never> {
    throw noTrees(this.name);
  }

  async list(): Promise<StoredSnapshot[]> {
    return this.#list(findArtifactSource(this.#options, process.env));
  }

  async find(selector: string): Promise<StoredSnapshot> {
    const source = findArtifactSource(this.#options, process.env);
    const place = `the artifacts ${JSON.stringify(this.#artifactName)} of run ${source.runId}`;
    return selectSnapshot(await this.#list(source), selector, place);
  }

  async *read(snapshot: StoredSnapshot, signal?: AbortSignal): Bytes {
    yield* readArtifact(snapshot, findArtifactSource(this.#options, process.env), signal);
  }

  readTree(): never {
    throw noTrees(this.name);
  }

  /** Plans are of this run, whichever run the snapshot is read from. */
  async writePlan(id: string, bytes: Buffer, signal?: AbortSignal): Promise<string> {
    requireRuntime(process.env);
    const source = findArtifactSource({}, process.env);
    const name = this.#planName(id);
    const existing = await this.#findPlan(name, source);
    if (existing !== undefined) return existing.location;
    const { artifactId } = await this.#store(name, streamOf(bytes), source, signal);
    return artifactUrl(source, artifactId, process.env);
  }

  async readPlan(id: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    const name = this.#planName(id);
    // On the command line there is no run of its own.
    const own = process.env.ACTIONS_RUNTIME_TOKEN ? [findArtifactSource({}, process.env)] : [];
    const named = this.#options.runId === undefined ? [] : [findArtifactSource(this.#options, process.env)];
    for (const source of [...own, ...named]) {
      const found = await waitUnlessAborted(this.#findPlan(name, source), signal);
      if (found === undefined) continue;
      const pieces: Uint8Array[] = [];
      for await (const piece of readArtifact(found, source, signal)) pieces.push(piece);
      return Buffer.concat(pieces);
    }
    return undefined;
  }

  async #list(source: ArtifactSource): Promise<StoredSnapshot[]> {
    const doing = `list the artifacts of run ${source.runId}`;
    const { artifacts } = await call(doing, source, (client) => client.listArtifacts(findOptions(source)));
    return sortSnapshots(artifacts.flatMap((artifact) => this.#describe(artifact, source)));
  }

  #describe({ name, id: artifactId, size, digest }: Artifact, source: ArtifactSource): StoredSnapshot[] {
    const parsed = parseSnapshotFileName(name);
    if (parsed?.base !== this.#artifactName) return [];
    const location = artifactUrl(source, artifactId, process.env);
    const encrypted = isEncryptedName(name);
    return [{ id: parsed.id, layout: 'archive', location, size, state: 'complete', artifactId, digest, encrypted }];
  }

  /** The plan that a run has of that name. */
  async #findPlan(name: string, source: ArtifactSource): Promise<StoredArtifact | undefined> {
    const doing = `list the artifacts of run ${source.runId}`;
    const { artifacts } = await call(doing, source, (client) => client.listArtifacts(findOptions(source)));
    const found = artifacts.find((artifact) => artifact.name === name);
    if (found === undefined) return undefined;
    const { id: artifactId, size, digest } = found;
    return { artifactId, size, digest, location: artifactUrl(source, artifactId, process.env) };
  }

  #planName(id: string): string {
    return `${this.#artifactName}-plan-${planFileName(id)}`;
  }

  async #store(
    name: string,
    bytes: Bytes,
    source: ArtifactSource,
    signal: AbortSignal | undefined,
  ): Promise<{ size: number; artifactId: number; digest: string }> {
    const folder = await makeFolder();
    let uploading: Promise<unknown> | undefined;
    try {
      const file = join(folder, name);
      const size = await writeNewFile(file, bytes, signal);
      const upload = this.#upload(file, folder, source);
      uploading = upload;
      return { size, ...(await orUndo(upload, name, source, signal)) };
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

  async #upload(file: string, folder: string, source: ArtifactSource): Promise<{ artifactId: number; digest: string }> {
    const { retentionDays } = this.#options;
    const options = { skipArchive: true, ...(retentionDays === undefined ? {} : { retentionDays }) };
    // With skipArchive the artifact is called like the file, whatever name is given.
    const { id, digest } = await call(`upload the artifact ${basename(file)}`, source, (client) =>
      client.uploadArtifact(this.#artifactName, [file], folder, options),
    );
    if (id === undefined || digest === undefined) {
      throw new TransshipError('BACKEND', 'GitHub gave the artifact no id or no digest.');
    }
    return { artifactId: id, digest: `sha256:${digest}` };
  }
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

type StoredArtifact = Pick<StoredSnapshot, 'artifactId' | 'digest' | 'location' | 'size'>;

async function* readArtifact(stored: StoredArtifact, source: ArtifactSource, signal?: AbortSignal): Bytes {
  const folder = await makeFolder();
  try {
    const file = await waitUnlessAborted(download(stored, source, folder), signal);
    yield* untilAborted(createReadStream(file, { highWaterMark: READ_SIZE }), signal);
  } finally {
    await removeFolder(folder);
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
): Promise<T> {
  // The toolkit reads it when it is loaded. At its own 1000 it would leave out the rest of a larger run, telling nobody
  // but the log: `latest` could be any.
  process.env.ACTIONS_ARTIFACT_MAX_ARTIFACT_COUNT ??= '100000';
  const { DefaultArtifactClient } = await import('@actions/artifact');
  try {
    return await runQuietly(() => use(new DefaultArtifactClient()));
  } catch (error) {
    throw artifactError(error, doing, source);
  }
}

function findOptions({ token, repository, runId }: ArtifactSource): FindOptions {
  if (token === undefined) return {};
  const [repositoryOwner = '', repositoryName = ''] = repository.split('/');
  return { findBy: { token, repositoryOwner, repositoryName, workflowRunId: Number(runId) } };
}

/** A folder of our own where the runner cleans up after each job. */
function makeFolder(): Promise<string> {
  const parent = process.env.RUNNER_TEMP || tmpdir();
  return mkdtemp(join(parent, 'transship-')).catch(failTo('write', parent));
}

function removeFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true }).catch(failTo('write', folder));
}
