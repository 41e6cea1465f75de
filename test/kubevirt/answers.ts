import { type Disk, piecesOf } from './disks.ts';
import type { Fault } from './faults.ts';

/** A request as the stand-ins see it. */
export interface HttpRequest {
  readonly method: string;
  /** Decoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: AsyncIterable<Uint8Array>;
  /** What is to go wrong, for a server that has to do it itself: `read-error`. */
  readonly fault: Fault | undefined;
  /** Fires when the client has gone. */
  readonly signal: AbortSignal;
}

/** The answer to a request. A body that is a stream is sent in chunks, unless `content-length` says how long it is. */
export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Body;
}

export type Body = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export type Handler = (request: HttpRequest) => Promise<Answer>;

/** Breaks the connection from within a body or a handler. */
export class Broken extends Error {
  override name = 'Broken';
  readonly how: 'reset' | 'close';

  constructor(how: 'reset' | 'close') {
    super(`The connection is to ${how === 'reset' ? 'be reset' : 'end'}`);
    this.how = how;
  }
}

/** What is served by ranges: a disk or a file. */
export interface Content {
  readonly size: number;
  pieces(start: number, end: number): Body;
}

/** A volume that cannot be read from some byte on, as a failing disk. */
export class ReadError extends Error {
  override name = 'ReadError';
}

/** A disk to serve; with the fault `read-error` it cannot be read to its end. */
export function diskContent(disk: Pick<Disk, 'size' | 'read'>, fault?: Fault): Content {
  return {
    size: disk.size,
    *pieces(start, end) {
      const readable = fault?.kind === 'read-error' ? Math.min(end, fault.after) : end;
      yield* piecesOf(disk, start, readable);
      if (readable < end) throw new ReadError(`The disk cannot be read from byte ${readable} on`);
    },
  };
}

/** An answer without a body, as Go's `w.WriteHeader(status)`. */
export function emptyAnswer(status: number): Answer {
  return { status, headers: { 'content-length': '0' } };
}

/** An answer of plain text, as Go's `http.Error` gives it. */
export function textAnswer(status: number, text: string, contentType = 'text/plain; charset=utf-8'): Answer {
  return {
    status,
    headers: { 'content-type': contentType, 'content-length': String(Buffer.byteLength(text)) },
    body: text,
  };
}

/** Go's answer where nothing is served. */
export const NOT_FOUND = textAnswer(404, '404 page not found\n');

/**
 * Serves content as Go's `http.ServeContent` does with neither an entity tag nor, for disks, a date: GET and HEAD, one
 * range; with `If-Range` always the whole, as nothing can match it.
 *
 * @see https://cs.opensource.google/go/go/+/master:src/net/http/fs.go
 * @param modified - of a file; absent for a disk
 */
export function serveContent(request: HttpRequest, content: Content, modified?: Date): Answer {
  const { size } = content;
  const headers: Record<string, string> = {
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
    ...(modified === undefined ? {} : { 'last-modified': modified.toUTCString() }),
  };
  const { range, 'if-range': ifRange } = request.headers;
  const isUsable = ifRange === undefined || (modified !== undefined && ifRange === modified.toUTCString());
  const asked = range === undefined || !isUsable ? 'all' : parseRange(range, size);
  if (asked === 'invalid') return textAnswer(416, 'invalid range\n');
  if (asked === 'beyond') {
    const refused = textAnswer(416, 'invalid range: failed to overlap\n');
    return { ...refused, headers: { ...refused.headers, 'content-range': `bytes */${size}` } };
  }
  const [start, end] = asked === 'all' ? [0, size] : asked;
  headers['content-length'] = String(end - start);
  if (asked !== 'all') headers['content-range'] = `bytes ${start}-${end - 1}/${size}`;
  return { status: asked === 'all' ? 200 : 206, headers, body: closeWhereUnreadable(content.pieces(start, end)) };
}

// The server has promised a length that it cannot keep, so it ends the connection.
async function* closeWhereUnreadable(pieces: Body): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    throw error instanceof ReadError ? new Broken('close') : error;
  }
}

function parseRange(header: string, size: number): 'all' | 'invalid' | 'beyond' | [number, number] {
  if (header.includes(',')) return 'all'; // Nothing here asks for several; a server may always answer with the whole.
  const [, first, last] = /^bytes=\s*(\d*)\s*-\s*(\d*)\s*$/.exec(header) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'invalid';
  if (first === '') return [Math.max(0, size - Number(last)), size];
  const start = Number(first);
  if (start >= size) return size === 0 ? 'all' : 'beyond';
  if (last !== '' && Number(last) < start) return 'invalid';
  return [start, last === '' ? size : Math.min(Number(last) + 1, size)];
}
