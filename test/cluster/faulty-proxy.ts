import { createServer, type IncomingMessage, type ServerResponse, request as sendPlain } from 'node:http';
import { type Agent, request as sendEncrypted } from 'node:https';
import type { AddressInfo } from 'node:net';

/** A request on its way through the proxy. */
export interface ProxiedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/**
 * What goes wrong with a request: the connection is reset before the server sees it, or once the server has carried it
 * out, or `after` so many bytes of the answer's body; the body stops coming without a word; or something else answers.
 */
export type Fault =
  | { readonly kind: 'reset' }
  | { readonly kind: 'lose-answer' }
  | { readonly kind: 'cut' | 'stall'; readonly after: number }
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    };

export interface FaultyProxy {
  readonly url: string;
  /** Every request so far, in the order they came. */
  readonly requests: readonly ProxiedRequest[];
  stop(): Promise<void>;
}

/**
 * Starts an HTTP proxy in front of a server that lets requests fail.
 *
 * @param choose - asked for each request; without an answer the request passes
 * @param before - what happens before a request goes on
 * @param agent - for a server behind TLS: whom to trust, and the client's own certificate
 */
export async function startFaultyProxy(
  target: string,
  choose: (request: ProxiedRequest) => Fault | undefined,
  before?: (request: ProxiedRequest) => Promise<void>,
  agent?: Agent,
): Promise<FaultyProxy> {
  const requests: ProxiedRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    const { method = 'GET', url: path = '/', headers } = incoming;
    const seen = { method, path, headers };
    requests.push(seen);
    const fault = choose(seen);
    const go = () => handle({ target, agent }, incoming, outgoing, fault);
    if (before === undefined) go();
    else before(seen).then(go, () => incoming.socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function handle(
  { target, agent }: { target: string; agent: Agent | undefined },
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fault: Fault | undefined,
): void {
  const reset = () => incoming.socket.resetAndDestroy();
  if (fault?.kind === 'reset') {
    reset();
    return;
  }
  if (fault?.kind === 'answer') {
    incoming.resume();
    incoming.on('end', () => outgoing.writeHead(fault.status, fault.headers).end(fault.body));
    return;
  }
  const { method, url, headers } = incoming;
  // The headers go on as they are: the host is part of what the client signed.
  const send = agent === undefined ? sendPlain : sendEncrypted;
  const onward = send(new URL(url ?? '/', target), { method, headers, agent: agent ?? false }, (answer) => {
    if (fault?.kind === 'lose-answer') {
      answer.resume();
      answer.on('end', reset);
      return;
    }
    outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    if (fault === undefined) {
      answer.on('error', reset);
      answer.pipe(outgoing);
      return;
    }
    let rest = fault.after;
    answer.on('data', (chunk: Buffer) => {
      const part = chunk.subarray(0, rest);
      rest -= part.byteLength;
      if (part.byteLength > 0) outgoing.write(part);
      if (rest > 0) return;
      answer.destroy();
      if (fault.kind === 'cut') outgoing.write('', reset);
    });
  });
  onward.on('error', reset);
  outgoing.on('close', () => onward.destroy());
  incoming.pipe(onward);
}
