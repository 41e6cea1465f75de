// A process of its own that serves disks as KubeVirt's export server and takes them as CDI's upload proxy, at as little
// processor time as Node needs for TLS: both sides of a pair share the machine with it. Told what to do by its parent.
import { createHash, type Hash } from 'node:crypto';
import { openSync, readSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';

/** A disk that is served. */
export interface ServedDisk {
  /** Its claim, as it is in the path. */
  readonly claim: string;
  /** Bytes. */
  readonly size: number;
  /** What it holds; a disk without is all zeros. */
  readonly file?: string;
  /** Where the file's bytes are in it, one run after the other. Absent: all of them, from its start. */
  readonly places?: readonly { readonly at: number; readonly length: number }[];
}

/** What the parent says. */
export type ServerOrder =
  | { readonly start: { readonly cert: string; readonly key: string; readonly disks: readonly ServedDisk[] } }
  /** Resets the connection at these bytes of a disk, each once. */
  | { readonly cuts: { readonly claim: string; readonly at: readonly number[] } }
  /** Whether uploads are digested, which takes time of its own. */
  | { readonly digest: boolean }
  /** Asks for the counts since the last time. */
  | { readonly count: true };

/** What was sent and received since the counts were asked for the last time. */
export interface ServerCounts {
  /** Bytes of disks, handed to connections. */
  readonly sent: number;
  /** Resets that were ordered and have happened. */
  readonly cuts: number;
  readonly uploads: readonly { readonly bytes: number; readonly sha256: string | undefined }[];
}

export type ServerAnswer = { readonly port: number } | { readonly done: true } | { readonly counts: ServerCounts };

interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** What is on a connection at the moment. */
interface Connection {
  readonly socket: TLSSocket;
  /** Resets it beneath TLS. */
  reset(): void;
  /** Bytes of a head that has not ended. */
  head: Buffer;
  /** Takes the body of the request. */
  body: ((bytes: Buffer) => Buffer | undefined) | undefined;
}

/** Handed to a connection at once. */
const PIECE = 256 * 1024;
const spares: Buffer[] = [];
const ZEROS = Buffer.alloc(PIECE);
/** What a server written in Go chooses. */
const CIPHER = 'TLS_AES_128_GCM_SHA256';
const END_OF_HEAD = '\r\n\r\n';
const TOKEN = 'x-kubevirt-export-token';
/** KubeVirt asks for that many characters of those who choose one. */
const TOKEN_LENGTH = 32;

const disks = new Map<string, ServedDisk & { readonly descriptor: number | undefined }>();
const cuts = new Map<string, Set<number>>();
let counts = { sent: 0, cuts: 0 };
let uploads: { bytes: number; sha256: string | undefined }[] = [];
let digests = false;

process.on('message', (order: ServerOrder) => {
  if ('start' in order) start(order.start);
  else if ('count' in order) {
    answer({ counts: { ...counts, uploads } });
    counts = { sent: 0, cuts: 0 };
    uploads = [];
  } else {
    if ('cuts' in order) cuts.set(order.cuts.claim, new Set(order.cuts.at));
    else digests = order.digest;
    answer({ done: true });
  }
});
process.on('disconnect', () => process.exit());

function answer(message: ServerAnswer): void {
  process.send?.(message);
}

function start({ cert, key, disks: served }: Extract<ServerOrder, { start: unknown }>['start']): void {
  for (const disk of served) {
    disks.set(disk.claim, { ...disk, descriptor: disk.file === undefined ? undefined : openSync(disk.file, 'r') });
  }
  const sockets = new Map<number, Socket>();
  const server = createServer({ cert, key, ciphers: CIPHER, ALPNProtocols: ['http/1.1'] }, (socket) => {
    const { remotePort = 0 } = socket;
    const connection: Connection = {
      socket,
      reset: () => sockets.get(remotePort)?.resetAndDestroy(),
      head: Buffer.alloc(0),
      body: undefined,
    };
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
    const address: AddressInfo | string | null = server.address();
    if (address === null || typeof address === 'string') throw new Error('The server has no port.');
    answer({ port: address.port });
  });
}

function take(connection: Connection, bytes: Buffer): void {
  let rest = bytes;
  while (rest.byteLength > 0) {
    if (connection.body !== undefined) {
      rest = connection.body(rest) ?? Buffer.alloc(0);
      continue;
    }
    connection.head = Buffer.concat([connection.head, rest]);
    const end = connection.head.indexOf(END_OF_HEAD);
    if (end < 0) return;
    const request = parseHead(connection.head.toString('latin1', 0, end));
    rest = connection.head.subarray(end + END_OF_HEAD.length);
    connection.head = Buffer.alloc(0);
    handle(connection, request);
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
  if (path.startsWith('/v1beta1/upload')) {
    if (!headers.has('authorization')) refuse(connection, 400);
    else if (method === 'HEAD') refuse(connection, 200);
    else receive(connection, headers);
    return;
  }
  const disk = disks.get(/\/volumes\/([^/]+)\/disk\.img$/.exec(path)?.[1] ?? '');
  if (disk === undefined) refuse(connection, 404);
  else if (headers.get(TOKEN)?.length !== TOKEN_LENGTH) refuse(connection, 401);
  else void send(connection, request, disk);
}

/** An answer without a body. */
function refuse({ socket }: Connection, status: number): void {
  socket.write(`HTTP/1.1 ${status} Said\r\nContent-Length: 0\r\n\r\n`);
}

async function send(
  { socket, reset }: Connection,
  { method, headers }: Request,
  disk: ServedDisk & { readonly descriptor: number | undefined },
): Promise<void> {
  const { size } = disk;
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.get('range') ?? '') ?? [];
  const from = Number(first ?? 0);
  const to = Math.min(size, last === undefined || last === '' ? size : Number(last) + 1);
  const range = first === undefined ? '' : `Content-Range: bytes ${from}-${to - 1}/${size}\r\n`;
  socket.write(
    `HTTP/1.1 ${first === undefined ? '200 OK' : '206 Partial Content'}\r\nAccept-Ranges: bytes\r\n` +
      `Content-Type: application/octet-stream\r\nContent-Length: ${to - from}\r\n${range}\r\n`,
  );
  if (method === 'HEAD') return;
  const cut = cutIn(disk.claim, from, to);
  const end = cut ?? to;
  const writing: Promise<void>[] = [];
  for (let at = from; at < end && !socket.destroyed; ) {
    const piece = read(disk, at, Math.min(at + PIECE, end));
    at += piece.byteLength;
    counts.sent += piece.byteLength;
    writing.push(write(socket, piece));
    if (writing.length > 1) await writing.shift();
  }
  await Promise.all(writing);
  if (cut === undefined) return;
  counts.cuts += 1;
  socket.write('', () => reset());
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

/** The first byte of a range where it is to be cut; it is then no longer. */
function cutIn(claim: string, from: number, to: number): number | undefined {
  const left = cuts.get(claim) ?? new Set();
  const found = [...left].filter((at) => at >= from && at < to).toSorted((a, b) => a - b)[0];
  if (found !== undefined) left.delete(found);
  return found;
}

/** Part of a disk; shorter than asked for where something else begins. */
function read(disk: ServedDisk & { readonly descriptor: number | undefined }, from: number, to: number): Buffer {
  const { descriptor, places } = disk;
  if (descriptor === undefined) return ZEROS.subarray(0, to - from);
  if (places === undefined) return readFile(descriptor, from, to - from);
  let position = 0;
  for (const { at, length } of places) {
    if (from < at) return ZEROS.subarray(0, Math.min(to, at) - from);
    if (from < at + length) return readFile(descriptor, position + from - at, Math.min(to, at + length) - from);
    position += length;
  }
  return ZEROS.subarray(0, to - from);
}

/** From the kernel's cache, if it is to be of use: nothing else happens meanwhile. */
function readFile(descriptor: number, position: number, length: number): Buffer {
  const buffer = spares.pop()?.subarray(0, length) ?? Buffer.allocUnsafeSlow(PIECE).subarray(0, length);
  const got = readSync(descriptor, buffer, 0, length, position);
  if (got !== length) throw new Error('A file is shorter than its disk.');
  return buffer;
}

/** Takes an upload: counts it, and digests it if that was ordered. */
function receive(connection: Connection, headers: ReadonlyMap<string, string>): void {
  if (headers.get('expect') !== undefined) connection.socket.write('HTTP/1.1 100 Continue\r\n\r\n');
  const hash = digests ? createHash('sha256') : undefined;
  const length = headers.get('content-length');
  const count = (bytes: number) => {
    uploads.push({ bytes, sha256: hash?.digest('hex') });
    connection.body = undefined;
    refuse(connection, 200);
  };
  connection.body = length === undefined ? chunkedBody(hash, count) : plainBody(Number(length), hash, count);
}

function plainBody(length: number, hash: Hash | undefined, end: (bytes: number) => void): Connection['body'] {
  let left = length;
  return (bytes) => {
    const part = bytes.subarray(0, left);
    hash?.update(part);
    left -= part.byteLength;
    if (left > 0) return undefined;
    end(length);
    return bytes.subarray(part.byteLength);
  };
}

/** https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding, without trailers. */
function chunkedBody(hash: Hash | undefined, end: (bytes: number) => void): Connection['body'] {
  let total = 0;
  let left = 0;
  let line = '';
  return (bytes) => {
    for (let at = 0; at < bytes.byteLength; ) {
      if (left > 2) {
        const part = bytes.subarray(at, at + left - 2);
        hash?.update(part);
        total += part.byteLength;
        left -= part.byteLength;
        at += part.byteLength;
      } else if (left > 0) {
        // The line end behind a chunk.
        left -= 1;
        at += 1;
      } else {
        const letter = String.fromCharCode(bytes[at] ?? 0);
        at += 1;
        line += letter;
        if (!line.endsWith('\r\n')) continue;
        if (line === '\r\n') {
          end(total);
          return bytes.subarray(at);
        }
        const length = Number.parseInt(line, 16);
        line = '';
        // Behind the last one there is the line end alone.
        left = length === 0 ? 0 : length + 2;
      }
    }
    return undefined;
  };
}
