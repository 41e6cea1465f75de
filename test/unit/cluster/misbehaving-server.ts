import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Clock } from '../../../src/cluster/clock.ts';
import type { Cluster } from '../../../src/cluster/cluster.ts';
import { type ConnectOptions, openCluster } from '../../../src/cluster/connect.ts';
import { makeCertificate } from './certificates.ts';

export const authority = makeCertificate({ commonName: 'test authority', authority: true });
const serverCertificate = makeCertificate({
  commonName: 'server',
  names: ['127.0.0.1', 'localhost'],
  issuer: authority,
});

/** A real HTTPS server on loopback that does what a test tells it, request by request. */
export interface TestServer {
  readonly url: string;
  /** `METHOD /path?query` of each request so far. */
  readonly requests: string[];
  readonly headers: IncomingMessage['headers'][];
  readonly bodies: string[];
  /** TLS connections accepted so far, and open now. */
  readonly connections: { accepted: number; open: number };
}

export type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

export async function startServer(handler: Handler, tls: ServerOptions | 'plain' = {}): Promise<TestServer> {
  const requests: string[] = [];
  const headers: IncomingMessage['headers'][] = [];
  const bodies: string[] = [];
  const connections = { accepted: 0, open: 0 };
  const sockets = new Set<Socket>();
  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    requests.push(`${request.method} ${request.url}`);
    headers.push(request.headers);
    const count = requests.length;
    const body = await request.toArray();
    bodies.push(Buffer.concat(body).toString());
    handler(request, response, count);
  };
  const server =
    tls === 'plain'
      ? createHttpServer(listener)
      : createServer({ cert: serverCertificate.cert, key: serverCertificate.key, ...tls }, listener);
  server.on('connection', (socket: Socket) => {
    connections.accepted++;
    connections.open++;
    sockets.add(socket);
    socket.on('close', () => {
      connections.open--;
      sockets.delete(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    for (const socket of sockets) {
      socket.destroy();
    }
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { url: `${tls === 'plain' ? 'http' : 'https'}://127.0.0.1:${port}`, requests, headers, bodies, connections };
}

export function answerJson(response: ServerResponse, body: unknown, status = 200, headers: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** The API server's Status. */
export function answerStatus(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
  more: object = {},
): void {
  answerJson(response, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message, ...more }, code);
}

export interface KubeconfigParts {
  readonly server: string;
  readonly cluster?: object;
  readonly user?: object;
  readonly namespace?: string;
}

/** A kubeconfig with one context, `test`, that trusts {@link authority}. JSON is YAML. */
export function kubeconfigOf({
  server,
  cluster,
  user = { token: 'secret-token' },
  namespace,
}: KubeconfigParts): string {
  const ca = { 'certificate-authority-data': base64(authority.cert) };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'c', cluster: { server, ...(cluster ?? ca) } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'test', context: { cluster: 'c', user: 'u', namespace } }],
  });
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** A clock that jumps to the end of each sleep, and remembers them. */
export function jumpingClock(): Clock & { readonly sleeps: number[] } {
  const sleeps: number[] = [];
  let now = 0;
  return {
    sleeps,
    now: () => now,
    async sleep(milliseconds) {
      sleeps.push(milliseconds);
      now += milliseconds;
    },
  };
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'transship-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Opens a cluster that is closed after the test, with no environment of its own. */
export async function openTestCluster(options: ConnectOptions & { readonly kubeconfig: string }): Promise<Cluster> {
  const cluster = await openCluster({ env: {}, clock: jumpingClock(), ...options });
  onTestFinished(() => cluster.close());
  return cluster;
}
