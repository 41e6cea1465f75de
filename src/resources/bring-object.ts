import { collectionPath } from '../cluster/apply.ts';
import type { Clock } from '../cluster/clock.ts';
import type { KubeObject } from '../cluster/cluster.ts';
import type { OwnerLinks } from './owner-links.ts';
import { groupOf } from './resource.ts';
import { appearsByItself } from './rules.ts';
import type { ImportWork, WorkFile, WorkObject } from './work.ts';
import { pathOf, type WriteObject, type Written } from './write-object.ts';
import { readRefusal } from './write-refusals.ts';
import type { WriteStatus } from './write-status.ts';

export interface BringOptions {
  readonly write: WriteObject;
  readonly writeStatus: WriteStatus;
  readonly links: OwnerLinks;
  /** Whether the status of a kind is brought in too. */
  readonly restoreStatus: (kind: string, group: string) => boolean;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Brings in one object that is new or different, with its owners and status.
 *
 * @param isPatient - whether to wait some moments for what comes by itself
 */
export type BringObject = (file: WorkFile, one: WorkObject, isPatient: boolean) => Promise<Written['outcome']>;

/** Milliseconds: a kind is served within these of its CRD, a service account is there within these of its namespace. */
const GAPS = [50, 100, 200, 400, 800];

/** Makes the function that does. When it fails the object is as it was before, and may be brought in again. */
export function createBringer(work: ImportWork, options: BringOptions): BringObject {
  const { write, writeStatus, links, restoreStatus, clock, signal } = options;

  async function bring({ kind, ...file }: WorkFile, one: WorkObject): Promise<Written['outcome']> {
    const { object, key, standing, recreate } = one;
    const path = collectionPath(kind, file.namespace);
    const status = takeStatus(object);
    const lostOwners = links.lost(object);
    const references = links.begin(object);
    try {
      const written = await write({
        path,
        object,
        exists: standing === 'different',
        recreate,
        ownsOthers: work.owners.has(key),
        mayAppear: appearsByItself(object) || references.some(({ controller }) => controller === true),
        lostOwners,
      });
      links.learn(key, recreate, written);
      if (status !== undefined) await writeStatus(kind, pathOf({ path, object }), status, written.live);
      await links.end({ kind, ...file }, object, references, written);
      return written.outcome;
    } catch (error) {
      if (references.length > 0) object.metadata.ownerReferences = [...references];
      throw error;
    }
  }

  /** The status that is to be written; one that is not is taken away. */
  function takeStatus(object: KubeObject): unknown {
    const { status } = object;
    if (status === undefined || restoreStatus(object.kind, groupOf(object.apiVersion))) return status;
    delete object.status;
    return undefined;
  }

  return async (file, one, isPatient) => {
    if (!isPatient) return bring(file, one);
    for (const gap of GAPS) {
      try {
        return await bring(file, one);
      } catch (error) {
        if (readRefusal(error).is !== 'soon') throw error;
        await clock.sleep(gap, signal);
      }
    }
    return bring(file, one);
  };
}
