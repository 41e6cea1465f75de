import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { TransshipError } from '../errors.ts';

export interface UploadBodyOptions {
  /** For messages. */
  readonly volume: string;
  /** Bytes that the source must have; undefined for a tar of files. */
  readonly size: number | undefined;
  readonly encoding: 'raw' | 'gzip';
}

/** What one try sends, and how far it is. */
export interface UploadBody extends AsyncIterable<Uint8Array> {
  /** Bytes of the source that have been read. */
  readonly read: number;
  /** Bytes that have been handed to the connection, as they are sent. */
  readonly sent: number;
  /** All has been handed to the connection. */
  readonly isWhole: boolean;
  /** Whether the source, not the connection, is waited for. */
  readonly awaitsSource: boolean;
  /** Why there can be no whole body: the source has failed, or is not what it should be. */
  readonly failure: { readonly error: unknown } | undefined;
}

/** Bytes. CDI reads this much to see what it gets, before and after decompression, and fails if there is less. */
const CDI_HEAD = 512;
/** Bytes. What is smaller is sent raw: gzip makes at best a 1032nd of it, which must not be less than {@link CDI_HEAD}. */
const LEAST_FOR_GZIP = 1024 * 1024;

/** A disk is mostly zeros or hard to compress, and the network is rarely slower than the fastest level. */
const GZIP = { level: 1, chunkSize: 256 * 1024, highWaterMark: 1024 * 1024 };

/**
 * Reads a source once, when the body is iterated over, and never ends as if whole when the source is shorter or longer than
 * it should be: CDI takes a body that ends for a whole disk.
 */
export function createUploadBody(
  source: () => AsyncIterable<Uint8Array>,
  { volume, size, encoding }: UploadBodyOptions,
): UploadBody {
  let read = 0;
  let sent = 0;
  let isWhole = false;
  let awaitsSource = false;
  let failure: { readonly error: unknown } | undefined;

  async function* counted(): AsyncGenerator<Uint8Array> {
    try {
      awaitsSource = true;
      for await (const piece of source()) {
        awaitsSource = false;
        read += piece.byteLength;
        if (size !== undefined && read > size) throw wrongSize(volume, size, `more than that`);
        if (piece.byteLength > 0) yield piece;
        awaitsSource = true;
      }
      if (size !== undefined && read < size) throw wrongSize(volume, size, `only ${read}`);
      if (read < CDI_HEAD) throw tooSmall(volume, read);
    } catch (error) {
      failure ??= { error };
      throw error;
    } finally {
      awaitsSource = false;
    }
  }

  async function* encoded(): AsyncGenerator<Uint8Array> {
    const pieces = counted();
    const head: Uint8Array[] = [];
    try {
      let length = 0;
      while (length < (encoding === 'gzip' ? LEAST_FOR_GZIP : CDI_HEAD)) {
        const next = await pieces.next();
        if (next.done === true) break;
        head.push(next.value);
        length += next.value.byteLength;
      }
      const format = size === undefined ? undefined : formatOf(Buffer.concat(head).subarray(0, CDI_HEAD));
      if (format !== undefined && format !== 'gzip') {
        failure = { error: looksEncoded(volume, format) };
        throw failure.error;
      }
      // Inside gzip CDI does not look for gzip again, and keeps what is there.
      const isGzip = format === 'gzip' || (encoding === 'gzip' && length >= LEAST_FOR_GZIP);
      const all = chain(head, pieces);
      yield* isGzip ? compress(all) : all;
    } finally {
      await pieces.return(undefined);
    }
  }

  return {
    get read() {
      return read;
    },
    get sent() {
      return sent;
    },
    get isWhole() {
      return isWhole;
    },
    get awaitsSource() {
      return awaitsSource;
    },
    get failure() {
      return failure;
    },
    async *[Symbol.asyncIterator]() {
      for await (const piece of encoded()) {
        yield piece;
        sent += piece.byteLength;
      }
      isWhole = true;
    },
  };
}

async function* chain(head: Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (let piece = head.shift(); piece !== undefined; piece = head.shift()) yield piece;
  yield* rest;
}

async function* compress(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gzip = createGzip(GZIP);
  const done = pipeline(pieces, gzip);
  // It is met below, through what is read.
  done.catch(() => {});
  try {
    for await (const piece of gzip) yield piece;
    await done;
  } finally {
    gzip.destroy();
  }
}

/** https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/image/filefmt.go, without tar, of which it does nothing. */
const FORMATS: readonly { readonly name: string; readonly magic: Buffer; readonly at?: number }[] = [
  { name: 'gzip', magic: Buffer.from('1f8b', 'hex') },
  { name: 'zstd', magic: Buffer.from('28b52ffd', 'hex') },
  { name: 'xz', magic: Buffer.from('fd377a585a00', 'hex') },
  { name: 'qcow2', magic: Buffer.from('QFI\xfb', 'latin1') },
  { name: 'vmdk', magic: Buffer.from('KDMV') },
  { name: 'vdi', magic: Buffer.from('7f10dabe', 'hex'), at: 0x40 },
  { name: 'vhd', magic: Buffer.from('conectix') },
  { name: 'vhdx', magic: Buffer.from('vhdxfile') },
];

/** What CDI would take a raw disk for, by how it begins. */
function formatOf(head: Buffer): string | undefined {
  return FORMATS.find(({ magic, at = 0 }) => head.subarray(at, at + magic.byteLength).equals(magic))?.name;
}

function wrongSize(volume: string, size: number, has: string): TransshipError {
  return new TransshipError('IMPORT_FAILED', `The disk of ${volume} should have ${size} bytes, and has ${has}.`, {
    hint: 'Nothing of it is kept. Is the archive whole? Mode `verify` tells.',
  });
}

function tooSmall(volume: string, size: number): TransshipError {
  return new TransshipError(
    'IMPORT_FAILED',
    `${volume} has ${size} bytes, and CDI takes no upload of less than ${CDI_HEAD}.`,
    { hint: 'Leave this volume out, or attach one by hand.' },
  );
}

function looksEncoded(volume: string, format: string): TransshipError {
  return new TransshipError(
    'IMPORT_FAILED',
    `The raw disk of ${volume} begins like a ${format} file: CDI would unpack it and put something else in its place.`,
    { hint: 'Such a volume has to be copied by hand, with a pod that mounts its claim.' },
  );
}
