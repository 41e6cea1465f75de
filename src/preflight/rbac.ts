import pLimit from 'p-limit';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import type { Change } from '../plan/plan.ts';

/** Some verbs on a kind of object, in one namespace or, without one, in the cluster. */
export interface Right {
  readonly group: string;
  readonly plural: string;
  readonly namespace: string | undefined;
  readonly verbs: readonly string[];
}

/** What an import needs to be allowed, by kind, namespace and what is done; objects are only counted. */
export interface Rights {
  note(object: KubeObject, kind: ResourceKind, change: Change): void;
  need(right: Right): void;
  /** Asks for all of them, and returns those that are missing. What can't be asked is not judged. */
  findMissing(options: AskOptions): Promise<Right[]>;
}

export interface AskOptions {
  readonly cluster: Cluster;
  readonly concurrency: number;
  readonly signal?: AbortSignal | undefined;
}

const VERBS: Readonly<Record<Change, readonly string[]>> = {
  create: ['create'],
  update: ['get', 'patch'],
  recreate: ['get', 'delete', 'create'],
  delete: ['get', 'delete'],
  unchanged: [],
  keep: [],
};
/** They are applied, not created, and looked at until they are established. */
const CRD_VERBS = ['get', 'patch', 'create'];
/** A Role may give a right for some names only: with so few objects each is asked for by name. */
const FEW = 5;
/** From so many namespaces on, one question for all of them may save the others. */
const MANY = 3;

interface Need extends Right {
  count: number;
  /** The first few. */
  readonly names: string[];
}

/** Starts with no need. */
export function createRights(): Rights {
  const needs = new Map<string, Need>();
  const add = (right: Right, name?: string) => {
    const key = [right.namespace, right.group, right.plural, ...right.verbs].join('/');
    const need = needs.get(key) ?? { ...right, count: 0, names: [] };
    needs.set(key, need);
    need.count += 1;
    if (name !== undefined && need.names.length < FEW) need.names.push(name);
  };
  return {
    note({ metadata }, kind, change) {
      const isApplied = kind.plural === 'customresourcedefinitions' && change === 'create';
      const verbs = isApplied ? CRD_VERBS : VERBS[change];
      if (verbs.length === 0) return;
      const namespace = kind.namespaced ? metadata.namespace : undefined;
      add({ group: kind.group, plural: kind.plural, namespace, verbs }, metadata.name);
    },
    need: (right) => add(right),
    findMissing: (options) => findMissing([...needs.values()], options),
  };
}

/** https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/ */
interface Question {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

const ALL = { verb: '*', group: '*', resource: '*' };

async function findMissing(needs: readonly Need[], { cluster, concurrency, signal }: AskOptions): Promise<Right[]> {
  const limit = pLimit(Math.max(1, concurrency));
  const answers = new Map<string, Promise<boolean>>();
  const may = (question: Question): Promise<boolean> => {
    const key = JSON.stringify(question);
    const answer = answers.get(key) ?? limit(() => ask(cluster, question, signal));
    answers.set(key, answer);
    return answer;
  };
  if (needs.length === 0 || (await may(ALL))) return [];

  const open = new Set(needs.flatMap(({ namespace }) => namespace ?? []));
  await inParallel([...open], async (namespace) => {
    if (await may({ ...ALL, namespace })) open.delete(namespace);
  });
  const left = needs.filter(({ namespace }) => namespace === undefined || open.has(namespace));
  const spread = Map.groupBy(
    left.flatMap(({ group, plural, verbs, namespace }) =>
      verbs.map((verb) => ({ verb, group, resource: plural, namespace })),
    ),
    ({ verb, group, resource }) => `${verb}/${group}/${resource}`,
  );
  const mayHere = async ({ verb, group, resource, namespace }: Question): Promise<boolean> => {
    const places = spread.get(`${verb}/${group}/${resource}`) ?? [];
    if (namespace !== undefined && new Set(places.map((place) => place.namespace)).size >= MANY) {
      if (await may({ verb, group, resource })) return true;
    }
    return may({ verb, group, resource, namespace });
  };
  const missing = await inParallel(left, async (need): Promise<Right> => {
    const { group, plural: resource, namespace, names, count } = need;
    const verbs = await inParallel(need.verbs, async (verb): Promise<string[]> => {
      const question = { verb, group, resource, namespace };
      if (await mayHere(question)) return [];
      // One that does not exist yet has no name to be allowed by.
      if (verb === 'create' || names.length < count) return [verb];
      const each = await inParallel(names, (name) => may({ ...question, name }));
      return each.every(Boolean) ? [] : [verb];
    });
    return { group, plural: resource, namespace, verbs: verbs.flat() };
  });
  return join(missing.filter(({ verbs }) => verbs.length > 0));
}

/** Ends when all have, so that nothing goes on behind the back of one who has met a failure. */
async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const all = items.map(work);
  await Promise.allSettled(all);
  return Promise.all(all);
}

async function ask(cluster: Cluster, question: Question, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    const { status } = await cluster.json<{ readonly status?: { readonly allowed?: boolean } }>({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: question },
      },
      signal,
    });
    return status?.allowed === true;
  } catch (error) {
    // Where nobody may ask, or nobody answers such questions, the import itself will tell.
    if (error instanceof ClusterError && (error.status === 403 || error.status === 404)) return true;
    throw error;
  }
}

/** One for each kind and namespace, with all verbs. */
function join(rights: readonly Right[]): Right[] {
  const joined = Map.groupBy(rights, ({ namespace, group, plural }) => [namespace, group, plural].join('/'));
  return [...joined.values()].flatMap(([first, ...more]) =>
    first === undefined ? [] : { ...first, verbs: [...new Set([first, ...more].flatMap(({ verbs }) => verbs))] },
  );
}

/** Lines of what is missing: a namespace each, the cluster first. */
export function tellMissing(missing: readonly Right[]): string[] {
  const places = Map.groupBy(missing, ({ namespace = '' }) => namespace);
  return [...places]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([namespace, rights]) => {
      const told = rights.map(
        ({ group, plural, verbs }) => `${verbs.join(', ')} ${plural}${group === '' ? '' : `.${group}`}`,
      );
      return `${namespace === '' ? 'in the whole cluster' : `in namespace ${namespace}`}: ${told.sort().join('; ')}`;
    });
}
