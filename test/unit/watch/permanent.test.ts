import { expect, it } from 'vitest';
import { ClusterError } from '../../../src/cluster/cluster.ts';
import { TransshipError } from '../../../src/errors.ts';
import { isDiskFull, isPermanent } from '../../../src/watch/permanent.ts';

const aws = (name: string, status: number) =>
  new TransshipError('BACKEND', 'S3 says no.', {
    cause: Object.assign(new Error(name), { name, $metadata: { httpStatusCode: status } }),
  });
const disk = (code: string) =>
  new TransshipError('BACKEND', 'The disk says no.', { cause: Object.assign(new Error(code), { code }) });

it.each([
  ['wrong input', new TransshipError('INPUT', 'x')],
  ['a right that is missing in the cluster', new ClusterError(403, 'Forbidden', 'x')],
  ['a certificate that nobody vouches for', new ClusterError(0, 'Certificate', 'x')],
  ['a bucket that is not there', aws('NoSuchBucket', 404)],
  ['a right that is missing in S3', aws('AccessDenied', 403)],
  ['no credentials', aws('CredentialsProviderError', 0)],
  ['a service without conditional writes', aws('NotImplemented', 501)],
  ['a folder that may not be written', disk('EACCES')],
  ['another manager', new TransshipError('MANAGED', 'x')],
  ['a bug', new TypeError('x is not a function')],
])('%s will not heal', (_, error) => {
  expect(isPermanent(error)).toBe(true);
});

it.each([
  ['an API server that is away', new ClusterError(0, 'Unreachable', 'x')],
  ['an API server that is overloaded', new ClusterError(429, 'TooManyRequests', 'x')],
  ['an API server that fails', new ClusterError(500, 'InternalError', 'x')],
  ['S3 that is away', aws('ECONNREFUSED', 0)],
  ['S3 that is slow', aws('SlowDown', 503)],
  ['a request that took too long', aws('RequestTimeout', 408)],
  ['two writes at once', aws('ConditionalRequestConflict', 409)],
  ['a full disk', disk('ENOSPC')],
  ['a timeout', new TransshipError('TIMEOUT', 'x')],
])('%s may heal', (_, error) => {
  expect(isPermanent(error)).toBe(false);
});

it('a full disk is told from other failures', () => {
  expect([disk('ENOSPC'), disk('EDQUOT'), disk('EIO'), 'text'].map(isDiskFull)).toEqual([true, true, false, false]);
});
