import type { PartReader, PartStore } from '../archive/part.ts';
import { TransshipError } from '../errors.ts';
import { beginArtifactParts, findArtifactPart } from './artifact-parts.ts';
import {
  describeArtifact,
  removeArtifactLeftover,
  removeArtifactPlan,
  removeArtifacts,
  surveyArtifacts,
} from './artifact-remove.ts';
import {
  type ArtifactOptions,
  type ArtifactSource,
  artifactUrl,
  checkArtifactName,
  findArtifactSource,
  requireRuntime,
} from './artifact-source.ts';
import { findArtifact, listArtifacts, openArtifact, readArtifact, storeArtifact } from './artifact-transfer.ts';
import type { Backend, Bytes, Leftover, StoredSnapshot, Survey, WrittenSnapshot } from './backend.ts';
import { streamOf, waitUnlessAborted } from './bytes.ts';
import { planFileName } from './plans.ts';
import { isEncryptedName, selectSnapshot, snapshotExists, snapshotFileName, sortSnapshots } from './selector.ts';
import { noTrees } from './trees.ts';

/**
 * Keeps snapshots as artifacts of a workflow run, each one raw file called `<name>-<id><suffix>`. GitHub shows no
 * artifact before its upload is finished, and keeps its name taken for the rest of the run when that never happens.
 *
 * A part of a snapshot is an artifact `<name>-<id>.<part>`, a saved plan one `<name>-plan-<id>.json`.
 *
 * Reads this run unless `runId` names another: a token alone does not change where it looks.
 */
export class ArtifactBackend implements Backend {
  readonly name = 'artifact';
  /** Runs write artifacts, one after the other or side by side, and none of them for ever. */
  readonly lease = undefined;
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
    const source = this.#findOwn();
    const name = snapshotFileName(this.#artifactName, id, suffix);
    const existing = (await this.#list(source)).find((snapshot) => snapshot.id === id);
    if (existing !== undefined) throw snapshotExists(existing.location);

    const { size, artifactId, digest } = await storeArtifact(name, bytes, source, this.#options.retentionDays, signal);
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

  async openTree(): Promise<never> {
    throw noTrees(this.name);
  }

  readTree(): never {
    throw noTrees(this.name);
  }

  // A runner's disk is gone after a job: nothing can be gone on with, whatever the scope.
  async beginParts(id: string, _scope: string): Promise<PartStore> {
    const { retentionDays } = this.#options;
    return beginArtifactParts(snapshotFileName(this.#artifactName, id, '.'), id, this.#findOwn(), retentionDays);
  }

  async openPart(
    snapshot: StoredSnapshot,
    file: string,
    temporaryDirectory: string,
    signal?: AbortSignal,
  ): Promise<PartReader> {
    const source = findArtifactSource(this.#options, process.env);
    if (file === '') return openArtifact(snapshot, source, temporaryDirectory, signal);
    const start = snapshotFileName(this.#artifactName, snapshot.id, '.');
    return openArtifact(await findArtifactPart(file, start, source, signal), source, temporaryDirectory, signal);
  }

  /** Plans are of this run, whichever run the snapshot is read from. */
  async writePlan(id: string, bytes: Buffer, signal?: AbortSignal): Promise<string> {
    requireRuntime(process.env);
    const source = findArtifactSource({}, process.env);
    const name = this.#planName(id);
    const existing = await findArtifact(name, source);
    if (existing !== undefined) return existing.location;
    const { artifactId } = await storeArtifact(name, streamOf(bytes), source, this.#options.retentionDays, signal);
    return artifactUrl(source, artifactId, process.env);
  }

  async readPlan(id: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    const name = this.#planName(id);
    // On the command line there is no run of its own.
    const own = process.env.ACTIONS_RUNTIME_TOKEN ? [findArtifactSource({}, process.env)] : [];
    const named = this.#options.runId === undefined ? [] : [findArtifactSource(this.#options, process.env)];
    for (const source of [...own, ...named]) {
      const found = await waitUnlessAborted(findArtifact(name, source), signal);
      if (found === undefined) continue;
      const pieces: Uint8Array[] = [];
      for await (const piece of readArtifact(found, source, signal)) pieces.push(piece);
      return Buffer.concat(pieces);
    }
    return undefined;
  }

  async survey(signal?: AbortSignal): Promise<Survey> {
    return surveyArtifacts(this.#artifactName, findArtifactSource(this.#options, process.env), signal);
  }

  async remove(snapshot: StoredSnapshot, signal?: AbortSignal): Promise<void> {
    const source = findArtifactSource(this.#options, process.env);
    await removeArtifacts(this.#artifactName, snapshot, source, signal);
  }

  async removeLeftover(leftover: Leftover, signal?: AbortSignal): Promise<void> {
    const source = findArtifactSource(this.#options, process.env);
    await removeArtifactLeftover(this.#artifactName, leftover, source, signal);
  }

  async removePlan(plan: string, signal?: AbortSignal): Promise<void> {
    const source = findArtifactSource(this.#options, process.env);
    await removeArtifactPlan(this.#artifactName, plan, source, signal);
  }

  /** The run that artifacts are written to: this one. */
  #findOwn(): ArtifactSource {
    requireRuntime(process.env);
    const { runId } = this.#options;
    if (runId === undefined) return findArtifactSource({}, process.env);
    throw new TransshipError('INPUT', `run-id: ${runId} is for reading; artifacts are written to this run.`);
  }

  async #list(source: ArtifactSource): Promise<StoredSnapshot[]> {
    const artifacts = await listArtifacts(source);
    return sortSnapshots(artifacts.flatMap((artifact) => describeArtifact(artifact, this.#artifactName, source) ?? []));
  }

  #planName(id: string): string {
    return `${this.#artifactName}-plan-${planFileName(id)}`;
  }
}
