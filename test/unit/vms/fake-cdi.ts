import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import type { Clock } from '../../../src/cluster/clock.ts';
import { type Cluster, ClusterError, type ClusterRequest, type KubeObject } from '../../../src/cluster/cluster.ts';
import { cancelledBy } from '../../../src/errors.ts';
import { isMap } from '../../../src/values.ts';
import { noWatch } from '../../helpers/no-watch.ts';
import { makeCertificate } from '../cluster/certificates.ts';
import { discoveryOf, kindOf } from '../resources/target-bed.ts';

const authority = makeCertificate({ commonName: 'cdi authority', authority: true });
const certificate = makeCertificate({
  commonName: 'cdi-uploadproxy',
  names: ['127.0.0.1', 'cdi-uploadproxy.cdi.svc'],
  issuer: authority,
});
export const otherAuthority = makeCertificate({ commonName: 'another authority', authority: true });

/** What becomes of one POST. */
export type Answer =
  | 'take'
  /** Puts the disk in place, and breaks the connection instead of answering. */
  | 'take and reset'
  /** Answers 200; then the upload server is started again and has lost it all. */
  | 'take and restart'
  /** Answers 200; then its pod goes, and another comes. */
  | 'take and go'
  /** Answers 200; then its pod fails for good, until it is looked at the next time. */
  | 'take and fail'
  | 'stall'
  | { readonly resetAt: number }
  /** Answers without reading anything. */
  | { readonly early: number; readonly said: string }
  | { readonly status: number; readonly said?: string };

export interface FakeOptions {
  /** One a POST, the last for all that follow; default `take`. */
  readonly answers?: readonly Answer[];
  /** Older CDIs have no asynchronous upload; default true. */
  readonly hasAsync?: boolean;
  /** What the claim says it has room for; default 1Gi. */
  readonly capacity?: string;
  /** How many looks at the claim it takes until it is ready; default 2. */
  readonly looks?: number;
  /** Tokens that the proxy does not know, the first ones. */
  readonly badTokens?: number;
  /** Answers UploadTokenRequests, when it returns an error. */
  readonly refuseToken?: (count: number) => ClusterError | undefined;
  readonly claim?: { annotations?: Record<string, string>; phase?: string };
  /** Of the DataVolume. */
  readonly status?: Record<string, unknown>;
  readonly events?: readonly Record<string, unknown>[];
}

export interface FakeCdi {
  readonly cluster: Cluster;
  readonly discovery: ReturnType<typeof discoveryOf>;
  readonly proxy: { readonly url: string; readonly ca: string };
  readonly clock: FakeClock;
  /** `METHOD path` of each request to the proxy, and of each that creates something in the cluster. */
  readonly requests: string[];
  /** SHA-256 of what is in place. */
  readonly stored: { sha256: string; bytes: number; encoding: 'raw' | 'gzip' } | undefined;
  readonly headers: IncomingMessage['headers'][];
}

export interface FakeClock extends Clock {
  /** Milliseconds that were slept, without those that were not slept to the end. */
  readonly slept: number[];
  /** Ends the long waits that there are. */
  wake(): void;
}

/** Sleeps at once, but for a minute and more: those last until the test says. */
export function fakeClock(): FakeClock {
  let now = 0;
  const slept: number[] = [];
  const pending = new Set<() => void>();
  return {
    slept,
    now: () => now,
    async sleep(milliseconds, signal) {
      if (signal?.aborted) throw cancelledBy(signal);
      if (milliseconds >= 60_000) {
        await new Promise<void>((resolve, reject) => {
          pending.add(resolve);
          signal?.addEventListener('abort', () => reject(cancelledBy(signal)), { once: true });
        });
      } else {
        await new Promise((resolve) => setImmediate(resolve));
      }
      now += milliseconds;
      slept.push(milliseconds);
    },
    wake() {
      for (const resolve of pending) resolve();
      pending.clear();
    },
  };
}

const KINDS = [
  kindOf('v1 persistentvolumeclaims PersistentVolumeClaim'),
  kindOf('v1 events Event'),
  kindOf('cdi.kubevirt.io/v1beta1 datavolumes DataVolume'),
  kindOf('upload.cdi.kubevirt.io/v1beta1 uploadtokenrequests UploadTokenRequest'),
];
const CLAIM = '/api/v1/namespaces/shop/persistentvolumeclaims/web-root-abcde';
const DATA_VOLUME = '/apis/cdi.kubevirt.io/v1beta1/namespaces/shop/datavolumes/web-root-abcde';
const TOKENS = '/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/shop/uploadtokenrequests';
const FIVE_MINUTES = 300_000;

