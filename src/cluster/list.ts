import { ClusterError, type KubeObject, type ListOptions, type ObjectMeta } from './cluster.ts';
import type { Received, Send } from './request.ts';

/** An item of a page carries no apiVersion and kind of its own, but for a few extension servers. */
interface Item {
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

interface Page {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata?: { readonly continue?: string };
  readonly items: readonly Item[] | null;
}

/** Objects of one kind differ in size by a factor of a thousand: the first page shows what to expect. */
const FIRST_LIMIT = 20;
const LEAST_LIMIT = 4;
const MOST_LIMIT = 500;
/** Bytes. Two pages are in memory at a time, each several times over while it is parsed: more gains no speed. */
const PAGE_BYTES = 1024 * 1024;

/** {@link listPages}, object by object. */
export async function* listObjects(send: Send, path: string, options: ListOptions = {}): AsyncGenerator<KubeObject> {
  for await (const page of listPages(send, path, options)) {
    for (const object of page) {
      yield object;
    }
  }
}

/**
 * Lists a collection page by page, in the server's order; each object once, the next page on its way while this one is
 * read. Only identifiers are kept of what was read.
 *
 * @param path - the collection, such as `/api/v1/secrets`
 * @throws ClusterError when a page cannot be had
 */
export async function* listPages(send: Send, path: string, options: ListOptions = {}): AsyncGenerator<KubeObject[]> {
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  /** A text a page: as many texts and a set of them would be the most that is kept of a large collection. */
  const identifiers: string[] = [];
  let seen: ReadonlySet<string> | undefined;

  const request = (limit: number | undefined, token: string | undefined) => {
    const query = {
      limit,
      continue: token,
      labelSelector: options.labelSelector,
      fieldSelector: options.fieldSelector,
    };
    const page = send<Page>({ method: 'GET', path, query, signal }).catch(async (error: unknown) => {
      if (token === undefined || !isExpired(error)) {
        throw error;
      }
      const offered = offeredToken(error);
      if (offered !== undefined) {
        return send<Page>({ method: 'GET', path, query: { ...query, continue: offered }, signal });
      }
      const all = await send<Page>({
        method: 'GET',
        path,
        query: { ...query, limit: undefined, continue: undefined },
        signal,
      });
      seen = new Set(identifiers.join('\n').split('\n'));
      return all;
    });
    // It fails while an earlier page is still being read: the failure is met when this page's turn comes.
    page.catch(() => {});
    return page;
  };

  try {
    let next: Promise<Received<Page>> | undefined = request(FIRST_LIMIT, undefined);
    let limit: number | undefined;
    while (next !== undefined) {
      const received: Received<Page> = await next;
      // The server makes the next page while this one is parsed.
      const early = limit === undefined ? undefined : peekToken(received);
      next = early === undefined ? undefined : request(limit, early);
      const page = received.value();
      const items = page.items ?? [];
      const token: string | undefined = page.metadata?.continue || undefined;
      if (token !== undefined) {
        identifiers.push(items.map(identifierOf).join('\n'));
        limit = nextLimit(items.length, received.bytes, options.pageBytes);
      }
      if (token !== early) next = token === undefined ? undefined : request(limit, token);
      const apiVersion = page.apiVersion;
      const kind = page.kind.replace(/List$/, '');
      const known = seen;
      const unseen = known === undefined ? items : items.filter((item) => !known.has(identifierOf(item)));
      yield unseen.map((item) => ({ apiVersion, kind, ...item }));
    }
  } finally {
    stop.abort();
  }
}

const HEAD = /^\{"kind":"\w+","apiVersion":"[^"]+","metadata":\{([^{}]*)\},"items":\[/;
const TAIL = /\],"kind":"\w+","metadata":\{([^{}]*)\}\}\s*$/;
/** Bytes that have the metadata of a list: tokens are short of a KiB. */
const MOST_METADATA = 2048;

/**
 * The continue token of a page that is not parsed yet, where it stands as the API server writes it: before the items or,
 * of custom resources, after them. Inside an item, quotes would be escaped or the braces would not fit.
 */
function peekToken({ bytes, peek }: Received<Page>): string | undefined {
  const metadata = HEAD.exec(peek(0, MOST_METADATA)) ?? TAIL.exec(peek(bytes - MOST_METADATA, bytes));
  return /"continue":"([^"\\]+)"/.exec(metadata?.[1] ?? '')?.[1];
}

function identifierOf({ metadata }: Item): string {
  return metadata.uid ?? `${metadata.namespace ?? ''}/${metadata.name}`;
}

function nextLimit(items: number, bytes: number, pageBytes = PAGE_BYTES): number {
  const fitting = items === 0 ? MOST_LIMIT : Math.floor((pageBytes * items) / bytes);
  return Math.min(MOST_LIMIT, Math.max(LEAST_LIMIT, fitting));
}

function isExpired(error: unknown): error is ClusterError {
  return error instanceof ClusterError && error.status === 410;
}

/**
 * How to go on after the history that a continue token refers to was compacted. The server offers a token that goes on
 * at the same key in the present; one that does not is asked again for everything at once, which cannot expire, and what
 * was seen is left out: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
 */
function offeredToken({ answer }: ClusterError): string | undefined {
  const metadata = typeof answer === 'object' && answer !== null && 'metadata' in answer ? answer.metadata : undefined;
  const token =
    typeof metadata === 'object' && metadata !== null && 'continue' in metadata ? metadata.continue : undefined;
  return typeof token === 'string' && token !== '' ? token : undefined;
}
