import { collectionPath, FIELD_MANAGER } from '../cluster/apply.ts';
import { ClusterError, type KubeObject, type OwnerReference } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import { isBuiltInGroup } from '../crds/built-in-groups.ts';
import { cloneJson } from '../json.ts';
import { isFinishedJob, isFinishedPod } from '../resources/conditions.ts';
import { dropJobSelector } from '../resources/edits.ts';
import { fingerprint } from '../resources/equality.ts';
import { waitUntilGone } from '../resources/gone.ts';
import { linkOwners } from '../resources/owner-references.ts';
import { groupOf, idOf, nameObject } from '../resources/resource.ts';
import { isEnding } from '../resources/target-namespaces.ts';
import { readRefusal } from '../resources/write-refusals.ts';
import { mapsIn } from '../values.ts';
import { failed, isOurs, type UndoContext } from './context.ts';
import { deleteObject } from './remove-created.ts';

const TRIES = 6;
/** Milliseconds. */
const FIRST_GAP = 100;
const QUERY = { fieldManager: FIELD_MANAGER };

/**
 * Puts an object back as it was before the import: over what is there, or anew where it was deleted. Fields that were
 * added since go away. What somebody else has made in its place stays.
 *
 * @returns whether anything was to be done
 * @throws TransshipError when it can't be put back
 */
export async function putBack(context: UndoContext, path: string, before: KubeObject): Promise<boolean> {
  const { cluster, outage, clock, signal } = context;
  let mayBeMade = false;
  for (let tries = 1; ; tries += 1) {
    const live = await outage.guard(() => findObject(cluster, path, signal));
    try {
      if (live === undefined || isEnding(live)) {
        if (live !== undefined) await waitUntilGone(context, path, nameObject(idOf(before)), live.metadata.uid);
        await createAnew(context, path, before);
        return true;
      }
      if (live.metadata.uid === before.metadata.uid) return await replace(context, path, live, before);
      if (mayBeMade && isOurs(live)) {
        await finishAnew(context, path, before, live);
        return true;
      }
      // Put back by an earlier try, or as good.
      if (fingerprint(live) === fingerprint(before)) return false;
      if (!isOurs(live) || tries === TRIES) throw failed('Somebody has made another one since, which stays.');
      await deleteObject(context, path, live.metadata.uid);
    } catch (error) {
      const { is } = readRefusal(error);
      mayBeMade ||= is === 'lost';
      const mayPass = is === 'lost' || is === 'exists' || is === 'ending' || is === 'soon' || is === 'later';
      if (!mayPass || tries === TRIES) throw error;
      if (is === 'lost') await outage.passed(error);
      await clock.sleep(FIRST_GAP * 2 ** tries, signal);
    }
  }
}

/** Links what was put back before its owners, which are there now or never. */
export async function putOwnersBack(context: UndoContext): Promise<{ name: string; error: unknown }[]> {
  const failures: { name: string; error: unknown }[] = [];
  for (const [path, { name, namespace, owners }] of context.ownerless) {
    try {
      const { there, missing } = await sortOwners(context, owners, namespace);
      if (there.length > 0) await linkOwners(context, path, there);
      const names = missing.map((owner) => `${owner.kind} ${owner.name}`);
      if (names.length > 0) throw failed(`It came back without its owner, which is not there: ${names.join(', ')}.`);
    } catch (error) {
      failures.push({ name, error });
    }
  }
  return failures;
}

async function replace(context: UndoContext, path: string, live: KubeObject, before: KubeObject): Promise<boolean> {
  const { cluster, signal } = context;
  if (live.metadata.resourceVersion === before.metadata.resourceVersion) return false;
  const { managedFields: _fields, ownerReferences: _owners, ...metadata } = before.metadata;
  const owners = await ownersOf(context, path, before, live);
  const { resourceVersion } = live.metadata;
  const body = { ...before, metadata: { ...metadata, ...owners, resourceVersion } };
  const after = await cluster.json<KubeObject>({ method: 'PUT', path, query: QUERY, body, signal });
  const now = wroteStatus(live, before) ? await putStatus(context, path, after, before) : after;
  await giveFieldsBack(context, path, now, before);
  return now.metadata.resourceVersion !== resourceVersion;
}

async function createAnew(context: UndoContext, path: string, before: KubeObject): Promise<void> {
  const { cluster, signal } = context;
  const why = whyNotAgain(before);
  if (why !== undefined) throw failed(`It was deleted, and is not created again: ${why}.`);
  const { metadata, ...rest } = cloneJson(before);
  const {
    uid: _uid,
    resourceVersion: _version,
    creationTimestamp: _time,
    generation: _generation,
    ...others
  } = metadata;
  const { managedFields: _fields, ownerReferences: _owners, selfLink: _link, ...kept } = others;
  const body: KubeObject = { ...rest, metadata: { ...kept, ...(await ownersOf(context, path, before, undefined)) } };
  if (isOf(before, 'batch', 'Job')) dropJobSelector(body);
  const collection = path.slice(0, path.lastIndexOf('/'));
  const live = await cluster.json<KubeObject>({ method: 'POST', path: collection, query: QUERY, body, signal });
  await finishAnew(context, path, before, live);
}

