import { messageOf, TransshipError } from '../errors.ts';
import type { ArtifactSource } from './artifact-source.ts';

const PERMISSIONS = 'permissions: { actions: read, contents: read }';

/**
 * Turns an error of the GitHub toolkit into one for the user; one that is for the user already stays as it is.
 *
 * @param right - what the token must have on the run
 */
export function artifactError(
  error: unknown,
  doing: string,
  source: ArtifactSource,
  right: 'read' | 'write' = 'read',
): TransshipError {
  if (error instanceof TransshipError) return error;
  const message = messageOf(error);
  const status = statusOf(error);
  const make = (reason: string, hint?: string) =>
    new TransshipError('BACKEND', `Cannot ${doing}: ${reason}`, { hint, cause: error });
  if (status === 409) {
    return new TransshipError(
      'SNAPSHOT_EXISTS',
      `Cannot ${doing}: the run already has an artifact of that name, or one whose upload never finished.`,
      { hint: 'Export again: every export gets an id of its own.', cause: error },
    );
  }
  const run = `run ${source.runId} of ${source.repository}`;

  if (source.token !== undefined && right === 'write' && (status === 401 || status === 403)) {
    return make(
      `the token may not delete artifacts of ${run}.`,
      'The job needs `permissions: { actions: write, contents: read }` for its own repository; for another one, give as github-token a token that may write actions there.',
    );
  }
  if (source.token !== undefined && (status === 401 || status === 403 || status === 404)) {
    return make(
      status === 404 ? `${run} is not there, or the token may not see it.` : `the token may not read ${run}.`,
      `Check run-id and repository. The job needs \`${PERMISSIONS}\` for its own repository; for another one, give as github-token a token that may read actions there.`,
    );
  }
  if (status === 410) {
    return make('it has expired, and GitHub has deleted it.', 'Export again, with more retention-days if need be.');
  }
  if (status === 401 || status === 403) {
    return make(`the run's own token is not accepted (${status}).`, 'Has the job ended? Run it again.');
  }
  if (/quota/i.test(message)) {
    return make(
      'the storage for artifacts is used up.',
      'Delete old artifacts, set fewer retention-days, or set backend to s3.',
    );
  }
  return make(message, 'Run again; https://www.githubstatus.com tells about outages.');
}

/** The HTTP status in an error of the toolkit: its REST client's own, or the one in the message of the others. */
function statusOf(error: unknown): number {
  if (error instanceof Error && 'status' in error && typeof error.status === 'number') return error.status;
  return Number(/\((\d{3})\)|blob storage: (\d{3})/.exec(messageOf(error))?.slice(1).find(Boolean) ?? 0);
}
