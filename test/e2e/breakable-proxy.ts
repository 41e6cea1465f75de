import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP way to the API server that a test can cut, as a restart of the server or a lost link does. */
export interface BreakableProxy {
  readonly port: number;
  /** Bytes that came back from the server so far. */
  received(): number;
  /** Cuts every connection once this many bytes more have come back, and refuses new ones until `restore`. */
  breakAfter(bytes: number): Promise<void>;
  restore(): void;
  close(): Promise<void>;
}

export async function startBreakableProxy(target: { host: string; port: number }): Promise<BreakableProxy> {
  const sockets = new Set<Socket>();
  let received = 0;
  let breakAt = Number.POSITIVE_INFINITY;
  let broken = false;
  let onBreak: () => void = () => undefined;

  const snap = () => {
    broken = true;
    breakAt = Number.POSITIVE_INFINITY;
    for (const socket of sockets) socket.resetAndDestroy();
    onBreak();
  };
  const server = createServer((client) => {
    if (broken) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(target);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received >= breakAt) snap();
    });
    upstream.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port.');

  return {
    port: address.port,
    received: () => received,
    breakAfter: (bytes) =>
      new Promise((resolve) => {
        onBreak = resolve;
        breakAt = received + bytes;
      }),
    restore() {
      broken = false;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
