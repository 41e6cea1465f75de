import type { KubeObject } from '../cluster/cluster.ts';

/** The label of all that an import with `environment` has created, with the name as its value. */
export const ENVIRONMENT_LABEL = 'transship.dev/environment';

/** Which environment an import brings things for; what it creates is labelled so, and `prune` and `teardown` find it. */
export interface Environment {
  /** A label's value: at most 63 letters, digits, `-`, `_` and `.`. */
  readonly name: string;
}

/** The object with the label of an environment, or without one; the same object where nothing is to be changed. */
export function withEnvironment(object: KubeObject, name: string | undefined): KubeObject {
  const { [ENVIRONMENT_LABEL]: before, ...others } = object.metadata.labels ?? {};
  if (before === name) return object;
  const labels = name === undefined ? others : { ...others, [ENVIRONMENT_LABEL]: name };
  return { ...object, metadata: { ...object.metadata, labels } };
}

/** On an object with the value `"false"`: no import prunes it. */
export const PRUNE_ANNOTATION = 'transship.dev/prune';

/**
 * {@link withEnvironment} for what belongs to a virtual machine: it holds data, and is in no list of the resources that
 * `prune` compares with. A teardown removes it.
 */
export function withEnvironmentOfVm(object: KubeObject, name: string | undefined): KubeObject {
  const labelled = withEnvironment(object, name);
  if (name === undefined) return labelled;
  const annotations = { ...labelled.metadata.annotations, [PRUNE_ANNOTATION]: 'false' };
  return { ...labelled, metadata: { ...labelled.metadata, annotations } };
}
