import { quote, splitList } from './parsers.ts';
import type { GivenInputs, Problem } from './rules.ts';
import type { InputName } from './table.ts';

/** Inputs that mean nothing where no virtual machines are taken. */
const ABOUT_VMS: readonly InputName[] = [
  ...(['vms', 'vm-snapshots', 'pvcs', 'running-vms', 'vm-links', 'vm-export-ttl'] as const),
  ...(['name', 'vm-identity', 'run-strategy'] as const),
];

/** Whether `include` names something; false where it is not given. */
export function includes({ include }: GivenInputs, what: string): boolean {
  return splitList(include ?? '').includes(what);
}

/** Whether something is not taken: what a cluster is asked for is named, and of a snapshot all is taken by default. */
export function leavesOut(given: GivenInputs, what: string): boolean {
  const isCollecting = ['export', 'promote', 'watch'].includes(given.mode ?? '');
  return (isCollecting || given.include !== undefined) && !includes(given, what);
}

/** What is wrong with inputs that are about virtual machines, taken with others. */
export function vmConflicts(given: GivenInputs): Problem[] {
  if (!leavesOut(given, 'vms')) return nameConflicts(given);
  return ABOUT_VMS.flatMap((input) => {
    const value = given[input];
    if (value === undefined) return [];
    const message = `${quote(value)} is about virtual machines, and include does not have them. Add vms to include, or remove it.`;
    return [{ input, message }];
  });
}

function nameConflicts({ name, vms }: GivenInputs): Problem[] {
  const chosen = splitList(vms ?? '');
  if (name === undefined || chosen.length < 2) return [];
  const message = `${quote(name)} is one name, and vms names ${chosen.length} virtual machines. Import one at a time, or leave it out.`;
  return [{ input: 'name', message }];
}
