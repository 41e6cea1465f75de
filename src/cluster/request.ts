import { cancelledBy } from '../errors.ts';
import { hasManyDigits, parseExactly } from '../json.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Clock } from './clock.ts';
import type { ClusterRequest } from './cluster.ts';
import type { Credentials, Session } from './credentials.ts';
import { type Failure, invalidAnswer, noAnswer, refusal, type Where } from './failures.ts';
import type { Transport, WireAnswer } from './transport.ts';

/** An answer and how many bytes it was. */
export interface Received<T> {
  readonly bytes: number;
  /** Some of the answer before it is parsed, as ASCII; what is not is read as something else. */
  peek(start: number, end: number): string;
  /**
   * Parses the answer, once: parsed pages that wait for their turn would be most of an export's memory.
   *
   * @throws ClusterError `InvalidResponse`
   */
  value(): T;
}

/** Makes of an answer of 2xx what it says, or throws. The memory of its body is used again afterwards. */
export type ReadAnswer<T> = (answer: Pick<WireAnswer, 'headers' | 'body'>) => T;

/** Sends one request, again where that is safe and may help. The answer is read as JSON unless told otherwise. */
export type Send = <T>(request: ClusterRequest, read?: ReadAnswer<T>) => Promise<Received<T>>;

export interface SenderOptions {
  readonly context: string;
  readonly server: string;
  readonly credentials: Credentials;
  readonly transport: Transport;
  readonly reporter: Reporter;
  readonly clock: Clock;
  /** Milliseconds; what the transport was made with. */
  readonly stallTimeout: number;
}

/** How often a request is sent at most. With gaps of up to 10 s, ten times outlast a restarting API server. */
const TRIES = 10;
/** Before the first answer ever, a wrong address is more likely than a restart: fail soon. */
const FIRST_TRIES = 4;
const STALL_TRIES = 3;
const INTERNAL_TRIES = 4;
/** Milliseconds. */
const FIRST_GAP = 250;
const LONGEST_GAP = 10_000;
const LONGEST_RETRY_AFTER = 60_000;
/** How long after trouble a 401 or 403 is doubted: a starting API server serves before it knows the roles. */
const DOUBT = 20_000;

const JSON_TYPE = 'application/json';

/** The request layer of a cluster: authentication, retries, parsing, errors in the user's words. */
export function createSender(options: SenderOptions): Send {
  const { credentials, transport, clock, reporter } = options;
  const prefix = new URL(options.server).pathname.replace(/\/$/, '');
  const headersOf = createHeaderCache();
  let answered = false;
  let troubleUntil = Number.NEGATIVE_INFINITY;

  /** @returns milliseconds until the next try, or undefined when there must be none */
  function gapBefore(failure: Failure, request: ClusterRequest, tries: number): number | undefined {
    if (tries >= triesFor(failure, request, answered, clock.now() < troubleUntil)) {
      return undefined;
    }
    const gap = Math.min(FIRST_GAP * 2 ** (tries - 1), LONGEST_GAP);
    const jittered = gap * (0.5 + Math.random() / 2);
    return Math.max(jittered, Math.min(failure.retryAfter ?? 0, LONGEST_RETRY_AFTER));
  }

  return async function send<T>(request: ClusterRequest, read: ReadAnswer<T> = readJson): Promise<Received<T>> {
    const { method, signal } = request;
    const path = prefix + request.path + queryString(request.query);
    const body = request.body === undefined ? undefined : formatBody(request.body, request.contentType);
    const where: Where = { method, path: request.path, server: options.server, context: options.context };
    let renewed = false;
    for (let tries = 1; ; tries++) {
      const pending = credentials.current();
      const session = pending instanceof Promise ? await pending : pending;
      const headers = headersOf(session, request);
      let failure: Failure;
      try {
        const answer = await transport.exchange({ method, path, headers, body, signal }, session.tls);
        if (answer.status < 300) {
          answered = true;
          return receive(answer, where, read);
        }
        answered = true;
        failure = refusal(answer, where);
      } catch (error) {
        if (signal?.aborted) {
          throw cancelledBy(signal, `${method} ${request.path}`);
        }
        failure = noAnswer(error, where, options.stallTimeout);
      }
      if (failure.error.status === 401 && !renewed) {
        renewed = true;
        if (await credentials.renew(session)) {
          continue;
        }
      }
      const gap = gapBefore(failure, request, tries);
      if (gap === undefined) {
        throw failure.error;
      }
      if (failure.kind !== 'denied' && failure.error.status !== 429) {
        troubleUntil = clock.now() + gap + DOUBT;
      }
      reporter.debug(`Retrying in ${(gap / 1000).toFixed(1)} s: ${failure.error.message}`);
      await clock.sleep(gap, signal);
    }
  };
}

