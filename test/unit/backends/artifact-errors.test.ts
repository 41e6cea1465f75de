import { expect, it } from 'vitest';
import { artifactError } from '../../../src/backends/artifact-errors.ts';

const thisRun = { runId: '17', repository: 'octo-org/shop' };
const otherRun = { ...thisRun, runId: '4', token: 'ghs' };

it.each([
  [
    new Error('Failed to CreateArtifact: Artifact storage quota has been hit. Unable to upload any new artifacts.'),
    thisRun,
    'Cannot upload: the storage for artifacts is used up.',
    'set backend to s3',
  ],
  [
    new Error('Failed to ListArtifacts: Received non-retryable error: Failed request: (403) Forbidden: no'),
    thisRun,
    "Cannot upload: the run's own token is not accepted (403).",
    'Has the job ended?',
  ],
  [
    Object.assign(new Error('Resource not accessible by integration'), { status: 403 }),
    otherRun,
    'Cannot upload: the token may not read run 4 of octo-org/shop.',
    'permissions: { actions: read, contents: read }',
  ],
  [
    new Error('Unable to make request: ECONNRESET'),
    thisRun,
    'Cannot upload: Unable to make request: ECONNRESET',
    'githubstatus.com',
  ],
])('%s is told with what to do', (cause, source, message, hint) => {
  expect(artifactError(cause, 'upload', source)).toMatchObject({
    code: 'BACKEND',
    message,
    hint: expect.stringContaining(hint),
    cause,
  });
});
