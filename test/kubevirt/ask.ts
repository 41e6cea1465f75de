import { Agent, request } from 'node:https';

/** A request as `curl` would send it. */
export interface Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** PEM of the only authority that is trusted. */
  readonly ca: string;
  /** The name that the certificate must be for, where it is not the URL's host. */
  readonly serverName?: string;
  /** Connects to this port of this machine instead, and still expects the certificate of the URL's host. */
  readonly port?: number;
  /** Stops asking. */
  readonly signal?: AbortSignal;
}

/** What came back, and how it ended. */
export interface Reply {
  /** 0 where no answer came. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  /** The code of the error that ended it, such as `ECONNRESET`. */
  readonly error: string | undefined;
}

/** Sends one request on a connection of its own, and resolves whatever happens to it. */
export async function ask(url: string, question: Question): Promise<Reply> {
  const { method = 'GET', headers = {}, body, ca, serverName, port, signal } = question;
  const agent = new Agent({ ca, keepAlive: false });
  try {
    return await new Promise<Reply>((resolve) => {
      const pieces: Buffer[] = [];
      let head: Pick<Reply, 'status' | 'headers'> = { status: 0, headers: {} };
      const end = (error?: unknown) => {
        resolve({ ...head, body: Buffer.concat(pieces), error: error === undefined ? undefined : codeOf(error) });
      };
      const options = {
        method,
        headers,
        agent,
        ...(serverName === undefined && port === undefined ? {} : { servername: serverName ?? new URL(url).hostname }),
        ...(port === undefined ? {} : { hostname: '127.0.0.1', port }),
        ...(signal === undefined ? {} : { signal }),
      };
      const sent = request(new URL(url), options, (answer) => {
        const texts = Object.entries(answer.headers).map(([name, value]) => [name, value?.toString()] as const);
        head = { status: answer.statusCode ?? 0, headers: Object.fromEntries(texts) };
        answer.on('data', (piece: Buffer) => pieces.push(piece));
        answer.on('error', end);
        answer.on('end', () => end());
      });
      sent.on('error', end);
      void write(body, sent).catch(end);
    });
  } finally {
    agent.destroy();
  }
}

async function write(body: Question['body'], sent: ReturnType<typeof request>): Promise<void> {
  if (body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array)) {
    for await (const piece of body) {
      if (sent.destroyed) return;
      if (!sent.write(piece)) await new Promise<void>((resolve) => wakeUp(sent, resolve));
    }
    sent.end();
    return;
  }
  sent.end(body);
}

function wakeUp(sent: ReturnType<typeof request>, resolve: () => void): void {
  const done = () => {
    sent.off('drain', done).off('close', done);
    resolve();
  };
  sent.once('drain', done).once('close', done);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
