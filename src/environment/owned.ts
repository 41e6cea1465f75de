import { keyOf } from '../resources/resource.ts';
import type { FoundObject, PrunableObject } from './labelled.ts';

/** The uids of objects. */
export function uidsOf(objects: readonly PrunableObject[]): Set<string> {
  return new Set(objects.map(({ uid }) => uid));
}

/**
 * Whether an object needs no deleting of its own: its controller bears the label too, and made it or looks after it; or all
 * its owners go, and the garbage collector takes it along.
 *
 * @param present - the uids of all that bears the label
 * @param going - the uids of what is deleted
 */
export function isLeftToOwner(
  { metadata: { ownerReferences: owners = [] } }: FoundObject,
  present: ReadonlySet<string>,
  going: ReadonlySet<string>,
): boolean {
  // Operators give what they make the labels of what they make it for.
  if (owners.some(({ controller, uid }) => controller === true && present.has(uid))) return true;
  return owners.length > 0 && owners.every(({ uid }) => going.has(uid));
}

/**
 * Tells objects that only have a copy of the label: Endpoints and EndpointSlices get all labels of their Service.
 * https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/controller/endpoint/endpoints_controller.go
 *
 * @param labelled - all objects with the label
 */
export function createIsControllersCopy(labelled: readonly FoundObject[]): (object: FoundObject) => boolean {
  const services = new Set(labelled.flatMap(({ id }) => (id.group === '' && id.kind === 'Service' ? [keyOf(id)] : [])));
  return ({ id, metadata }) => {
    if (id.group === 'discovery.k8s.io' && id.kind === 'EndpointSlice') {
      return metadata.labels?.['endpointslice.kubernetes.io/managed-by']?.endsWith('-controller.k8s.io') === true;
    }
    return id.group === '' && id.kind === 'Endpoints' && services.has(keyOf({ ...id, kind: 'Service' }));
  };
}
