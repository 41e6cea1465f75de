import { messageOf, TransshipError } from '../errors.ts';
import type { S3Place } from './s3-place.ts';

/** What was being done when S3 refused. */
export interface S3Attempt {
  readonly place: S3Place;
  /** The object, when the request is about one. */
  readonly key?: string | undefined;
  /** The IAM action it needs. */
  readonly action:
    | 's3:ListBucket'
    | 's3:GetObject'
    | 's3:PutObject'
    | 's3:DeleteObject'
    | 's3:AbortMultipartUpload'
    | 's3:ListBucketMultipartUploads'
    | 's3:ListMultipartUploadParts';
  /** The endpoint, when it is not AWS. */
  readonly endpoint?: string | undefined;
}

/** What S3, or the way to it, said. */
export interface S3Failure {
  /** S3's error code, or the name of the library's error. */
  readonly name: string;
  /** The HTTP status; 0 when no answer came. */
  readonly status: number;
  readonly message: string;
  /** The region the bucket really is in, when the answer says so. */
  readonly region: string | undefined;
}

const NO_CREDENTIALS = ['CredentialsProviderError', 'TokenProviderError'];
const EXPIRED = ['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'RequestExpired'];
const WRONG_KEYS = ['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'InvalidSecurity', 'AuthFailure'];
const WRONG_REGION = ['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'];
const CREDENTIALS_HINT =
  'In a workflow, run aws-actions/configure-aws-credentials first (with the permission id-token: write), or set ' +
  'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; elsewhere, set these or AWS_PROFILE.';

/** Reads what went wrong out of an error of the AWS library. */
export function readS3Failure(error: unknown): S3Failure {
  const message = messageOf(error);
  const name = error instanceof Error ? error.name : '';
  const status = numberAt(error, '$metadata', 'httpStatusCode') ?? 0;
  const header = textAt(error, '$response', 'headers', 'x-amz-bucket-region');
  const region = header ?? textAt(error, 'Region') ?? /expecting '([a-z0-9-]+)'/.exec(message)?.[1];
  return { name, status, message, region };
}

/** Whether the service refuses for want of rights, or does not know the request at all. */
export function isDeniedOrUnknown(error: unknown): boolean {
  const { name, status } = readS3Failure(error);
  // Not every 403: wrong and expired credentials answer it too.
  return ['AccessDenied', 'Forbidden', 'NotImplemented'].includes(name) || status === 405 || status === 501;
}

/** Turns an error of the AWS library into one for the user; one that is for the user already stays as it is. */
export function s3Error(error: unknown, attempt: S3Attempt): TransshipError {
  if (error instanceof TransshipError) return error;
  const failure = readS3Failure(error);
  const { place, key, endpoint } = attempt;
  const { bucket } = place;
  const at = endpoint === undefined ? '' : ` at ${endpoint}`;
  const object = key === undefined ? `bucket ${bucket}${at}` : `s3://${bucket}/${key}${at}`;
  const make = (message: string, hint?: string) => new TransshipError('BACKEND', message, { hint, cause: error });

  if (NO_CREDENTIALS.includes(failure.name)) {
    return make(`There are no AWS credentials to reach ${object} with.`, CREDENTIALS_HINT);
  }
  if (EXPIRED.includes(failure.name)) {
    return make(
      `The AWS credentials have expired while reaching ${object}.`,
      'Get new ones and run again; for a long export, ask for a longer session (role-duration-seconds).',
    );
  }
  if (WRONG_KEYS.includes(failure.name)) {
    return make(`${object}: the AWS credentials are not accepted (${failure.name}).`, CREDENTIALS_HINT);
  }
  if (failure.name === 'RequestTimeTooSkewed') {
    return make(`${object}: this machine's clock differs too much from the service's.`, 'Set the clock right.');
  }
  if (failure.name === 'NoSuchBucket') {
    return make(
      `The bucket ${bucket}${at} does not exist.`,
      'Make it first, or check path, s3-endpoint and s3-region.',
    );
  }
  if (WRONG_REGION.includes(failure.name) || failure.status === 301) {
    return make(
      `The bucket ${bucket}${at} is in another region${failure.region === undefined ? '' : `, ${failure.region}`}.`,
      failure.region === undefined
        ? 'Set s3-region to the region of the bucket.'
        : `Set s3-region to ${failure.region}.`,
    );
  }
  if (failure.name === 'NoSuchUpload') {
    return make(
      `${object}: its unfinished upload was removed while it was running.`,
      'Someone aborted it, or a lifecycle rule of the bucket did. Export again.',
    );
  }
  if (failure.name === 'NoSuchKey' || failure.name === 'NotFound') {
    return new TransshipError('SNAPSHOT_NOT_FOUND', `${object} does not exist.`, { cause: error });
  }
  if (failure.name.startsWith('KMS.') || /\bkms:/.test(failure.message)) {
    return make(
      `${object}: the KMS key cannot be used: ${failure.message}`,
      'Check s3-sse-kms-key-id. The credentials need kms:GenerateDataKey to write, and kms:Decrypt to read and to write in parts.',
    );
  }
  if (/server[ -]side encryption|encryption (?:parameters|key)|requested encryption/i.test(failure.message)) {
    return make(
      `${object}: ${failure.message}`,
      'Set s3-sse-customer-key to the key it was exported with, or leave it out when there was none.',
    );
  }
  if (failure.status === 401 || failure.status === 403) {
    return make(
      `${object}: access denied.`,
      `The credentials need the IAM action ${attempt.action} on ${resourceOf(attempt)}, and no policy may deny it.`,
    );
  }
  if (failure.name === 'NotImplemented' || failure.status === 501) {
    return make(
      `${object}: the service cannot do what was asked: ${failure.message}`,
      'Use a service that knows conditional writes (If-None-Match): without them, snapshots could overwrite each other.',
    );
  }
  return make(`${object}: ${failure.message || failure.name}`, connectionHint(failure));
}

function resourceOf({ action, place, key }: S3Attempt): string {
  const onBucket = action === 's3:ListBucket' || action === 's3:ListBucketMultipartUploads';
  return onBucket ? `arn:aws:s3:::${place.bucket}` : `arn:aws:s3:::${place.bucket}/${key ?? `${place.prefix}*`}`;
}

function connectionHint({ status }: S3Failure): string | undefined {
  if (status === 0) return 'Check s3-endpoint and the network, then run again.';
  return status >= 500 || status === 429 ? 'The service is overloaded or failing. Run again later.' : undefined;
}

function valueAt(value: unknown, keys: readonly string[]): unknown {
  let current = value;
  for (const key of keys) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = Reflect.get(current, key);
  }
  return current;
}

function textAt(value: unknown, ...keys: string[]): string | undefined {
  const found = valueAt(value, keys);
  return typeof found === 'string' && found !== '' ? found : undefined;
}

function numberAt(value: unknown, ...keys: string[]): number | undefined {
  const found = valueAt(value, keys);
  return typeof found === 'number' ? found : undefined;
}
