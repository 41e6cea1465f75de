import { once } from 'node:events';
import { createServer } from 'node:https';
import { createAuthority } from '../cluster/certificates.ts';
import { asMap } from './live-object.ts';

/** What a webhook says to one object; a text is why it denies. */
export type Verdict = 'allow' | { readonly deny: string };

/** A real admission webhook, for objects of a test's own. */
export interface AdmissionWebhook {
  /** The `clientConfig` that leads to it. */
  readonly clientConfig: { readonly url: string; readonly caBundle: string };
  /** The names of the objects it was asked about, dry runs aside. An object called `probe` is always denied. */
  readonly asked: readonly string[];
  /** Connections that it did not take. */
  refused(): number;
  close(): Promise<void>;
}

/**
 * Starts an admission webhook on 127.0.0.1.
 *
 * @param folder - for its certificates
 * @param options - `refusals`: how many connections to reset first, as long as a service is not up
 */
export async function startAdmissionWebhook(
  folder: string,
  options: { refusals?: number; judge?: (name: string, timesAsked: number) => Verdict } = {},
): Promise<AdmissionWebhook> {
  const { refusals = 0, judge = () => 'allow' as const } = options;
  const authority = await createAuthority(folder, 'webhook-ca');
  const { cert, key } = await authority.sign('webhook', '/CN=webhook', 'IP:127.0.0.1');
  const asked: string[] = [];
  let refused = 0;
  const verdictOn = (name: string, isDryRun: boolean): Verdict => {
    if (name === 'probe') return { deny: 'it is there' };
    return isDryRun ? 'allow' : judge(name, asked.filter((one) => one === name).length);
  };
  const server = createServer({ cert, key }, async (request, response) => {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += chunk;
    const review = asMap(JSON.parse(text));
    const { uid, name, dryRun } = asMap(review?.request) ?? {};
    if (dryRun !== true) asked.push(String(name));
    const verdict = verdictOn(String(name), dryRun === true);
    const answer =
      verdict === 'allow' ? { uid, allowed: true } : { uid, allowed: false, status: { message: verdict.deny } };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ ...review, request: undefined, response: answer }));
  });
  server.on('connection', (socket) => {
    if (refused >= refusals) return;
    refused += 1;
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The webhook has no port.');
  return {
    clientConfig: {
      url: `https://127.0.0.1:${address.port}/`,
      caBundle: Buffer.from(authority.cert).toString('base64'),
    },
    asked,
    refused: () => refused,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