/** CDI for one claim, `shop/web-root-abcde`: API server, upload proxy and upload server, as those really answer. */
export async function fakeCdi(options: FakeOptions = {}): Promise<FakeCdi> {
  const { answers = ['take'], hasAsync = true, capacity = '1Gi', badTokens = 0 } = options;
  const clock = fakeClock();
  const requests: string[] = [];
  const headers: IncomingMessage['headers'][] = [];
  const tokens = new Map<string, number>();
  const sockets = new Set<Socket>();
  let stored: FakeCdi['stored'];
  let asked = 0;
  let looks = options.looks ?? 2;
  let restarts = 0;
  let posts = 0;
  let isReceiving = false;
  let hasFailed = false;
  let waking: NodeJS.Timeout | undefined;

  const claimNow = (): KubeObject => {
    const isReady = looks <= 0 && stored === undefined;
    return {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: {
        name: 'web-root-abcde',
        namespace: 'shop',
        annotations: {
          'cdi.kubevirt.io/storage.pod.ready': String(isReady),
          'cdi.kubevirt.io/storage.pod.phase': hasFailed ? 'Failed' : stored === undefined ? 'Running' : 'Succeeded',
          'cdi.kubevirt.io/storage.pod.restarts': String(restarts),
          ...options.claim?.annotations,
        },
      },
      status: { phase: options.claim?.phase ?? 'Bound', capacity: { storage: capacity } },
    };
  };
  const carryOut = ({ method, path, body }: ClusterRequest): unknown => {
    if (method === 'POST' && path === TOKENS) {
      asked += 1;
      clearInterval(waking);
      requests.push(`TOKEN ${isMap(body) && isMap(body.spec) ? body.spec.pvcName : ''}`);
      const refusal = options.refuseToken?.(asked);
      if (refusal !== undefined) throw refusal;
      const token = `token-${asked}`;
      if (asked > badTokens) tokens.set(token, clock.now());
      return { status: { token } };
    }
    if (path === DATA_VOLUME) {
      return { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: {}, status: options.status ?? {} };
    }
    if (path !== CLAIM) throw new ClusterError(404, 'NotFound', `${path} is not here`);
    looks -= 1;
    const claim = claimNow();
    hasFailed = false;
    return claim;
  };
  const cluster: Cluster = {
    context: 'prod',
    server: 'https://127.0.0.1',
    namespace: 'shop',
    access: {},
    async json<T>(request: ClusterRequest): Promise<T> {
      await Promise.resolve();
      return structuredClone(carryOut(request)) as T;
    },
    async *list() {
      for (const event of options.events ?? []) {
        yield { apiVersion: 'v1', kind: 'Event', metadata: { name: 'event' }, ...event };
      }
    },
    async *listPages() {},
    ...noWatch,
    async *listData() {},
    close: async () => {},
  };

  /** https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/uploadproxy/uploadproxy.go */
  const refusal = (request: IncomingMessage): { status: number; said?: string } | undefined => {
    const token = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) return { status: 400 };
    const issued = tokens.get(token);
    if (issued === undefined || clock.now() - issued > FIVE_MINUTES) return { status: 401 };
    if (stored !== undefined)
      return { status: 503, said: 'rejecting Upload Request for PVC that already finished uploading' };
    if (isReceiving) return { status: 503 };
    return undefined;
  };
  const store = (body: Buffer) => {
    const isGzip = body.subarray(0, 2).toString('hex') === '1f8b';
    const disk = isGzip ? gunzipSync(body) : body;
    const sha256 = createHash('sha256').update(disk).digest('hex');
    stored = { sha256, bytes: disk.byteLength, encoding: isGzip ? 'gzip' : 'raw' };
  };
  const receive = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answer = answers[Math.min(posts, answers.length - 1)] ?? 'take';
    posts += 1;
    if (typeof answer === 'object' && 'early' in answer) {
      response.writeHead(answer.early, { connection: 'close' }).end(answer.said);
      return;
    }
    isReceiving = true;
    request.on('close', () => {
      isReceiving = false;
    });
    if (answer === 'stall') {
      request.pause();
      // A server that does not read does not hear that the client is gone either.
      isReceiving = false;
      waking = setInterval(() => clock.wake(), 10);
      return;
    }
    const pieces: Buffer[] = [];
    let length = 0;
    try {
      for await (const piece of request) {
        pieces.push(piece);
        length += piece.byteLength;
        if (typeof answer === 'object' && 'resetAt' in answer && length >= answer.resetAt) {
          request.socket.destroy();
          return;
        }
      }
    } catch {
      // The client is gone: nothing is kept, nobody hears an answer.
      return;
    }
    isReceiving = false;
    if (typeof answer === 'object' && 'status' in answer) {
      response.writeHead(answer.status).end(answer.said ?? '');
      return;
    }
    const body = Buffer.concat(pieces);
    if (typeof answer === 'string' && answer !== 'take' && answer !== 'take and reset') {
      if (answer === 'take and restart') restarts += 1;
      if (answer === 'take and go') looks = 2;
      hasFailed = answer === 'take and fail';
      response.writeHead(200).end();
      return;
    }
    store(body);
    if (answer === 'take and reset') request.socket.destroy();
    else response.writeHead(200).end();
  };
  const server = createServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    headers.push(request.headers);
    const refused = refusal(request);
    if (refused !== undefined) {
      response.writeHead(refused.status).end(refused.said ?? '');
    } else if (request.method === 'HEAD') {
      response.writeHead(hasAsync && request.url === '/v1beta1/upload-async' ? 200 : 404).end();
    } else {
      void receive(request, response);
    }
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    clearInterval(waking);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    ...{ cluster, clock, requests, headers },
    discovery: discoveryOf(KINDS),
    proxy: { url: `https://127.0.0.1:${port}`, ca: authority.cert },
    get stored() {
      return stored;
    },
  };
}
