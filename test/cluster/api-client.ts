import { Agent, request } from 'node:https';

/** How the test bed itself talks to its API server. */
export interface ApiClient {
  /** Sends a request and resolves with the status and the parsed answer, whatever the status is. */
  send(
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
    accept?: string,
  ): Promise<{ status: number; body: unknown }>;
  close(): void;
}

/** A client with a certificate of its own; `ca` is the only authority it trusts. */
export function createApiClient(server: string, credentials: { ca: string; cert: string; key: string }): ApiClient {
  const agent = new Agent({ ...credentials, keepAlive: true });
  return {
    send: (method, path, body, contentType = 'application/json', accept = 'application/json') =>
      new Promise((resolve, reject) => {
        const headers = { 'content-type': contentType, accept };
        const sent = request(new URL(path, server), { method, agent, headers, timeout: 30_000 }, async (response) => {
          try {
            let text = '';
            for await (const chunk of response.setEncoding('utf8')) text += chunk;
            const json = /^application\/json(;|$)/.test(response.headers['content-type'] ?? '');
            resolve({ status: response.statusCode ?? 0, body: json ? JSON.parse(text) : text });
          } catch (error) {
            reject(error);
          }
        });
        sent.once('timeout', () => sent.destroy(new Error(`${server} did not answer`)));
        sent.once('error', reject);
        sent.end(body === undefined ? undefined : JSON.stringify(body));
      }),
    close: () => agent.destroy(),
  };
}
