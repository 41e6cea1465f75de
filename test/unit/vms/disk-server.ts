import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { createVmHttp, type VmHttp, type VmHttpOptions } from '../../../src/vms/http.ts';
import type { ExportLinks } from '../../../src/vms/links.ts';
import { makeCertificate, type TestCertificate } from '../cluster/certificates.ts';
import { authority } from '../cluster/misbehaving-server.ts';

export const TOKEN = 'Abcdefgh01234567Abcdefgh01234567';
export const VOLUME = 'rootdisk';

const certificate = makeCertificate({ commonName: 's', names: ['127.0.0.1', 'localhost'], issuer: authority });

/** A request and the connection it came over. */
export interface Asked {
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  readonly range: { readonly start: number; readonly end: number } | undefined;
  readonly response: ServerResponse;
  readonly request: IncomingMessage;
  /** Resets the connection under TLS. */
  reset(): void;
}

/** What to do with a request; false leaves it to the export server's ways. */
export type Behave = (asked: Asked, count: number) => boolean | undefined | Promise<boolean | undefined>;

export interface DiskServer {
  readonly url: string;
  readonly requests: Pick<Asked, 'method' | 'range'>[];
  /** Bytes of disk handed to connections. */
  readonly sent: { bytes: number };
  readonly connections: { accepted: number; open: number };
  links(changes?: Partial<ExportLinks>): ExportLinks;
  rotate(next: TestCertificate): void;
}

/** Serves a disk as an export server does: HEAD, Range, the token; and in other ways where a test asks for it. */
export async function startDiskServer(
  disk: Uint8Array,
  behave: Behave = () => false,
  tls: TestCertificate = certificate,
): Promise<DiskServer> {
  const requests: DiskServer['requests'] = [];
  const sent = { bytes: 0 };
  const connections = { accepted: 0, open: 0 };
  const raw = new Map<number | undefined, Socket>();
  const server = createServer({ cert: tls.cert, key: tls.key }, async (request, response) => {
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const asked: Asked = {
      method: request.method ?? '',
      headers: request.headers,
      range: start === undefined ? undefined : { start: Number(start), end: Number(end) + 1 },
      request,
      response,
      reset: () => raw.get(request.socket.remotePort)?.resetAndDestroy(),
    };
    requests.push({ method: asked.method, range: asked.range });
    if (await behave(asked, requests.length)) return;
    if (asked.headers['x-kubevirt-export-token'] !== TOKEN) response.writeHead(401).end();
    else await serveDisk(asked, disk, { sent });
  });
  server.on('connection', (socket: Socket) => {
    const { remotePort } = socket;
    raw.set(remotePort, socket);
    connections.accepted += 1;
    connections.open += 1;
    socket.on('error', () => {});
    socket.on('close', () => {
      connections.open -= 1;
      raw.delete(remotePort);
    });
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    for (const socket of raw.values()) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}/volumes/${VOLUME}/disk.img`;
  return {
    url,
    requests,
    sent,
    connections,
    links: (changes = {}) => ({ volumes: [{ name: VOLUME, formats: { raw: url } }], ca: authority.cert, ...changes }),
    rotate: (next) => server.setSecureContext({ cert: next.cert, key: next.key }),
  };
}

export interface ServeOptions {
  readonly sent?: { bytes: number };
  /** Ends the connection after so many bytes of the body. */
  readonly cutAfter?: { readonly bytes: number; readonly how: 'end' | 'reset' };
  readonly headers?: Readonly<Record<string, string>>;
  /** Without Content-Length. */
  readonly chunked?: boolean;
}

/** Answers as http.ServeContent does: https://pkg.go.dev/net/http#ServeContent */
export async function serveDisk(asked: Asked, disk: Uint8Array, options: ServeOptions = {}): Promise<void> {
  const { response, method, range, reset } = asked;
  const { sent = { bytes: 0 }, cutAfter, headers = {}, chunked = false } = options;
  if (method === 'HEAD') {
    response.writeHead(200, { 'content-length': disk.length, 'accept-ranges': 'bytes', ...headers }).end();
    return;
  }
  if (range !== undefined && range.start >= disk.length) {
    response.writeHead(416, { 'content-range': `bytes */${disk.length}`, ...headers }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: disk.length };
  const body = disk.subarray(start, Math.min(end, disk.length));
  const { length } = body;
  response.writeHead(range === undefined ? 200 : 206, {
    ...(!chunked && { 'content-length': length }),
    ...(range !== undefined && { 'content-range': `bytes ${start}-${start + length - 1}/${disk.length}` }),
    ...headers,
  });
  const whole = cutAfter === undefined ? body : body.subarray(0, cutAfter.bytes);
  for (let at = 0; at < whole.length; at += 65536) {
    const piece = whole.subarray(at, at + 65536);
    await new Promise((resolve) => response.write(piece, resolve));
    sent.bytes += piece.length;
  }
  if (cutAfter === undefined) response.end();
  else if (cutAfter.how === 'reset') reset();
  else asked.request.socket.destroy();
}

/** A client that is closed after the test. */
export async function openVmHttp(options: VmHttpOptions = {}): Promise<VmHttp> {
  const http = await createVmHttp({ env: {}, ...options });
  onTestFinished(() => http.close());
  return http;
}
