import { applyObject, collectionPath, FIELD_MANAGER, getObject, replaceObject } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { cloneJson } from '../json.ts';
import { isMap, mapsIn } from '../values.ts';
import { differingPaths, fingerprint } from './equality.ts';
import type { KnownKinds } from './known-kinds.ts';
import type { LiveMark } from './live.ts';
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
    };

export interface CompareContext {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  readonly known: KnownKinds;
  readonly strip: StripContext;
  /** Whether to find out if what can't be changed could be created. */
  readonly probes: boolean;
  readonly signal?: AbortSignal | undefined;
}

const FIELDS_TOLD = 3;

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

  const { cluster, discovery, strip, signal } = context;
  const live = await getObject(cluster, discovery, wanted, signal);
  if (live === undefined || isEnding(live)) return { is: 'new' };
  const body = bodyOf(wanted);
  const told = () => differingPaths(stripObject(cloneJson(live), strip), body, FIELDS_TOLD);
  try {
    const applied = await applyObject(cluster, discovery, body, { dryRun: true, force: true, signal });
    const fields = differingPaths(live, applied, FIELDS_TOLD);
    if (fields.length > 0) return { is: 'different', fields, refused: false };
    const left = withoutUnwanted(live, body, FIELD_MANAGER);
    if (left === undefined) return { is: 'equal', missingOwners };
    const pruned = differingPaths(
      live,
      await replaceObject(cluster, discovery, left, { dryRun: true, signal }),
      FIELDS_TOLD,
    );
    return pruned.length === 0 ? { is: 'equal', missingOwners } : { is: 'different', fields: pruned, refused: false };
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status < 400) throw error;
    if (error.status === 404) return { is: 'new' };
    // A webhook that can't be asked, or a right that is missing: it may yet go well when it comes to it.
    if (error.status !== 422) return { is: 'different', fields: told(), refused: false };
    const unfit = context.probes ? await findUnfit(context, body) : undefined;
    const named = refusedFields(error).slice(0, FIELDS_TOLD);
    return { is: 'different', fields: named.length > 0 ? named : told(), refused: true, unfit };
  }
}

/** What is sent: owner references need uids, which only the import knows, and status has a way of its own. */
function bodyOf({ status: _status, metadata, ...rest }: KubeObject): KubeObject {
  const { ownerReferences: _ownerReferences, ...kept } = metadata;
  return { ...rest, metadata: kept };
}

/** A name that is free for sure, so that only what is wrong with an object itself is refused. */
const PROBE_NAME = 'transship-dry-run';

/** Whether the server would create such an object: to delete one that it then refuses would be a loss. */
async function findUnfit(
  { cluster, discovery, signal }: CompareContext,
  object: KubeObject,
): Promise<string | undefined> {
  const kind = discovery.findKind(object.apiVersion, object.kind);
  if (kind === undefined) return undefined;
  const error = await probe(cluster, kind, object, object.metadata.namespace, {}, signal);
  if (error?.status !== 422) return undefined;
  // The existing object holds its own name, ports and addresses; they are free once it is gone.
  const own = causesOf(error).filter(
    ({ field, message }) => field !== 'metadata.name' && field !== 'name' && !message.includes('already allocated'),
  );
  if (own.length === 0 && causesOf(error).length > 0) return undefined;
  return own.length === 0 ? error.message : own.map(({ field }) => field).join(', ');
}

/**
 * Which fields of an object its kind does not know in the version it is rewritten to; undefined when it knows all.
 *
 * @param namespace - one that exists, which need not be the object's
 */
export async function findMisfit(
  { cluster, signal }: CompareContext,
  kind: ResourceKind,
  object: KubeObject,
  namespace: string | undefined,
): Promise<string | undefined> {
  const error = await probe(cluster, kind, bodyOf(object), namespace, { fieldValidation: 'Strict' }, signal);
  if (error?.status !== 400) return undefined;
  const [, fields] = /strict decoding error: (.*)$/s.exec(messageIn(error)) ?? [];
  return fields;
}

async function probe(
  cluster: Cluster,
  kind: ResourceKind,
  object: KubeObject,
  namespace: string | undefined,
  query: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<ClusterError | undefined> {
  const metadata = { ...object.metadata, name: PROBE_NAME, ...(namespace === undefined ? {} : { namespace }) };
  try {
    await cluster.json({
      method: 'POST',
      path: collectionPath(kind, namespace),
      query: { fieldManager: FIELD_MANAGER, dryRun: 'All', ...query },
      body: { ...object, metadata },
      signal,
    });
    return undefined;
  } catch (error) {
    if (error instanceof ClusterError && error.status >= 400) return error;
    throw error;
  }
}

function refusedFields(error: ClusterError): string[] {
  return [...new Set(causesOf(error).map(({ field }) => field))].filter((field) => field !== '');
}

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
function causesOf({ answer }: ClusterError): { field: string; message: string }[] {
  const causes = isMap(answer) && isMap(answer.details) ? mapsIn(answer.details.causes) : [];
  return causes.map(({ field, message }) => ({ field: textOf(field), message: textOf(message) }));
}

function messageIn({ answer, message }: ClusterError): string {
  return isMap(answer) && typeof answer.message === 'string' ? answer.message : message;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
