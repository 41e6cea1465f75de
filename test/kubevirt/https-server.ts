import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Authority, createAuthority } from '../cluster/certificates.ts';
import { type Answer, Broken, type HttpRequest } from './answers.ts';
import type { Endpoint } from './endpoint.ts';

/** Makes authorities and certificates in a folder, each under a name of its own. */
export interface CertificateRoom {
  newAuthority(name: string): Promise<Authority>;
}

/** Bound to 127.0.0.1, behind TLS. */
export interface HttpsStandIn extends Endpoint {
  readonly port: number;
  /** `https://127.0.0.1:<port>` */
  readonly url: string;
  /** Connections that it took so far. */
  connections(): number;
  /** Whether it takes new connections. */
  isListening(): boolean;
  /**
   * Takes a new certificate and breaks all connections, as a pod does that is made anew.
   *
   * @param authority - who signs it; by default the same as before
   */
  rotate(authority?: Authority): Promise<void>;
  /** Refuses new connections, while those there are go on: a pod past its deadline. */
  refuse(): void;
  /** Takes connections again, on the same port. */
  listen(): Promise<void>;
  /** Resets all connections. */
  breakAll(): void;
  stop(): Promise<void>;
}

export interface HttpsOptions {
  readonly authority: Authority;
  /** More names in the certificate beside `127.0.0.1` and `localhost`. */
  readonly hosts?: readonly string[];
  /** The first certificate, by `authority` for all those names; one is signed where it is absent, which takes a while. */
  readonly certificate?: ServerCertificate;
}

/** PEM. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

let certificates = 0;
/** How long bytes that the kernel has are given to be read on this machine. */
const ARRIVAL_MS = 20;

/** @param folder - for keys and certificates; one that is removed with the test */
export function certificateRoom(folder: string): CertificateRoom {
  return {
    async newAuthority(name) {
      const own = join(folder, `${name}-${++certificates}`);
      await mkdir(own, { recursive: true });
      return createAuthority(own, `${name}-${certificates}`);
    },
  };
}

/** A certificate for this machine and for some names more. */
export async function signServer(authority: Authority, hosts: readonly string[] = []): Promise<ServerCertificate> {
  const names = ['IP:127.0.0.1', 'DNS:localhost', ...hosts.map((host) => `DNS:${host}`)].join(',');
  const { cert, key } = await authority.sign(`server-${++certificates}`, '/CN=stand-in', names);
  return { cert, key };
}

/** Serves an endpoint on a free port. */
export async function startHttps(endpoint: Endpoint, options: HttpsOptions): Promise<HttpsStandIn> {
  const { hosts = [], certificate } = options;
  let { authority } = options;
  // By the client's port, since TLS hides the socket that can be reset.
  const sockets = new Map<number, Socket>();
  let connections = 0;
  const server = createServer(
    { ...(certificate ?? (await signServer(authority, hosts))), keepAliveTimeout: 60_000 },
    (incoming, response) => {
      const reset = () => sockets.get(incoming.socket.remotePort ?? 0)?.resetAndDestroy();
      void serve(endpoint, incoming, response, reset);
    },
  );
  server.on('connection', (socket: Socket) => {
    const { remotePort = 0 } = socket;
    connections += 1;
    sockets.set(remotePort, socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (sockets.get(remotePort) === socket) sockets.delete(remotePort);
    });
  });
  // A client that does not trust the certificate says so by ending the connection.
  server.on('tlsClientError', () => undefined);
  const listenOn = async (port: number): Promise<number> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('The server has no port');
    return address.port;
  };
  const port = await listenOn(0);
  const breakAll = () => {
    for (const socket of sockets.values()) socket.resetAndDestroy();
  };
  return {
    ...endpoint,
    port,
    url: `https://127.0.0.1:${port}`,
    connections: () => connections,
    isListening: () => server.listening,
    async rotate(next = authority) {
      authority = next;
      server.setSecureContext(await signServer(authority, hosts));
      breakAll();
    },
    refuse() {
      if (server.listening) server.close();
      server.closeIdleConnections();
    },
    async listen() {
      if (!server.listening) await listenOn(port);
    },
    breakAll,
    async stop() {
      const wasListening = server.listening;
      const closed = once(server, 'close');
      if (wasListening) server.close();
      breakAll();
      if (wasListening) await closed;
    },
  };
}

async function serve(
  endpoint: Endpoint,
  incoming: IncomingMessage,
  response: ServerResponse,
  reset: () => void,
): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  incoming.on('error', () => undefined);
  response.on('error', () => undefined);
  try {
    const answer = await endpoint.handle(requestOf(incoming, gone.signal));
    await send(answer, incoming.method === 'HEAD', response, gone.signal);
    if (!incoming.complete) await leave(incoming);
  } catch (error) {
    // What was sent is to reach the client, as far as it reads: a reset takes back what has not.
    if (response.headersSent && !gone.signal.aborted) await arrived(response);
    if (error instanceof Broken && error.how === 'reset') reset();
    else incoming.socket.destroySoon();
  }
}

function requestOf(incoming: IncomingMessage, signal: AbortSignal): HttpRequest {
  const { pathname, searchParams } = new URL(incoming.url ?? '/', 'https://stand-in');
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return {
    method: incoming.method ?? 'GET',
    path: decodeURIComponent(pathname),
    query: searchParams,
    headers,
    // The connection outlives a body that is not read to its end: the answer goes out on it.
    body: incoming.iterator({ destroyOnReturn: false }),
    fault: undefined,
    signal,
  };
}

async function send(answer: Answer, isHead: boolean, response: ServerResponse, signal: AbortSignal): Promise<void> {
  const { status, headers = {}, body } = answer;
  response.writeHead(status, headers);
  if (isHead || body === undefined || typeof body === 'string') {
    response.end(isHead ? undefined : body);
  } else {
    response.flushHeaders();
    for await (const piece of body) {
      if (signal.aborted) throw new Broken('close');
      if (!response.write(piece)) await drained(response, signal);
    }
    response.end();
  }
  if (!response.writableFinished && !signal.aborted) await once(response, 'close');
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      response.off('drain', go);
      reject(new Broken('close'));
    };
    const go = () => {
      signal.removeEventListener('abort', stop);
      resolve();
    };
    if (signal.aborted) stop();
    response.once('drain', go);
    signal.addEventListener('abort', stop, { once: true });
  });
}

async function arrived(response: ServerResponse): Promise<void> {
  await Promise.race([new Promise((resolve) => response.write('', resolve)), once(response, 'close')]);
  await delay(ARRIVAL_MS);
}

// As Go's server: what the client still sends is read for half a second, so that it gets to see the answer.
async function leave(incoming: IncomingMessage): Promise<void> {
  incoming.resume();
  await Promise.race([once(incoming, 'close'), delay(500, undefined, { ref: false })]);
  incoming.socket.destroy();
}
