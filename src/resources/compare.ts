import { applyObject, FIELD_MANAGER, getObject, replaceObject } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { ENVIRONMENT_LABEL, withEnvironment } from '../environment/environment.ts';
import { cloneJson } from '../json.ts';
import type { Differ } from '../plan/diff.ts';
import type { FieldConflict } from '../plan/plan.ts';
import { refusedFields } from './causes.ts';
import { differingPaths, fingerprint } from './equality.ts';
import type { KnownKinds } from './known-kinds.ts';
import type { LiveMark } from './live.ts';
import { conflictsIn, diffOf } from './plan-difference.ts';
import { type Refused, readRefused } from './plan-refusal.ts';
import { bodyOf, readUnfit, tryAnew } from './probe.ts';
import type { StripContext } from './rules.ts';
import { stripObject } from './strip.ts';
import { isEnding } from './target-namespaces.ts';
import { withoutUnwanted } from './unwanted-fields.ts';
import { ownersOf } from './wanted.ts';

/** How an object of the target stands to the wanted one of its name, whatever is to be done about it. */
export type Comparison =
  | { readonly is: 'new' }
  | {
      readonly is: 'equal';
      /** Keys of owners that the wanted one names and the target's does not. */
      readonly missingOwners: readonly string[];
    }
  | {
      readonly is: 'different';
      /** Some fields that differ; never what they hold. */
      readonly fields: readonly string[];
      /** The server would not have it changed so: an immutable field, most of all. */
      readonly refused: boolean;
      /** Of a refused one: why it could not be created anew either. Looked at only when asked for. */
      readonly unfit?: string | undefined;
      readonly shown?: Shown | undefined;
    };

/** What a plan shows of an object that differs. */
export interface Shown {
  /** From what the target has to what it would have, secrets redacted. */
  readonly diff: string;
  readonly conflicts: readonly FieldConflict[];
  /** Why the server will not have it, where that is not for immutable fields. */
  readonly refusal?: Refused | undefined;
}

export interface CompareContext {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  readonly known: KnownKinds;
  readonly strip: StripContext;
  /** Whether to find out if what can't be changed could be created. */
  readonly probes: boolean;
  /** Only for a plan: what differs is shown. */
  readonly differ?: Differ | undefined;
  readonly signal?: AbortSignal | undefined;
}

const FIELDS_TOLD = 3;
/** How often an object is read anew that its controller changed meanwhile. */
const MOST_LOOKS = 5;

/**
 * Compares one object. What does not say the same as the target's is equal still when a server-side apply of it would
 * change nothing: the server knows its defaults, and which fields others own.
 *
 * @throws ClusterError when the API server can't be asked
 */
export async function compareObject(
  context: CompareContext,
  wanted: KubeObject,
  mark: LiveMark | undefined,
): Promise<Comparison> {
  if (mark === undefined) return { is: 'new' };
  const owners = ownersOf(wanted, context.known).map(({ key }) => key);
  const missingOwners = owners.filter((key) => !mark.owners?.includes(key));
  if (mark.fingerprint === fingerprint(wanted)) return { is: 'equal', missingOwners };
  return lookAt(context, wanted, missingOwners, 1);
}

async function lookAt(
  context: CompareContext,
  wanted: KubeObject,
  missingOwners: readonly string[],
  look: number,
): Promise<Comparison> {
  const { cluster, discovery, strip, signal } = context;
  const live = await getObject(cluster, discovery, wanted, signal);
  if (live === undefined || isEnding(live)) return { is: 'new' };
  const body = bodyOf(wanted);
  // The label of the environment it was made for stays; an apply without it would take it away.
  const sent = withEnvironment(body, live.metadata.labels?.[ENVIRONMENT_LABEL]);
  try {
    const { applied, conflicts } = await tryApply(context, sent);
    const fields = differingPaths(live, applied, FIELDS_TOLD);
    if (fields.length > 0) {
      return { is: 'different', fields, refused: false, shown: show(context, live, applied, conflicts) };
    }
    const left = withoutUnwanted(live, sent, FIELD_MANAGER);
    if (left === undefined) return { is: 'equal', missingOwners };
    const pruned = await replaceObject(cluster, discovery, left, { dryRun: true, signal });
    const dropped = differingPaths(live, pruned, FIELDS_TOLD);
    if (dropped.length === 0) return { is: 'equal', missingOwners };
    return { is: 'different', fields: dropped, refused: false, shown: show(context, live, pruned) };
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status < 400) throw error;
    if (error.status === 404) return { is: 'new' };
    if (hasMoved(error) && look < MOST_LOOKS) return lookAt(context, wanted, missingOwners, look + 1);
    const told = () => differingPaths(stripObject(cloneJson(live), strip), body, FIELDS_TOLD);
    // A webhook that can't be asked, or a right that is missing: it may yet go well when it comes to it.
    if (error.status !== 422) {
      const fields = told();
      const shown = show(context, live, undefined, [], { wanted: body, refusal: readRefused(error, wanted) });
      return { is: 'different', fields, refused: false, shown };
    }
    const named = refusedFields(error).slice(0, FIELDS_TOLD);
    const fields = named.length > 0 ? named : told();
    return { is: 'different', fields, refused: true, ...(await lookAnew(context, live, body)) };
  }
}

/** The object became another one between reading and trying, as when its controller writes a status. */
function hasMoved(error: ClusterError): boolean {
  return error.status === 409 && conflictsIn(error) === undefined;
}

/** What a server-side apply would make of the object; for a plan also from whom it would take fields. */
async function tryApply(
  { cluster, discovery, differ, signal }: CompareContext,
  object: KubeObject,
): Promise<{ applied: KubeObject; conflicts: FieldConflict[] }> {
  const apply = (force: boolean) => applyObject(cluster, discovery, object, { dryRun: true, force, signal });
  if (differ === undefined) return { applied: await apply(true), conflicts: [] };
  try {
    return { applied: await apply(false), conflicts: [] };
  } catch (error) {
    const conflicts = conflictsIn(error);
    if (conflicts === undefined) throw error;
    return { applied: await apply(true), conflicts };
  }
}

/** Of an object that can't be changed: whether it could be created, and what it would be then. */
async function lookAnew(
  context: CompareContext,
  live: KubeObject,
  wanted: KubeObject,
): Promise<{ unfit: string | undefined; shown: Shown | undefined }> {
  const { cluster, discovery, probes, differ, signal } = context;
  const kind = discovery.findKind(wanted.apiVersion, wanted.kind);
  if (kind === undefined || (!probes && differ === undefined)) return { unfit: undefined, shown: undefined };
  const tried = await tryAnew({ cluster, kind, object: wanted, signal });
  const made = 'made' in tried ? tried.made : undefined;
  return { unfit: probes ? readUnfit(tried, wanted) : undefined, shown: show(context, live, made, [], { wanted }) };
}

/** @param after - as the server would have it; undefined where it does not say, and what is wanted has to do */
function show(
  { differ, strip }: CompareContext,
  live: KubeObject,
  after: KubeObject | undefined,
  conflicts: readonly FieldConflict[] = [],
  { wanted, refusal }: { readonly wanted?: KubeObject; readonly refusal?: Refused | undefined } = {},
): Shown | undefined {
  if (differ === undefined) return undefined;
  const stripped = (object: KubeObject) => stripObject(cloneJson(object), strip);
  const result = after === undefined ? wanted : stripped(after);
  return { diff: result === undefined ? '' : diffOf(differ, stripped(live), result), conflicts, refusal };
}
