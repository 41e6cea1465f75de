import type { Manager } from '../archive/snapshot.ts';
import { TransshipError } from '../errors.ts';
import { isSamePath } from '../manager/identity.ts';
import type { ReleaseResult } from '../report/results.ts';
import type { NamespaceMap } from '../transforms/namespace-map.ts';
import type { ArchiveFiles, BundledRevision, ReleaseBundle } from './bundles.ts';
import { readRecord } from './bundles.ts';
import { describeChart, type HelmRelease } from './helm-release.ts';
import { highest } from './history.ts';
import { changePath } from './manager-path.ts';
import { parseRelease, type ReleaseRecord } from './record.ts';

/** The chart whose releases keep a path up to date. */
const CHART = 'transship';

/** What an import must not make a second one of: who keeps a path up to date. */
export interface ManagerGuard {
  /** Who wrote the snapshot; undefined when nobody keeps its path up to date. */
  readonly manager: Manager | undefined;
  /** Where the snapshot is read from. */
  readonly place: string | undefined;
  /** Where such a release is to write from now on; without it, it is left out. */
  readonly newPath: string | undefined;
}

/** A release that is left out, as the result tells it. */
export type LeftOut = Omit<ReleaseResult, 'outcome'> & { readonly message: string };

/** What of the releases of an archive is brought in. */
export interface Guarded {
  readonly bundles: readonly ReleaseBundle[];
  readonly left: readonly LeftOut[];
}

/**
 * Leaves out the release that wrote the snapshot, and any that would write to the same place; with a new path, they come
 * and write there.
 *
 * @throws TransshipError `INPUT` when the new path is the old one, or the old one is nowhere to be found
 */
export async function guardManagers(
  files: ArchiveFiles,
  bundles: readonly ReleaseBundle[],
  guard: ManagerGuard,
  namespaces: NamespaceMap,
): Promise<Guarded> {
  const kept: ReleaseBundle[] = [];
  const left: LeftOut[] = [];
  for (const bundle of bundles) {
    const shown = bundle.running ?? highest(bundle.revisions);
    const isNamed = isManager(bundle, guard.manager);
    // Most releases have no revision that could be of this chart, and are not read once more.
    const record = shown && (isNamed || shown.mayManage) ? await readRecord(files, bundle, shown) : undefined;
    const release = record && parseRelease(record);
    const path = release && isNamed ? guard.manager?.path : release && pathToGuard(release, guard);
    if (release === undefined || record === undefined || path === undefined) {
      kept.push(bundle);
    } else if (guard.newPath === undefined) {
      const why = isNamed
        ? `It is the manager that wrote this snapshot: two would keep ${path} up to date.`
        : `It keeps ${path} up to date, where this snapshot comes from: two would write there.`;
      const message = `${why} Set manager-path to bring it in with another path.`;
      left.push({ ...rowOf(bundle, record, release, namespaces), leftOut: true, message });
    } else {
      kept.push(moved(bundle, record, path, guard.newPath, namespaces));
    }
  }
  return { bundles: kept, left };
}

function isManager({ namespace, name }: ReleaseBundle, manager: Manager | undefined): boolean {
  return manager !== undefined && manager.namespace === namespace && manager.release === name;
}

/** The path of a release that keeps up to date what the snapshot is of. */
function pathToGuard(release: HelmRelease, { manager, place }: ManagerGuard): string | undefined {
  const path = release.chart?.metadata?.name === CHART ? pathOf(release) : undefined;
  if (path === undefined) return undefined;
  return [manager?.path, place].some((one) => one !== undefined && isSamePath(one, path)) ? path : undefined;
}

/** The value `path`, as Helm puts the user's values over the chart's; a null takes the chart's away. */
function pathOf({ chart, config }: HelmRelease): string | undefined {
  const given: unknown = config?.path;
  const path = given === undefined ? chart?.values?.path : given;
  return typeof path === 'string' && path.trim() !== '' ? path : undefined;
}

function moved(
  bundle: ReleaseBundle,
  shown: ReleaseRecord,
  oldPath: string,
  newPath: string,
  namespaces: NamespaceMap,
): ReleaseBundle {
  const { namespace, name } = bundle;
  if (isSamePath(oldPath, newPath)) {
    throw new TransshipError(
      'INPUT',
      `manager-path: "${newPath}" is where release ${namespace}/${name} of the snapshot writes already.`,
      { hint: 'Give another path, or leave it out: then that release is left out.' },
    );
  }
  const manager = [`${namespace}/${name}`, `${namespaces.get(namespace) ?? namespace}/${name}`] as const;
  const move = (record: ReleaseRecord) => {
    // Other revisions may have had another path; that one is not in use any more.
    const own = pathOf(parseRelease(record));
    const from = own !== undefined && isSamePath(own, oldPath) ? [own, oldPath] : [oldPath];
    return changePath(record, { from, to: newPath, manager });
  };
  if (move(shown).count === 0) {
    throw new TransshipError(
      'INPUT',
      `manager-path: ${oldPath} is nowhere in the manifest of release ${namespace}/${name}, so it can't be changed.`,
      { hint: 'Leave manager-path out, and install that release with its new path by Helm.' },
    );
  }
  return { ...bundle, edit: (record) => move(record).record };
}

function rowOf(
  { revisions }: { readonly revisions: readonly BundledRevision[] },
  { namespace, release: name, revision, status }: ReleaseRecord,
  release: HelmRelease,
  namespaces: NamespaceMap,
): Omit<ReleaseResult, 'outcome'> {
  return {
    ...{ name, namespace: namespaces.get(namespace) ?? namespace, ...describeChart(release) },
    ...{ revision, status, revisions: revisions.length },
  };
}
