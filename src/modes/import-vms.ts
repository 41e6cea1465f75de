import type { PartReader } from '../archive/part.ts';
import type { Backend, StoredSnapshot } from '../backends/backend.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { TransshipError } from '../errors.ts';
import type { PlannedObject, PlanProblem } from '../plan/plan.ts';
import type { VmResult } from '../report/results.ts';
import { matcherOf, nearestNames } from '../selection/name-patterns.ts';
import type { UndoLog } from '../undo.ts';
import { type ChoicePattern, readPattern } from '../vms/choose-patterns.ts';
import type { VmTarget } from '../vms/choose-vms.ts';
import type { VmPart } from '../vms/part-list.ts';
import type { VmArchive } from '../vms/prepare-vms.ts';
import type { Importing } from './importing.ts';

/** Virtual machines on their way in, of which all that can be known is known. */
export interface PreparedVms {
  /** What would be made, and all that stands in the way; what it depends on at the target goes to the states. */
  plan(): Promise<{ readonly objects: readonly PlannedObject[]; readonly problems: readonly PlanProblem[] }>;
  /** @throws TransshipError naming all that stands in the way */
  refuse(): void;
  bring(undo: UndoLog | undefined): Promise<VmResult[]>;
  close(): Promise<void>;
}

/** Looks at virtual machines and the target; changes nothing. */
export type PrepareVms = (importing: Importing) => Promise<PreparedVms>;

/** Those that a snapshot has the archives of. */
export function fromArchives(archives: readonly VmArchive[], identities: readonly string[]): PrepareVms {
  return async (importing) => {
    const { inputs, cluster, discovery, context, environment, states } = importing;
    // Loaded only where there are machines, as all that speaks to KubeVirt.
    const [{ planVms, prepareVms, refuseProblems }, { restoreVms }] = await Promise.all([
      import('../vms/prepare-vms.ts'),
      import('../vms/restore.ts'),
    ]);
    const work = await prepareVms({
      ...optionsOf(importing),
      ...{ cluster, discovery, archives, identities, directory: context.temporaryDirectory },
      defaultNamespace: cluster.namespace,
    });
    const { reporter, signal } = context;
    for (const note of work.notes) reporter.info(note);
    return {
      plan: () => planVms(work, states),
      refuse: () => refuseProblems(work),
      bring: (undo) =>
        restoreVms(work, {
          ...{ cluster, discovery, environment, undo, reporter, signal },
          timeout: inputs.timeout,
          concurrency: inputs.concurrency,
        }),
      close: () => work.close(),
    };
  };
}

/** Those of another cluster, from which the target reads the disks itself. */
export function fromCluster(
  source: { readonly cluster: Cluster; readonly discovery: Discovery },
  targets: readonly VmTarget[],
): PrepareVms {
  return async (importing) => {
    const { inputs, cluster, discovery, context, environment, states } = importing;
    if (inputs.mode !== 'promote') throw new Error('Only promote knows the source.');
    const { reporter, signal, env, run } = context;
    const links = inputs['vm-links'];
    if (links === 'internal' || links === 'port-forward') {
      throw new TransshipError(
        'INPUT',
        `vm-links: "${links}" can't be used here: the target reads the disks itself, from outside of the source.`,
        { hint: 'Set vm-links to auto or external; or give a path, so that the disks go through this machine.' },
      );
    }
    const [{ planVms, refuseProblems }, { cloneVms, prepareClone }] = await Promise.all([
      import('../vms/prepare-vms.ts'),
      import('../vms/clone.ts'),
    ]);
    const work = await prepareClone(source, { cluster, discovery }, targets, {
      ...optionsOf(importing),
      ...{ links, run, env, environment },
      running: inputs['running-vms'],
      ttl: inputs['vm-export-ttl'],
      timeout: inputs.timeout,
    });
    for (const note of work.notes) reporter.info(note);
    return {
      plan: () => planVms(work, states),
      refuse: () => refuseProblems(work),
      bring: (undo) => cloneVms(work, { undo, reporter, signal }),
      close: async () => {},
    };
  };
}

function optionsOf(importing: Importing) {
  const { inputs, context, content, transforms } = importing;
  const { reporter, signal, env } = context;
  return {
    namespaceOf: (source: string) => transforms.namespaces.get(source) ?? source,
    name: inputs.name,
    // Of transforms, which know all classes, also those of the file.
    storageClassMap: {},
    vmIdentity: inputs['vm-identity'],
    runStrategy: inputs['run-strategy'],
    transform: transforms.apply,
    // What resources bring is compared with the target by them.
    broughtBy: () => content.resources,
    concurrency: inputs.concurrency,
    ...{ env, reporter, signal },
  };
}

/**
 * The archives of a snapshot that the inputs choose.
 *
 * @throws TransshipError `INPUT` for a pattern that matches none
 */
export function chooseParts(
  parts: readonly VmPart[],
  {
    vms,
    namespace = [],
  }: { readonly vms?: readonly string[] | undefined; readonly namespace?: readonly string[] | undefined },
): readonly VmPart[] {
  const inNamespaces = parts.filter(
    (part) => namespace.length === 0 || namespace.some((pattern) => matcherOf(pattern)(part.namespace)),
  );
  if (vms === undefined) return inNamespaces;
  const patterns = vms.map((text) => readPattern(text, ['*']));
  const isChosen = ({ namespace: of, name }: VmPart, { matches }: ChoicePattern) =>
    matches({ metadata: { namespace: of, name } });
  for (const pattern of patterns) {
    if (inNamespaces.some((part) => isChosen(part, pattern))) continue;
    const names = [...new Set(inNamespaces.map(({ name }) => name))].sort();
    const nearest = nearestNames(pattern.name, names);
    throw new TransshipError(
      'INPUT',
      `vms: "${pattern.text}" matches no virtual machine of the snapshot. ${names.length === 0 ? 'It has none.' : `It has: ${names.join(', ')}.`}`,
      {
        hint:
          nearest.length === 0
            ? 'Name one of those, or leave vms out to take all.'
            : `Did you mean ${nearest.join(' or ')}?`,
      },
    );
  }
  return inNamespaces.filter((part) => patterns.some((pattern) => isChosen(part, pattern)));
}

/** The archives of a snapshot, to be opened where it is stored. */
export function archivesOf(
  parts: readonly VmPart[],
  origin: string,
  open: (file: string) => Promise<PartReader>,
): VmArchive[] {
  return parts.map((part) => ({
    part,
    origin: `${part.namespace}/${part.name} of ${origin}`,
    open: () => open(part.file),
  }));
}

/** Opens archives that are stored with a snapshot. */
export function openParts(backend: Backend, stored: StoredSnapshot, directory: string, signal: AbortSignal) {
  return (file: string) => backend.openPart(stored, file, directory, signal);
}
