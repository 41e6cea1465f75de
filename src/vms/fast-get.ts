import type { OnReadOpts } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { cancelledBy } from '../errors.ts';
import { codeOf, STALLED } from './http-error.ts';
import { createResponseReader, type ResponseReader, type VmSink } from './read-response.ts';
import { type Peer, tlsTo } from './tls-trust.ts';

/** Sends GETs to one peer over kept-alive connections of its own. */
export interface FastGet {
  /**
   * @param head - the request, without the empty line that ends it
   * @throws OtherwiseSpoken when the answer must be read by other means; the sink knows nothing of it then
   */
  get(head: string, sink: VmSink, signal: AbortSignal | undefined): Promise<void>;
  close(): void;
}

interface Connection {
  readonly socket: TLSSocket;
  use: { readonly reader: ResponseReader; end(error?: unknown): void } | undefined;
}

/** Bytes. libuv reads as many at once. */
const READ_BYTES = 64 * 1024;
/** Milliseconds. */
const CONNECT_TIMEOUT = 10_000;
const KEPT = 30_000;
const PROBE_INTERVAL = 30_000;

/**
 * Reads with one buffer a connection and no streams: a GiB takes about half the processor time that it does through undici,
 * about as much as through curl. It knows only the plainest of answers.
 *
 * @param idleTimeout - milliseconds
 */
export function createFastGet(peer: Peer, idleTimeout: number): FastGet {
  const open = new Set<Connection>();
  const kept: Connection[] = [];
  let isClosed = false;

  function dial(): Connection {
    const onread: OnReadOpts = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback(length, buffer) {
        take(connection, Buffer.from(buffer.buffer, buffer.byteOffset, length));
        return true;
      },
    };
    const options: ConnectionOptions & { readonly onread: OnReadOpts } = {
      host: peer.host,
      port: peer.port,
      ALPNProtocols: ['http/1.1'],
      ...tlsTo(peer),
      onread,
    };
    const socket = connect(options);
    const connection: Connection = { socket, use: undefined };
    let problem: unknown;
    open.add(connection);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, PROBE_INTERVAL);
    socket.setTimeout(Math.min(CONNECT_TIMEOUT, idleTimeout));
    socket.once('secureConnect', () => socket.setTimeout(idleTimeout));
    socket.on('timeout', () => {
      problem = socket.connecting || !socket.authorized ? failure('ETIMEDOUT', 'it took too long') : failure(STALLED);
      socket.destroy();
    });
    socket.on('error', (error) => {
      problem ??= error;
    });
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      open.delete(connection);
      drop(connection);
      connection.use?.end(problem ?? failure('ECONNRESET', 'it ended before the answer did'));
    });
    return connection;
  }

  function take(connection: Connection, bytes: Buffer): void {
    const { use, socket } = connection;
    try {
      if (use === undefined) throw failure('ECONNRESET', 'an answer to nothing');
      if (!use.reader.take(bytes)) return;
      if (use.reader.canStay) keep(connection);
      else socket.destroy();
      use.end();
    } catch (error) {
      use?.end(error);
      socket.destroy();
    }
  }

  function keep(connection: Connection): void {
    connection.use = undefined;
    kept.push(connection);
    connection.socket.setTimeout(KEPT);
    connection.socket.unref();
  }

  function drop(connection: Connection): void {
    const at = kept.indexOf(connection);
    if (at >= 0) kept.splice(at, 1);
  }

  function pick(): Connection {
    const connection = kept.pop();
    if (connection === undefined) return dial();
    connection.socket.ref();
    connection.socket.setTimeout(idleTimeout);
    return connection;
  }

  function get(head: string, sink: VmSink, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(cancelledBy(signal));
        return;
      }
      if (isClosed) {
        reject(failure('ECONNRESET', 'its connections are closed'));
        return;
      }
      const reader = createResponseReader(sink);
      const wasKept = kept.length > 0;
      const connection = pick();
      const abort = () => {
        if (signal !== undefined) connection.use?.end(cancelledBy(signal));
        connection.socket.destroy();
      };
      connection.use = {
        reader,
        end(error) {
          connection.use = undefined;
          signal?.removeEventListener('abort', abort);
          // A server may close a kept connection just when a request is on its way.
          const isStale = wasKept && !reader.hasBegun && codeOf(error) !== STALLED && !signal?.aborted && !isClosed;
          if (error === undefined) resolve();
          else if (isStale) resolve(get(head, sink, signal));
          else reject(error);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      connection.socket.write(`${head}\r\n`, 'latin1');
    });
  }

  return {
    get,
    close() {
      isClosed = true;
      for (const { socket } of open) socket.destroy();
    },
  };
}

function failure(code: string, message = code): Error {
  return Object.assign(new Error(message), { code });
}
