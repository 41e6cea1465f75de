import type { KubeObject } from '../cluster/cluster.ts';
import { isMap, mapsIn } from '../values.ts';
import { annotation } from './conditions.ts';

export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** The fields of a Service's spec that somebody asked for; what else there is, the API server chose. */
interface Asked {
  has(field: string): boolean;
  hasNodePort(port: Record<string, unknown>): boolean;
}

/**
 * Drops the addresses, families and ports that the API server chose for a Service at the source. They are chosen after
 * managed fields were recorded, so what somebody asked for is there, or where `kubectl apply` put it:
 * https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/registry/core/service/storage/alloc.go
 * Cluster addresses go even where asked for: they belong to the source's address range. The policy stays: the one that
 * is derived fits every cluster, and one that was asked for must hold.
 */
export function dropAllocations(service: KubeObject): void {
  const { spec } = service;
  if (!isMap(spec)) {
    return;
  }
  if (spec.clusterIP !== 'None') {
    delete spec.clusterIP;
    delete spec.clusterIPs;
  }
  const asked = readAsked(service);
  for (const field of ['ipFamilies', 'healthCheckNodePort']) {
    if (spec[field] !== undefined && !asked.has(field)) {
      delete spec[field];
    }
  }
  for (const port of mapsIn(spec.ports)) {
    if (port.nodePort !== undefined && !asked.hasNodePort(port)) {
      delete port.nodePort;
    }
  }
}

function readAsked(service: KubeObject): Asked {
  const managed = mapsIn(service.metadata.managedFields)
    .map((entry) => (isMap(entry.fieldsV1) ? entry.fieldsV1['f:spec'] : undefined))
    .filter(isMap);
  const applied = readApplied(service);
  const appliedPorts = mapsIn(applied.ports);
  return {
    has: (field) => isSet(applied[field]) || managed.some((fields) => fields[`f:${field}`] !== undefined),
    hasNodePort: ({ port, protocol, nodePort }) => {
      // https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy: a list's keys, as JSON
      const key = `k:${JSON.stringify({ port, protocol })}`;
      const isManaged = managed.some((fields) => {
        const ports = fields['f:ports'];
        const owned = isMap(ports) ? ports[key] : undefined;
        return isMap(owned) && owned['f:nodePort'] !== undefined;
      });
      return isManaged || appliedPorts.some((one) => one.nodePort === nodePort && (one.protocol ?? 'TCP') === protocol);
    },
  };
}

/** Zero and nothing in a list leave the choice to the server. */
function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== 0 && !(Array.isArray(value) && value.length === 0);
}

/** The spec as `kubectl apply` last had it; empty when it says nothing of what the server could have chosen. */
function readApplied(service: KubeObject): Record<string, unknown> {
  const text = annotation(service, LAST_APPLIED);
  if (text === undefined || !/"(?:nodePort|healthCheckNodePort|ipFamilies)"/.test(text)) {
    return {};
  }
  try {
    const applied: unknown = JSON.parse(text);
    return isMap(applied) && isMap(applied.spec) ? applied.spec : {};
  } catch {
    // Anyone can write the annotation; then it tells nothing.
    return {};
  }
}
