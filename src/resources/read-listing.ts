import type { KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { limitYoungGeneration } from '../young-generation.ts';
import { type Facts, isOptedOut, noteFacts } from './facts.ts';
import { gatherText, type Piece, type TextGatherer, type TextMemory } from './gather-text.ts';
import { LIST_SEPARATOR } from './list-file.ts';
import { isKind, type Listing, NAMESPACES, VOLUMES } from './list-kinds.ts';
import { type Needs, noteNeeds } from './needed.ts';
import { idOf, keyOf } from './resource.ts';
import { type SkipContext, type StripContext, whySkipped } from './rules.ts';
import type { NamespaceScope } from './scope.ts';
import type { ResourceFilter } from './selection.ts';
import { stripObject } from './strip.ts';

/** What decides which objects of a listing travel, and as what. */
export interface ReadContext {
  readonly scope: NamespaceScope;
  readonly filter: ResourceFilter;
  readonly clusterResources: 'needed' | 'all' | 'none';
  /** Keys of what travels with releases. */
  readonly owned: ReadonlySet<string>;
  readonly skip: SkipContext;
  readonly strip: StripContext;
  readonly facts: Facts;
  readonly needs: Needs;
  readonly memory: TextMemory;
}

/** A cluster-scoped object that travels if it is needed. */
export interface Candidate {
  readonly pieces: readonly Piece[];
  needed: boolean;
}

/** What one listing came to. */
export interface Gathered {
  readonly kind: ResourceKind;
  /** Each piece is one or more objects, each with a separator before it. */
  readonly text: TextGatherer;
  readonly byNamespace: ReadonlyMap<string, readonly Piece[]>;
  readonly candidates: readonly Candidate[];
  /** Namespaced objects that travel. */
  readonly taken: number;
  /** How many of those asked for stay behind, by why. */
  readonly skipped: ReadonlyMap<string, number>;
}

const OPTED_OUT = 'is labelled to stay out of exports';
const NAMESPACE_OPTED_OUT = 'is in a namespace that is labelled to stay out of exports';

/**
 * Reads one collection: of each object that travels, its text.
 *
 * @param pages - its objects; those that travel are changed
 * @throws whatever `pages` throws; the text is forgotten then
 */
export async function gatherListing(
  context: ReadContext,
  { kind }: Listing,
  pages: AsyncIterable<readonly KubeObject[]>,
): Promise<Gathered> {
  const text = gatherText(context.memory);
  const gathered = {
    kind,
    text,
    byNamespace: new Map<string, Piece[]>(),
    candidates: [],
    taken: 0,
    skipped: new Map(),
  };
  const addPage = kind.namespaced ? addNamespaced : addClusterScoped;
  try {
    for await (const page of pages) {
      addPage(context, gathered, page);
      limitYoungGeneration();
      await text.relieve();
    }
    return gathered;
  } catch (error) {
    await text.close();
    throw error;
  }
}

interface Gathering {
  readonly kind: ResourceKind;
  readonly text: TextGatherer;
  readonly byNamespace: Map<string, Piece[]>;
  readonly candidates: Candidate[];
  taken: number;
  readonly skipped: Map<string, number>;
}

function addNamespaced(context: ReadContext, gathering: Gathering, page: readonly KubeObject[]): void {
  const { scope, filter, facts, needs, strip } = context;
  const { plural } = gathering.kind;
  let current: string | undefined;
  let pieces: Piece[] = [];
  for (const object of page) {
    noteFacts(facts, object);
    const { namespace = '' } = object.metadata;
    if (!scope.includes(namespace)) continue;
    const optOut = facts.namespaces.get(namespace) === true ? NAMESPACE_OPTED_OUT : whyOptedOut(object);
    if (optOut === undefined && !filter.takes(object, plural)) continue;
    if (isOwned(context, object)) continue;
    const why = optOut ?? whySkipped(object, context.skip);
    if (why !== undefined) {
      addSkipped(gathering, why);
      continue;
    }
    noteNeeds(needs, object);
    if (namespace !== current) {
      current = namespace;
      pieces = piecesOf(gathering.byNamespace, namespace);
    }
    gathering.text.add(LIST_SEPARATOR + JSON.stringify(stripObject(object, strip)), pieces);
    gathering.taken += 1;
  }
}

function addClusterScoped(context: ReadContext, gathering: Gathering, page: readonly KubeObject[]): void {
  const { scope, filter, facts, needs, strip, clusterResources } = context;
  const { kind } = gathering;
  const isNamespace = isKind(kind, NAMESPACES);
  const isVolume = isKind(kind, VOLUMES);
  for (const object of page) {
    noteFacts(facts, object);
    if (isNamespace) scope.includes(object.metadata.name);
    const isAskedFor = clusterResources === 'all' && filter.takes(object, kind.plural);
    const optOut = whyOptedOut(object);
    if (optOut === undefined && filter.excludes(object, kind.plural)) continue;
    if (isOwned(context, object)) continue;
    const why = optOut ?? whySkipped(object, context.skip);
    if (why !== undefined) {
      // Of what is only taken when needed, most would not have been.
      if (clusterResources === 'all') addSkipped(gathering, why);
      continue;
    }
    if (isVolume) facts.volumes.add(object.metadata.name);
    if (isAskedFor) noteNeeds(needs, object);
    const pieces: Piece[] = [];
    gathering.text.add(LIST_SEPARATOR + JSON.stringify(stripObject(object, strip)), pieces);
    gathering.candidates.push({ pieces, needed: isAskedFor });
  }
}

function piecesOf(byNamespace: Map<string, Piece[]>, namespace: string): Piece[] {
  let pieces = byNamespace.get(namespace);
  if (pieces === undefined) {
    pieces = [];
    byNamespace.set(namespace, pieces);
  }
  return pieces;
}

function whyOptedOut(object: KubeObject): string | undefined {
  return isOptedOut(object) ? OPTED_OUT : undefined;
}

function isOwned({ owned }: ReadContext, object: KubeObject): boolean {
  return owned.size > 0 && owned.has(keyOf(idOf(object)));
}

function addSkipped({ skipped }: Gathering, why: string): void {
  skipped.set(why, (skipped.get(why) ?? 0) + 1);
}
