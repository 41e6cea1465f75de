// A process of its own that serves disks as KubeVirt's export server and takes them as CDI's upload proxy, at as little
// processor time as Node needs for TLS: both sides of a pair share the machine with it. Its parent tells it what to do.
import { openSync, readSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import type { ServedDisk, ServerMessage, ServerOrder, Upload } from './vms-protocol.ts';
import { countBody, type TakeBody } from './vms-upload.ts';

interface OpenDisk extends ServedDisk {
  readonly descriptor: number | undefined;
}

interface Request {
  readonly method: string;
  readonly path: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
}

interface Connection {
  readonly socket: TLSSocket;
  /** Resets it beneath TLS. */
  reset(): void;
  /** Bytes of a head that has not ended. */
  head: Buffer;
  /** Takes the body of the request that is on it. */
  body: TakeBody | undefined;
}

/** Handed to a connection at once, two at a time. */
const PIECE = 256 * 1024;
const ZEROS = Buffer.alloc(PIECE);
/** What a server written in Go chooses. */
const CIPHER = 'TLS_AES_128_GCM_SHA256';
const END_OF_HEAD = '\r\n\r\n';
const TOKEN = 'x-kubevirt-export-token';
const TOKEN_LENGTH = 32;

const disks = new Map<string, OpenDisk>();
const cuts = new Map<string, Set<number>>();
const spares: Buffer[] = [];
let counts: { sent: number; cuts: number; firstRead?: number } = { sent: 0, cuts: 0 };
let uploads: Upload[] = [];
let isDigested = false;

process.on('message', (order: ServerOrder) => {
  if ('start' in order) {
    start(order.start);
    return;
  }
  if ('count' in order) {
    say({ counts: { ...counts, uploads } });
    counts = { sent: 0, cuts: 0 };
    uploads = [];
    return;
  }
  if ('cuts' in order) cuts.set(order.cuts.claim, new Set(order.cuts.at));
  else isDigested = order.digest;
  say({ done: true });
});
process.on('disconnect', () => process.exit());

function say(message: ServerMessage): void {
  // A parent that has gone needs no answer.
  process.send?.(message, undefined, undefined, () => undefined);
}

function start({ cert, key, disks: served }: Extract<ServerOrder, { start: unknown }>['start']): void {
  for (const disk of served) {
    disks.set(disk.claim, { ...disk, descriptor: disk.file === undefined ? undefined : openSync(disk.file, 'r') });
  }
  // By the client's port, since TLS hides the socket that can be reset.
  const sockets = new Map<number, Socket>();
  const server = createServer({ cert, key, ciphers: CIPHER, ALPNProtocols: ['http/1.1'] }, (socket) => {
    const { remotePort = 0 } = socket;
    const reset = () => sockets.get(remotePort)?.resetAndDestroy();
    const connection: Connection = { socket, reset, head: Buffer.alloc(0), body: undefined };
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => take(connection, bytes));
  });
  server.on('connection', (socket: Socket) => {
    const { remotePort = 0 } = socket;
    sockets.set(remotePort, socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(remotePort));
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('The server has no port.');
    say({ port: address.port });
  });
}

function take(connection: Connection, bytes: Buffer): void {
  for (let rest = bytes; rest.byteLength > 0; ) {
    if (connection.body !== undefined) {
      const left = connection.body(rest);
      if (left === undefined) return;
      rest = left;
      continue;
    }
    const head = Buffer.concat([connection.head, rest]);
    const end = head.indexOf(END_OF_HEAD);
    connection.head = end < 0 ? head : Buffer.alloc(0);
    if (end < 0) return;
    rest = head.subarray(end + END_OF_HEAD.length);
    handle(connection, parseHead(head.toString('latin1', 0, end)));
  }
}

function parseHead(text: string): Request {
  const [first = '', ...lines] = text.split('\r\n');
  const [method = '', target = ''] = first.split(' ');
  const headers = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  return { method, path: target.replace(/\?.*/, ''), headers: new Map(headers) };
}

