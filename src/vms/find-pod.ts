import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import { isMap, mapsIn } from '../values.ts';
import { allowed } from './temporary-objects.ts';

/** A port of a service. */
export interface ServicePort {
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
}

/** A port of a pod. */
export interface PodPort {
  readonly pod: string;
  readonly port: number;
}

/**
 * A ready pod behind a service, and the pod's port: by the service's Endpoints, which know named ports and readiness.
 *
 * @throws ClusterError `NoService` or `NoPort` when there is none such, `NotReady` when no pod is ready
 */
export async function findPod(cluster: Cluster, target: ServicePort, signal?: AbortSignal): Promise<PodPort> {
  const { namespace, service, port } = target;
  const what = `the service ${namespace}/${service}`;
  const purpose = `A port-forward to ${what}`;
  const read = (resource: string): Promise<KubeObject | undefined> => {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/${resource}/${encodeURIComponent(service)}`;
    return allowed({ verb: 'get', group: '', resource, namespace, purpose }, () => findObject(cluster, path, signal));
  };
  const [live, endpoints] = await Promise.all([read('services'), read('endpoints')]);
  if (live === undefined) throw new ClusterError(404, 'NoService', `There is no ${what.slice(4)}.`);

  const ports = mapsIn(isMap(live.spec) ? live.spec.ports : undefined);
  const wanted = ports.find((one) => one.port === port);
  if (wanted === undefined) {
    const offered = ports.map((one) => String(one.port)).join(', ') || 'none';
    throw new ClusterError(404, 'NoPort', `${capital(what)} has no port ${port}; it has ${offered}.`);
  }
  for (const subset of mapsIn(endpoints?.subsets)) {
    const open = mapsIn(subset.ports).find((one) => (one.name ?? '') === (wanted.name ?? ''));
    const pods = mapsIn(subset.addresses).flatMap(({ targetRef }) =>
      isMap(targetRef) && targetRef.kind === 'Pod' && typeof targetRef.name === 'string' ? [targetRef.name] : [],
    );
    const [pod] = pods;
    if (pod !== undefined && typeof open?.port === 'number') return { pod, port: open.port };
  }
  throw new ClusterError(503, 'NotReady', `No pod behind ${what} is ready.`, {
    hint: `\`kubectl get endpoints -n ${namespace} ${service}\` shows the ready ones.`,
  });
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
