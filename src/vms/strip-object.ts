import type { KubeObject } from '../cluster/cluster.ts';
import { cloneJson } from '../json.ts';
import { isMap, mapsIn, stringsIn } from '../values.ts';
import { INSTANCE_ANNOTATION, RUNS_ANNOTATION } from './stop-vm.ts';
import { RUN_LABEL } from './temporary-objects.ts';
import { mapIn } from './vm-references.ts';

/** What the API server writes into `metadata`, and what means something only beside the objects there. */
const SERVER_METADATA = [
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'selfLink',
  'managedFields',
  'ownerReferences',
];

/** Of Kubernetes, KubeVirt and CDI: whoever takes them off is at the source. */
const OTHERS_FINALIZER = /^([^/]+\.)?(kubernetes|k8s|kubevirt)\.io(\/|$)/;

const ANNOTATIONS = [
  'kubectl.kubernetes.io/last-applied-configuration',
  'kubevirt.io/latest-observed-api-version',
  'kubevirt.io/storage-observed-api-version',
  'kubemacpool.io/transaction-timestamp',
  'restore.kubevirt.io/',
  RUNS_ANNOTATION,
  INSTANCE_ANNOTATION,
];
const LABELS = ['kubevirt.io/created-by', RUN_LABEL];

/** The marks of provisioners and of CDI's work, as KubeVirt drops them on a restore too. */
const CLAIM_MARKS = [
  'cdi.kubevirt.io/',
  'pv.kubernetes.io/',
  'volume.kubernetes.io/',
  'volume.beta.kubernetes.io/',
  'k8s.io/CloneOf',
  'k8s.io/CloneRequest',
];

export const CONTENT_TYPE = 'cdi.kubevirt.io/storage.contentType';
const KEPT_MARKS = [CONTENT_TYPE, 'volume.beta.kubernetes.io/storage-class'];

/**
 * An object as it is to travel: without what belongs to its cluster. Of its status only a claim keeps anything, its
 * capacity: what it asked for may be less than it holds.
 *
 * @returns a copy
 */
export function stripObject(object: KubeObject): KubeObject {
  const { status, ...copy } = cloneJson(object);
  const { metadata } = copy;
  for (const field of SERVER_METADATA) delete metadata[field];
  const isClaim = copy.kind === 'PersistentVolumeClaim';
  const marks = isClaim || copy.kind === 'DataVolume' ? CLAIM_MARKS : [];
  dropKeys(metadata, 'annotations', [...ANNOTATIONS, ...(isClaim ? marks : [])]);
  dropKeys(metadata, 'labels', [...LABELS, ...marks]);
  dropFinalizers(metadata);
  switch (copy.kind) {
    case 'VirtualMachine':
      putBackRunFields(copy, object.metadata.annotations?.[RUNS_ANNOTATION]);
      dropEmptyStamps(copy);
      break;
    case 'ServiceAccount':
      // Names of token Secrets that a controller made: https://kubernetes.io/docs/concepts/security/service-accounts/
      delete copy.secrets;
      break;
    case 'PersistentVolumeClaim': {
      const { volumeName, dataSource, dataSourceRef, ...spec } = mapIn(copy.spec);
      const { capacity } = mapIn(status);
      return { ...copy, spec, ...(capacity === undefined ? {} : { status: { capacity } }) };
    }
  }
  return copy;
}

/** Drops keys of a map, by name or by a beginning that ends in `/`; the map with its last one. */
function dropKeys(holder: Record<string, unknown>, field: string, names: readonly string[]): void {
  const map = holder[field];
  if (!isMap(map)) return;
  for (const key of Object.keys(map)) {
    const isNamed = names.some((name) => (name.endsWith('/') ? key.startsWith(name) : key === name));
    if (isNamed && !KEPT_MARKS.includes(key)) delete map[key];
  }
  if (Object.keys(map).length === 0) delete holder[field];
}

function dropFinalizers(metadata: Record<string, unknown>): void {
  const kept = stringsIn(metadata.finalizers).filter((name) => !OTHERS_FINALIZER.test(name));
  if (kept.length > 0) metadata.finalizers = kept;
  else delete metadata.finalizers;
}

/** Go writes a time that is not set as null. */
function dropEmptyStamps({ spec }: KubeObject): void {
  const templates = [mapIn(spec, 'template'), ...mapsIn(mapIn(spec).dataVolumeTemplates)];
  for (const template of templates) {
    const { metadata } = template;
    if (isMap(metadata) && metadata.creationTimestamp === null) delete metadata.creationTimestamp;
    if (isMap(metadata) && Object.keys(metadata).length === 0) delete template.metadata;
  }
}

/** A machine that an export has stopped, this one or one that was killed, says on itself when it runs. */
function putBackRunFields({ spec }: KubeObject, noted: string | undefined): void {
  const { runStrategy, running } = parseNote(noted);
  const fields = mapIn(spec);
  if (typeof runStrategy === 'string' && fields.runStrategy === 'Halted') fields.runStrategy = runStrategy;
  if (running === true && fields.running === false) fields.running = true;
}

/** Nothing of a note that somebody has changed. */
function parseNote(text = '{}'): Record<string, unknown> {
  try {
    return mapIn(JSON.parse(text));
  } catch {
    return {};
  }
}
