import type { KubeObject } from '../cluster/cluster.ts';
import { isMap } from '../values.ts';
import type { Findings, LookUp } from './read-object.ts';
import { type MatcherReference, mapIn } from './vm-references.ts';

const OBJECT_NAME = 'instancetype.kubevirt.io/object-name';

/** What a machine is made of, as found. */
export interface FoundMatcher {
  readonly role: MatcherReference['role'];
  /** The revision that KubeVirt uses for the machine. */
  readonly revision: KubeObject | undefined;
  readonly object: KubeObject | undefined;
  /** What the machine's spec is to say, so that it is made of the same elsewhere. */
  readonly matcher: Readonly<Record<string, unknown>>;
}

/**
 * Reads an instancetype or preference and its revision: either is enough to start the machine, but a revision named in its
 * spec is the one it must have.
 */
export async function readMatcher(
  reference: MatcherReference,
  lookUp: LookUp,
  findings: Findings,
): Promise<FoundMatcher> {
  const { role, object: named, revision: kept } = reference;
  const [seen, copy] = await Promise.all([named && lookUp(named), kept && lookUp(kept)]);
  const isNamed = kept?.isOptional === false;
  const found = copy && findings.take(copy, !isNamed);
  // One that the status names counts only for the object it is a copy of:
  // https://github.com/kubevirt/kubevirt/blob/v1.9.0/pkg/instancetype/find/revision.go
  const isCopy = isNamed || found?.metadata.labels?.[OBJECT_NAME] === named?.name;
  const revision = isCopy ? found : undefined;
  const object = seen && findings.take(seen, revision !== undefined || isNamed);
  const matcher = {
    ...(named === undefined ? {} : { name: named.name, kind: named.kind }),
    ...(revision === undefined ? {} : { revisionName: revision.metadata.name }),
  };
  return { role, revision, object, matcher };
}

/**
 * Writes what was found into a machine's spec: newer KubeVirts keep revisions and inferred names only in its status.
 *
 * @returns a copy
 */
export function withMatchers(vm: KubeObject, found: readonly FoundMatcher[]): KubeObject {
  const spec = { ...mapIn(vm.spec) };
  for (const { role, matcher } of found) {
    const { inferFromVolume, inferFromVolumeFailurePolicy, ...before } = isMap(spec[role]) ? spec[role] : {};
    spec[role] = { ...before, ...matcher };
  }
  return { ...vm, spec };
}
