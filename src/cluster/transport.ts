import type { IncomingHttpHeaders } from 'node:http';
import { ClusterError } from './cluster.ts';
import type { TlsMaterial } from './credentials.ts';
import { createDispatchers } from './dispatchers.ts';
import type { Dispatcher } from './lazy/undici.ts';

/** One request as it goes on the wire, once. */
export interface WireRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Name, value, name, value, … */
  readonly headers: readonly string[];
  readonly body: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** One whole answer. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Gives the memory of the body to another answer; it must not be looked at any more. */
  release(): void;
}

/** Kept-alive connections to one server, never more than the limit. */
export interface Transport {
  /** Sends once. Rejects with the library's or the socket's own error when no whole answer comes. */
  exchange(request: WireRequest, tls: TlsMaterial): Promise<WireAnswer>;
  /** Drops every connection, also those in use. */
  close(): Promise<void>;
}

export interface TransportOptions {
  readonly server: URL;
  readonly proxy: string | undefined;
  /** Connections at most. */
  readonly concurrency: number;
  /** Milliseconds without a byte after which a request has stalled. */
  readonly stallTimeout: number;
}

/** Bytes. Below, a buffer is not worth keeping; above, it would not be used again. */
const KEPT_BODIES = { least: 128 * 1024, most: 4 * 1024 * 1024 };

/** Opens nothing yet: the first request connects. */
export async function createTransport({ concurrency, ...options }: TransportOptions): Promise<Transport> {
  const dispatchers = await createDispatchers({ ...options, connections: concurrency });
  let closed = false;
  /** Memory that large answers were in: new memory for each would cost more than all else done with its bytes. */
  const spare: Buffer[] = [];
  return {
    async exchange(request, tls) {
      if (closed) {
        throw new ClusterError(0, 'Closed', `The connection to ${options.server.origin} is closed.`);
      }
      return exchange(dispatchers.for(tls), options.server.origin, request, spare);
    },
    async close() {
      closed = true;
      await dispatchers.close();
    },
  };
}

function exchange(dispatcher: Dispatcher, origin: string, request: WireRequest, spare: Buffer[]): Promise<WireAnswer> {
  const { method, path, headers, body = null, signal } = request;
  return new Promise((resolve, reject) => {
    let gathered = gatherBody(spare);
    let status = 0;
    let answerHeaders: IncomingHttpHeaders = {};
    let controller: Dispatcher.DispatchController | undefined;
    const abort = () => {
      const reason = abortError(signal);
      controller?.abort(reason);
      reject(reason);
    };
    if (signal?.aborted) {
      abort();
      return;
    }
    signal?.addEventListener('abort', abort, { once: true });
    dispatcher.dispatch(
      { origin, method, path, headers: [...headers], body },
      {
        onRequestStart(started) {
          controller = started;
          if (signal?.aborted) {
            started.abort(abortError(signal));
          }
        },
        onResponseStart(_controller, statusCode, received) {
          status = statusCode;
          answerHeaders = received;
          gathered = gatherBody(spare);
        },
        onResponseData(_controller, chunk) {
          gathered.add(chunk);
        },
        onResponseEnd() {
          signal?.removeEventListener('abort', abort);
          resolve({ status, headers: answerHeaders, ...gathered.end() });
        },
        onResponseError(_controller, error) {
          signal?.removeEventListener('abort', abort);
          reject(error);
        },
      },
    );
  });
}

/** Joins the pieces of a body, large ones in memory that another has been in before. */
function gatherBody(spare: Buffer[]) {
  let first: Buffer | undefined;
  let joined: Buffer | undefined;
  let length = 0;
  return {
    add(chunk: Buffer): void {
      if (first === undefined) {
        first = chunk;
        length = chunk.length;
        return;
      }
      joined ??= startWith(first, spare.pop());
      const needed = length + chunk.length;
      if (needed > joined.length) joined = startWith(joined.subarray(0, length), undefined, needed);
      length += chunk.copy(joined, length);
    },
    end(): Pick<WireAnswer, 'body' | 'release'> {
      const whole = joined;
      return {
        body: whole?.subarray(0, length) ?? first ?? Buffer.alloc(0),
        release() {
          const isKept = whole !== undefined && whole.length >= KEPT_BODIES.least && whole.length <= KEPT_BODIES.most;
          if (isKept) spare.push(whole);
        },
      };
    },
  };
}

/** A buffer that begins with these bytes and has room for as many more, or `needed`. */
function startWith(bytes: Buffer, spare: Buffer | undefined, needed = 0): Buffer {
  const size = Math.max(bytes.length * 2, needed);
  const buffer = spare !== undefined && spare.length >= size ? spare : Buffer.allocUnsafeSlow(size);
  bytes.copy(buffer);
  return buffer;
}

function abortError(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : new Error('aborted');
}