function triesFor(failure: Failure, request: ClusterRequest, answered: boolean, troubled: boolean): number {
  switch (failure.kind) {
    case 'unsent':
      return answered ? TRIES : FIRST_TRIES;
    case 'lost':
    case 'busy':
      return isIdempotent(request) ? TRIES : 1;
    case 'stalled':
      return isIdempotent(request) ? STALL_TRIES : 1;
    case 'internal':
      return request.method === 'GET' ? INTERNAL_TRIES : 1;
    case 'denied':
      return troubled ? TRIES : 1;
    case 'final':
      return 1;
  }
}

/** Whether carrying it out twice ends as carrying it out once. */
function isIdempotent({ method, contentType, query }: ClusterRequest): boolean {
  return (
    method === 'GET' ||
    method === 'PUT' ||
    method === 'DELETE' ||
    query?.dryRun === 'All' ||
    (method === 'PATCH' && contentType?.startsWith('application/apply-patch') === true)
  );
}

/** What YAML refuses inside a text, or takes for the end of a line: https://yaml.org/spec/1.2.2/#51-character-set */
const NOT_IN_YAML = /[\x7f-\x9f\u2028\u2029\ufffe\uffff]/g;

/** The API server reads what is to be applied as YAML: there JSON means the same but for some characters. */
function formatBody(body: unknown, contentType = JSON_TYPE): string {
  const json = JSON.stringify(body);
  if (!contentType.endsWith('+yaml')) return json;
  return json.replace(NOT_IN_YAML, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function receive<T>(answer: WireAnswer, where: Where, read: ReadAnswer<T>): Received<T> {
  return {
    bytes: answer.body.length,
    peek: (start, end) => answer.body.toString('latin1', Math.max(0, start), end),
    value() {
      const value = readAnswer(answer, where, read);
      answer.release();
      return value;
    },
  };
}

function readAnswer<T>(answer: WireAnswer, where: Where, read: ReadAnswer<T>): T {
  try {
    return read(answer);
  } catch (error) {
    throw invalidAnswer(answer, where, error);
  }
}

/** Reads an answer in JSON; integers keep every digit. */
export function readJson<T>({ body }: Pick<WireAnswer, 'body'>): T {
  // An empty answer has nothing to tell: null, as JSON would say it.
  const text = body.length === 0 ? 'null' : body.toString('utf8');
  return hasManyDigits(body) ? parseExactly<T>(text) : JSON.parse(text);
}

/** As it follows a path; what is undefined is left out. */
export function queryString(query: ClusterRequest['query']): string {
  if (query === undefined) {
    return '';
  }
  const pairs = Object.entries(query)
    .filter((pair): pair is [string, string | number | boolean] => pair[1] !== undefined)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}

/** Almost all requests carry the same headers: they are put together once for each set of credentials. */
function createHeaderCache(): (session: Session, request: ClusterRequest) => readonly string[] {
  let owner: Session | undefined;
  let cache = new Map<string, readonly string[]>();
  return (session, request) => {
    if (owner !== session) {
      owner = session;
      cache = new Map();
    }
    const accept = request.accept ?? JSON_TYPE;
    const type = request.body === undefined ? '' : (request.contentType ?? JSON_TYPE);
    const key = `${accept}\n${type}`;
    let headers = cache.get(key);
    if (headers === undefined) {
      headers = ['accept', accept, 'user-agent', 'transship', ...session.headers];
      if (type !== '') {
        headers = [...headers, 'content-type', type];
      }
      cache.set(key, headers);
    }
    return headers;
  };
}
