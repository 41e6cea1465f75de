import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { type Body, ReadError } from './answers.ts';

/**
 * A body as a gzip stream. Where it cannot be read any further, the stream ends as if it were whole: the real server
 * swallows the error.
 *
 * @see https://github.com/kubevirt/kubevirt/blob/main/pkg/storage/export/virt-exportserver/exportserver.go `pipeToGzip`
 */
export async function* gzipped(body: Body, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const gzip = createGzip({ level: 1 });
  const source = Readable.from(readable(body));
  const stop = () => {
    source.destroy();
    gzip.destroy();
  };
  signal.addEventListener('abort', stop, { once: true });
  source.on('error', (error) => gzip.destroy(error));
  try {
    yield* source.pipe(gzip);
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}

async function* readable(body: Body): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    if (!(error instanceof ReadError)) throw error;
  }
}
