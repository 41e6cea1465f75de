import type { KubeObject } from '../cluster/cluster.ts';
import { isMap } from '../values.ts';
import { OPT_OUT_LABEL } from './resource.ts';

/** What the objects of some kinds tell of those of others. Complete once the kinds that tell have been read. */
export interface Facts {
  /** Every namespace that was seen, and whether it is kept out of exports. */
  readonly namespaces: Map<string, boolean>;
  /** Services without a selector, as `namespace/name`. */
  readonly selectorlessServices: Set<string>;
  /** PersistentVolumes that can travel. */
  readonly volumes: Set<string>;
}

/** Facts to start with. */
export function createFacts(): Facts {
  return { namespaces: new Map(), selectorlessServices: new Set(), volumes: new Set() };
}

/** Whether an object says itself that it is to be kept out of exports. */
export function isOptedOut({ metadata }: KubeObject): boolean {
  return metadata.labels?.[OPT_OUT_LABEL] === 'true';
}

/** Notes what an object of any kind tells. */
export function noteFacts(facts: Facts, { apiVersion, kind, metadata, spec }: KubeObject): void {
  if (apiVersion !== 'v1') return;
  if (kind === 'Namespace') {
    facts.namespaces.set(metadata.name, metadata.labels?.[OPT_OUT_LABEL] === 'true');
  } else if (kind === 'Service' && isWithoutSelector(spec)) {
    facts.selectorlessServices.add(`${metadata.namespace ?? ''}/${metadata.name}`);
  }
}

function isWithoutSelector(spec: unknown): boolean {
  return !isMap(spec) || !isMap(spec.selector) || Object.keys(spec.selector).length === 0;
}
