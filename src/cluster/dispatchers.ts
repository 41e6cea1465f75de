import type { TlsMaterial } from './credentials.ts';
import type { Dispatcher } from './lazy/undici.ts';

/** How connections to one server are made. */
export interface DispatcherOptions {
  readonly server: URL;
  readonly proxy: string | undefined;
  /** Connections at most; null for as many as are asked for. */
  readonly connections: number | null;
  /** Milliseconds without a byte after which a request has stalled; 0 for never. */
  readonly stallTimeout: number;
}

/** Kept-alive connections to one server, with the credentials in force. */
export interface Dispatchers {
  /** A rotated certificate gets connections of its own; requests under way end on the old ones. */
  for(tls: TlsMaterial): Dispatcher;
  /** Drops every connection, also those in use. */
  close(): Promise<void>;
}

/** Milliseconds. The API server closes idle connections after 90 s, load balancers after 60 s: be first. */
const IDLE_TIMEOUT = 30_000;
/** Milliseconds between TCP probes, as client-go sends them: a dead peer or a forgetful NAT shows itself. */
const PROBE_INTERVAL = 30_000;

/** Opens nothing yet: the first request connects. */
export async function createDispatchers(options: DispatcherOptions): Promise<Dispatchers> {
  const undici = await import('./lazy/undici.ts');
  const proxy =
    options.proxy === undefined
      ? undefined
      : { uri: options.proxy, ProxyAgent: (await import('./lazy/undici-proxy.ts')).ProxyAgent };
  let held: { readonly tls: TlsMaterial; readonly dispatcher: Dispatcher } | undefined;
  /** Replaced ones that still have requests under way. */
  const leaving = new Set<Dispatcher>();

  function connect(tls: TlsMaterial): Dispatcher {
    const shared = {
      connections: options.connections,
      pipelining: 1,
      allowH2: false,
      headersTimeout: options.stallTimeout,
      bodyTimeout: options.stallTimeout,
      keepAliveTimeout: IDLE_TIMEOUT,
    };
    const material = {
      ca: tls.ca,
      rejectUnauthorized: tls.rejectUnauthorized,
      keepAliveInitialDelay: PROBE_INTERVAL,
      allowH2: false,
      ...(tls.cert !== undefined && { cert: tls.cert }),
      ...(tls.key !== undefined && { key: tls.key }),
      ...(tls.servername !== undefined && { servername: tls.servername }),
    };
    if (proxy !== undefined) {
      return new proxy.ProxyAgent({ ...shared, uri: proxy.uri, requestTls: material });
    }
    const connector = undici.buildConnector(material);
    // undici prefers the host's name over the one that was asked for.
    return new undici.Agent({
      ...shared,
      connect: (target, callback) =>
        connector(tls.servername === undefined ? target : { ...target, servername: tls.servername }, callback),
    });
  }

  function replace(old: Dispatcher): void {
    leaving.add(old);
    const forget = () => leaving.delete(old);
    old.close().then(forget, forget);
  }

  return {
    for(tls) {
      if (held?.tls !== tls) {
        if (held !== undefined) replace(held.dispatcher);
        held = { tls, dispatcher: connect(tls) };
      }
      return held.dispatcher;
    },
    async close() {
      await Promise.all([...leaving, ...(held === undefined ? [] : [held.dispatcher])].map((one) => one.destroy()));
    },
  };
}
