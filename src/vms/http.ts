import { Readable } from 'node:stream';
import type { Dispatcher } from '../cluster/lazy/undici.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import { createBody, type VmBody } from './body.ts';
import { explainHttpError } from './http-error.ts';
import { createRoute, type Route } from './http-route.ts';
import { OtherwiseSpoken, type VmSink } from './read-response.ts';

/** Where a request goes. */
export interface VmTarget {
  /** `https:` only: there is a token in every request. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** PEM: who is trusted, and nobody else. Absent or empty: whoever this machine trusts. */
  readonly ca?: string | undefined;
  /** What the certificate must be for, where that is not the host of the URL. */
  readonly serverName?: string | undefined;
  /** Where to connect to instead of the host of the URL, as with a port-forward. */
  readonly connect?: { readonly host: string; readonly port: number } | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface VmRequest extends VmTarget {
  readonly method: 'GET' | 'HEAD' | 'POST';
  /** Sent in chunks, unless the headers have its Content-Length. */
  readonly body?: AsyncIterable<Uint8Array>;
}

/** An answer, whatever its status; redirects are not followed. */
export interface VmResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Can be read once. It must be read, by this or `text`, or left early: until then it holds a connection. */
  readonly body: AsyncIterable<Uint8Array>;
  /** @param limit - bytes after which the rest is left out; default 1 MiB */
  text(limit?: number): Promise<string>;
}

/** HTTPS to export servers, export proxies and upload proxies, over kept-alive connections. TLS is always verified. */
export interface VmHttp {
  /**
   * @returns the answer as soon as its head has come
   * @throws VmHttpError when none comes, also while its body is read
   * @throws TransshipError `CANCELLED`
   */
  request(options: VmRequest): Promise<VmResponse>;
  /**
   * A GET, at about half of the processor time that `request` takes. Resolves when the whole answer has been told.
   *
   * @throws VmHttpError, or what the sink throws
   * @throws TransshipError `CANCELLED`
   */
  receive(options: VmTarget, sink: VmSink): Promise<void>;
  /** Drops every connection, also those in use. */
  close(): Promise<void>;
}

export interface VmHttpOptions {
  /** To one peer at once, and for each of the two kinds of requests. Default 16. */
  readonly connections?: number;
  /** Milliseconds without a byte after which a request has stalled. Default 60 s. */
  readonly idleTimeout?: number;
  /** Where `HTTPS_PROXY` and `NO_PROXY` are looked up. Default: of the process. */
  readonly env?: NodeJS.ProcessEnv;
}

const CONNECTIONS = 16;
/** Milliseconds. */
const IDLE_TIMEOUT = 60_000;
const TEXT_BYTES = 1024 * 1024;

