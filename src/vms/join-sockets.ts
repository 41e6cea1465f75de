import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/** The first byte of a message says whose it is; each channel begins with the port, as two bytes. */
const DATA = 0;
const ERRORS = 1;
const PORT_BYTES = 2;
const HEADER = Buffer.from([DATA]);
/** Bytes on their way to the server above which nothing more is read. */
const MOST_WAITING = 1024 * 1024;
/** Milliseconds. Load balancers close connections that are silent for a minute. */
const PING_INTERVAL = 30_000;
/** Milliseconds the server has to answer a close. */
const LAST_WORDS = 1_000;

/**
 * Passes bytes between a connection and the WebSocket of a port-forward until either ends; neither is read faster than
 * the other takes. An end that is not a proper one is passed on as a reset, for a cut answer must not look whole.
 *
 * https://github.com/kubernetes/kubernetes/blob/v1.35.0/staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward/websocket.go
 *
 * @param remote - paused
 * @param fail - told why the way to the pod broke
 */
export function joinSockets(local: Socket, remote: WebSocket, fail: (problem: string) => void): void {
  const toSkip = [PORT_BYTES, PORT_BYTES];
  let problem = '';

  if (local.destroyed) {
    remote.terminate();
    return;
  }
  const pings = setInterval(() => remote.ping(), PING_INTERVAL);
  pings.unref();

  remote.on('message', (message) => {
    const channel = message[0] ?? -1;
    const skipped = Math.min(toSkip[channel] ?? 0, message.length - 1);
    toSkip[channel] = (toSkip[channel] ?? 0) - skipped;
    const data = message.subarray(1 + skipped);
    if (data.length === 0) return;
    if (channel === ERRORS) problem += data.toString('utf8');
    if (channel === DATA && !local.destroyed && !local.write(data)) remote.pause();
  });
  local.on('drain', () => remote.resume());

  local.on('data', (piece) => {
    remote.send(Buffer.concat([HEADER, piece]), () => {
      if (remote.bufferedAmount < MOST_WAITING) local.resume();
    });
    if (remote.bufferedAmount >= MOST_WAITING) local.pause();
  });

  remote.on('error', (error) => {
    problem ||= error.message;
  });
  remote.on('close', (code) => {
    clearInterval(pings);
    // 1005: the end came without a code, as runtimes send it.
    const isProper = problem === '' && (code === 1000 || code === 1005);
    if (!isProper && !local.destroyed) fail(problem || `the connection broke (${code})`);
    if (isProper) local.end();
    else local.resetAndDestroy();
  });
  local.on('close', () => {
    clearInterval(pings);
    remote.close(1000);
    remote.resume();
    setTimeout(() => remote.terminate(), LAST_WORDS).unref();
  });
  remote.resume();
}
