import { applyObject, FIELD_MANAGER } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { isOfOther, owned, type WantedCrd } from '../crds/restore.ts';
import type { PlannedObject } from '../plan/plan.ts';
import { mapInOrder } from '../streams.ts';
import type { Explain } from './explain.ts';
import { pathOf } from './hook-objects.ts';

const ASKS_AT_ONCE = 8;

/** Plans the CRDs that are applied before the releases; those that stay equal are left out. */
export async function planCrds(
  cluster: Cluster,
  discovery: Discovery,
  wanted: readonly WantedCrd[],
  {
    replace,
    explain,
    signal,
  }: { readonly replace: boolean; readonly explain: Explain; readonly signal?: AbortSignal | undefined },
): Promise<PlannedObject[]> {
  const kind = discovery.findKind('apiextensions.k8s.io/v1', 'CustomResourceDefinition');
  if (kind === undefined) return [];
  const plan = async ({ object, owner }: WantedCrd): Promise<PlannedObject | undefined> => {
    const { apiVersion, metadata } = object;
    const planned = { apiVersion, kind: object.kind, name: metadata.name };
    const live = await unlessForbidden(findObject(cluster, pathOf(kind, object), signal));
    if (live === undefined) {
      explain.preflight.note(object, kind, 'create');
      return { ...planned, change: 'create' };
    }
    if (live === 'forbidden') return undefined;
    const isChanged = replace && !isOfOther(live, owner);
    if (isChanged) explain.preflight.note(object, kind, 'update');
    const fieldManager = owner === undefined ? FIELD_MANAGER : 'helm';
    const options = { dryRun: true, force: true, fieldManager, signal };
    const after = await unlessForbidden(applyObject(cluster, discovery, owned(object, owner), options));
    const diff = after === undefined || after === 'forbidden' ? '' : explain.differ.objects(live, after);
    if (diff === '') return undefined;
    if (isChanged) return { ...planned, change: 'update', diff };
    return {
      ...planned,
      change: 'keep',
      diff,
      message: replace ? 'It belongs to another release.' : 'It exists; replace is not set.',
    };
  };
  const plans: PlannedObject[] = [];
  for await (const one of mapInOrder(wanted, ASKS_AT_ONCE, plan)) if (one !== undefined) plans.push(one);
  return plans;
}

/** What may not be asked is left to what is found out about rights; what the server refuses, to the import. */
async function unlessForbidden(answer: Promise<KubeObject | undefined>): Promise<KubeObject | undefined | 'forbidden'> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ClusterError && [403, 409, 422].includes(error.status)) return 'forbidden';
    throw error;
  }
}
