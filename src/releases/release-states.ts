import { ABSENT, type States } from '../plan/states.ts';
import { releaseKey, type TargetRelease } from './target-releases.ts';

/** Keeps the state of some releases at the target: which revisions each driver has, their status, and what is in them. */
export function noteStates(
  states: States,
  releases: readonly { readonly namespace: string; readonly name: string }[],
  existing: readonly TargetRelease[],
): void {
  for (const { namespace, name } of releases) {
    const found = existing.filter((one) => one.namespace === namespace && one.name === name);
    states.set(`release ${releaseKey(namespace, name)}`, found.length === 0 ? ABSENT : found.map(describe).join('; '));
  }
}

function describe({ driver, revisions }: TargetRelease): string {
  const sorted = revisions.toSorted((a, b) => a.revision - b.revision);
  return `${driver} ${sorted.map(({ revision, status, digest }) => `${revision} ${status} ${digest}`).join(', ')}`;
}
