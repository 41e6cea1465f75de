import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import type { Reporter } from '../report/reporter.ts';
import { SOURCES } from './create-export.ts';
import { readySince, type VmSource } from './export-state.ts';
import { removeTemporary } from './remove-temporary.ts';
import type { VmName } from './snapshot-object.ts';
import { findIn, pathIn, RUN_LABEL, SECRETS } from './temporary-objects.ts';
import { textIn } from './vm-references.ts';

/** An export object as it was left by a run that was killed. */
export interface LeftExport extends VmName {
  readonly uid: string;
  /** When its condition `Ready` became true. */
  readonly readySince: string;
}

/** The export object, and its token; or why it can't be gone on with, to follow a colon. */
export type Adoption =
  | { readonly object: KubeObject; readonly token: string; readonly refusal?: undefined }
  | { readonly refusal: string; readonly object?: undefined };

interface AdoptOptions {
  readonly source: VmSource;
  /** What the label gets as its value. */
  readonly run: string;
  /** To begin a sentence with. */
  readonly purpose: string;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** As many characters as KubeVirt wants a token to have at least, so that nobody is let in by an empty one. */
const SHORTEST_TOKEN = 16;

/**
 * Takes over an export object that a killed run has left, if nothing can have written to its disks since: only then what
 * that run has read goes together with what comes now. Takes it away otherwise, for it would hold its claims.
 *
 * @throws ClusterError
 */
export async function adoptExport(
  cluster: Cluster,
  kind: ResourceKind,
  left: LeftExport,
  { source, run, purpose, reporter, signal }: AdoptOptions,
): Promise<Adoption> {
  const what = `the export ${left.namespace}/${left.name}`;
  const object = await findIn(cluster, kind, left, purpose, signal);
  const { labels, uid, deletionTimestamp } = object?.metadata ?? {};
  if (object === undefined || uid !== left.uid || deletionTimestamp !== undefined) {
    return { refusal: `${what} is gone` };
  }
  if (!isOf(object, source)) return { refusal: `${what} is of something else` };
  if (labels?.[RUN_LABEL] === undefined) return { refusal: `${what} is not labelled ${RUN_LABEL} any more` };
  const path = pathIn(kind, left.namespace, left.name);
  const token = await readToken(cluster, object, left, signal);
  const refusal =
    readySince(object) !== left.readySince
      ? `${what} was not ready all the time, so that its disks may have changed`
      : token === undefined
        ? `the token of ${what} can't be read`
        : undefined;
  if (refusal !== undefined || token === undefined) {
    await removeTemporary(
      cluster,
      [path, pathIn(SECRETS, left.namespace, left.name)],
      'It is gone at the end of its TTL.',
      reporter,
    );
    return { refusal: refusal ?? '' };
  }
  await cluster.json({
    method: 'PATCH',
    path,
    contentType: 'application/merge-patch+json',
    body: { metadata: { labels: { [RUN_LABEL]: run } } },
    signal,
  });
  return { object, token };
}

/**
 * Takes away the exports of a snapshot that a killed run has left: whole copies of its disks would stay as long as they.
 *
 * @param snapshot - one that Transship has made, so that no other run exports it
 */
export async function removeExportsOf(
  cluster: Cluster,
  kind: ResourceKind,
  snapshot: VmName,
  { reporter, signal }: Pick<AdoptOptions, 'reporter' | 'signal'>,
): Promise<void> {
  const { namespace, name } = snapshot;
  const paths: string[] = [];
  try {
    const options = { labelSelector: RUN_LABEL, signal };
    for await (const object of cluster.list(collectionPath(kind, namespace), options)) {
      if (isOf(object, { kind: 'snapshot', namespace, name })) {
        // Its token goes with it, but later.
        paths.push(...[kind, SECRETS].map((one) => pathIn(one, namespace, object.metadata.name)));
      }
    }
  } catch (error) {
    // They go with their TTL, too.
    if (!(error instanceof ClusterError) || error.status !== 403) throw error;
  }
  await removeTemporary(cluster, paths, 'It is gone at the end of its TTL.', reporter);
}

function isOf({ spec }: KubeObject, { kind, name }: VmSource): boolean {
  return textIn(spec, 'source', 'kind') === SOURCES[kind].kind && textIn(spec, 'source', 'name') === name;
}

async function readToken(
  cluster: Cluster,
  { spec, status }: KubeObject,
  { namespace, name: fallback }: VmName,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const name = textIn(status, 'tokenSecretRef') ?? textIn(spec, 'tokenSecretRef') ?? fallback;
  try {
    const secret = await findIn(cluster, SECRETS, { namespace, name }, 'Going on with an export', signal);
    const token = Buffer.from(textIn(secret?.data, 'token') ?? '', 'base64').toString('utf8');
    return token.length >= SHORTEST_TOKEN ? token : undefined;
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status !== 403) throw error;
    return undefined;
  }
}
