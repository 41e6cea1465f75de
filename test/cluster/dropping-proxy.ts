import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP way to a server on which all connections can be dropped at once. */
export interface DroppingProxy {
  readonly url: string;
  /** Connections that were dropped so far. */
  dropped(): number;
  drop(): void;
  /** Drops all, and every new one until `unblock`. */
  block(): void;
  unblock(): void;
  close(): Promise<void>;
}

/** @param target - a plain HTTP server on 127.0.0.1 */
export async function startDroppingProxy(target: string): Promise<DroppingProxy> {
  const { port } = new URL(target);
  const clients = new Set<Socket>();
  let count = 0;
  let isBlocked = false;
  const server = createServer((client) => {
    if (isBlocked) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ host: '127.0.0.1', port: Number(port) });
    clients.add(client);
    for (const socket of [client, upstream]) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clients.delete(client);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port.');

  function drop(): void {
    count += clients.size;
    for (const client of clients) client.resetAndDestroy();
  }
  return {
    url: `http://127.0.0.1:${address.port}`,
    dropped: () => count,
    drop,
    block() {
      isBlocked = true;
      drop();
    },
    unblock() {
      isBlocked = false;
    },
    async close() {
      drop();
      server.close();
      await once(server, 'close');
    },
  };
}
