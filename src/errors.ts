/** What {@link TransshipError} carries besides its message. */
export interface ErrorDetails {
  /** What the reader can do about it, as one or two sentences. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/**
 * The stable, machine-readable reasons of failure. `INPUT` is the only one that means the caller asked for something
 * impossible (exit status 2); every other one is a failure of the work itself (exit status 1).
 */
export type ErrorCode =
  | 'INPUT'
  | 'ARCHIVE_DAMAGED'
  | 'ARCHIVE_UNSUPPORTED'
  | 'BACKEND'
  | 'SNAPSHOT_EXISTS'
  | 'SNAPSHOT_NOT_FOUND'
  | 'CLUSTER'
  | 'FORBIDDEN'
  | 'HELM'
  | 'HELM_MISSING'
  | 'RECORD_INVALID'
  | 'RELEASE_EXISTS'
  | 'RESOURCE_EXISTS'
  | 'IMMUTABLE'
  | 'NOT_SERVED'
  | 'IMPORT_FAILED'
  | 'PLAN_CHANGED'
  | 'PLAN_PROBLEMS'
  | 'TEARDOWN_FAILED'
  | 'BASE_GONE'
  | 'MANAGED'
  | 'NOT_EMPTY'
  | 'TIMEOUT'
  | 'CANCELLED';

/**
 * An error whose message is meant for the user: it names the thing, its value and what is allowed. Anything else that
 * reaches a door is a bug and is printed with its stack.
 */
export class TransshipError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    // Set explicitly: the bundle is minified and would rename the class.
    this.name = 'TransshipError';
    this.code = code;
    this.hint = details.hint;
  }
}

/** The message of anything that was thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * The error of work that an abort signal has ended: the signal's own reason where that is one meant for the user.
 *
 * @param what - what was ended, such as `GET /api`
 */
export function cancelledBy(signal: AbortSignal, what?: string): TransshipError {
  const reason: unknown = signal.reason;
  if (reason instanceof TransshipError) return reason;
  return new TransshipError('CANCELLED', what === undefined ? 'Cancelled.' : `Cancelled: ${what}.`, { cause: reason });
}