/** Opens nothing yet: requests connect. */
export async function createVmHttp(options: VmHttpOptions = {}): Promise<VmHttp> {
  const { connections = CONNECTIONS, idleTimeout = IDLE_TIMEOUT, env = process.env } = options;
  const undici = await import('../cluster/lazy/undici.ts');
  // One for each certificate, too: requests under way end on the old ones.
  const routes = new Map<string, Promise<Route>>();
  let isClosed = false;

  function routeTo(url: URL, target: VmTarget): Promise<Route> {
    const { ca = '', serverName = '', connect } = target;
    const key = JSON.stringify([url.origin, ca, serverName, connect?.host, connect?.port]);
    const route = routes.get(key) ?? createRoute(undici, url, target, { connections, idleTimeout, env });
    routes.set(key, route);
    return route;
  }

  async function prepare(target: VmTarget, asked: string): Promise<{ url: URL; route: Route }> {
    const { signal } = target;
    if (signal?.aborted) throw cancelledBy(signal, asked);
    if (isClosed) throw new TransshipError('CLUSTER', `${asked}: its connections are closed.`);
    const url = URL.canParse(target.url) ? new URL(target.url) : undefined;
    if (url?.protocol !== 'https:') {
      throw new TransshipError('CLUSTER', `${asked}: not an https:// address, so no token is sent there.`);
    }
    try {
      return { url, route: await routeTo(url, target) };
    } catch (error) {
      throw explain(error, asked, signal);
    }
  }

  /** What a request that got no whole answer fails with. */
  function explain(error: unknown, asked: string, signal: AbortSignal | undefined): Error {
    if (signal?.aborted) return cancelledBy(signal, asked);
    return error instanceof TransshipError ? error : explainHttpError(error, asked, idleTimeout);
  }

  /** Dispatches once; `told` is told of the answer, and can pause it. */
  function dispatch(
    { dispatcher }: Route,
    url: URL,
    { method, headers = {}, body, signal }: VmRequest,
    told: {
      head(status: number, headers: Record<string, string>, controller: Dispatcher.DispatchController): void;
      data(piece: Buffer, controller: Dispatcher.DispatchController): void;
    },
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      let controller: Dispatcher.DispatchController | undefined;
      const abort = () => {
        if (signal === undefined) return;
        controller?.abort(cancelledBy(signal));
        reject(cancelledBy(signal));
      };
      const end = () => signal?.removeEventListener('abort', abort);
      signal?.addEventListener('abort', abort, { once: true });
      const source = body === undefined ? null : Readable.from(body);
      dispatcher.dispatch(
        { origin: url.origin, path: url.pathname + url.search, method, headers, body: source },
        {
          onRequestStart(started) {
            controller = started;
            if (signal?.aborted) abort();
          },
          onResponseStart(started, status, received) {
            told.head(status, flatten(received), started);
          },
          onResponseData(started, piece) {
            told.data(piece, started);
          },
          onResponseEnd() {
            end();
            resolve();
          },
          onResponseError(_controller, error) {
            end();
            reject(error);
          },
        },
      );
    });
  }

  return {
    async request(options) {
      const asked = `${options.method} ${options.url}`;
      const { url, route } = await prepare(options, asked);
      return new Promise((resolve, reject) => {
        let body: VmBody | undefined;
        const told = {
          head(status: number, headers: Record<string, string>, controller: Dispatcher.DispatchController) {
            if (status < 200) return;
            const answered = createBody(controller);
            body = answered;
            resolve({
              status,
              headers,
              body: answered,
              text: (limit = TEXT_BYTES) => readText(answered, limit),
            });
          },
          data(piece: Buffer) {
            body?.push(piece);
          },
        };
        dispatch(route, url, options, told).then(
          () => body?.end(),
          (error) => {
            const failure = explain(error, asked, options.signal);
            body?.fail(failure);
            reject(failure);
          },
        );
      });
    },

    async receive(options, sink) {
      const asked = `GET ${options.url}`;
      const { url, route } = await prepare(options, asked);
      const { headers = {}, signal } = options;
      let own: { readonly error: unknown } | undefined;
      const guard =
        <A extends unknown[]>(tell: (...args: A) => void) =>
        (...args: A) => {
          try {
            tell(...args);
          } catch (error) {
            own = { error };
            throw error;
          }
        };
      const guarded: VmSink = {
        head: guard((status, received) => {
          if (status >= 200) sink.head(status, received);
        }),
        data: guard((piece) => sink.data(piece)),
      };
      try {
        await route.limit(async () => {
          const { fast } = route;
          if (fast !== undefined && !route.speaksOtherwise) {
            try {
              await fast.get(headOf(url, headers), guarded, signal);
              return;
            } catch (error) {
              if (!(error instanceof OtherwiseSpoken)) throw error;
              route.speaksOtherwise = true;
            }
          }
          await dispatch(route, url, { ...options, method: 'GET' }, guarded);
        });
      } catch (error) {
        throw own === undefined ? explain(error, asked, signal) : own.error;
      }
    },

    async close() {
      isClosed = true;
      for (const opening of routes.values()) {
        const route = await opening.catch(() => undefined);
        route?.fast?.close();
        await route?.dispatcher.destroy();
      }
    },
  };
}

/** A request as it goes on the wire. Headers are checked, for they must not end the line they are on. */
function headOf(url: URL, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ host: url.host, ...headers }).map(([name, value]) => {
    if (/[^\x20-\x7e]/.test(name + value))
      throw new TypeError(`The header ${name} has a character that can't be sent.`);
    return `${name}: ${value}\r\n`;
  });
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}`;
}

function flatten(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name.toLowerCase(), Array.isArray(value) ? value.join(', ') : value]],
    ),
  );
}

async function readText(body: AsyncIterable<Uint8Array>, limit: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body) {
    pieces.push(piece);
    length += piece.byteLength;
    if (length >= limit) break;
  }
  return Buffer.concat(pieces, length).subarray(0, limit).toString('utf8');
}
