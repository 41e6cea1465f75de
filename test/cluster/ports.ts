import { once } from 'node:events';
import { createServer } from 'node:net';
import { EndedError, type Guarded, startGuarded } from './guarded.ts';

const STARTS = 3;

/**
 * Starts servers on ports of 127.0.0.1 that nothing listens on. Another process may take one of them before its server
 * does: then all starts again, with other ports and another folder. Nothing is left of a start that failed.
 *
 * @param prefix - of the temporary folder's name
 */
export async function startOnFreePorts<T>(
  prefix: string,
  count: number,
  start: (guarded: Guarded, ports: readonly number[]) => Promise<T>,
  findPorts = freePorts,
): Promise<T> {
  for (let left = STARTS - 1; ; left -= 1) {
    const guarded = await startGuarded(prefix);
    try {
      return await start(guarded, await findPorts(count));
    } catch (error) {
      await guarded.end();
      if (left === 0 || !isPortClash(error)) throw error;
    }
  }
}

function isPortClash(error: unknown): boolean {
  return error instanceof EndedError && /address already in use/i.test(error.log);
}

async function freePorts(count: number): Promise<number[]> {
  // All are held until all are known, so that they differ.
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      server.close();
      await once(server, 'close');
      if (address === null || typeof address === 'string') throw new Error('A TCP server without a port');
      return address.port;
    }),
  );
}
