import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf, TransshipError } from '../errors.ts';
import { PROMETHEUS_TYPE } from './prometheus.ts';

/** What the daemon says of itself. */
export interface Status {
  /** Why it should be started again; undefined when it lives. */
  stuck(): string | undefined;
  /** What it still lacks; undefined when it does its work. */
  lacks(): string | undefined;
  /** In Prometheus' text format. */
  metrics(): string;
}

/** A running server. */
export interface StatusServer {
  readonly port: number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** Nobody needs longer to ask for a page; in milliseconds. */
const REQUEST_TIMEOUT = 5_000;
const IDLE_TIMEOUT = 30_000;
const MOST_CONNECTIONS = 100;
const MOST_HEADER_BYTES = 16 * 1024;

/**
 * Serves `/healthz`, `/readyz` and `/metrics`.
 *
 * @param listen - `host:port`, `[address]:port` or `:port`, which is all addresses; port 0 is any free one
 * @throws TransshipError `INPUT` when nobody can listen there
 */
export async function serveStatus(listen: string, status: Status): Promise<StatusServer> {
  const server = createServer(
    {
      requestTimeout: REQUEST_TIMEOUT,
      headersTimeout: REQUEST_TIMEOUT,
      keepAliveTimeout: IDLE_TIMEOUT,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: MOST_HEADER_BYTES,
    },
    (request, response) => respond(request, response, status),
  );
  server.maxConnections = MOST_CONNECTIONS;
  const port = await startListening(server, listen);
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The parts of a place to listen. */
export function parseListen(listen: string): { readonly host: string | undefined; readonly port: number } {
  const colon = listen.lastIndexOf(':');
  const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { host: host === '' ? undefined : host, port: Number(listen.slice(colon + 1)) };
}

function startListening(server: Server, listen: string): Promise<number> {
  const { host, port } = parseListen(listen);
  if (port > 65_535) throw cannotListen(listen, 'there are ports up to 65535 only');
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(listen, reasonOf(error), error)));
    server.listen({ host, port }, () => {
      // Such as too many open files: the next one who asks may be answered again.
      server.removeAllListeners('error').on('error', () => {});
      const address = server.address();
      resolve(isAddress(address) ? address.port : port);
    });
  });
}

function isAddress(address: ReturnType<Server['address']>): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return 'another program listens there';
    case 'EACCES':
      return 'this user may not use that port';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address';
    case 'ENOTFOUND':
      return 'there is no such host';
    default:
      return messageOf(error);
  }
}

function cannotListen(listen: string, reason: string, cause?: unknown): TransshipError {
  return new TransshipError('INPUT', `listen: ${listen} cannot be listened on: ${reason}.`, {
    hint: 'Give another port, or leave listen out to serve nothing.',
    cause,
  });
}

function respond(request: IncomingMessage, response: ServerResponse, status: Status): void {
  // Nothing is sent to this server that it would read.
  request.resume();
  const { status: code, type, text } = answer(request, status);
  response.writeHead(code, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(code === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : text);
}

function answer({ method, url = '/' }: IncomingMessage, status: Status): Answer {
  const [path] = url.split('?');
  const page = PAGES[path ?? ''];
  if (page === undefined) return plain(404, `There are ${Object.keys(PAGES).join(', ')}.`);
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'Only GET and HEAD.');
  return page(status);
}

const PAGES: Readonly<Record<string, (status: Status) => Answer>> = Object.assign(Object.create(null), {
  '/healthz': (status: Status) => probe(status.stuck()),
  '/readyz': (status: Status) => probe(status.lacks()),
  '/metrics': (status: Status) => ({ status: 200, type: PROMETHEUS_TYPE, text: status.metrics() }),
});

function probe(trouble: string | undefined): Answer {
  return trouble === undefined ? plain(200, 'ok') : plain(503, trouble);
}

function plain(status: number, text: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', text: `${text}\n` };
}
