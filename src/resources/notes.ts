import type { Reporter } from '../report/reporter.ts';
import { describeNamespaceWarning } from '../transforms/namespace-map.ts';
import type { Decisions } from './decide.ts';
import { list } from './problems.ts';
import { nameObject } from './resource.ts';
import { joinTallies, type Scan } from './scan.ts';
import type { ResourceFilter } from './selection.ts';

const LINES_TOLD = 20;

/** Says what is brought in otherwise than it was. */
export function reportScans(scans: readonly Scan[], reporter: Reporter): void {
  const warnings = scans.flatMap((scan) => scan.warnings).slice(0, LINES_TOLD);
  const warned = scans.reduce((sum, scan) => sum + scan.warned, 0);
  if (warned > 0) {
    const lines = warnings.map(describeNamespaceWarning);
    if (warned > lines.length) lines.push(`and ${warned - lines.length} more.`);
    reporter.warn(lines.join('\n'), 'Not mapped');
  }
  for (const { recorded, kind, count, to } of joinTallies(scans.map(({ rewritten }) => rewritten))) {
    reporter.warn(
      `${kind} comes as ${to}: the target does not serve ${recorded}, in which the snapshot has ${count === 1 ? 'one object' : `${count} objects`}.`,
      'Another API version',
    );
  }
}

/** Says what is left as it is at the target. */
export function reportDecisions({ by }: Decisions, reporter: Reporter): void {
  const namesOf = (verdict: 'kept' | 'left') => (by.get(verdict) ?? []).map(({ id }) => nameObject(id));
  const kept = namesOf('kept');
  if (kept.length > 0) {
    reporter.warn(
      `These exist at the target, differ, and are left as they are, for they are its own answer to the name:${list(kept)}`,
      'Left as they are',
    );
  }
  const left = namesOf('left');
  if (left.length > 0) {
    reporter.info(
      `These exist at the target, differ, and are left as they are; replace would change them:${list(left)}`,
    );
  }
}

/** Says which patterns have left out nothing. */
export function reportUnused(filter: ResourceFilter, reporter: Reporter): void {
  for (const pattern of filter.unused()) {
    reporter.warn(`exclude has "${pattern}", which matches no object.`, 'Nothing excluded');
  }
}
