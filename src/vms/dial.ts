import { Agent, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import type { WebSocket } from 'ws';
import { findAccess } from '../cluster/access.ts';
import type { Clock } from '../cluster/clock.ts';
import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import { createCredentials, type Session } from '../cluster/credentials.ts';
import { findProxy } from '../cluster/proxy.ts';
import { cancelledBy, messageOf, TransshipError } from '../errors.ts';
import { isMap } from '../values.ts';

/** Opens WebSockets to the API server, as the user of a cluster's connection. */
export interface Dialer {
  /**
   * @param path - with the query
   * @returns one that is paused, so that nothing is missed; resume it, or terminate it
   * @throws ClusterError with the server's answer, or status 0 when none came
   */
  dial(path: string, signal?: AbortSignal): Promise<WebSocket>;
}

export interface DialerOptions {
  /** Told of every secret before it is used. */
  readonly mask: (secret: string) => void;
  readonly clock: Clock;
  readonly env?: NodeJS.ProcessEnv | undefined;
}

/** The subprotocol of every kubelet and container runtime that knows WebSockets; one connection for each port. */
const PROTOCOL = 'v4.channel.k8s.io';
/** Milliseconds until the server answers the handshake. */
const HANDSHAKE = 30_000;
/** Bytes of a refusal that are read. */
const TOLD = 4096;

/**
 * Reads the access of a connection once more: connections to the API server do not share what they know.
 *
 * @throws TransshipError when the kubeconfig is gone, or its proxy is of a sort that can't be used
 */
export async function createDialer(
  cluster: Cluster,
  { mask, clock, env = process.env }: DialerOptions,
): Promise<Dialer> {
  const { access, context, server } = cluster;
  const { KUBECONFIG: _given, ...others } = env;
  const found = await findAccess({
    context,
    env: access.kubeconfig === undefined ? others : { ...others, KUBECONFIG: access.kubeconfig },
  });
  const credentials = createCredentials(found.login, mask, clock, env);
  const { WebSocket } = await import('./lazy/web-socket.ts');
  const base = new URL(server);
  const proxy = findProxy(base, found.login.server.proxyUrl, env);
  const root = `${base.protocol === 'https:' ? 'wss:' : 'ws:'}//${base.host}${base.pathname.replace(/\/$/, '')}`;
  const agent = proxy === undefined ? undefined : agentThrough(proxy, base);

  const once = (path: string, session: Session, signal: AbortSignal | undefined): Promise<WebSocket> =>
    new Promise((resolve, reject) => {
      const { ca, cert, key, servername, rejectUnauthorized } = session.tls;
      const socket = new WebSocket(root + path, [PROTOCOL], {
        headers: { 'user-agent': 'transship', ...headersOf(session) },
        ca,
        rejectUnauthorized,
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
        ...(servername !== undefined && { servername }),
        ...(agent !== undefined && { agent }),
        perMessageDeflate: false,
        handshakeTimeout: HANDSHAKE,
      });
      const abort = () => {
        if (signal !== undefined) reject(cancelledBy(signal, `GET ${path}`));
        socket.terminate();
      };
      signal?.addEventListener('abort', abort, { once: true });
      socket.on('open', () => {
        signal?.removeEventListener('abort', abort);
        // What comes before anyone listens would be lost.
        socket.pause();
        resolve(socket);
      });
      // After it is open this changes nothing; but an error nobody listens to would end the process.
      socket.on('error', (error) => {
        signal?.removeEventListener('abort', abort);
        reject(unanswered(error, path, cluster));
      });
      socket.on('unexpected-response', (_request, response) => {
        void readText(response).then((text) => {
          reject(refused(response.statusCode ?? 0, text, path, cluster));
          socket.terminate();
        });
      });
    });

  return {
    async dial(path, signal) {
      if (signal?.aborted) throw cancelledBy(signal, `GET ${path}`);
      const session = await credentials.current();
      try {
        return await once(path, session, signal);
      } catch (error) {
        const isDenied = error instanceof ClusterError && error.status === 401;
        if (!isDenied || !(await credentials.renew(session))) throw error;
        return once(path, await credentials.current(), signal);
      }
    },
  };
}

/** Node's own agents know how to ask a proxy for a tunnel. */
function agentThrough(proxy: string, server: URL): Agent {
  if (!/^https?:/i.test(proxy)) {
    throw new TransshipError('CLUSTER', `A port-forward can't go through the proxy ${new URL(proxy).protocol}//….`, {
      hint: 'Use a proxy that begins with http:// or https://, or external links.',
    });
  }
  return server.protocol === 'https:'
    ? new TlsAgent({ proxyEnv: { HTTPS_PROXY: proxy } })
    : new Agent({ proxyEnv: { HTTP_PROXY: proxy } });
}

function headersOf({ headers }: Session): Record<string, string | string[]> {
  const all: Record<string, string[]> = {};
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const [name = '', value = ''] = headers.slice(at, at + 2);
    all[name] = [...(all[name] ?? []), value];
  }
  return Object.fromEntries(
    Object.entries(all).map(([name, [first = '', ...more]]) => [name, more.length > 0 ? [first, ...more] : first]),
  );
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const piece of response) {
      text += String(piece);
      if (text.length >= TOLD) break;
    }
  } catch {
    // What has come of it is all there is to tell.
  }
  return text.slice(0, TOLD).trim();
}

function refused(status: number, text: string, path: string, { server, context }: Cluster): ClusterError {
  const { message, reason } = statusIn(text);
  const said = message ?? (text === '' ? 'no reason was given' : text.replace(/\s+/g, ' ').slice(0, 200));
  const hint =
    status === 403
      ? 'Grant it with the rule { apiGroups: [""], resources: ["pods/portforward"], verbs: ["get", "create"] }.'
      : status === 401
        ? 'The credentials may have expired.'
        : 'Does everything between here and the API server let WebSockets through?';
  const asked = `GET ${path} at ${server} (context "${context}")`;
  return new ClusterError(
    status,
    reason ?? (status === 403 ? 'Forbidden' : 'Unknown'),
    `The port-forward was refused: ${said} (${asked}: ${status})`,
    { hint },
  );
}

function statusIn(text: string): { readonly message?: string; readonly reason?: string } {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isMap(parsed) || parsed.kind !== 'Status') return {};
    const { message, reason } = parsed;
    return { ...(typeof message === 'string' && { message }), ...(typeof reason === 'string' && { reason }) };
  } catch {
    return {};
  }
}

function unanswered(error: Error, path: string, { server, context }: Cluster): ClusterError {
  const message = `No port-forward through ${server} (context "${context}"): ${messageOf(error) || String(error)} (GET ${path})`;
  return new ClusterError(0, 'Unreachable', message, {
    hint: 'Does everything between here and the API server let WebSockets through?',
    cause: error,
  });
}
