import { type Reporter, silentReporter } from '../report/reporter.ts';
import { type AccessOptions, findAccess } from './access.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Cluster, ClusterRequest } from './cluster.ts';
import { createCredentials } from './credentials.ts';
import { listData, listObjects, listPages } from './list.ts';
import { findProxy, maskPassword } from './proxy.ts';
import { createSender } from './request.ts';
import { createTransport } from './transport.ts';
import { createWatcher } from './watch.ts';

export interface ConnectOptions extends AccessOptions {
  /** Connections at most; default 8. More requests wait for their turn. */
  readonly concurrency?: number | undefined;
  readonly reporter?: Reporter | undefined;
  /** Milliseconds without a byte after which a request has stalled; default 60 s, the API server's own limit. */
  readonly stallTimeout?: number | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Prepares the connection to one cluster: finds the way in (the input `kubeconfig` and `context`, `$KUBECONFIG`,
 * `~/.kube/config`, a pod's service account), but sends nothing yet. Kubeconfig text is written to a private file, so
 * that helm can use the same access; `close()` removes it.
 *
 * @throws TransshipError `INPUT` naming what was tried, or the contexts there are
 */
export async function openCluster(options: ConnectOptions = {}): Promise<Cluster> {
  const { concurrency = 8, reporter = silentReporter, stallTimeout = 60_000, clock = systemClock } = options;
  const { login, access, remove } = await findAccess(options);
  const { context } = login;
  const { server, proxyUrl } = login.server;
  try {
    const env = options.env ?? process.env;
    const mask = (secret: string) => reporter.mask(secret);
    const proxy = findProxy(new URL(server), proxyUrl, env);
    maskPassword(proxy, mask);
    const credentials = createCredentials(login, mask, clock, env);
    const transport = await createTransport({ server: new URL(server), proxy, concurrency, stallTimeout });
    const send = createSender({ context, server, credentials, transport, reporter, clock, stallTimeout });
    const watcher = createWatcher({ context, server, proxy, credentials });
    return {
      context,
      server,
      namespace: login.namespace ?? 'default',
      access,
      json: async <T>(request: ClusterRequest) => (await send<T>(request)).value(),
      list: (path, listOptions) => listObjects(send, path, listOptions),
      listPages: (path, listOptions) => listPages(send, path, listOptions),
      listData: (path, listOptions) => listData(send, path, listOptions),
      watch: (path, watchOptions) => watcher.watch(path, watchOptions),
      async close() {
        await Promise.all([transport.close(), watcher.close()]);
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
