import { describe, expect, it } from 'vitest';
import { isDeniedOrUnknown, type S3Attempt, s3Error } from '../../../src/backends/s3-errors.ts';
import { TransshipError } from '../../../src/errors.ts';

const place = { bucket: 'backups', prefix: 'stage/' };
const read: S3Attempt = { place, key: 'stage/a.tar', action: 's3:GetObject' };
const list: S3Attempt = { place, action: 's3:ListBucket' };

describe('an error of S3', () => {
  it.each([
    [
      'AccessDenied',
      403,
      read,
      's3://backups/stage/a.tar: access denied.',
      's3:GetObject on arn:aws:s3:::backups/stage/a.tar,',
    ],
    ['AccessDenied', 403, list, 'bucket backups: access denied.', 's3:ListBucket on arn:aws:s3:::backups,'],
    ['ExpiredToken', 400, list, 'The AWS credentials have expired while reaching bucket backups.', 'longer session'],
    [
      'InvalidAccessKeyId',
      403,
      list,
      'bucket backups: the AWS credentials are not accepted (InvalidAccessKeyId).',
      'AWS_PROFILE',
    ],
    [
      'CredentialsProviderError',
      0,
      list,
      'There are no AWS credentials to reach bucket backups with.',
      'AWS_ACCESS_KEY_ID',
    ],
    ['NoSuchBucket', 404, list, 'The bucket backups does not exist.', 'check path'],
    ['PermanentRedirect', 301, list, 'The bucket backups is in another region.', 'Set s3-region'],
    [
      'NoSuchUpload',
      404,
      read,
      's3://backups/stage/a.tar: its unfinished upload was removed while it was running.',
      'lifecycle',
    ],
    [
      'RequestTimeTooSkewed',
      403,
      list,
      "bucket backups: this machine's clock differs too much from the service's.",
      'clock',
    ],
    ['SlowDown', 503, read, 's3://backups/stage/a.tar: said so', 'Run again later'],
  ])('%s (%d) is told in words', (name, status, attempt, message, hint) => {
    const cause = failure(name, status);
    expect(s3Error(cause, attempt)).toMatchObject({
      code: 'BACKEND',
      message,
      hint: expect.stringContaining(hint),
      cause,
    });
  });

  it('about a missing object is a snapshot that is not there', () => {
    expect(s3Error(failure('NoSuchKey', 404), read)).toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      message: 's3://backups/stage/a.tar does not exist.',
    });
  });

  it('names the endpoint when it is not AWS', () => {
    const attempt = { ...list, endpoint: 'http://minio:9000' };
    expect(s3Error(failure('NoSuchBucket', 404), attempt).message).toBe(
      'The bucket backups at http://minio:9000 does not exist.',
    );
  });

  it('that is one for the user already stays as it is', () => {
    const error = new TransshipError('CANCELLED', 'Cancelled.');
    expect(s3Error(error, read)).toBe(error);
  });
});

describe('an error of server-side encryption', () => {
  it.each([
    [
      'InvalidRequest',
      400,
      'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
    ],
    [
      'AccessDenied',
      403,
      'Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.',
    ],
    ['InvalidRequest', 400, 'The encryption parameters are not applicable to this object.'],
    ['InvalidRequest', 400, 'The provided encryption parameters did not match the ones used originally.'],
  ])('%s (%d) asks for the right key: %s', (name, status, message) => {
    expect(s3Error(failure(name, status, message), read)).toMatchObject({
      code: 'BACKEND',
      message: `s3://backups/stage/a.tar: ${message}`,
      hint: 'Set s3-sse-customer-key to the key it was exported with, or leave it out when there was none.',
    });
  });

  it.each([
    ['KMS.NotFoundException', 400, "Key 'arn:aws:kms:eu-west-1:1:key/x' does not exist"],
    [
      'AccessDenied',
      403,
      'User: arn:aws:iam::1:user/ci is not authorized to perform: kms:GenerateDataKey on this resource',
    ],
  ])('%s (%d) is told to be one of the KMS key', (name, status, message) => {
    expect(s3Error(failure(name, status, message), read)).toMatchObject({
      message: `s3://backups/stage/a.tar: the KMS key cannot be used: ${message}`,
      hint: expect.stringContaining('kms:GenerateDataKey'),
    });
  });
});

it.each([
  ['AccessDenied', 403, true],
  ['NotImplemented', 501, true],
  ['MethodNotAllowed', 405, true],
  ['SignatureDoesNotMatch', 403, false],
  ['ExpiredToken', 403, false],
  ['NoSuchBucket', 404, false],
  ['SlowDown', 503, false],
])('%s (%d) is a request that may not be sent or is not known: %s', (name, status, expected) => {
  expect(isDeniedOrUnknown(failure(name, status))).toBe(expected);
});

function failure(name: string, httpStatusCode: number, message = 'said so'): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode } });
}
