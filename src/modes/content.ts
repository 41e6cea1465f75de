import { TransshipError } from '../errors.ts';
import { isRecordPath } from '../releases/record-entry.ts';
import { isResourcePath } from '../resources/list-file.ts';
import { matcherOf, nearestNames } from '../selection/name-patterns.ts';

/** What of a snapshot is to be brought in. */
export interface Content {
  readonly releases: boolean;
  readonly resources: boolean;
  /** Virtual machines. */
  readonly vms: boolean;
}

const KINDS = ['releases', 'resources', 'vms'] as const;

/**
 * Compares what an import asks for with what the snapshot holds.
 *
 * @param paths - of the snapshot's files
 * @param machines - namespaces of the virtual machines that it has
 * @param include - what was asked for; undefined is all there is
 * @param namespaces - names and globs
 * @throws TransshipError `INPUT` when the snapshot has nothing of what was asked for
 */
export function readContent(
  paths: readonly string[],
  machines: readonly string[],
  include: readonly string[] | undefined,
  namespaces: readonly string[],
): Content {
  const records = paths.filter(isRecordPath);
  // CRDs also travel with releases alone.
  const lists = paths.filter((path) => isResourcePath(path) && path !== 'customresourcedefinitions.json');
  const holds = { releases: records.length > 0, resources: lists.length > 0, vms: machines.length > 0 };
  const takes = (what: (typeof KINDS)[number]) => include?.includes(what) ?? holds[what];
  const content = { releases: takes('releases'), resources: takes('resources'), vms: takes('vms') };
  for (const what of KINDS) {
    if (!content[what] || holds[what] || include === undefined) continue;
    const others = KINDS.filter((kind) => holds[kind]);
    throw new TransshipError('INPUT', `include names ${what}, and the snapshot has none.`, {
      hint:
        others.length > 0 ? `It has ${others.join(' and ')}.` : 'It is empty: nothing was found when it was exported.',
    });
  }
  checkNamespaces(namespaces, [
    ...(content.releases ? records.map((path) => path.split('/')[1] ?? '') : []),
    ...(content.resources ? lists.filter((path) => path.includes('/')).map(namespaceOf) : []),
    ...(content.vms ? machines : []),
  ]);
  return content;
}

/** The file `manifest` stands beside the folders of namespaces, so that of a namespace of that name has an underscore. */
function namespaceOf(path: string): string {
  return (path.split('/')[0] ?? '').replace(/_$/, '');
}

function checkNamespaces(patterns: readonly string[], found: readonly string[]): void {
  const names = [...new Set(found)].sort();
  for (const pattern of patterns) {
    if (names.some(matcherOf(pattern))) continue;
    const nearest = nearestNames(pattern, names);
    const there = names.length === 0 ? 'It has nothing of any namespace.' : `It has: ${names.join(', ')}.`;
    throw new TransshipError('INPUT', `namespace: "${pattern}" matches nothing in the snapshot. ${there}`, {
      hint:
        nearest.length === 0
          ? 'Name one of those, or leave namespace out to take all.'
          : `Did you mean ${nearest.join(' or ')}?`,
    });
  }
}
