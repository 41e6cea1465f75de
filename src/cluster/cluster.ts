import { type ErrorDetails, TransshipError } from '../errors.ts';

/** An object as the API server sends it. Unknown fields are kept: nothing in this program may drop what it can't name. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

/** The part of `metadata` this program looks at. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
  [field: string]: unknown;
}

/** A Secret or ConfigMap to look at, not to write back: what it holds, and of its metadata what tells it from others. */
export interface DataObject {
  readonly kind: 'Secret' | 'ConfigMap';
  readonly metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'uid' | 'labels' | 'annotations'>;
  /** Without the base64 that JSON needs. */
  readonly data: ReadonlyMap<string, Uint8Array>;
}

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** One request to the API server. */
export interface ClusterRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Absolute path on the server, such as `/api/v1/namespaces`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly contentType?: string | undefined;
  readonly accept?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How a program started by this one (helm) reaches the same cluster as the same user. */
export interface ClusterAccess {
  /** Path of a kubeconfig file; absent when the connection is the in-cluster one. */
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
}

/** Which objects a list asks for. */
export interface ListOptions {
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** How much a page is to have, about; default 1 MiB. Less, where many lists are read at once. */
  readonly pageBytes?: number | undefined;
  /** Empties `metadata.managedFields`, which is much to parse; only for Kubernetes' own kinds. */
  readonly withoutManagedFields?: boolean | undefined;
  /** Only `metadata`, where the server can; `kind` and `apiVersion` of the items then say so. */
  readonly metadataOnly?: boolean | undefined;
  /** Told the resourceVersion of the list, empty where it has none: a watch from there misses nothing. */
  readonly onVersion?: ((resourceVersion: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Which changes a watch asks for. */
export interface WatchOptions extends Pick<ListOptions, 'labelSelector' | 'fieldSelector' | 'metadataOnly' | 'signal'> {
  /** What came after it; undefined: what there is, as if it was added now, and then what changes. */
  readonly resourceVersion?: string | undefined;
  /** As in {@link ListOptions}. */
  readonly withoutManagedFields?: boolean | undefined;
  /** After how many seconds the server is to end it; default 5 to 10 minutes, another time each, as client-go does. */
  readonly timeoutSeconds?: number | undefined;
  /** Told when the server has accepted it, or has not refused it for half a second. */
  readonly onOpen?: (() => void) | undefined;
}

/** A change in a collection: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes */
export type WatchEvent =
  | {
      readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
      /** With `apiVersion` and `kind`; of a deleted one its last state. */
      readonly object: KubeObject;
      /** Where a watch can go on from. */
      readonly resourceVersion: string;
    }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** A connection to one cluster: authenticated, kept alive, limited to a number of connections. */
export interface Cluster {
  /** The name of the kubeconfig context, or `in-cluster`. */
  readonly context: string;
  readonly server: string;
  /** The namespace the kubeconfig's context names, else `default`. */
  readonly namespace: string;
  readonly access: ClusterAccess;

  /**
   * Sends one request and parses the JSON answer. Retries what is safe to send twice (a refused connection and 429 for
   * every method; 5xx, resets and stalls for GET, PUT, DELETE, server-side apply and dry runs) with growing, jittered gaps,
   * honouring `Retry-After`. A retried DELETE may find the object gone already and answer 404.
   *
   * @throws ClusterError with the server's Status when it answers 4xx or 5xx
   */
  json<T>(request: ClusterRequest): Promise<T>;

  /**
   * Lists a collection page by page: the next page is on its way while this one is read. Items carry `apiVersion` and
   * `kind`. An expired continue token starts the list again without losing or repeating an object.
   *
   * @param path - the collection, such as `/api/v1/secrets`
   */
  list(path: string, options?: ListOptions): AsyncIterable<KubeObject>;

  /** {@link list} by the page: an async step an object costs more than most of what is done with one. */
  listPages(path: string, options?: ListOptions): AsyncIterable<readonly KubeObject[]>;

  /**
   * {@link listPages} for a collection of Secrets or ConfigMaps that hold much: as protobuf, where the server offers it,
   * they are smaller and sooner read than as JSON.
   */
  listData(path: string, options?: ListOptions): AsyncIterable<readonly DataObject[]>;

  /**
   * Watches a collection, or by `/api/v1/watch/…` one object, over a connection of its own beside the limited ones. The
   * changes come in lists, as they arrive together, in order. It ends when the server ends it, which it does every few
   * minutes; to go on from the last resourceVersion is the caller's part.
   *
   * @throws ClusterError when it is refused, breaks or falls silent; with status 410 when the resourceVersion is too old,
   *   at once or later
   */
  watch(path: string, options?: WatchOptions): AsyncIterable<readonly WatchEvent[]>;

  /** Closes every connection. */
  close(): Promise<void>;
}

/** The API server's answer when it refuses: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
export class ClusterError extends TransshipError {
  /** The HTTP status, or 0 when no answer came. */
  readonly status: number;
  /**
   * The machine-readable reason, such as `AlreadyExists`. Where no answer came: `Unreachable`, `Reset`, `Stalled`,
   * `Certificate`, `Credentials`, `Closed`, `Unknown`; `InvalidResponse` for an answer that is not the API server's.
   */
  readonly reason: string;
  /** The parsed body of the answer, a Status where the API server itself refused. */
  readonly answer: unknown;

  constructor(status: number, reason: string, message: string, details: ErrorDetails & { answer?: unknown } = {}) {
    super(status === 401 || status === 403 ? 'FORBIDDEN' : 'CLUSTER', message, details);
    this.name = 'ClusterError';
    this.status = status;
    this.reason = reason;
    this.answer = details.answer;
  }
}
