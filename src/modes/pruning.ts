import { findEnvironments } from '../environment/find.ts';
import { findPrunable, type PrunableObject } from '../environment/prune.ts';
import type { PlannedObject, PlannedRelease } from '../plan/plan.ts';
import { isRecordPath } from '../releases/record-entry.ts';
import { isResourcePath, readListFile } from '../resources/list-file.ts';
import { idOf, keyOf, nameObject } from '../resources/resource.ts';
import { createFilter } from '../resources/selection.ts';
import { namespaceOfPath } from '../resources/wanted.ts';
import { matcherOf } from '../selection/name-patterns.ts';
import type { Importing } from './importing.ts';

/** What former imports for the environment brought and the snapshot no longer has. */
export interface Pruned {
  readonly objects: readonly PrunableObject[];
  readonly releases: readonly { readonly namespace: string; readonly name: string }[];
}

/** What of an import tells what it prunes. */
type Pruning = Pick<Importing, 'inputs' | 'cluster' | 'discovery' | 'content' | 'environment'> & {
  readonly spool: Pick<Importing['spool'], 'paths' | 'entry'>;
  readonly snapshot: Pick<Importing['snapshot'], 'kinds'>;
  readonly transforms: Pick<Importing['transforms'], 'namespaces'>;
  readonly context: Pick<Importing['context'], 'reporter' | 'signal'>;
};

/** Finds what `prune` deletes; nothing without it. What the choice of this import leaves out stays. */
export async function findPruned(importing: Pruning): Promise<Pruned> {
  const { inputs, cluster, discovery, content, environment, context } = importing;
  if (!inputs.prune || environment === undefined) return { objects: [], releases: [] };
  const there = await readSnapshot(importing);
  const isLeftOut = leftOut(importing, there.sources);
  const { objects, releases } = await findPrunable(cluster, discovery, {
    environment,
    namespaces: await targetNamespaces(importing, there.sources),
    keeps: (key) => !content.resources || there.keys.has(key),
    keepsRelease: (namespace, name) =>
      !content.releases || there.releases.has(`${namespace}/${name}`) || isLeftOut.release(namespace, name),
    reporter: context.reporter,
    signal: context.signal,
  });
  return { objects: objects.filter((object) => !isLeftOut.object(object)), releases };
}

interface InSnapshot {
  /** Of all objects, chosen or not, as they would be called at the target. */
  readonly keys: ReadonlySet<string>;
  readonly releases: ReadonlySet<string>;
  /** The namespaces of the source by those of the target. */
  readonly sources: ReadonlyMap<string, readonly string[]>;
}

async function readSnapshot({ spool, transforms }: Pruning): Promise<InSnapshot> {
  const keys = new Set<string>();
  const releases = new Set<string>();
  const sources = new Map<string, string[]>();
  const target = (source: string) => {
    const name = transforms.namespaces.get(source) ?? source;
    const others = sources.get(name) ?? [];
    if (!others.includes(source)) sources.set(name, [...others, source]);
    return name;
  };
  for (const path of spool.paths()) {
    if (isRecordPath(path)) {
      const [, namespace = '', name = ''] = path.split('/');
      releases.add(`${target(namespace)}/${name}`);
    } else if (isResourcePath(path)) {
      const folder = namespaceOfPath(path);
      const namespace = folder === undefined ? undefined : target(folder);
      for await (const object of readListFile(path, spool.entry(path).body)) {
        const id = idOf(object);
        const isNamespace = id.group === '' && id.kind === 'Namespace';
        keys.add(keyOf({ ...id, namespace, name: isNamespace ? target(id.name) : id.name }));
      }
    }
  }
  return { keys, releases, sources };
}

/** Those of the snapshot; where the import is not about some of them only, also those that former imports brought things to. */
async function targetNamespaces(
  { inputs, cluster, environment, context }: Pruning,
  sources: InSnapshot['sources'],
): Promise<string[]> {
  const patterns = inputs.mode === 'promote' ? undefined : inputs.namespace;
  if (patterns !== undefined) {
    const matchers = patterns.map(matcherOf);
    const isChosen = (names: readonly string[]) => names.some((name) => matchers.some((matches) => matches(name)));
    return [...sources].filter(([, names]) => isChosen(names)).map(([name]) => name);
  }
  const found = await findEnvironments(cluster, { name: environment?.name, signal: context.signal });
  return [...new Set([...sources.keys(), ...found.flatMap(({ namespaces }) => namespaces)])];
}

/** What `exclude` names is not this import's, whether the snapshot has it or not. */
function leftOut({ inputs, snapshot, discovery, content }: Pruning, sources: InSnapshot['sources']) {
  const exclude = inputs.exclude ?? [];
  const filter = createFilter({
    exclude,
    kinds: [...(snapshot.kinds ?? []), ...discovery.kinds],
    alsoReleases: content.releases,
    where: 'the snapshot or the cluster',
  });
  const namesOf = (namespace: string) => [namespace, ...(sources.get(namespace) ?? [])];
  const matchers = exclude.map(matcherOf);
  return {
    object: ({ id, kind }: PrunableObject) =>
      [undefined, ...namesOf(id.namespace ?? '')].some((namespace) =>
        filter.excludes(
          {
            apiVersion: kind.apiVersion,
            kind: kind.kind,
            metadata: { name: id.name, ...(namespace ? { namespace } : {}) },
          },
          kind.plural,
        ),
      ),
    release: (namespace: string, name: string) =>
      [name, ...namesOf(namespace).map((one) => `${one}/${name}`)].some((text) =>
        matchers.some((matches) => matches(text)),
      ),
  };
}

/** What of it a plan shows, object by object. */
export function planPruned({ objects, releases }: Pruned, environment: string) {
  const message = `an import for environment ${environment} brought it, and the snapshot does not have it`;
  return {
    objects: objects.map(
      ({ id, kind }): PlannedObject => ({
        apiVersion: kind.apiVersion,
        kind: kind.kind,
        namespace: id.namespace,
        name: id.name,
        change: 'delete',
        message,
      }),
    ),
    releases: releases.map(
      ({ namespace, name }): PlannedRelease => ({
        ...{ namespace, name, change: 'delete', revisions: 0, values: '', objects: [], hooks: [], message },
      }),
    ),
    plurals: new Map(objects.map(({ kind }) => [`${kind.apiVersion}/${kind.kind}`, kind.plural])),
  };
}

/** What of it a plan is bound to. */
export function statesOfPruned({ objects, releases }: Pruned): [string, string][] {
  return [
    ...objects.map(({ id, uid }): [string, string] => [`object ${keyOf(id)}`, `pruned ${uid}`]),
    ...releases.map(({ namespace, name }): [string, string] => [`release ${namespace}/${name}`, 'pruned']),
  ];
}

/** Names of what is pruned, for a line of a log. */
export function namePruned({ objects, releases }: Pruned): string[] {
  return [
    ...releases.map(({ namespace, name }) => `release ${namespace}/${name}`),
    ...objects.map(({ id }) => nameObject(id)),
  ];
}
