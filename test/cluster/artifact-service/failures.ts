/** The requests that can be made to fail. */
export type Operation =
  | 'CreateArtifact'
  | 'FinalizeArtifact'
  | 'ListArtifacts'
  | 'GetSignedArtifactURL'
  | 'DeleteArtifact'
  | 'put-block'
  | 'put-block-list'
  | 'get-blob'
  | 'rest-list'
  | 'rest-delete'
  | 'rest-download';

/**
 * How a request fails: `drop` closes the connection without an answer; `drop-after` carries the request out and then
 * closes it; `stall` never answers; `cut` closes it in the middle of the answer's body; `corrupt` changes one byte of the body stored or sent;
 * `expired` is what Azure says of a signature whose time is over; a number is the status of the answer.
 */
export type FailureKind = 'drop' | 'drop-after' | 'stall' | 'cut' | 'corrupt' | 'expired' | number;

export interface Failure {
  readonly operation: Operation;
  readonly kind: FailureKind;
  /** How many of the next such requests fail; 1 when left out. */
  readonly times?: number;
}

/** Keeps the failures asked for, and gives each out as often as asked. */
export function createFailures() {
  const pending: { operation: Operation; kind: FailureKind; times: number }[] = [];
  return {
    add({ operation, kind, times = 1 }: Failure): void {
      pending.push({ operation, kind, times });
    },
    clear(): void {
      pending.length = 0;
    },
    take(operation: Operation): FailureKind | undefined {
      const failure = pending.find((one) => one.operation === operation && one.times > 0);
      if (failure === undefined) return undefined;
      failure.times -= 1;
      return failure.kind;
    },
  };
}

export type Failures = ReturnType<typeof createFailures>;
