import type { Clock } from '../cluster/clock.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import { isBuiltInGroup } from '../crds/built-in-groups.ts';
import type { Reporter } from '../report/reporter.ts';
import { isOptedOut } from '../resources/facts.ts';
import { isKind, NAMESPACES, SERVICES } from '../resources/list-kinds.ts';
import { createMirrorCollection, type MirrorCollection } from './mirror-collection.ts';
import { type DigestContext, markOf } from './mirror-digest.ts';
import type { ObjectLog } from './mirror-log.ts';
import { type PlannedCollection, sourceOf } from './mirror-plan.ts';
import { createRefusedWatches } from './mirror-refusals.ts';
import { type Reflector, startReflector } from './reflector.ts';

/** A collection that is watched. */
export interface Watched {
  readonly planned: PlannedCollection;
  readonly collection: MirrorCollection;
  readonly reflector: Reflector;
}

export interface WatchesOptions {
  readonly cluster: Cluster;
  readonly log: ObjectLog;
  readonly clock: Clock;
  readonly inTurn: (work: () => Promise<void>) => Promise<void>;
  readonly onChange: () => void;
  readonly onTrouble: (error: unknown) => void;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** All collections that are watched. */
export interface Watches {
  /**
   * Watches these and nothing else.
   *
   * @returns those that were not watched before
   */
  follow(plan: readonly PlannedCollection[], context: DigestContext): Watched[];
  at(path: string): Watched | undefined;
  all(): Iterable<Watched>;
  /** Of watches that are no more. */
  readonly past: { readonly relists: number; readonly reconnects: number };
  /** Resolves when the signal has ended all. */
  ended(): Promise<void>;
}

/** Bytes of a page of the first lists. */
const PAGE_BYTES = 512 * 1024;

/** Kinds whose objects may hold records of releases. */
const RECORD_KINDS = ['secrets', 'configmaps'].map((plural) => ({ group: '', plural }));

/** Watches nothing yet. */
export function createWatches(options: WatchesOptions): Watches {
  const { cluster, log, clock, inTurn, onChange, onTrouble, signal } = options;
  const watched = new Map<string, Watched & { readonly stop: AbortController }>();
  const leaving = new Set<Promise<void>>();
  const past = { relists: 0, reconnects: 0 };
  const refused = createRefusedWatches(cluster.context, options.reporter);
  /** Namespaces that are labelled to stay out of exports. */
  const optedOut = new Set<string>();

  function noteNamespace(namespace: KubeObject): void {
    if (isOptedOut(namespace)) optedOut.add(namespace.metadata.name);
    else optedOut.delete(namespace.metadata.name);
  }

  function start(planned: PlannedCollection, context: DigestContext) {
    const { kind, labelSelector } = planned;
    const isOfNamespaces = isKind(kind, NAMESPACES);
    // Releases are exported from wherever they are.
    const mayHoldRecords = context.withReleases && RECORD_KINDS.some((one) => isKind(kind, one));
    const stop = new AbortController();
    const collection = createMirrorCollection({
      log,
      markOf: (object) => markOf(object, kind, context),
      takes: (namespace) => namespace === '' || context.includes(namespace),
      isQuiet: (namespace) => !mayHoldRecords && optedOut.has(namespace),
      keepsManagedFields: isKind(kind, SERVICES),
      labelSelector,
      onObject: isOfNamespaces ? noteNamespace : undefined,
      onGone: isOfNamespaces ? (name) => optedOut.delete(name) : undefined,
      onChange,
    });
    const reflector = startReflector({
      source: sourceOf(cluster, planned, PAGE_BYTES),
      target: collection,
      clock,
      inTurn,
      mayFail: !isBuiltInGroup(kind.group),
      // What may not be listed is told by the export.
      onRefused: (error, asked) => (asked === 'watch' ? refused.note(planned) : onTrouble(error)),
      onTrouble,
      signal: AbortSignal.any([signal, stop.signal]),
    });
    return { planned, collection, reflector, stop };
  }

  async function end({ reflector, collection, stop }: Watched & { readonly stop: AbortController }): Promise<void> {
    stop.abort();
    await reflector.done;
    past.relists += reflector.counts.relists;
    past.reconnects += reflector.counts.reconnects;
    collection.clear();
  }

  signal.addEventListener('abort', () => refused.close(), { once: true });
  return {
    follow(plan, context) {
      const wanted = new Map(plan.map((planned) => [planned.path, planned]));
      for (const [path, old] of watched) {
        if (wanted.has(path)) continue;
        watched.delete(path);
        const ended: Promise<void> = end(old).finally(() => leaving.delete(ended));
        leaving.add(ended);
      }
      const begun: Watched[] = [];
      for (const [path, planned] of wanted) {
        if (watched.has(path)) continue;
        const one = start(planned, context);
        watched.set(path, one);
        begun.push(one);
      }
      return begun;
    },
    at: (path) => watched.get(path),
    all: () => watched.values(),
    past,
    async ended() {
      await Promise.all([...leaving, ...[...watched.values()].map(({ reflector }) => reflector.done)]);
    },
  };
}
