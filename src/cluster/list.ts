import {
  ClusterError,
  type ClusterRequest,
  type DataObject,
  type KubeObject,
  type ListOptions,
  type ObjectMeta,
} from './cluster.ts';
import { DATA_LIST_TYPES, readDataList } from './data-objects.ts';
import { cutManagedFields } from './managed-fields.ts';
import { type Received, readJson, type Send } from './request.ts';
import type { WireAnswer } from './transport.ts';

/** An item of a page carries no apiVersion and kind of its own, but for a few extension servers. */
interface Item {
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

interface Page<I> {
  readonly metadata?: { readonly continue?: string; readonly resourceVersion?: string };
  readonly items: readonly I[] | null;
}

interface JsonPage extends Page<Item> {
  readonly apiVersion: string;
  readonly kind: string;
}

/** What tells an object of a collection from the others. */
interface Identified {
  readonly metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'uid'>;
}

/** Objects of one kind differ in size by a factor of a thousand: the first page shows what to expect. */
const FIRST_LIMIT = 20;
const LEAST_LIMIT = 4;
const MOST_LIMIT = 500;
/** Bytes. Two pages are in memory at a time, each several times over while it is parsed: more gains no speed. */
const PAGE_BYTES = 1024 * 1024;
/** A few extension servers only answer with whole objects. */
const METADATA_TYPES = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json';

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
  const read = options.withoutManagedFields === true ? readWithoutManagedFields : undefined;
  const accept = options.metadataOnly === true ? METADATA_TYPES : undefined;
  const get = (request: ClusterRequest) => send<JsonPage>({ ...request, accept }, read);
  for await (const { page, items } of readPages(get, path, options)) {
    const apiVersion = page.apiVersion;
    const kind = page.kind.replace(/List$/, '');
    yield items.map((item) => ({ apiVersion, kind, ...item }));
  }
}

/**
 * {@link listPages} for Secrets or ConfigMaps, as protobuf where the server offers it.
 *
 * @throws ClusterError also when a page is no list of these
 */
export async function* listData(
  send: Send,
  path: string,
  options: ListOptions = {},
): AsyncGenerator<readonly DataObject[]> {
  const get = (request: ClusterRequest) => send({ ...request, accept: DATA_LIST_TYPES }, readDataList);
  for await (const { items } of readPages(get, path, options)) {
    yield items;
  }
}

function readWithoutManagedFields({ body }: Pick<WireAnswer, 'body'>): JsonPage {
  return readJson<JsonPage>({ body: cutManagedFields(body) });
}

/** Gets the pages one after the other; `items` are those of the page that were not on an earlier one. */
async function* readPages<I extends Identified, P extends Page<I>>(
  get: (request: ClusterRequest) => Promise<Received<P & Page<I>>>,
  path: string,
  options: ListOptions,
): AsyncGenerator<{ readonly page: P; readonly items: readonly I[] }> {
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
    const page = get({ method: 'GET', path, query, signal }).catch(async (error: unknown) => {
      if (token === undefined || !isExpired(error)) {
        throw error;
      }
      const offered = offeredToken(error);
      if (offered !== undefined) {
        return get({ method: 'GET', path, query: { ...query, continue: offered }, signal });
      }
      const all = await get({
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
    let next: Promise<Received<P & Page<I>>> | undefined = request(FIRST_LIMIT, undefined);
    let limit: number | undefined;
    while (next !== undefined) {
      const received: Received<P & Page<I>> = await next;
      // The server makes the next page while this one is parsed.
      const early = limit === undefined ? undefined : peekToken(received);
      next = early === undefined ? undefined : request(limit, early);
      const page: P & Page<I> = received.value();
      // A later page may be of a later version, after an expired token; the first has what a watch must begin with.
      if (limit === undefined) options.onVersion?.(page.metadata?.resourceVersion ?? '');
      const items = page.items ?? [];
      const token: string | undefined = page.metadata?.continue || undefined;
      if (token !== undefined) {
        identifiers.push(items.map(identifierOf).join('\n'));
        limit = nextLimit(items.length, received.bytes, options.pageBytes);
      }
      if (token !== early) next = token === undefined ? undefined : request(limit, token);
      const known = seen;
      yield { page, items: known === undefined ? items : items.filter((item) => !known.has(identifierOf(item))) };
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
 * of custom resources, after them. Inside an item, quotes would be escaped or the braces would not fit. None is found in
 * protobuf, which takes no time to read.
 */
function peekToken({ bytes, peek }: Received<unknown>): string | undefined {
  const metadata = HEAD.exec(peek(0, MOST_METADATA)) ?? TAIL.exec(peek(bytes - MOST_METADATA, bytes));
  return /"continue":"([^"\\]+)"/.exec(metadata?.[1] ?? '')?.[1];
}

function identifierOf({ metadata }: Identified): string {
  return metadata.uid ?? `${metadata.namespace ?? ''}/${metadata.name}`;
}

function nextLimit(items: number, bytes: number, pageBytes = PAGE_BYTES): number {
  const fitting = items === 0 ? MOST_LIMIT : Math.floor((pageBytes * items) / bytes);
  return Math.min(MOST_LIMIT, Math.max(LEAST_LIMIT, fitting));
}

/** Whether the server no longer knows the version, or the token, that it was asked to go on from. */
export function isExpired(error: unknown): error is ClusterError {
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
