import { collectionPath } from '../cluster/apply.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { TransshipError } from '../errors.ts';
import { isMap } from '../values.ts';
import { needVmKind } from './kinds.ts';

/**
 * Asks CDI for a token that lets one upload into a claim. It is valid for 5 minutes and looked at once a request, when
 * that begins: an upload may take longer, but each try needs a new one.
 *
 * @throws TransshipError `NOT_SERVED`, or as ClusterError what the API server says
 */
export async function requestUploadToken(
  cluster: Cluster,
  discovery: Discovery,
  { namespace, pvc }: { readonly namespace: string; readonly pvc: string },
  signal?: AbortSignal,
): Promise<string> {
  const kind = needVmKind(discovery, 'UploadTokenRequest', cluster.context);
  const answer = await cluster.json<unknown>({
    method: 'POST',
    path: collectionPath(kind, namespace),
    body: {
      apiVersion: kind.apiVersion,
      kind: kind.kind,
      metadata: { generateName: 'transship-', namespace },
      spec: { pvcName: pvc },
    },
    signal,
  });
  const status = isMap(answer) && isMap(answer.status) ? answer.status : {};
  if (typeof status.token === 'string' && status.token !== '') return status.token;
  throw new TransshipError('CLUSTER', `CDI answered the UploadTokenRequest for ${namespace}/${pvc} without a token.`, {
    hint: 'Look at the log of the pod cdi-apiserver.',
  });
}
