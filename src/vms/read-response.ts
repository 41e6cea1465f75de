/** Is told of an answer as it comes. What either throws ends the request and is what it fails with. */
export interface VmSink {
  head(status: number, headers: Readonly<Record<string, string>>): void;
  /** @param piece - in memory that is used again afterwards: copy what is to stay */
  data(piece: Uint8Array): void;
}

/** Reads one answer to a GET. */
export interface ResponseReader {
  /**
   * @returns whether the answer is whole
   * @throws OtherwiseSpoken before the sink is told anything
   */
  take(bytes: Buffer): boolean;
  /** Whether any byte of the answer has come. */
  readonly hasBegun: boolean;
  /** Whether the connection can be used again when the answer is whole. */
  readonly canStay: boolean;
}

/** An answer that is neither wrong nor of the one kind that is read here. */
export class OtherwiseSpoken extends Error {}

const END_OF_HEAD = '\r\n\r\n';
/** Bytes. */
const LONGEST_HEAD = 64 * 1024;
/** https://www.rfc-editor.org/rfc/rfc9112#name-field-syntax, without control characters */
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:\t|\P{Cc})*?)[ \t]*$/u;

/**
 * Reads the one kind of answer that disks come in: HTTP/1.1 with a Content-Length. Everything else is left to a library.
 */
export function createResponseReader(sink: VmSink): ResponseReader {
  let head: Buffer | undefined = Buffer.alloc(0);
  let left = 0;
  let canStay = false;
  let hasBegun = false;
  return {
    take(bytes) {
      hasBegun = true;
      let body = bytes;
      if (head !== undefined) {
        head = Buffer.concat([head, bytes]);
        const end = head.indexOf(END_OF_HEAD);
        if (end < 0 && head.length > LONGEST_HEAD) throw new OtherwiseSpoken('a very long head');
        if (end < 0) return false;
        const { status, headers, length } = parseHead(head.toString('latin1', 0, end));
        body = head.subarray(end + END_OF_HEAD.length);
        head = undefined;
        sink.head(status, headers);
        // Of a refusal whose words come in another way, the status says enough.
        if (length === undefined) return true;
        left = length;
        canStay = !/\bclose\b/i.test(headers.connection ?? '');
      }
      if (body.length > left) throw new Error('more bytes came than Content-Length says');
      left -= body.length;
      if (body.length > 0) sink.data(body);
      return left === 0;
    },
    get hasBegun() {
      return hasBegun;
    },
    get canStay() {
      return canStay;
    },
  };
}

function parseHead(text: string): { status: number; headers: Record<string, string>; length: number | undefined } {
  const [first = '', ...lines] = text.split('\r\n');
  const status = Number(/^HTTP\/1\.1 ([2-5]\d\d)(?: |$)/.exec(first)?.[1] ?? Number.NaN);
  if (Number.isNaN(status)) throw new OtherwiseSpoken(first);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const [, name, value = ''] = FIELD.exec(line) ?? [];
    if (name === undefined) throw new OtherwiseSpoken(line);
    const key = name.toLowerCase();
    headers[key] = key in headers ? `${headers[key]}, ${value}` : value;
  }
  const length = headers['content-length'] ?? '';
  const isPlain = /^\d{1,15}$/.test(length) && !('transfer-encoding' in headers);
  if (!isPlain && status < 300) throw new OtherwiseSpoken('no plain length');
  return { status, headers, length: isPlain ? Number(length) : undefined };
}
