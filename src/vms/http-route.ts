import { isIP } from 'node:net';
import pLimit from 'p-limit';
import type { Dispatcher } from '../cluster/lazy/undici.ts';
import { findProxy } from '../cluster/proxy.ts';
import { createFastGet, type FastGet } from './fast-get.ts';
import type { VmHttpOptions, VmTarget } from './http.ts';
import { type Peer, tlsTo, trustFor } from './tls-trust.ts';

/** The connections to one peer. */
export interface Route {
  readonly dispatcher: Dispatcher;
  /** Undefined behind a proxy. */
  readonly fast: FastGet | undefined;
  /** The peer gives answers that `fast` does not understand. */
  speaksOtherwise: boolean;
  /** Keeps the requests that go over `fast` to as many as there may be connections. */
  readonly limit: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Milliseconds. Below the minute after which load balancers close silent connections. */
const KEPT = 30_000;
const PROBE_INTERVAL = 30_000;

/**
 * Opens nothing yet.
 *
 * @throws Error of OpenSSL when the certificates to be trusted can't be read
 */
export async function createRoute(
  undici: typeof import('../cluster/lazy/undici.ts'),
  url: URL,
  { ca, serverName, connect }: VmTarget,
  { connections, idleTimeout, env }: Required<VmHttpOptions>,
): Promise<Route> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const peer: Peer = {
    host: connect?.host ?? host,
    port: connect?.port ?? Number(url.port || 443),
    name: serverName ?? host,
    trust: trustFor(ca),
  };
  const tls = { ...tlsTo(peer), keepAliveInitialDelay: PROBE_INTERVAL, allowH2: false };
  const shared = {
    connections,
    pipelining: 1,
    allowH2: false,
    headersTimeout: idleTimeout,
    bodyTimeout: idleTimeout,
    keepAliveTimeout: KEPT,
  };
  const limit = pLimit(connections);
  const proxy = connect === undefined ? findProxy(url, undefined, env) : undefined;
  if (proxy !== undefined) {
    const { ProxyAgent } = await import('../cluster/lazy/undici-proxy.ts');
    return {
      dispatcher: new ProxyAgent({ ...shared, uri: proxy, requestTls: tls }),
      fast: undefined,
      speaksOtherwise: true,
      limit,
    };
  }
  const dial = undici.buildConnector(tls);
  const address = { hostname: peer.host, port: String(peer.port) };
  const name = isIP(peer.name) === 0 ? { servername: peer.name } : {};
  const dispatcher = new undici.Agent({
    ...shared,
    connect: (target, callback) => dial({ ...target, ...address, ...name }, callback),
  });
  return { dispatcher, fast: createFastGet(peer, idleTimeout), speaksOtherwise: false, limit };
}
