import type { KubeObject } from '../../src/cluster/cluster.ts';

/** Written by the server or by controllers: differs between two clusters that run the same. */
const SERVER_METADATA = ['uid', 'resourceVersion', 'generation', 'creationTimestamp', 'managedFields', 'selfLink'];
const SERVER_ANNOTATIONS = [
  'deployment.kubernetes.io/revision',
  'kubectl.kubernetes.io/last-applied-configuration',
  'batch.kubernetes.io/cronjob-scheduled-timestamp',
];
const JOB_LABELS = ['controller-uid', 'batch.kubernetes.io/controller-uid'];
const SERVICE_FIELDS = ['clusterIP', 'clusterIPs', 'healthCheckNodePort'];

/** A live object without what the server decides, with who owns which field of it as far as Helm is the owner. */
export function liveObject(object: KubeObject): Record<string, unknown> {
  const copy = structuredClone(object);
  const fields: Record<string, unknown> = copy;
  delete fields.status;
  const owners = helmOwnership(copy);
  for (const field of SERVER_METADATA) delete copy.metadata[field];
  for (const name of SERVER_ANNOTATIONS) delete copy.metadata.annotations?.[name];
  if (copy.metadata.annotations !== undefined && Object.keys(copy.metadata.annotations).length === 0) {
    delete copy.metadata.annotations;
  }
  const spec = asMap(fields.spec);
  if (copy.kind === 'Service' && spec !== undefined && spec.clusterIP !== 'None') {
    for (const field of SERVICE_FIELDS) delete spec[field];
    for (const port of asList(spec.ports)) delete asMap(port)?.nodePort;
  }
  if (copy.kind === 'PersistentVolumeClaim') delete spec?.volumeName;
  if (copy.kind === 'Job') {
    for (const label of JOB_LABELS) {
      delete copy.metadata.labels?.[label];
      delete asMap(asMap(spec?.selector)?.matchLabels)?.[label];
      delete asMap(asMap(asMap(spec?.template)?.metadata)?.labels)?.[label];
    }
  }
  return { ...fields, ownedByHelm: owners };
}

/** How Helm wrote the object: by server-side apply (`Apply`) or as a client (`Update`), and which fields. */
function helmOwnership(object: KubeObject): unknown[] {
  return asList(object.metadata.managedFields)
    .map(asMap)
    .filter((entry) => entry?.manager === 'helm' && entry.subresource === undefined)
    .map((entry) => ({ operation: entry?.operation, fields: entry?.fieldsV1 }))
    .sort((a, b) => String(a.operation).localeCompare(String(b.operation)));
}

export function asMap(value: unknown): Record<string, unknown> | undefined {
  const isMap = (candidate: unknown): candidate is Record<string, unknown> =>
    typeof candidate === 'object' && candidate !== null && !Array.isArray(candidate);
  return isMap(value) ? value : undefined;
}

export function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
