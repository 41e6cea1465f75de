import type { Clock } from '../cluster/clock.ts';
import { forEachAtOnce } from './pool.ts';
import { idOf, type ObjectId } from './resource.ts';
import type { WorkFile, WorkObject } from './work.ts';

/** An object that was refused, but may be taken yet. */
export interface Waiting {
  readonly file: WorkFile;
  readonly id: ObjectId;
  readonly standing: WorkObject['standing'];
  readonly recreate: boolean;
  /** Why it was refused last. */
  readonly error: unknown;
}

/** Objects that are tried again. Only so many are kept; the others are read from their file again. */
export interface WaitingRoom {
  /** @param isDenied - whether one more try, at the very end, is enough */
  add(file: WorkFile, one: WorkObject, error: unknown, isDenied: boolean): void;
  /** Whether objects of the file wait, so that others of it are likely to be refused too. */
  has(file: WorkFile): boolean;
  /** One of those that wait, and how many there are; the denied are not counted. */
  first(): { readonly error: unknown; readonly count: number } | undefined;
  /** Gives up those that wait, but for the denied. */
  giveUp(): Waiting[];
  /** When the next are due, by the clock; undefined when none waits. */
  due(): number | undefined;
  /** Tries those again that are due: of each file a few, and when any of these is taken, the others. */
  retry(bring: Bring): Promise<void>;
  /** Tries all that are left again for the last time, the denied too: none may be added meanwhile. */
  empty(bring: Bring): Promise<void>;
}

type Bring = (file: WorkFile, one: WorkObject) => Promise<void>;

interface Entry extends Waiting {
  /** Absent where there are too many. */
  readonly one: WorkObject | undefined;
  readonly isDenied: boolean;
  readonly tries: number;
}

/** The objects of one file: what one is refused for, the others often are too. */
interface Group {
  readonly file: WorkFile;
  readonly entries: Map<string, Entry>;
  gap: number;
  dueAt: number;
}

/** Objects in memory. */
const MOST_KEPT = 1000;
/** Of each file, until one is taken. */
const FEW = 4;
/** Milliseconds. */
const FIRST_GAP = 250;
const LONGEST_GAP = 10_000;

export interface WaitingRoomOptions {
  /** Reads a file's objects again. */
  readonly objects: (file: WorkFile) => AsyncIterable<WorkObject>;
  readonly concurrency: number;
  readonly clock: Clock;
}

/** Makes an empty one. */
export function createWaitingRoom({ objects, concurrency, clock }: WaitingRoomOptions): WaitingRoom {
  const groups = new Map<WorkFile, Group>();
  let kept = 0;

  const waitingIn = ({ entries }: Group) => [...entries].filter(([, { isDenied }]) => !isDenied);

  function leave({ file, entries }: Group, key: string): void {
    if (entries.get(key)?.one !== undefined) kept -= 1;
    entries.delete(key);
    if (entries.size === 0) groups.delete(file);
  }

  async function* objectsOf(group: Group, keys: ReadonlySet<string>): AsyncGenerator<WorkObject> {
    const held = [...keys].map((key) => group.entries.get(key)?.one).filter((one) => one !== undefined);
    if (held.length === keys.size) yield* held;
    else for await (const one of objects(group.file)) if (keys.has(one.key)) yield one;
  }

  /** Tries some of each group, the least tried first; tells which groups have fewer than before. */
  async function attempt(tried: readonly Group[], few: number, bring: Bring): Promise<Group[]> {
    const before = tried.map(({ entries }) => entries.size);
    async function* chosen() {
      for (const group of tried) {
        const order = waitingIn(group).sort(([, a], [, b]) => a.tries - b.tries);
        const keys = new Set(order.slice(0, few).map(([key]) => key));
        for await (const one of objectsOf(group, keys)) yield { group, one };
      }
    }
    await forEachAtOnce(chosen(), concurrency, async ({ group, one }) => {
      const entry = group.entries.get(one.key);
      await bring(group.file, one);
      // One that is refused again has been added again.
      if (entry !== undefined && group.entries.get(one.key) === entry) leave(group, one.key);
    });
    return tried.filter(({ entries }, index) => entries.size < (before[index] ?? 0));
  }

  return {
    add(file, one, error, isDenied) {
      const group = groups.get(file) ?? { file, entries: new Map(), gap: FIRST_GAP, dueAt: clock.now() + FIRST_GAP };
      groups.set(file, group);
      const before = group.entries.get(one.key);
      if (before?.one !== undefined) kept -= 1;
      const isKept = kept < MOST_KEPT;
      if (isKept) kept += 1;
      group.entries.set(one.key, {
        ...markOf(file, one),
        error,
        one: isKept ? one : undefined,
        isDenied,
        tries: (before?.tries ?? 0) + 1,
      });
    },
    has: (file) => groups.has(file),
    first() {
      const waiting = [...groups.values()].flatMap(waitingIn);
      const [first] = waiting;
      return first && { error: first[1].error, count: waiting.length };
    },
    giveUp() {
      return [...groups.values()].flatMap((group) =>
        waitingIn(group).map(([key, entry]) => {
          leave(group, key);
          return entry;
        }),
      );
    },
    due() {
      const dues = [...groups.values()].filter((group) => waitingIn(group).length > 0).map(({ dueAt }) => dueAt);
      return dues.length === 0 ? undefined : Math.min(...dues);
    },
    async retry(bring) {
      const due = [...groups.values()].filter(({ dueAt }) => dueAt <= clock.now());
      const passing = await attempt(due, FEW, bring);
      await attempt(passing, Number.POSITIVE_INFINITY, bring);
      for (const group of due) {
        group.gap = passing.includes(group) ? FIRST_GAP : Math.min(group.gap * 2, LONGEST_GAP);
        group.dueAt = clock.now() + group.gap;
      }
    },
    async empty(bring) {
      for (const group of [...groups.values()]) {
        await forEachAtOnce(objectsOf(group, new Set(group.entries.keys())), concurrency, async (one) => {
          leave(group, one.key);
          await bring(group.file, one);
        });
      }
    },
  };
}

/** What is left to know of an object that is not kept. */
export function markOf(file: WorkFile, { object, standing, recreate }: WorkObject): Omit<Waiting, 'error'> {
  return { file, id: idOf(object), standing, recreate };
}
