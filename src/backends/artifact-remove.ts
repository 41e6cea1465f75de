import type { Artifact } from '@actions/artifact';
import { parseSnapshotId } from '../archive/snapshot.ts';
import { cancelledBy } from '../errors.ts';
import { type ArtifactSource, artifactUrl } from './artifact-source.ts';
import { deleteArtifact, listArtifacts } from './artifact-transfer.ts';
import type { Leftover, StoredSnapshot, Survey } from './backend.ts';
import { waitUnlessAborted } from './bytes.ts';
import { notAtPlace } from './place-paths.ts';
import { isPlanFileName } from './plans.ts';
import { isEncryptedName, parseSnapshotFileName, sortSnapshots } from './selector.ts';

const ID_LENGTH = 'YY-MM-DD_HH-MM-SS'.length;

/** The snapshot that an artifact is; undefined for another one. */
export function describeArtifact(
  { name, id: artifactId, size, digest }: Artifact,
  base: string,
  source: ArtifactSource,
): StoredSnapshot | undefined {
  const parsed = parseSnapshotFileName(name);
  if (parsed?.base !== base) return undefined;
  const location = artifactUrl(source, artifactId, process.env);
  const encrypted = isEncryptedName(name);
  return { id: parsed.id, layout: 'archive', location, size, state: 'complete', artifactId, digest, encrypted };
}

/**
 * Looks at all artifacts of a run that begin like ours: others are as if in another place. GitHub tells no time: it is
 * this machine's.
 *
 * @param base - what the names of artifacts begin with
 * @throws TransshipError `BACKEND`, `CANCELLED`
 */
export async function surveyArtifacts(base: string, source: ArtifactSource, signal?: AbortSignal): Promise<Survey> {
  const now = new Date();
  const artifacts = await waitUnlessAborted(listArtifacts(source), signal);
  const snapshots = artifacts.flatMap((artifact) => describeArtifact(artifact, base, source) ?? []);
  const complete = new Set(snapshots.map(({ id }) => id));
  const parts = artifacts.flatMap((artifact) => {
    const id = partIdOf(artifact.name, base);
    return id === undefined || complete.has(id) ? [] : [{ id, artifact }];
  });
  const leftovers = parts.map(({ id, artifact }): Leftover => {
    // An export that is still running has just written another one.
    const times = parts.filter((part) => part.id === id).map((part) => (part.artifact.createdAt ?? now).getTime());
    const location = artifactUrl(source, artifact.id, process.env);
    return { what: 'parts', location, size: artifact.size, modified: new Date(Math.max(...times)) };
  });
  const plans = artifacts.filter(({ name }) => isPlan(name, base));
  return {
    snapshots: sortSnapshots(snapshots),
    leftovers,
    now,
    foreign: [],
    foreignCount: 0,
    plans: plans.map(({ id }) => artifactUrl(source, id, process.env)),
  };
}

/**
 * Deletes the artifact of a snapshot, then those of its parts.
 *
 * @throws TransshipError `BACKEND`, `CANCELLED`
 */
export async function removeArtifacts(
  base: string,
  { id, artifactId, location }: StoredSnapshot,
  source: ArtifactSource,
  signal?: AbortSignal,
): Promise<void> {
  if (artifactId === undefined || artifactUrl(source, artifactId, process.env) !== location) {
    throw notAtPlace(location, `run ${source.runId}`);
  }
  const artifacts = await waitUnlessAborted(listArtifacts(source), signal);
  const own = artifacts.find((artifact) => artifact.id === artifactId);
  if (own !== undefined && describeArtifact(own, base, source)?.id !== id) {
    throw notAtPlace(location, `the artifacts ${JSON.stringify(base)} of run ${source.runId}`);
  }
  const parts = artifacts.filter(({ name }) => partIdOf(name, base) === id);
  for (const { name } of [...(own === undefined ? [] : [own]), ...parts]) {
    // The toolkit cannot be stopped in between.
    if (signal?.aborted) throw cancelledBy(signal);
    await deleteArtifact(name, source);
  }
}

/**
 * Deletes a part that no snapshot names, unless one does by now.
 *
 * @throws TransshipError `BACKEND`, `CANCELLED`
 * @throws TransshipError `INPUT` for another artifact
 */
export async function removeArtifactLeftover(
  base: string,
  { location }: Leftover,
  source: ArtifactSource,
  signal?: AbortSignal,
): Promise<void> {
  const artifacts = await waitUnlessAborted(listArtifacts(source), signal);
  const own = artifacts.find(({ id }) => artifactUrl(source, id, process.env) === location);
  if (own === undefined) return;
  const id = partIdOf(own.name, base);
  if (id === undefined) throw notAtPlace(location, `the artifacts ${JSON.stringify(base)} of run ${source.runId}`);
  if (artifacts.some((artifact) => describeArtifact(artifact, base, source)?.id === id)) return;
  await deleteArtifact(own.name, source);
}

/**
 * Deletes a saved plan.
 *
 * @throws TransshipError `BACKEND`, `CANCELLED`
 * @throws TransshipError `INPUT` for another artifact
 */
export async function removeArtifactPlan(
  base: string,
  location: string,
  source: ArtifactSource,
  signal?: AbortSignal,
): Promise<void> {
  const artifacts = await waitUnlessAborted(listArtifacts(source), signal);
  const own = artifacts.find(({ id }) => artifactUrl(source, id, process.env) === location);
  if (own === undefined) return;
  if (!isPlan(own.name, base)) {
    throw notAtPlace(location, `the artifacts ${JSON.stringify(base)} of run ${source.runId}`);
  }
  await deleteArtifact(own.name, source);
}

/** The id of the snapshot that an artifact is a part of: `<base>-<id>.<part>`. */
function partIdOf(name: string, base: string): string | undefined {
  if (!name.startsWith(`${base}-`) || parseSnapshotFileName(name) !== undefined) return undefined;
  const rest = name.slice(base.length + 1);
  const id = rest.slice(0, ID_LENGTH);
  return rest[ID_LENGTH] === '.' && parseSnapshotId(id) !== undefined ? id : undefined;
}

function isPlan(name: string, base: string): boolean {
  const start = `${base}-plan-`;
  return name.startsWith(start) && isPlanFileName(name.slice(start.length));
}
