import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { pipeline } from 'node:stream/promises';
import { Agent } from 'undici';
import { createAuthority } from '../test/cluster/certificates.ts';
import { writeKubeconfig } from '../test/cluster/kubeconfig.ts';
import type { DirectAccess } from './direct.ts';

/** An HTTPS server in front of an API server, which passes on requests without a body and tells when a request came. */
export interface StandIn {
  /** Text of a kubeconfig that leads to it. */
  readonly kubeconfig: string;
  /** `performance.now()` when the headers of the next request have been read, TLS and all. */
  nextRequest(): Promise<number>;
  close(): Promise<void>;
}

/** @param token - of a user of the API server behind it */
export async function startStandIn(folder: string, behind: DirectAccess, token: string): Promise<StandIn> {
  const authority = await createAuthority(folder, 'stand-in-ca');
  const { cert, key } = await authority.sign('stand-in', '/CN=stand-in', 'IP:127.0.0.1');
  const agent = new Agent({ connect: { ca: behind.ca } });
  const server = createServer({ cert, key }, async (request, response) => {
    const { method = 'GET', url: path = '/', headers } = request;
    // All that an export's requests say; the rest concerns this one connection.
    const { accept = '*/*', authorization = '' } = headers;
    try {
      const answer = await agent.request({ origin: behind.server, path, method, headers: { accept, authorization } });
      const type = String(answer.headers['content-type'] ?? 'application/json');
      response.writeHead(answer.statusCode, { 'content-type': type });
      await pipeline(answer.body, response);
    } catch (error) {
      response.destroy(error instanceof Error ? error : undefined);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port }: AddressInfo = addressOf(server.address());
  const context = { name: 'stand-in', user: { token } };
  const cluster = { name: 'stand-in', server: `https://127.0.0.1:${port}`, ca: authority.cert, contexts: [context] };
  return {
    kubeconfig: writeKubeconfig([cluster]),
    async nextRequest() {
      await once(server, 'request');
      return performance.now();
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await agent.destroy();
    },
  };
}

function addressOf(address: AddressInfo | string | null): AddressInfo {
  if (address === null || typeof address === 'string') throw new Error('The stand-in listens on no port.');
  return address;
}
