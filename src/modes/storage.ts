import type { Backend, StoredSnapshot } from '../backends/backend.ts';
import { openBackend } from '../backends/open.ts';
import type { Inputs } from '../inputs.ts';
import type { Outputs } from '../outputs.ts';

/** Opens the backend that the inputs name. */
export function openStorage(inputs: Inputs): Backend {
  return openBackend({
    backend: inputs.backend,
    path: inputs.path,
    endpoint: inputs['s3-endpoint'],
    region: inputs['s3-region'],
    forcePathStyle: inputs['s3-path-style'],
    token: inputs['github-token'],
    ...('run-id' in inputs ? { runId: inputs['run-id'], repository: inputs.repository } : {}),
    ...('retention-days' in inputs ? { retentionDays: inputs['retention-days'] } : {}),
  });
}

/** The outputs that say which snapshot a run was about. */
export function snapshotOutputs({ id, location, size, digest, artifactId }: StoredSnapshot): Outputs {
  return { snapshot: id, location, size, digest, 'artifact-id': artifactId };
}
