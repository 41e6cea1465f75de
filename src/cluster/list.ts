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

/**
 * Lists a collection page by page, in the server's order; each object once, the next page on its way while this one is
 * read. Only identifiers are kept of what was read.
 *
 * @param path - the collection, such as `/api/v1/secrets`
 * @throws ClusterError when a page cannot be had
 */
export async function* listObjects(send: Send, path: string, options: ListOptions = {}): AsyncGenerator<KubeObject> {
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const seen = new Set<string>();

  const request = (limit: number | undefined, token: string | undefined) => {
    const query = {
      limit,
      continue: token,
      labelSelector: options.labelSelector,
      fieldSelector: options.fieldSelector,
    };
    const page = send<Page>({ method: 'GET', path, query, signal }).catch((error: unknown) => {
      if (token === undefined || !isExpired(error)) {
        throw error;
      }
      return send<Page>({ method: 'GET', path, query: { ...query, ...afterExpiry(error, limit) }, signal });
    });
    // It fails while an earlier page is still being read: the failure is met when this page's turn comes.
    page.catch(() => {});
    return page;
  };

  try {
    let next: Promise<Received<Page>> | undefined = request(FIRST_LIMIT, undefined);
    while (next !== undefined) {
      const { value: page, bytes }: Received<Page> = await next;
      const items = page.items ?? [];
      const token: string | undefined = page.metadata?.continue;
      next = token ? request(nextLimit(items.length, bytes), token) : undefined;
      const apiVersion = page.apiVersion;
      const kind = page.kind.replace(/List$/, '');
      for (const item of items) {
        const id = item.metadata.uid ?? `${item.metadata.namespace ?? ''}/${item.metadata.name}`;
        if (!seen.has(id)) {
          seen.add(id);
          yield { apiVersion, kind, ...item };
        }
      }
    }
  } finally {
    stop.abort();
  }
}

function nextLimit(items: number, bytes: number): number {
  const fitting = items === 0 ? MOST_LIMIT : Math.floor((PAGE_BYTES * items) / bytes);
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
function afterExpiry(
  error: ClusterError,
  limit: number | undefined,
): { limit?: number | undefined; continue?: string | undefined } {
  const { answer } = error;
  const metadata = typeof answer === 'object' && answer !== null && 'metadata' in answer ? answer.metadata : undefined;
  const token =
    typeof metadata === 'object' && metadata !== null && 'continue' in metadata ? metadata.continue : undefined;
  return typeof token === 'string' && token !== ''
    ? { limit, continue: token }
    : { limit: undefined, continue: undefined };
}
