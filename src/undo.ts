import type { KubeObject } from './cluster/cluster.ts';

/** What an import did to the cluster, as it did it: what `atomic` takes back, the last first. */
export interface UndoLog {
  /** An object was created by this import. @param path - of the object on the API server, such as `/api/v1/namespaces/shop` */
  created(path: string, live: KubeObject): Promise<void>;
  /** An object is about to be changed, or deleted to be created anew: told before, with the object as it is. */
  changing(path: string, before: KubeObject): Promise<void>;
  /** Helm is about to install a release that is new. */
  installing(namespace: string, name: string): Promise<void>;
  /** Helm is about to upgrade a release; `records` are the objects that hold its history now. */
  upgrading(namespace: string, name: string, revision: number, records: readonly KubeObject[]): Promise<void>;
}
