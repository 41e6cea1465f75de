import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerBlob } from './blobs.ts';
import { createFailures, type Failure, type Operation } from './failures.ts';
import { drop, type Exchange, sendJson } from './http.ts';
import { answerRest } from './rest.ts';
import { backendIdOf, createStore, type StoredArtifact } from './store.ts';
import { answerTwirp, type Scope, twirpMethod } from './twirp.ts';

export type { Failure, FailureKind, Operation } from './failures.ts';

export interface ArtifactServiceOptions {
  /** `owner/name` of the repository whose runs there are. */
  readonly repository?: string;
  /** The run that `env` is of. */
  readonly runId?: number;
}

/** What a test sees of an artifact, also of one that is not finished. */
export type SeenArtifact = Pick<
  StoredArtifact,
  'id' | 'name' | 'runId' | 'finalized' | 'size' | 'digest' | 'expiresAt' | 'content'
>;

/** A stand-in of GitHub's artifact service, its blob storage and the part of its REST API that reads other runs. */
export interface ArtifactService {
  readonly url: string;
  /** What a step of the run gets from the runner. */
  readonly env: Readonly<Record<string, string>>;
  /** The token that the REST API takes. */
  readonly token: string;
  /** What a step of another run of the same repository gets. */
  envOf(runId: number): Readonly<Record<string, string>>;
  artifacts(): SeenArtifact[];
  /** Puts a finished artifact into a run. */
  add(runId: number, name: string, content: Buffer): void;
  /** Makes GitHub delete an artifact's content, as it does after the days of retention. */
  expire(artifactId: number): void;
  /** Lets the next requests of a kind fail. */
  fail(failure: Failure): void;
  /** How many requests of a kind came, those that failed included. */
  count(operation: Operation): number;
  /** Resolves when the next request of a kind comes. */
  nextRequest(operation: Operation): Promise<void>;
  /** Forgets all artifacts, failures and counts; the tokens stay good. */
  clear(): void;
  stop(): Promise<void>;
}

const REST_TOKEN = 'ghs_standin';

/** Starts the stand-in on a free port of 127.0.0.1. */
export async function startArtifactService(options: ArtifactServiceOptions = {}): Promise<ArtifactService> {
  const { repository = 'octo-org/shop', runId = 17 } = options;
  const store = createStore();
  const failures = createFailures();
  const counts = new Map<Operation, number>();
  const arrivals = new EventEmitter();
  const scopes = new Map<string, Scope>();
  let url = '';

  const server = createServer((request, response) => {
    const address = new URL(request.url ?? '/', url);
    const operation = operationOf(request, address);
    if (operation !== undefined) {
      counts.set(operation, (counts.get(operation) ?? 0) + 1);
      arrivals.emit(operation);
    }
    const failure = operation === undefined ? undefined : failures.take(operation);
    answer({ request, response, url: address, failure }).catch(() => request.socket.destroy());
  });

  async function answer(exchange: Exchange): Promise<void> {
    const { request, response, url: address, failure } = exchange;
    const method = twirpMethod(address.pathname);
    if (failure === 'drop') return drop(exchange);
    if (failure === 'stall') {
      request.resume();
      return;
    }
    // What was asked for is carried out; only its answer is lost.
    if (failure === 'drop-after') Object.assign(response, { end: () => drop(exchange) });
    if (address.pathname.startsWith('/blobs/')) return answerBlob(exchange, store);
    if (typeof failure === 'number') {
      request.resume();
      return sendJson(response, failure, { msg: 'made to fail', message: 'made to fail' });
    }
    const token = /^(?:bearer|token) (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const scope = scopes.get(token);
    // Every token of the repository may read what it is; those for artifacts need a right of their own.
    const mayRead = token === REST_TOKEN || (token !== '' && address.pathname === `/repos/${repository}`);
    if (method === undefined && mayRead) return answerRest(exchange, { store, baseUrl: url, repository });
    if (method === undefined || scope === undefined) {
      request.resume();
      return sendJson(response, 401, { code: 'unauthenticated', msg: 'bad token', message: 'Bad credentials' });
    }
    return answerTwirp(method, exchange, { store, baseUrl: url, scope });
  }

  function envOf(run: number): Record<string, string> {
    const scope = scopeOf(run);
    const runtimeToken = makeToken(`Actions.Results:${scope.runBackendId}:${scope.jobBackendId}`);
    scopes.set(runtimeToken, scope);
    return {
      ACTIONS_RUNTIME_TOKEN: runtimeToken,
      ACTIONS_RESULTS_URL: `${url}/`,
      GITHUB_ACTIONS: 'true',
      GITHUB_API_URL: url,
      // The toolkit refuses every other host but github.com and *.ghe.com as one without the service.
      GITHUB_SERVER_URL: url.replace('127.0.0.1', 'github.localhost'),
      GITHUB_REPOSITORY: repository,
      GITHUB_RUN_ID: String(run),
    };
  }

  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${portOf(server.address())}`;
  return {
    url,
    env: envOf(runId),
    token: REST_TOKEN,
    envOf,
    artifacts: () => store.artifacts.map((artifact) => ({ ...artifact })),
    add: (run, name, content) => {
      const artifact = store.create({ ...scopeOf(run), name, expiresAt: undefined, mimeType: '' });
      if (artifact === undefined) throw new Error(`Run ${run} has an artifact ${name} already.`);
      const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
      Object.assign(artifact, { content, digest, size: content.byteLength, finalized: true });
    },
    expire: (id) => {
      for (const artifact of store.artifacts) if (artifact.id === id) artifact.expired = true;
    },
    fail: failures.add,
    count: (operation) => counts.get(operation) ?? 0,
    nextRequest: async (operation) => {
      await once(arrivals, operation);
    },
    clear: () => {
      store.artifacts.length = 0;
      failures.clear();
      counts.clear();
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function operationOf(request: IncomingMessage, { pathname, searchParams }: URL): Operation | undefined {
  if (pathname.startsWith('/blobs/')) {
    if (request.method === 'GET') return 'get-blob';
    return searchParams.get('comp') === 'block' ? 'put-block' : 'put-block-list';
  }
  if (pathname.includes('/actions/') && request.method === 'DELETE') return 'rest-delete';
  if (pathname.includes('/actions/')) return pathname.endsWith('/zip') ? 'rest-download' : 'rest-list';
  return twirpMethod(pathname);
}

function scopeOf(runId: number): Scope {
  return { runId, runBackendId: backendIdOf('run', runId), jobBackendId: backendIdOf('job', runId) };
}

/** A JSON Web Token whose signature nobody checks, as the toolkit does not either. */
function makeToken(scope: string): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${encode({ alg: 'none', typ: 'JWT' })}.${encode({ scp: `Actions.ExampleScope ${scope}` })}.c3RhbmQtaW4`;
}

function portOf(address: AddressInfo | string | null): number {
  if (typeof address === 'object' && address !== null) return address.port;
  throw new Error('The server has no port.');
}
