import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import type { Change, PlanProblem } from '../plan/plan.ts';
import { createClasses } from './classes.ts';
import { createQuotas } from './quota.ts';
import { createRights, type Right, tellMissing } from './rbac.ts';
import { createTargetClasses } from './target-classes.ts';

/** Finds out what the target lacks for an import: told of each object, it asks the API server for all of them at once. */
export interface Preflight {
  /** Of each object that an import would look at, with what it would do about it; only tallies are kept. */
  note(object: KubeObject, kind: ResourceKind, change: Change): void;
  /** Of each release that Helm would run for. */
  noteRelease(namespace: string, driver: 'secret' | 'configmap', isNew: boolean): void;
  /** @throws ClusterError when the API server can't be asked */
  finish(): Promise<PlanProblem[]>;
}

export interface PreflightOptions {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  /** Those that the import has to make. Asked for by {@link Preflight.finish}. */
  readonly newNamespaces: () => ReadonlySet<string>;
  /** How many requests are under way at once. */
  readonly concurrency: number;
  readonly signal?: AbortSignal | undefined;
}

const RECORD_VERBS = ['get', 'list', 'create', 'update', 'delete'];
const NAMES_TOLD = 20;

/** Starts with nothing noted, and asks nothing before {@link Preflight.finish}. */
export function createPreflight(options: PreflightOptions): Preflight {
  const { cluster, discovery, concurrency, signal } = options;
  const rights = createRights();
  const classes = createClasses();
  const quotas = createQuotas();
  const namespaces = new Set<string>();

  return {
    note(object, kind, change) {
      if (change === 'create' && kind.group === '' && kind.plural === 'namespaces') {
        namespaces.add(object.metadata.name);
      } else rights.note(object, kind, change);
      classes.note(object, kind, change);
      quotas.note(object, kind, change);
    },
    noteRelease(namespace, driver, isNew) {
      const plural = driver === 'secret' ? 'secrets' : 'configmaps';
      rights.need({ group: '', plural, namespace, verbs: RECORD_VERBS });
      if (isNew) quotas.noteCore(namespace, plural, 1);
    },
    async finish() {
      const newNamespaces = new Set([...options.newNamespaces(), ...namespaces]);
      if (newNamespaces.size > 0) rights.need(MAKE_NAMESPACES);
      const target = createTargetClasses(cluster, discovery, signal);
      const work = [
        rights.findMissing({ cluster, concurrency, signal }).then((missing) => tellRights(missing, newNamespaces)),
        classes.findMissing(target),
        quotas.findExceeded({
          ...{ cluster, concurrency, signal, newNamespaces },
          defaultStorageClass: async () => classes.broughtDefault ?? (await target.defaultStorageClass()),
        }),
      ];
      await Promise.allSettled(work);
      return (await Promise.all(work)).flat();
    },
  };
}

const MAKE_NAMESPACES: Right = { group: '', plural: 'namespaces', namespace: undefined, verbs: ['create'] };

function tellRights(missing: readonly Right[], newNamespaces: ReadonlySet<string>): PlanProblem[] {
  const problems: PlanProblem[] = [];
  const isOfNamespaces = ({ group, plural, verbs }: Right) =>
    group === '' && plural === 'namespaces' && verbs.includes('create');
  if (missing.some(isOfNamespaces)) problems.push(missingNamespaces([...newNamespaces].sort()));
  const rest = missing
    .map((right) =>
      isOfNamespaces(right) ? { ...right, verbs: right.verbs.filter((verb) => verb !== 'create') } : right,
    )
    .filter(({ verbs }) => verbs.length > 0);
  if (rest.length > 0) {
    problems.push({
      kind: 'forbidden',
      message: `The user of this run lacks rights at the target:\n${tellMissing(rest).join('\n')}`,
      hint: 'Have them granted by a Role or ClusterRole, or run as another user. kubectl auth can-i shows each.',
    });
  }
  return problems;
}

function missingNamespaces(names: readonly string[]): PlanProblem {
  const told = names.slice(0, NAMES_TOLD).join(', ');
  const more = names.length > NAMES_TOLD ? ` and ${names.length - NAMES_TOLD} more` : '';
  const [subject, them] = names.length === 1 ? ['Namespace', 'it'] : ['Namespaces', 'them'];
  return {
    kind: 'missing-namespace',
    message: `${subject} ${told}${more}: not at the target, and the user of this run may not create ${them}.`,
    hint: `Have ${them} created first, or map namespaces to existing ones with namespace-map.`,
  };
}
