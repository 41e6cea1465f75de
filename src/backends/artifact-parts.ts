import type { PartStore } from '../archive/part.ts';
import { TransshipError } from '../errors.ts';
import { type ArtifactSource, artifactUrl } from './artifact-source.ts';
import { findArtifact, type StoredArtifact, storeArtifact } from './artifact-transfer.ts';
import { waitUnlessAborted } from './bytes.ts';
import { partBytes } from './part-bytes.ts';
import { partFileName } from './part-group.ts';

/**
 * Begins the parts of a snapshot as artifacts of their own. A runner's disk goes with its job, and an artifact is
 * uploaded as a whole: nothing of an interrupted export can be gone on with.
 *
 * @param start - what the artifacts' names begin with: `<name>-<id>.`, so that none is a snapshot's
 */
export async function beginArtifactParts(
  start: string,
  id: string,
  source: ArtifactSource,
  retentionDays: number | undefined,
): Promise<PartStore> {
  return {
    id,
    isBare: false,
    interrupted: new Map(),
    async write(part) {
      const file = `${start}${partFileName(part)}`;
      const stored = await storeArtifact(file, partBytes(part), source, retentionDays, part.signal);
      const { size, digest, artifactId } = stored;
      return { file, location: artifactUrl(source, artifactId, process.env), size, digest, kept: 0 };
    },
    // There is nothing but the parts.
    finish: async () => {},
    close: async () => {},
  };
}

/**
 * Finds a part by what its snapshot names it by.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` for the name of something else
 * @throws TransshipError `SNAPSHOT_NOT_FOUND` when the run has no such artifact
 */
export async function findArtifactPart(
  file: string,
  start: string,
  source: ArtifactSource,
  signal?: AbortSignal,
): Promise<StoredArtifact> {
  if (!file.startsWith(start)) {
    throw new TransshipError('ARCHIVE_DAMAGED', `${JSON.stringify(file)} can't be the name of a part of a snapshot.`);
  }
  const found = await waitUnlessAborted(findArtifact(file, source), signal);
  if (found !== undefined) return found;
  throw new TransshipError('SNAPSHOT_NOT_FOUND', `Run ${source.runId} has no artifact ${JSON.stringify(file)}.`, {
    hint: 'It may have been deleted. A snapshot is whole only with all artifacts whose names begin like its own.',
  });
}
