import { cancelledBy } from '../errors.ts';
import { ClusterError, type WatchEvent, type WatchOptions } from './cluster.ts';
import type { Credentials, Session } from './credentials.ts';
import { createDispatchers, type Dispatchers } from './dispatchers.ts';
import { invalidAnswer, noAnswer, refusal, type Where } from './failures.ts';
import { queryString } from './request.ts';
import { openStream, type StreamedAnswer } from './stream.ts';
import { createLineSplitter, readWatchLine } from './watch-lines.ts';

export interface WatcherOptions {
  readonly context: string;
  readonly server: string;
  readonly proxy: string | undefined;
  readonly credentials: Credentials;
  /** Milliseconds without a byte after which a watch that should have had a bookmark is taken to be dead; default 3 minutes. */
  readonly silence?: number | undefined;
}

/** Watches over connections of their own: each holds one for minutes, and requests must not wait for them. */
export interface Watcher {
  /** See `Cluster.watch`. */
  watch(path: string, options?: WatchOptions): AsyncGenerator<readonly WatchEvent[]>;
  close(): Promise<void>;
}

/** Seconds, with as much again at random: https://github.com/kubernetes/client-go/blob/v0.35.4/tools/cache/reflector.go */
const LEAST_TIMEOUT = 300;
/** Milliseconds. The server sends a bookmark each minute, so three are missed. */
const SILENCE = 180_000;
/** Milliseconds. A server that refuses does so at once, but a proxy may hold back the beginning of an answer without events. */
const CONSENT = 500;

const JSON_TYPE = 'application/json';
/** A few extension servers only answer with whole objects. */
const METADATA_TYPE = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json';

/** Opens nothing yet. */
export function createWatcher(options: WatcherOptions): Watcher {
  const { context, credentials, silence = SILENCE } = options;
  const server = new URL(options.server);
  const prefix = server.pathname.replace(/\/$/, '');
  let preparing: Promise<Dispatchers> | undefined;
  let closed = false;

  async function open(session: Session, path: string, accept: string, opening: Opening): Promise<StreamedAnswer> {
    preparing ??= createDispatchers({ server, proxy: options.proxy, connections: null, stallTimeout: 0 });
    const dispatchers = await preparing;
    if (closed) throw new ClusterError(0, 'Closed', `The connection to ${server.origin} is closed.`);
    const headers = ['accept', accept, 'user-agent', 'transship', ...session.headers];
    const request = { method: 'GET', path, headers, body: undefined, signal: opening.signal };
    return openStream(dispatchers.for(session.tls), server.origin, request, opening.heard, opening.sent);
  }

  /** Asks again once where new credentials may help. */
  async function begin(where: Where, path: string, accept: string, opening: Opening): Promise<StreamedAnswer> {
    for (let renewed = false; ; renewed = true) {
      const session = await credentials.current();
      const answer = await open(session, path, accept, opening);
      if (answer.status === 200) return answer;
      const { error } = refusal({ ...answer, body: await gather(answer), release() {} }, where);
      if (answer.status !== 401 || renewed || !(await credentials.renew(session))) throw error;
    }
  }

  return {
    async *watch(path, { signal, onOpen, withoutManagedFields = false, metadataOnly = false, ...selection } = {}) {
      const timeoutSeconds = selection.timeoutSeconds ?? Math.round(LEAST_TIMEOUT * (1 + Math.random()));
      const { resourceVersion, labelSelector, fieldSelector } = selection;
      const query = { watch: true, allowWatchBookmarks: true, resourceVersion, timeoutSeconds };
      const url = prefix + path + queryString({ ...query, labelSelector, fieldSelector });
      const where: Where = { method: 'GET', path, server: options.server, context };
      const watchdog = createWatchdog();
      const either = signal === undefined ? watchdog.signal : AbortSignal.any([signal, watchdog.signal]);
      const consent = createConsent(onOpen);
      const opening = { signal: either, heard: watchdog.heard, sent: consent.expect };
      try {
        watchdog.allow(timeoutSeconds * 1000 + silence);
        const answer = await begin(where, url, metadataOnly ? METADATA_TYPE : JSON_TYPE, opening);
        consent.give();
        const splitter = createLineSplitter();
        for await (const chunks of answer.chunks) {
          const events: WatchEvent[] = [];
          try {
            for (const line of chunks.flatMap((chunk) => splitter.split(chunk))) {
              const event = readWatchLine(line, withoutManagedFields);
              if (event !== undefined) events.push(event);
              // Once there has been one, the next will come.
              if (event?.type === 'BOOKMARK') watchdog.allow(silence);
            }
          } catch (error) {
            // What came before the server's last word still counts.
            if (events.length > 0) yield events;
            if (error instanceof ClusterError) throw error;
            throw invalidAnswer(
              { ...answer, body: Buffer.concat(chunks).subarray(0, 512), release() {} },
              where,
              error,
            );
          }
          if (events.length > 0) yield events;
        }
      } catch (error) {
        if (signal?.aborted) throw cancelledBy(signal, `watch of ${path}`);
        if (error instanceof ClusterError) throw error;
        throw noAnswer(error, where, silence).error;
      } finally {
        consent.stop();
        watchdog.stop();
      }
    },
    async close() {
      closed = true;
      await (await preparing)?.close();
    },
  };
}

/** What goes with a request until its answer begins. */
interface Opening {
  readonly signal: AbortSignal;
  heard(): void;
  sent(): void;
}

async function gather({ chunks }: StreamedAnswer): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const some of chunks) all.push(...some);
  return Buffer.concat(all);
}

/** Tells once that a watch is accepted: that is said, or not denied. */
function createConsent(onOpen: (() => void) | undefined) {
  let timer: NodeJS.Timeout | undefined;
  let isGiven = false;
  const give = () => {
    clearTimeout(timer);
    if (!isGiven) onOpen?.();
    isGiven = true;
  };
  return {
    give,
    expect(): void {
      clearTimeout(timer);
      timer = setTimeout(give, CONSENT);
      timer.unref();
    },
    stop: () => clearTimeout(timer),
  };
}

/** Ends a watch of which nothing is heard for too long, though its connection may look alive. */
function createWatchdog() {
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let allowed = 0;
  const bite = () => {
    const message = `The watch fell silent: nothing came for ${Math.round(allowed / 1000)} s.`;
    stop.abort(new ClusterError(0, 'Stalled', message));
  };
  return {
    signal: stop.signal,
    heard: () => void timer?.refresh(),
    /** From now on, so many milliseconds of silence are too long. */
    allow(milliseconds: number): void {
      if (milliseconds === allowed) return;
      allowed = milliseconds;
      clearTimeout(timer);
      timer = setTimeout(bite, milliseconds);
      timer.unref();
    },
    stop: () => clearTimeout(timer),
  };
}
