import { cancelledBy } from '../errors.ts';

/**
 * Waits for `promise`, but not longer than until `signal` fires; what the promise comes to afterwards is ignored.
 *
 * @throws TransshipError {@link cancelledBy} when the signal fires first
 */
export function waitUnlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(cancelledBy(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * Passes bytes, or entries, on until `signal` fires, also while the source is stuck waiting for its next ones.
 *
 * @throws TransshipError {@link cancelledBy} when the signal fires
 */
export async function* untilAborted<T>(bytes: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncIterable<T> {
  if (signal === undefined) {
    yield* bytes;
    return;
  }
  const iterator = bytes[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await waitUnlessAborted(iterator.next(), signal);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    const closed = Promise.resolve(iterator.return?.());
    // A source that is stuck cannot be closed before it moves again: after an abort nobody waits for that.
    if (signal.aborted) closed.catch(() => {});
    else await closed;
  }
}

/** A stream of one piece. */
export async function* streamOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
