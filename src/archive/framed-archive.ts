import { extract, type Header } from 'tar-stream';
import { TransshipError } from '../errors.ts';
import { damaged } from './damage.ts';
import { frameCodecs } from './frame-codec.ts';
import { readFrameIndex } from './frame-index.ts';
import { type RandomAccess, readFrames } from './frame-reader.ts';
import { type Piece, placeFile } from './frames.ts';
import { createPathGuard } from './paths.ts';

/** A file of an archive that can be read from anywhere, as often as wanted. */
export interface FramedFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Reads it from a byte on; only the frames that hold the rest are read and decompressed. Not digested. */
  read(from?: number): AsyncIterable<Piece>;
}

const BLOCK_BYTES = 512;
const MAX_PAX_BYTES = 1024 * 1024;

/**
 * Finds the files of an archive by stepping from header to header: one frame is read for each large file, and no more.
 *
 * @returns nothing for an archive that can only be read from its start
 * @throws TransshipError `ARCHIVE_DAMAGED` for what is cut or damaged; digests are the caller's to check
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for links, devices and paths that may not be in an archive
 */
export async function openFramedArchive(source: RandomAccess): Promise<AsyncIterable<FramedFile> | undefined> {
  const index = await readFrameIndex(source);
  if (index === undefined) return undefined;
  const { frames, compression } = index;
  const tarBytes = frames.at(-1)?.to ?? 0;
  const read = (from: number, to: number) => {
    if (to > tarBytes) throw damaged(`The archive is cut: its tar ends after ${tarBytes} bytes.`);
    return readFrames(frames, from, to, frameCodecs[compression], source.read);
  };
  return listFiles(rememberLast(frames, read), read);
}

type Read = (from: number, to: number) => AsyncIterable<Piece>;
type ReadBytes = (from: number, to: number) => Promise<Buffer>;

async function* listFiles(readBytes: ReadBytes, read: Read): AsyncGenerator<FramedFile> {
  const checkPath = createPathGuard();
  for (let start = 0; ; ) {
    const header = await readHeader(start, readBytes);
    if (header === undefined) return;
    const path = header.name.replace(/^(\.\/+)+/, '');
    if (header.type === 'file') {
      checkPath(path);
      const { body, size } = header;
      yield { path, size, read: (from = 0) => read(body + from, body + size) };
    } else if (header.type !== 'directory') {
      const what = `${JSON.stringify(path)} is a ${header.type}; an archive has plain files only.`;
      throw new TransshipError('ARCHIVE_UNSUPPORTED', what);
    }
    start = header.body + placeFile(0, '', header.size).end - BLOCK_BYTES;
  }
}

interface PlacedHeader {
  readonly name: string;
  readonly type: Header['type'];
  readonly size: number;
  /** Where the content starts in the tar. */
  readonly body: number;
}

/** Reads a header, and what extends it before it; nothing at the end of the tar. */
async function readHeader(start: number, readBytes: ReadBytes): Promise<PlacedHeader | undefined> {
  const blocks: Buffer[] = [];
  for (let at = start; ; ) {
    const block = await readBytes(at, at + BLOCK_BYTES);
    if (block.every((byte) => byte === 0)) return undefined;
    blocks.push(block);
    at += BLOCK_BYTES;
    // PAX headers, and GNU's for long names.
    if (!['x', 'g', 'L', 'K'].includes(String.fromCharCode(block.readUInt8(156)))) {
      return { ...(await parseHeader(Buffer.concat(blocks))), body: at };
    }
    const size = Number.parseInt(block.toString('latin1', 124, 136), 8);
    if (!(size >= 0 && size <= MAX_PAX_BYTES)) throw damaged(`The tar is damaged at byte ${start}.`);
    const end = at + placeFile(0, '', size).end - BLOCK_BYTES;
    blocks.push(await readBytes(at, end));
    at = end;
  }
}

async function parseHeader(bytes: Buffer): Promise<Pick<PlacedHeader, 'name' | 'type' | 'size'>> {
  const tar = extract();
  try {
    return await new Promise((resolve, reject) => {
      tar.on('entry', ({ name, type, size }, content) => {
        // It is not there, which is told after the header.
        content.on('error', () => {});
        if (typeof size === 'number' && Number.isSafeInteger(size)) resolve({ name, type, size });
        else reject(damaged(`The tar is damaged: ${JSON.stringify(name)} has no size.`));
      });
      tar.on('error', (error) => reject(damaged(`The tar is damaged: ${error.message}`, error)));
      tar.end(bytes);
    });
  } finally {
    tar.on('error', () => {});
    tar.destroy();
  }
}

/** Reads a few bytes; the frame that they are in is kept for the next ones: small files share one. */
function rememberLast(frames: readonly { from: number; to: number }[], read: Read): ReadBytes {
  let kept: { from: number; bytes: Buffer } = { from: 0, bytes: Buffer.alloc(0) };
  return async (from, to) => {
    const pieces: Buffer[] = [];
    for (let at = from; at < to; ) {
      if (at < kept.from || at >= kept.from + kept.bytes.byteLength) {
        const frame = frames.findLast((one) => one.from <= at);
        if (frame === undefined || frame.to <= at) throw damaged(`The archive is cut: its tar ends before byte ${to}.`);
        kept = { from: frame.from, bytes: await gather(read(frame.from, frame.to)) };
      }
      const part = kept.bytes.subarray(at - kept.from, to - kept.from);
      pieces.push(part);
      at += part.byteLength;
    }
    return Buffer.concat(pieces);
  };
}

async function gather(pieces: AsyncIterable<Piece>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece instanceof Uint8Array ? piece : Buffer.alloc(piece.zeros));
  return Buffer.concat(parts);
}
