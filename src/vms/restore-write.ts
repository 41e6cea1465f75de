import { FIELD_MANAGER } from '../cluster/apply.ts';
import { type Clock, systemClock } from '../cluster/clock.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';

export interface WriteOptions {
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

const TRIES = 6;
/** Milliseconds. */
const FIRST_GAP = 200;

/**
 * Creates an object, also where the connection breaks in the middle: then only a look tells whether it was created.
 *
 * @param path - of its collection
 * @returns the object that is there, and whether it is new: one of that name may have been there before
 */
export async function createOnce(
  cluster: Cluster,
  path: string,
  body: KubeObject,
  options: WriteOptions,
): Promise<{ live: KubeObject; isNew: boolean }> {
  const { signal } = options;
  let mayBeMade = false;
  return again(options, async () => {
    try {
      const query = { fieldManager: FIELD_MANAGER };
      return { live: await cluster.json<KubeObject>({ method: 'POST', path, query, body, signal }), isNew: true };
    } catch (error) {
      mayBeMade ||= mayPass(error);
      if (!(error instanceof ClusterError) || error.status !== 409) throw error;
      const live = await findObject(cluster, `${path}/${encodeURIComponent(body.metadata.name)}`, signal);
      // Gone since: the next try creates it.
      if (live === undefined) throw new ClusterError(503, 'Gone', error.message, { cause: error });
      return { live, isNew: mayBeMade };
    }
  });
}

/** Merges fields into an object (RFC 7386), also where the connection breaks: to do it twice changes nothing more. */
export function mergeFields(
  cluster: Cluster,
  path: string,
  fields: object,
  options: WriteOptions,
): Promise<KubeObject> {
  return again(options, () =>
    cluster.json<KubeObject>({
      method: 'PATCH',
      path,
      query: { fieldManager: FIELD_MANAGER },
      contentType: 'application/merge-patch+json',
      body: fields,
      signal: options.signal,
    }),
  );
}

async function again<T>({ clock = systemClock, signal }: WriteOptions, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (!mayPass(error) || tries === TRIES || signal?.aborted === true) throw error;
      const gap = FIRST_GAP * 2 ** (tries - 1);
      await clock.sleep(gap, signal);
    }
  }
}

function mayPass(error: unknown): boolean {
  return error instanceof ClusterError && (error.status === 0 || error.status >= 500) && error.reason !== 'Certificate';
}