function whyNotAgain(before: KubeObject): string | undefined {
  const hasEnded = isOf(before, 'batch', 'Job')
    ? isFinishedJob(before)
    : isOf(before, '', 'Pod') && isFinishedPod(before);
  if (hasEnded) return 'it had run to its end, and would run once more';
  return isOf(before, '', 'PersistentVolumeClaim') ? 'it would be empty' : undefined;
}

/** Status of Kubernetes' own kinds is worked out by controllers; that of others may have nobody to work it out. */
async function finishAnew(context: UndoContext, path: string, before: KubeObject, live: KubeObject): Promise<void> {
  const [{ uid: old }, { uid }] = [before.metadata, live.metadata];
  if (old !== undefined && uid !== undefined) context.reborn.set(old, uid);
  const lacksStatus =
    before.status !== undefined && live.status === undefined && !isBuiltInGroup(groupOf(before.apiVersion));
  const now = lacksStatus ? await putStatus(context, path, live, before) : live;
  await giveFieldsBack(context, path, now, before);
}

async function putStatus(
  { cluster, signal }: UndoContext,
  path: string,
  live: KubeObject,
  { status }: KubeObject,
): Promise<KubeObject> {
  try {
    const body = { ...live, status };
    return await cluster.json<KubeObject>({ method: 'PUT', path: `${path}/status`, query: QUERY, body, signal });
  } catch (error) {
    // It is a field like others, or a controller has been faster.
    if (error instanceof ClusterError && [404, 405, 409].includes(error.status)) return live;
    throw error;
  }
}

/** Whether the import has written the status, and so nobody else may be there to do it. */
function wroteStatus(live: KubeObject, before: KubeObject): boolean {
  const ours = ({ metadata }: KubeObject) =>
    JSON.stringify(
      mapsIn(metadata.managedFields).filter(
        ({ manager, subresource }) => manager === FIELD_MANAGER && subresource === 'status',
      ),
    );
  return ours(live) !== ours(before);
}

/**
 * Fields belong to those they belonged to before: what is put back would else be taken for what an import had brought, and
 * go with the next one. The object is as it was in any case, so that nothing is said where this is refused.
 */
async function giveFieldsBack(
  { cluster, signal }: UndoContext,
  path: string,
  { metadata: { resourceVersion } }: KubeObject,
  { metadata: { managedFields } }: KubeObject,
): Promise<void> {
  if (mapsIn(managedFields).length === 0) return;
  const body = [
    { op: 'add', path: '/metadata/managedFields', value: managedFields },
    { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion },
  ];
  try {
    const contentType = 'application/json-patch+json';
    await cluster.json({ method: 'PATCH', path, query: QUERY, contentType, body, signal });
  } catch (error) {
    if (!(error instanceof ClusterError) || readRefusal(error).is === 'lost') throw error;
  }
}

/** The owners that an object had, as far as they are there: it would be deleted with one that is not. */
async function ownersOf(
  context: UndoContext,
  path: string,
  before: KubeObject,
  live: KubeObject | undefined,
): Promise<{ ownerReferences?: OwnerReference[] }> {
  const { namespace, ownerReferences = [] } = before.metadata;
  context.ownerless.delete(path);
  const { there, missing } = await sortOwners(context, ownerReferences, namespace, live?.metadata.ownerReferences);
  if (missing.length > 0) {
    context.ownerless.set(path, { name: nameObject(idOf(before)), namespace, owners: missing });
  }
  return there.length === 0 ? {} : { ownerReferences: there };
}

async function sortOwners(
  context: UndoContext,
  owners: readonly OwnerReference[],
  namespace: string | undefined,
  known: readonly OwnerReference[] = [],
): Promise<{ there: OwnerReference[]; missing: OwnerReference[] }> {
  const there: OwnerReference[] = [];
  const missing: OwnerReference[] = [];
  for (const owner of owners) {
    const now = { ...owner, uid: context.reborn.get(owner.uid) ?? owner.uid };
    const isThere = known.some(({ uid }) => uid === now.uid) || (await isOwnerThere(context, now, namespace));
    if (isThere) there.push(now);
    else missing.push(owner);
  }
  return { there, missing };
}

async function isOwnerThere(
  context: UndoContext,
  { apiVersion, kind, name, uid }: OwnerReference,
  namespace: string | undefined,
): Promise<boolean> {
  const { cluster, outage, signal } = context;
  const found = (await context.discovery()).findKind(apiVersion, kind);
  if (found === undefined) return false;
  const path = `${collectionPath(found, namespace)}/${encodeURIComponent(name)}`;
  const live = await outage.guard(() => findObject(cluster, path, signal));
  return live?.metadata.uid === uid && !isEnding(live);
}

function isOf({ apiVersion, kind }: KubeObject, group: string, name: string): boolean {
  return groupOf(apiVersion) === group && kind === name;
}
