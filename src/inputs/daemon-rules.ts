import { quote } from './parsers.ts';
import type { GivenInputs, Problem, Storage } from './rules.ts';
import type { Door } from './table.ts';
import { includes } from './vm-rules.ts';

/** What is wrong with inputs that are about stored state over time, taken with others. */
export function daemonConflicts(given: GivenInputs, storage: Storage | undefined, door: Door): Problem[] {
  return [
    ...modeConflicts(given, storage, door),
    ...managingConflicts(given, storage),
    ...watchConflicts(given),
    ...formatConflicts(given),
  ];
}

function modeConflicts({ mode, path }: GivenInputs, storage: Storage | undefined, door: Door): Problem[] {
  const problems: Problem[] = [];
  if (mode === 'watch' && door === 'action') {
    problems.push({
      input: 'mode',
      message:
        '"watch" runs until it is stopped, and a workflow ends. Use mode export on a schedule, or the chart transship.',
    });
  }
  // What deletes, and what goes on for months, is not left to a default.
  if ((mode === 'watch' || mode === 'clear') && path === undefined && storage?.backend !== 's3') {
    problems.push({ input: 'path', message: `is missing. Mode ${mode} takes no default: name the place.` });
  }
  if (mode === 'watch' && storage?.backend === 'artifact') {
    problems.push({
      input: 'backend',
      message: '"artifact" is not for mode watch. Give s3 or local, and a path there.',
    });
  }
  return problems;
}

function managingConflicts(given: GivenInputs, storage: Storage | undefined): Problem[] {
  const problems: Problem[] = [];
  const isTaking = given['take-over'] !== undefined && !/^false$/i.test(given['take-over']);
  if (given.mode === 'export' && isTaking && given.manager === undefined) {
    problems.push({
      input: 'take-over',
      message: `${quote(given['take-over'] ?? '')} needs manager too. Say who takes over, as namespace/release.`,
    });
  }
  if (storage?.backend !== 'artifact') return problems;
  if (given.manager !== undefined) {
    problems.push({
      input: 'manager',
      message: `${quote(given.manager)} is only for backend s3 and local, and here it is artifact. Remove it.`,
    });
  }
  if (given.retention !== undefined && given.mode === 'export') {
    problems.push({
      input: 'retention',
      message: `${quote(given.retention)} is not for artifacts, which GitHub deletes by itself. Set retention-days instead.`,
    });
  }
  return problems;
}

function watchConflicts(given: GivenInputs): Problem[] {
  if (given.settle === undefined || /^true$/i.test(given['on-change'] ?? '')) return [];
  return [{ input: 'settle', message: `${quote(given.settle)} needs on-change too. Set on-change to true.` }];
}

/** What the format has no place for. */
function formatConflicts(given: GivenInputs): Problem[] {
  if (given.format !== 'helm-export') return [];
  const problems: Problem[] = [];
  for (const what of ['resources', 'vms']) {
    if (!includes(given, what)) continue;
    problems.push({
      input: 'format',
      message: `"helm-export" holds Helm releases only, and include has ${what}. Remove ${what} from include, or set format to archive.`,
    });
  }
  for (const input of ['compression', 'layout'] as const) {
    const value = given[input];
    if (value === undefined || value === 'archive') continue;
    problems.push({
      input,
      message: `${quote(value)} does not go with format helm-export, which is one gzip. Remove it.`,
    });
  }
  return problems;
}
