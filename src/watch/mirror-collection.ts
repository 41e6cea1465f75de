import type { KubeObject, ListOptions, WatchEvent } from '../cluster/cluster.ts';
import { cancelledBy } from '../errors.ts';
import { parseExactly } from '../json.ts';
import { RECORD_LABELS } from '../releases/list-records.ts';
import { NO_RECORDS } from '../resources/list-pages.ts';
import { parseLabelSelector } from '../selection/label-selector.ts';
import { limitYoungGeneration } from '../young-generation.ts';
import { isMarkedByHelm } from './mirror-digest.ts';
import type { LoggedObject, LogView, ObjectLog } from './mirror-log.ts';
import type { ReflectorTarget } from './reflector.ts';

export interface MirrorCollectionOptions {
  readonly log: ObjectLog;
  /** See mirror-digest.ts; the object may be changed. */
  readonly markOf: (object: KubeObject) => number;
  /** Objects of other namespaces are not kept. */
  readonly takes: (namespace: string) => boolean;
  /** Whether the export leaves out what is in a namespace, so that no change there is one. */
  readonly isQuiet: (namespace: string) => boolean;
  /** Whether an export looks at managed fields. */
  readonly keepsManagedFields: boolean;
  /** What is watched of the collection; undefined for all of it. */
  readonly labelSelector: string | undefined;
  /** Told of each object that comes or changes, before it is kept, and of each that goes. */
  readonly onObject?: ((object: KubeObject) => void) | undefined;
  readonly onGone?: ((name: string) => void) | undefined;
  /** Told when something has changed that an export could have. */
  readonly onChange: () => void;
}

/** A collection of the cluster on disk. */
export interface MirrorCollection extends ReflectorTarget {
  /** Whether a list with these options can be served. */
  serves(options: ListOptions): boolean;
  /** The objects in the server's order, as they are when the first page is asked for; each is the reader's own. */
  pages(options: ListOptions): AsyncGenerator<readonly KubeObject[]>;
  /** The slots in that order. */
  slots(): number[];
}

const IS_MARKED_BY_HELM = 1;
const IS_RECORD = 2;
const HAS_LARGE_NUMBERS = 4;

/** As many as may be more than a number of JavaScript holds exactly. */
const MANY_DIGITS = /\d{16}/;

const PAGE_BYTES = 128 * 1024;
const MOST_ITEMS = 500;

