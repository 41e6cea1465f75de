import { collectionPath } from '../cluster/apply.ts';
import { ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import { isEnding } from '../resources/target-namespaces.ts';
import { isMap, mapsIn } from '../values.ts';
import { failed, isOurs, type UndoContext } from './context.ts';
import { findForeign, listForeign } from './foreign.ts';
import type { Created } from './journal.ts';

/**
 * Deletes an object that the import has created; not one that somebody has made since under its name. A namespace or a CRD
 * stays when others have put things into it.
 *
 * @returns the uid of an object that is still on its way out; undefined when it is gone; `absent` when it was
 * @throws TransshipError when it can't be deleted, or stays
 */
export async function removeCreated(context: UndoContext, entry: Created): Promise<string | 'gone' | 'absent'> {
  const { cluster, outage, signal } = context;
  const { path } = entry;
  const live = await outage.guard(() => findObject(cluster, path, signal));
  if (live === undefined) return 'absent';
  const { uid } = live.metadata;
  // Without an answer no uid is known: nothing was there before, so what bears our name is the import's.
  if (entry.uid === undefined ? !isOurs(live) : uid !== entry.uid) return 'absent';
  if (isEnding(live)) return uid ?? 'gone';
  await refuseShared(context, live);
  return (await deleteObject(context, path, uid)) ? 'gone' : (uid ?? 'gone');
}

/**
 * Asks for the deletion of one object and of what it owns.
 *
 * @returns whether it is gone already
 */
export async function deleteObject(
  { cluster, outage, signal }: Pick<UndoContext, 'cluster' | 'outage' | 'signal'>,
  path: string,
  uid: string | undefined,
): Promise<boolean> {
  const body = {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    preconditions: uid === undefined ? undefined : { uid },
    propagationPolicy: 'Background',
  };
  try {
    const answer = await outage.guard(() => cluster.json<unknown>({ method: 'DELETE', path, body, signal }));
    // The object itself is the answer as long as finalizers or a grace period hold it.
    return isMap(answer) && answer.kind === 'Status';
  } catch (error) {
    if (!(error instanceof ClusterError) || (error.status !== 404 && error.status !== 409)) throw error;
    // With 409 it is on its way out already, or another one is there.
    return error.status === 404;
  }
}

/** Whoever deletes a namespace or a CRD deletes what is in it. */
async function refuseShared(context: UndoContext, live: KubeObject): Promise<void> {
  const { apiVersion, kind, metadata } = live;
  if (apiVersion === 'v1' && kind === 'Namespace') {
    refuse(await findForeign(context, metadata.name));
  } else if (kind === 'CustomResourceDefinition' && isMap(live.spec)) {
    const { group, names, versions } = live.spec;
    const version = mapsIn(versions).find(({ served }) => served === true)?.name;
    if (version === undefined || !isMap(names)) return;
    const served = { group: `${group}`, apiVersion: `${group}/${version}`, plural: `${names.plural}` };
    refuse(await listForeign(context, collectionPath({ ...NO_KIND, ...served, kind: `${names.kind}` })));
  }
}

const NO_KIND = { version: '', singular: '', shortNames: [], namespaced: false, verbs: [], versions: [] };
const NAMES_TOLD = 5;

function refuse(names: readonly string[]): void {
  if (names.length === 0) return;
  const more = names.length > NAMES_TOLD ? `, and ${names.length - NAMES_TOLD} more` : '';
  throw failed(`It stays, for others have put into it: ${names.slice(0, NAMES_TOLD).join(', ')}${more}.`);
}