function handle(connection: Connection, request: Request): void {
  const { method, path, headers } = request;
  if (path === '/healthz') {
    answer(connection, 200);
  } else if (path.startsWith('/v1beta1/upload')) {
    const [, token] = /^Bearer (.+)$/.exec(headers.get('authorization') ?? '') ?? [];
    if (token === undefined) answer(connection, 400);
    else if (method === 'HEAD') answer(connection, 200);
    else receive(connection, headers, token);
  } else {
    // Behind a proxy there is something before it.
    const disk = disks.get(/\/volumes\/([^/]+)\/disk\.img$/.exec(path)?.[1] ?? '');
    if (disk === undefined) answer(connection, 404);
    else if (headers.get(TOKEN)?.length !== TOKEN_LENGTH) answer(connection, 401);
    else void send(connection, request, disk);
  }
}

/** Answers without a body. */
function answer({ socket }: Connection, status: number): void {
  socket.write(`HTTP/1.1 ${status} \r\nContent-Length: 0\r\n\r\n`);
}

function receive(connection: Connection, headers: Request['headers'], token: string): void {
  const begin = performance.now();
  connection.body = countBody(headers.get('content-length'), isDigested, (bytes, sha256) => {
    connection.body = undefined;
    uploads.push({ bytes, sha256, milliseconds: performance.now() - begin });
    say({ uploaded: { token } });
    answer(connection, 200);
  });
  if (headers.has('expect')) connection.socket.write('HTTP/1.1 100 Continue\r\n\r\n');
}

async function send({ socket, reset }: Connection, { method, headers }: Request, disk: OpenDisk): Promise<void> {
  const { size } = disk;
  const [, first, last = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.get('range') ?? '') ?? [];
  const from = Number(first ?? 0);
  const to = last === '' ? size : Math.min(size, Number(last) + 1);
  const range = first === undefined ? '' : `Content-Range: bytes ${from}-${to - 1}/${size}\r\n`;
  socket.write(
    `HTTP/1.1 ${first === undefined ? 200 : 206} \r\nAccept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n` +
      `Content-Length: ${to - from}\r\n${range}\r\n`,
  );
  if (method === 'HEAD') return;
  counts.firstRead ??= Date.now();
  const cut = cutIn(disk.claim, from, to);
  const end = cut ?? to;
  let before: Promise<void> | undefined;
  for (let at = from; at < end && !socket.destroyed; ) {
    const piece = read(disk, at, Math.min(at + PIECE, end));
    at += piece.byteLength;
    counts.sent += piece.byteLength;
    const writing = write(socket, piece);
    await before;
    before = writing;
  }
  await before;
  if (cut === undefined) return;
  counts.cuts += 1;
  reset();
}

/** Resolves when the piece is out, or never will be. */
function write(socket: TLSSocket, piece: Buffer): Promise<void> {
  return new Promise((resolve) => {
    socket.write(piece, () => {
      if (piece.buffer !== ZEROS.buffer) spares.push(Buffer.from(piece.buffer));
      resolve();
    });
  });
}

/** The first byte of a range where it is to be cut; there is then no cut there any more. */
function cutIn(claim: string, from: number, to: number): number | undefined {
  const left = cuts.get(claim) ?? new Set();
  const found = [...left].filter((at) => at >= from && at < to).toSorted((a, b) => a - b)[0];
  if (found !== undefined) left.delete(found);
  return found;
}

/** Part of a disk; shorter than asked for where something else begins. */
function read({ descriptor, places, size }: OpenDisk, from: number, to: number): Buffer {
  if (descriptor === undefined) return ZEROS.subarray(0, to - from);
  let position = 0;
  for (const { at, length } of places ?? [{ at: 0, length: size }]) {
    if (from < at) return ZEROS.subarray(0, Math.min(to, at) - from);
    if (from < at + length) return readFile(descriptor, position + from - at, Math.min(to, at + length) - from);
    position += length;
  }
  return ZEROS.subarray(0, to - from);
}

/** From the kernel's cache, where the file was just written. */
function readFile(descriptor: number, position: number, length: number): Buffer {
  const buffer = (spares.pop() ?? Buffer.allocUnsafeSlow(PIECE)).subarray(0, length);
  const got = readSync(descriptor, buffer, 0, length, position);
  if (got !== length) throw new Error('A file is shorter than its disk.');
  return buffer;
}