/** Makes an empty collection. */
export function createMirrorCollection(options: MirrorCollectionOptions): MirrorCollection {
  const { log, markOf, takes, isQuiet, keepsManagedFields, onChange } = options;
  const slotOf = new Map<string, number>();
  let sorted: readonly string[] | undefined;
  let unseen: Set<string> | undefined;

  function toLogged(object: KubeObject, slot: number | undefined): LoggedObject {
    if (!keepsManagedFields) delete object.metadata.managedFields;
    options.onObject?.(object);
    const text = JSON.stringify(object);
    const flags =
      (isMarkedByHelm(object) ? IS_MARKED_BY_HELM : 0) |
      (object.type === 'helm.sh/release.v1' ? IS_RECORD : 0) |
      (MANY_DIGITS.test(text) ? HAS_LARGE_NUMBERS : 0);
    return { slot, text, flags, mark: markOf(object) };
  }

  /** Keeps what came and forgets what went, all at once. */
  async function take(came: ReadonlyMap<string, KubeObject>, gone: Iterable<string>): Promise<void> {
    const keys = [...came.keys()];
    const objects = [...came].map(([key, object]) => toLogged(object, slotOf.get(key)));
    const marks = objects.map(({ slot }) => (slot === undefined ? 0 : log.markOf(slot)));
    const slots = await log.write(objects);
    let isChange = false;
    for (const [index, key] of keys.entries()) {
      if (!slotOf.has(key)) sorted = undefined;
      slotOf.set(key, slots[index] ?? 0);
      isChange ||= objects[index]?.mark !== marks[index] && !isQuiet(namespaceOf(key));
    }
    if (forget(gone) || isChange) onChange();
  }

  /** @returns whether an export could have had any of it */
  function forget(gone: Iterable<string>): boolean {
    let isChange = false;
    for (const key of gone) {
      const slot = slotOf.get(key);
      if (slot === undefined) continue;
      isChange ||= log.markOf(slot) !== 0 && !isQuiet(namespaceOf(key));
      log.free(slot);
      slotOf.delete(key);
      sorted = undefined;
      options.onGone?.(key);
    }
    return isChange;
  }

  function sortedKeys(): readonly string[] {
    sorted ??= [...slotOf.keys()].sort();
    return sorted;
  }

  function slots(): number[] {
    return sortedKeys().map((key) => slotOf.get(key) ?? 0);
  }

  return {
    begin() {
      unseen = new Set(slotOf.keys());
    },
    async add(page) {
      const came = new Map<string, KubeObject>();
      for (const object of page) if (takes(object.metadata.namespace ?? '')) came.set(keyOf(object), object);
      await take(came, []);
      for (const key of came.keys()) unseen?.delete(key);
      limitYoungGeneration();
    },
    end() {
      const gone = unseen ?? [];
      unseen = undefined;
      if (forget(gone)) onChange();
    },
    async apply(events: readonly WatchEvent[]) {
      // Of several changes to an object that come together, the last one counts.
      const came = new Map<string, KubeObject>();
      const gone = new Set<string>();
      for (const event of events) {
        if (event.type === 'BOOKMARK' || !takes(event.object.metadata.namespace ?? '')) continue;
        const key = keyOf(event.object);
        came.delete(key);
        gone.delete(key);
        if (event.type === 'DELETED') gone.add(key);
        else came.set(key, event.object);
      }
      if (came.size + gone.size > 0) await take(came, gone);
      limitYoungGeneration();
    },
    clear() {
      // That something is not seen any more is no change of it.
      forget([...slotOf.keys()]);
    },
    serves({ labelSelector, fieldSelector, metadataOnly = false }) {
      const own = options.labelSelector;
      const isWithin = own === undefined || labelSelector === own || labelSelector?.endsWith(`,${own}`) === true;
      return isWithin && !metadataOnly && (fieldSelector === undefined || fieldSelector === NO_RECORDS);
    },
    async *pages({ labelSelector, fieldSelector, pageBytes = PAGE_BYTES, signal }) {
      const isWanted = wantedBy(labelSelector);
      const wanted = slots().filter((slot) => {
        const flags = log.flagsOf(slot);
        if (labelSelector === RECORD_LABELS && (flags & IS_MARKED_BY_HELM) === 0) return false;
        return fieldSelector !== NO_RECORDS || (flags & IS_RECORD) === 0;
      });
      const large = wanted.map((slot) => (log.flagsOf(slot) & HAS_LARGE_NUMBERS) !== 0);
      const view = log.view(wanted);
      try {
        for (let from = 0; from < wanted.length; ) {
          if (signal?.aborted) throw cancelledBy(signal, 'reading what is watched');
          const to = pageEnd(view, from, wanted.length, Math.min(pageBytes, PAGE_BYTES));
          const texts = await view.read(from, to);
          const page = texts.map((text, index): KubeObject => {
            return large[from + index] === true ? parseExactly<KubeObject>(text) : JSON.parse(text);
          });
          from = to;
          yield page.filter(isWanted);
        }
      } finally {
        await view.close();
      }
    },
    slots,
  };
}

/** In the server's order, which is that of bytes: as texts of one byte a character, which also take the least memory. */
function keyOf({ metadata: { namespace, name } }: KubeObject): string {
  return Buffer.from(namespace === undefined ? name : `${namespace}/${name}`).toString('latin1');
}

/** Of namespaced objects; namespaces have names of one byte a character. */
function namespaceOf(key: string): string {
  const slash = key.indexOf('/');
  return slash === -1 ? '' : key.slice(0, slash);
}

function wantedBy(labelSelector: string | undefined): (object: KubeObject) => boolean {
  if (labelSelector === undefined) return () => true;
  const selects = parseLabelSelector(labelSelector);
  return ({ metadata }) => selects(metadata.labels ?? {});
}

function pageEnd(view: LogView, from: number, end: number, most: number): number {
  let to = from + 1;
  for (let bytes = view.lengthAt(from); to < end && to - from < MOST_ITEMS; to += 1) {
    bytes += view.lengthAt(to);
    if (bytes > most) break;
  }
  return to;
}
