import { createHash, type Hash } from 'node:crypto';

/** Takes the bytes of a body, and returns what comes after its end; undefined as long as it goes on. */
export type TakeBody = (bytes: Buffer) => Buffer | undefined;

/** A body that is only counted, and digested if asked for. */
export function countBody(
  contentLength: string | undefined,
  isDigested: boolean,
  onEnd: (bytes: number, sha256: string | undefined) => void,
): TakeBody {
  const hash = isDigested ? createHash('sha256') : undefined;
  const end = (bytes: number) => onEnd(bytes, hash?.digest('hex'));
  return contentLength === undefined ? chunked(hash, end) : plain(Number(contentLength), hash, end);
}

function plain(length: number, hash: Hash | undefined, end: (bytes: number) => void): TakeBody {
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
function chunked(hash: Hash | undefined, end: (bytes: number) => void): TakeBody {
  let total = 0;
  // Of the chunk, with the line end behind it.
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
        continue;
      }
      const letter = bytes[at] ?? 0;
      at += 1;
      if (left > 0) {
        left -= 1;
        continue;
      }
      line += String.fromCharCode(letter);
      if (!line.endsWith('\r\n')) continue;
      if (line === '\r\n') {
        end(total);
        return bytes.subarray(at);
      }
      const length = Number.parseInt(line, 16);
      // Behind the last one, which is empty, the line end stands alone.
      left = length === 0 ? 0 : length + 2;
      line = '';
    }
    return undefined;
  };
}
