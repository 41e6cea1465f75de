import { ReadableStream } from 'node:stream/web';
import { messageOf, TransshipError } from '../errors.ts';
import { createByteReader } from './byte-reader.ts';
import { damaged } from './damage.ts';
import { isEncrypted, plainSize, takeHead } from './encryption-header.ts';
import { createDecrypter, createEncrypter, readRecipients } from './encryption-keys.ts';
import { type Bytes, coalesce } from './streams.ts';

export { AGE_SUFFIX, isEncrypted } from './encryption-header.ts';

/** Bytes that go into the library at once: with pieces of 64 KiB it is a third slower. */
const PIECE_BYTES = 1024 * 1024;

/** Encrypts any number of files to the same recipients. */
export interface Encryption {
  /** How many bytes become of so many. */
  sizeOf(bytes: number): number;
  encrypt(bytes: Bytes): Bytes;
  encryptAll(bytes: Uint8Array): Promise<Uint8Array>;
}

/**
 * Makes ready to encrypt in the age format, https://age-encryption.org/v1.
 *
 * @param recipients - age's public keys, of which each can open it
 * @throws TransshipError `INPUT` naming a recipient that is none
 */
export async function createEncryption(recipients: readonly string[]): Promise<Encryption> {
  const encrypter = await createEncrypter(recipients);
  const nothing = await encrypter.encrypt(new ReadableStream({ start: (controller) => controller.close() }));
  await nothing.cancel();
  return {
    // All headers to the same recipients are of one length.
    sizeOf: (bytes) => nothing.size(bytes),
    encryptAll: (bytes) => encrypter.encrypt(bytes),
    encrypt: (bytes) =>
      pass(
        coalesce(bytes, PIECE_BYTES),
        (stream) => encrypter.encrypt(stream),
        (error) => error,
      ),
  };
}

/**
 * Encrypts a stream in the age format, piece by piece.
 *
 * @throws TransshipError `INPUT` naming a recipient that is none
 */
export async function* encrypt(bytes: Bytes, recipients: readonly string[]): AsyncGenerator<Uint8Array> {
  const { encrypt: start } = await createEncryption(recipients);
  yield* start(bytes);
}

/**
 * Decrypts a stream in the age format, piece by piece; one that is not encrypted passes untouched. Only at its end it is
 * known that it is whole.
 *
 * @param identities - age's secret keys, of which one must open it
 * @throws TransshipError `INPUT` when none opens it, there is none, or one is no identity
 * @throws TransshipError `ARCHIVE_DAMAGED` for what is cut or was changed
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for another version of the format, and for what a passphrase opens
 */
export async function* decrypt(bytes: Bytes, identities: readonly string[]): AsyncGenerator<Uint8Array> {
  const source = bytes[Symbol.asyncIterator]();
  try {
    const reader = createByteReader(source);
    const head = await takeHead(reader);
    const whole = prepend(head.bytes, reader.rest());
    yield* head.headerSize === undefined ? whole : open(whole, identities);
  } finally {
    await source.return?.();
  }
}

/** A file that is being decrypted. */
export interface Decrypting {
  /** Plain bytes there will be. */
  readonly size: number;
  /** Read once. */
  readonly bytes: Bytes;
  /** Gives up what was not read. */
  close(): Promise<void>;
}

/**
 * Begins to decrypt a file whose size is known.
 *
 * @param size - of the encrypted bytes
 * @throws TransshipError as {@link decrypt} does, and `ARCHIVE_DAMAGED` for what is not encrypted
 */
export async function startDecrypting(bytes: Bytes, size: number, identities: readonly string[]): Promise<Decrypting> {
  const source = bytes[Symbol.asyncIterator]();
  try {
    const reader = createByteReader(source);
    const { bytes: head, headerSize } = await takeHead(reader);
    if (headerSize === undefined) throw notEncrypted();
    const plain = open(prepend(head, reader.rest()), identities);
    const close = async () => {
      await plain.return(undefined);
      await source.return?.();
    };
    return { size: plainSize(headerSize, size), bytes: plain, close };
  } catch (error) {
    await source.return?.();
    throw error;
  }
}

/**
 * Decrypts a small file.
 *
 * @throws TransshipError as {@link startDecrypting} does
 */
export async function decryptAll(bytes: Uint8Array, identities: readonly string[]): Promise<Uint8Array> {
  if (!isEncrypted(bytes)) throw notEncrypted();
  const decrypter = await createDecrypter(identities);
  try {
    return await decrypter.decrypt(bytes);
  } catch (error) {
    throw explain(error);
  }
}

/**
 * Checks what can be checked of encrypted bytes without a key: that their header is one, and that so many can be whole.
 * Reads them to their end.
 *
 * @returns to how many recipients they are encrypted
 * @throws TransshipError `ARCHIVE_DAMAGED`, `ARCHIVE_UNSUPPORTED`
 */
export async function inspectEncrypted(bytes: Bytes): Promise<number> {
  const source = bytes[Symbol.asyncIterator]();
  try {
    const reader = createByteReader(source);
    const { bytes: head, headerSize } = await takeHead(reader);
    if (headerSize === undefined) throw notEncrypted();
    const recipients = await readRecipients(head.subarray(0, headerSize));
    let size = head.byteLength;
    for await (const { byteLength } of reader.rest()) size += byteLength;
    plainSize(headerSize, size);
    return recipients;
  } finally {
    await source.return?.();
  }
}

/** Decrypts what is known to be encrypted. */
async function* open(bytes: Bytes, identities: readonly string[]): AsyncGenerator<Uint8Array> {
  const decrypter = await createDecrypter(identities);
  yield* pass(coalesce(bytes, PIECE_BYTES), (stream) => decrypter.decrypt(stream), explain);
}

/**
 * Passes bytes through the library's streams at the reader's pace.
 *
 * @param explain - turns what the library throws into the error for the caller; the source's own errors are left alone
 */
async function* pass(
  bytes: Bytes,
  convert: (stream: ReadableStream<Uint8Array>) => Promise<ReadableStream<Uint8Array>>,
  explainError: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  const source = bytes[Symbol.asyncIterator]();
  let failure: { readonly error: unknown } | undefined;
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const result = await source.next();
          if (result.done) controller.close();
          else controller.enqueue(result.value);
        } catch (error) {
          failure = { error };
          throw error;
        }
      },
    },
    { highWaterMark: 0 },
  );
  try {
    yield* await convert(stream);
  } catch (error) {
    throw failure === undefined ? explainError(error) : failure.error;
  } finally {
    await source.return?.();
  }
}

function explain(error: unknown): Error {
  if (error instanceof TransshipError) return error;
  return damaged(`The encrypted bytes are cut or were changed: ${messageOf(error)}.`, error);
}

function notEncrypted(): Error {
  return damaged('It is not encrypted, as the snapshot is.');
}

async function* prepend(head: Uint8Array, rest: Bytes): AsyncGenerator<Uint8Array> {
  yield head;
  yield* rest;
}
