import { TransshipError } from '../errors.ts';

const CODES = ['INPUT', 'FORBIDDEN', 'MANAGED', 'NOT_EMPTY', 'ARCHIVE_UNSUPPORTED', 'RECORD_INVALID', 'NOT_SERVED'];
/** Of Node and of the libraries that look for credentials: what somebody has to set right. */
const NAMES = [
  ...['ENOENT', 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'],
  ...['CredentialsProviderError', 'TokenProviderError', 'Certificate', 'Credentials'],
];
/** 4xx that ask for another try: request timeout, conflict, too early, too many requests. */
const PASSING = [408, 409, 425, 429];

/**
 * Whether trying the same again will hardly help: a wrong name, a right that is missing. Told at once to who starts the
 * daemon; later, when it had worked before, it may be a role that has expired, and is tried again all the same.
 */
export function isPermanent(error: unknown): boolean {
  // A bug.
  if (!(error instanceof TransshipError)) return true;
  if (CODES.includes(error.code)) return true;
  for (let cause: unknown = error, depth = 0; cause instanceof Error && depth < 10; cause = cause.cause, depth++) {
    const status = statusOf(cause);
    if ((status >= 400 && status < 500 && !PASSING.includes(status)) || status === 501) return true;
    if ([cause.name, fieldOf(cause, 'code'), fieldOf(cause, 'reason')].some((name) => NAMES.includes(String(name)))) {
      return true;
    }
  }
  return false;
}

/** The HTTP status in an error of the cluster or of the AWS library; 0 where there is none. */
function statusOf(error: Error): number {
  const status = fieldOf(error, 'status') ?? fieldOf(fieldOf(error, '$metadata'), 'httpStatusCode');
  return typeof status === 'number' ? status : 0;
}

/** Whether another manager writes here. */
export function isManaged(error: unknown): boolean {
  return error instanceof TransshipError && error.code === 'MANAGED';
}

/** Whether there is no room left on a disk, or for this user. */
export function isDiskFull(error: unknown): boolean {
  for (let cause: unknown = error, depth = 0; cause instanceof Error && depth < 10; cause = cause.cause, depth++) {
    if (['ENOSPC', 'EDQUOT'].includes(String(fieldOf(cause, 'code')))) return true;
  }
  return false;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
