import { createObject, objectPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { type Environment, withEnvironment, withEnvironmentOfVm } from '../environment/environment.ts';
import { messageOf } from '../errors.ts';
import type { UndoLog } from '../undo.ts';
import { removeExactly, removeUnfinished, UNFINISHED_LABEL } from './clone-clean-up.ts';
import { allowed } from './temporary-objects.ts';

export interface CloneWriterOptions {
  readonly run: string;
  /** What is created is labelled with it. */
  readonly environment?: Environment | undefined;
  /** Told of all that is created to stay. */
  readonly undo?: UndoLog | undefined;
}

/** An object that a clone made, or may have made. */
export interface MadeObject {
  readonly path: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
  /** Undefined where no answer came. */
  readonly uid: string | undefined;
}

/** Makes and takes back what clones make at the target. */
export interface CloneWriter {
  /**
   * Creates an object, marked as unfinished.
   *
   * @param made - gets it, also where it is not known whether it was created
   */
  create(object: KubeObject, made: MadeObject[], purpose: string): Promise<KubeObject>;
  /** Creates a namespace, which stays, unless there is one. */
  createNamespace(namespace: KubeObject, purpose: string): Promise<void>;
  /** Takes the mark off. */
  settle(object: MadeObject): Promise<void>;
  /** Deletes them, the last first. @returns what could not be deleted, with why */
  remove(objects: readonly MadeObject[]): Promise<string[]>;
}

/** None of what it does takes a signal: what is created after all has to be known, to be deleted. */
export function createCloneWriter(
  cluster: Cluster,
  discovery: Discovery,
  { run, environment, undo }: CloneWriterOptions,
): CloneWriter {
  const post = async (object: KubeObject, purpose: string): Promise<KubeObject> => {
    const kind = discovery.findKind(object.apiVersion, object.kind);
    const { group = '', plural = object.kind } = kind ?? {};
    const namespace = object.metadata.namespace ?? '';
    return allowed({ verb: 'create', group, resource: plural, namespace, purpose }, () =>
      createObject(cluster, discovery, object),
    );
  };
  return {
    async create(object, made, purpose) {
      const labels = { ...object.metadata.labels, [UNFINISHED_LABEL]: run };
      const marked = { ...object, metadata: { ...object.metadata, labels } };
      const body = withEnvironmentOfVm(marked, environment?.name);
      const { name, namespace } = object.metadata;
      const about = { path: objectPath(cluster, discovery, body), kind: object.kind, name, namespace };
      try {
        const live = await post(body, purpose);
        made.push({ ...about, uid: live.metadata.uid });
        await undo?.created(about.path, live);
        return live;
      } catch (error) {
        const isUnknown = error instanceof ClusterError && (error.status === 0 || error.status >= 500);
        if (isUnknown) {
          made.push({ ...about, uid: undefined });
          await undo?.created(about.path, body);
        }
        throw error;
      }
    },
    async createNamespace(namespace, purpose) {
      const body = withEnvironment(namespace, environment?.name);
      try {
        const live = await post(body, purpose);
        await undo?.created(objectPath(cluster, discovery, body), live);
      } catch (error) {
        if (!(error instanceof ClusterError) || error.status !== 409) throw error;
      }
    },
    async settle({ path }) {
      const body = { metadata: { labels: { [UNFINISHED_LABEL]: null } } };
      await cluster.json({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body });
    },
    async remove(objects) {
      const left: string[] = [];
      for (const { path, uid } of objects.toReversed()) {
        try {
          if (uid === undefined) await removeUnfinished(cluster, path, run);
          else await removeExactly(cluster, path, uid);
        } catch (error) {
          left.push(`${path} (${messageOf(error)})`);
        }
      }
      return left;
    },
  };
}
