import type { Reporter } from '../report/reporter.ts';
import type { PlannedCollection } from './mirror-plan.ts';

/** What can be listed but not watched, gathered so that all of it is said at once. */
export interface RefusedWatches {
  /** Notes one; a moment later a warning names all that were noted since. */
  note(planned: PlannedCollection): void;
  /** Says nothing more. */
  close(): void;
}

/** Milliseconds. Watches that are refused are refused together. */
const SAID_AFTER = 2_000;

/** @param context - of the cluster, as messages name it */
export function createRefusedWatches(context: string, reporter: Reporter): RefusedWatches {
  let noted: PlannedCollection[] = [];
  let timer: NodeJS.Timeout | undefined;

  function say(): void {
    const byKind = Map.groupBy(noted, ({ kind }) => (kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`));
    noted = [];
    timer = undefined;
    const byWhere = Map.groupBy(byKind, ([, refused]) => whereOf(refused));
    const parts = [...byWhere].map(([where, kinds]) => `${kinds.map(([name]) => name).join(', ')}${where}`);
    reporter.warn(
      `The user of the context "${context}" may list but not watch ${parts.join('; ')}. ` +
        'Changes of these are seen only when a snapshot is taken for another reason. Grant the verb watch on them.',
      'Not watched',
    );
  }

  return {
    note(planned) {
      noted.push(planned);
      if (timer !== undefined) return;
      timer = setTimeout(say, SAID_AFTER);
      timer.unref();
    },
    close: () => clearTimeout(timer),
  };
}

function whereOf(refused: readonly PlannedCollection[]): string {
  const namespaces = refused.flatMap(({ namespace }) => namespace ?? []);
  return namespaces.length > 0 ? ` in ${namespaces.join(', ')}` : '';
}
