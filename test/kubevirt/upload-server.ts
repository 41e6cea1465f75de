import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { type Answer, Broken, emptyAnswer, type HttpRequest, NOT_FOUND, textAnswer } from './answers.ts';
import { type ReceivedDisk, recordDisk } from './received-disk.ts';

/** How an upload is answered: when it is stored, or when it is read. */
export type UploadMode = 'sync' | 'async';

export interface UploadServerOptions {
  /** Bytes that the volume has room for. */
  readonly capacity: number;
  /** Called with what came in, once it is stored. */
  readonly onStored?: (disk: ReceivedDisk) => void;
  /** What takes its time after an asynchronous upload was answered. */
  readonly process?: () => Promise<void>;
  /** Whether the bytes are kept, or only their number and digest. Default: kept. */
  readonly keep?: boolean;
}

/** One upload pod. */
export interface UploadServer {
  /** What it says, or `gone` once the pod is. */
  handle(mode: UploadMode, request: HttpRequest): Promise<Answer | 'gone'>;
  /** The pod dies, in the middle of an upload too. */
  die(): void;
  readonly state: 'waiting' | 'uploading' | 'processing' | 'done' | 'gone';
  /** How often an upload began. */
  attempts(): number;
}

class UploadError extends Error {
  override name = 'UploadError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The least that CDI reads to find out what a stream is. */
const HEAD_BYTES = 512;

/**
 * What CDI's upload server does for one claim: takes a raw or a gzip stream, one at a time, once. Streams in xz or zstd
 * end with 500, as the real one's do whenever the head of the disk compresses well. A stream that breaks leaves nothing,
 * and the next may begin; one that is too short and ends in order is taken as it is.
 *
 * @see https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/uploadserver/uploadserver.go
 */
export function createUploadServer(options: UploadServerOptions): UploadServer {
  const { capacity, onStored = () => undefined, process = async () => undefined, keep = true } = options;
  const death = new AbortController();
  let state: UploadServer['state'] = 'waiting';
  let attempts = 0;
  const isGone = () => death.signal.aborted;

  const take = async (mode: UploadMode, request: HttpRequest): Promise<Answer> => {
    state = 'uploading';
    attempts += 1;
    let disk: ReceivedDisk;
    try {
      disk = await store(request.body, capacity, keep, death.signal);
    } catch (error) {
      state = 'waiting';
      if (error instanceof Broken) throw error;
      const status = error instanceof UploadError ? error.status : 500;
      const reason = error instanceof Error ? error.message : String(error);
      return textAnswer(status, `Saving stream failed: ${reason}`);
    }
    const finish = () => {
      if (isGone()) return;
      state = 'done';
      onStored(disk);
    };
    if (mode === 'sync') {
      finish();
    } else {
      state = 'processing';
      void process().then(finish, () => {
        state = 'gone'; // The program ends with an error, and its pod with it.
      });
    }
    return emptyAnswer(200);
  };

  return {
    get state() {
      return isGone() ? 'gone' : state;
    },
    attempts: () => attempts,
    die: () => death.abort(),
    async handle(mode, request) {
      if (isGone()) return 'gone';
      if (mode === 'async' && request.method === 'HEAD') return emptyAnswer(200);
      if (request.method !== 'POST') return { ...NOT_FOUND, body: '', headers: { 'content-length': '0' } };
      if (state === 'uploading' || state === 'processing') return emptyAnswer(503);
      if (state === 'done') return emptyAnswer(409);
      const answer = await take(mode, request);
      return isGone() ? 'gone' : answer;
    },
  };
}

async function store(
  body: AsyncIterable<Uint8Array>,
  capacity: number,
  keep: boolean,
  signal: AbortSignal,
): Promise<ReceivedDisk> {
  const [head, stream] = await peek(body, signal);
  if (head.byteLength < HEAD_BYTES) throw new UploadError(500, 'unable to read the head of the stream: unexpected EOF');
  const recorder = recordDisk({ keep });
  for await (const piece of decoded(head, stream)) {
    if (recorder.size + piece.byteLength > capacity) {
      const reason = 'virtual image size is larger than the reported available storage. A larger PVC is required';
      throw new UploadError(400, `effective image size is larger than the reported available storage: ${reason}`);
    }
    recorder.write(piece);
  }
  return recorder.finish();
}

// https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/importer/format-readers.go
function decoded(head: Uint8Array, stream: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const magic = Buffer.from(head.subarray(0, 6)).toString('hex');
  if (magic.startsWith('fd377a585a00')) throw new UploadError(500, 'xz: checksum error for first header');
  if (magic.startsWith('28b52ffd')) throw new UploadError(500, 'window size exceeded');
  if (!magic.startsWith('1f8b')) return stream;
  const source = Readable.from(stream);
  const gunzip = createGunzip();
  source.on('error', (error) => gunzip.destroy(error));
  return source.pipe(gunzip);
}

/** The first bytes of a body, and the whole of it. */
async function peek(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<[Uint8Array, AsyncIterable<Uint8Array>]> {
  const pieces = body[Symbol.asyncIterator]();
  const next = () => unlessDead(pieces.next(), signal);
  const begin: Uint8Array[] = [];
  let length = 0;
  while (length < HEAD_BYTES) {
    const piece = await next();
    if (piece.done) break;
    begin.push(piece.value);
    length += piece.value.byteLength;
  }
  const head = Buffer.concat(begin);
  const whole = async function* (): AsyncGenerator<Uint8Array> {
    yield head;
    for (let piece = await next(); !piece.done; piece = await next()) yield piece.value;
  };
  return [head, whole()];
}

// Not `Promise.race` with one promise for the whole stream: that one would keep every piece.
function unlessDead<T>(step: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new UploadError(500, 'the pod is gone'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    step.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
