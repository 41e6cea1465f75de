import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from './lazy/undici.ts';
import type { WireRequest } from './transport.ts';

/** An answer whose body comes for as long as the server likes. */
export interface StreamedAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** What has arrived since it was last asked, in one list; read once. Leaving it early drops the connection. */
  readonly chunks: AsyncIterable<readonly Buffer[]>;
}

/** Bytes that may wait for the reader before no more are taken from the connection. */
const MOST_WAITING = 1024 * 1024;

/**
 * Sends a request and resolves when the answer begins.
 *
 * @param heard - called for each sign of life: the beginning of the answer and each piece of it
 * @param sent - called when the request is on its way over a connection
 * @throws the library's or the socket's own error, or the signal's reason; so do the chunks
 */
export function openStream(
  dispatcher: Dispatcher,
  origin: string,
  { method, path, headers, body, signal }: WireRequest,
  heard: () => void,
  sent: () => void,
): Promise<StreamedAnswer> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let waiting: Buffer[] = [];
    let waitingBytes = 0;
    let ended = false;
    let failure: { readonly error: unknown } | undefined;
    let wake: () => void = () => undefined;

    const abort = () => end({ error: signal?.reason });
    function end(failed?: { readonly error: unknown }): void {
      if (ended) return;
      ended = true;
      failure = failed;
      signal?.removeEventListener('abort', abort);
      if (failed !== undefined) {
        controller?.abort(failed.error instanceof Error ? failed.error : new Error('aborted'));
        reject(failed.error);
      }
      wake();
    }
    async function* read(): AsyncGenerator<readonly Buffer[]> {
      try {
        for (;;) {
          if (waiting.length > 0) {
            const chunks = waiting;
            waiting = [];
            waitingBytes = 0;
            if (controller?.paused === true) controller.resume();
            yield chunks;
          } else if (failure !== undefined) throw failure.error;
          else if (ended) return;
          else await new Promise<void>((woken) => (wake = woken));
        }
      } finally {
        end({ error: new Error('nobody reads on') });
      }
    }

    if (signal?.aborted) {
      abort();
      return;
    }
    signal?.addEventListener('abort', abort, { once: true });
    dispatcher.dispatch(
      { origin, method, path, headers: [...headers], body: body ?? null },
      {
        onRequestStart(started) {
          controller = started;
          if (ended) started.abort(new Error('aborted'));
          else sent();
        },
        onResponseStart(_controller, status, received) {
          heard();
          // After that, a failure is met by who reads the body.
          resolve({ status, headers: received, chunks: read() });
        },
        onResponseData(current, chunk) {
          heard();
          waiting.push(chunk);
          waitingBytes += chunk.byteLength;
          if (waitingBytes > MOST_WAITING) current.pause();
          wake();
        },
        onResponseEnd: () => end(),
        onResponseError: (_controller, error) => end({ error }),
      },
    );
  });
}
