import type { Cluster, ListOptions } from '../cluster/cluster.ts';
import { toDataObject } from '../cluster/data-objects.ts';
import type { MirrorCollection } from './mirror-collection.ts';

/**
 * The same cluster, but that lists of what is watched are read from disk. Closing it closes nothing: the connection is
 * that of the cluster.
 *
 * @param find - the collection that can answer a list; undefined where the server has to
 */
export function mirrorCluster(
  cluster: Cluster,
  find: (path: string, options: ListOptions) => MirrorCollection | undefined,
): Cluster {
  function pagesOf(path: string, options: ListOptions) {
    return find(path, options)?.pages(options);
  }
  async function* listPages(path: string, options: ListOptions = {}) {
    yield* pagesOf(path, options) ?? cluster.listPages(path, options);
  }
  return {
    ...cluster,
    listPages,
    async *list(path, options) {
      for await (const page of listPages(path, options)) yield* page;
    },
    async *listData(path, options = {}) {
      const pages = pagesOf(path, options);
      if (pages === undefined) yield* cluster.listData(path, options);
      else for await (const page of pages) yield page.flatMap((object) => toDataObject(object) ?? []);
    },
    close: async () => {},
  };
}
