import { openTemporaryFile, type TemporaryFile } from '../archive/temporary-file.ts';
import { createSlots } from './mirror-slots.ts';

/** An object on its way into the file. */
export interface LoggedObject {
  /** Of the object that it replaces; undefined for a new one. */
  readonly slot: number | undefined;
  /** As JSON. */
  readonly text: string;
  /** Stands for what an export would have of it; 0 for nothing. */
  readonly mark: number;
  /** Bits that mean something to who wrote it. */
  readonly flags: number;
}

/** Some objects as they were at one moment, whatever is written since. */
export interface LogView {
  /** Bytes of the object at a position among those that were asked for. */
  lengthAt(position: number): number;
  /** The objects from one position to before another, as JSON. */
  read(from: number, to: number): Promise<string[]>;
  close(): Promise<void>;
}

/** Objects in a private file; in memory there is only where each is, and a few numbers. */
export interface ObjectLog {
  /**
   * Writes objects.
   *
   * @returns their slots, in order
   * @throws TransshipError `BACKEND` when the disk is full; nothing has changed then
   */
  write(objects: readonly LoggedObject[]): Promise<number[]>;
  /** Forgets an object. */
  free(slot: number): void;
  markOf(slot: number): number;
  flagsOf(slot: number): number;
  view(slots: readonly number[]): LogView;
  /** How many objects there are. */
  count(): number;
  close(): Promise<void>;
}

export interface ObjectLogOptions {
  /** This user's alone. */
  readonly directory: string;
  /** All slots in the order in which they are read most; what it leaves out follows. */
  readonly order: () => Iterable<number>;
  /** Replaced in tests. */
  readonly openFile?: ((directory: string) => Promise<TemporaryFile>) | undefined;
}

/** A file, which goes when it was replaced and nobody reads it any more. */
interface Generation {
  readonly file: TemporaryFile;
  readers: number;
  retired: boolean;
}

/** Bytes. Less is not worth a new file. */
const LEAST_GARBAGE = 4 * 1024 * 1024;
/** How much larger a file that could not be replaced gets before that is tried again. */
const NEXT_TRY = 1.25;
/** Bytes that are copied at once. */
const COPIED = 256 * 1024;
/** Bytes of others between two objects that are read with them rather than in two reads. */
const GAP = 16 * 1024;
/** Bytes of memory that is used again: new memory for each page would make the process twice as large. */
const REUSED = 256 * 1024;
const MOST_REUSED = 8;

const PURPOSE = {
  verb: 'keep the objects that are watched',
  done: "The objects that are watched can't be kept",
  need: 'It needs room for twice the watched objects as JSON',
};

/** Opens an empty log. Its file is removed with the process, however that ends. */
export async function openObjectLog({ directory, order, openFile = openIn }: ObjectLogOptions): Promise<ObjectLog> {
  let current: Generation = { file: await openFile(directory), readers: 0, retired: false };
  /** Bytes of the file, and how many of them are of objects that there are. */
  let end = 0;
  let live = 0;
  let compactFrom = 0;
  const slots = createSlots();
  const spare: Buffer[] = [];
  const writing = Buffer.allocUnsafeSlow(REUSED);
  /** Writes go one after the other: each begins where the one before has ended. */
  let last: Promise<unknown> = Promise.resolve();

  async function append(objects: readonly LoggedObject[]): Promise<number[]> {
    if (end - live > live && end - live > LEAST_GARBAGE && end >= compactFrom) await compact();
    const lengths = objects.map(({ text }) => Buffer.byteLength(text));
    const total = lengths.reduce((sum, length) => sum + length, 0);
    const bytes = total <= REUSED ? writing.subarray(0, total) : Buffer.allocUnsafe(total);
    let at = 0;
    for (const { text } of objects) at += bytes.write(text, at);
    await current.file.write(bytes, end);
    return objects.map(({ slot = slots.allocate(), mark, flags }, index) => {
      const length = lengths[index] ?? 0;
      live += length - slots.lengthOf(slot);
      slots.set(slot, { offset: end, length, mark, flags });
      end += length;
      return slot;
    });
  }

  /** Copies what there is into a new file, in the order in which it is read. */
  async function compact(): Promise<void> {
    const wanted = new Set([...order(), ...slots.used()]);
    const all = [...wanted].filter((slot) => slots.lengthOf(slot) > 0);
    const before = all.map((slot) => slots.offsetOf(slot));
    const copy = await copyOf(all);
    if (copy === undefined) {
      // There may be no room for a second file: then this one grows on.
      compactFrom = end * NEXT_TRY;
      return;
    }
    // Some may have been forgotten meanwhile; none was written.
    for (const [index, slot] of all.entries()) {
      const isThere = slots.lengthOf(slot) > 0 && slots.offsetOf(slot) === before[index];
      if (isThere) slots.move(slot, copy.offsets[index] ?? 0);
    }
    const old = current;
    current = { file: copy.file, readers: 0, retired: false };
    end = copy.end;
    old.retired = true;
    await closeUnread(old);
  }

  /** A file with just these objects; undefined where there can be none. */
  async function copyOf(all: readonly number[]) {
    const view = viewOf(all);
    const offsets: number[] = [];
    let length = 0;
    let file: TemporaryFile | undefined;
    try {
      file = await openFile(directory);
      for (let from = 0; from < all.length; ) {
        let to = from;
        for (let bytes = 0; to < all.length && bytes < COPIED; to += 1) bytes += view.lengthAt(to);
        await file.write(Buffer.from((await view.read(from, to)).join('')), length);
        for (; from < to; from += 1) {
          offsets.push(length);
          length += view.lengthAt(from);
        }
      }
      return { file, offsets, end: length };
    } catch {
      await file?.close();
      return undefined;
    } finally {
      await view.close();
    }
  }

  function viewOf(wanted: readonly number[]): LogView {
    const generation = current;
    const offsets = Float64Array.from(wanted, (slot) => slots.offsetOf(slot));
    const lengths = Uint32Array.from(wanted, (slot) => slots.lengthOf(slot));
    let isOpen = true;
    generation.readers += 1;
    return {
      lengthAt: (position) => lengths[position] ?? 0,
      read: (from, to) => readPlaces(generation.file, offsets.subarray(from, to), lengths.subarray(from, to), spare),
      async close() {
        if (!isOpen) return;
        isOpen = false;
        generation.readers -= 1;
        await closeUnread(generation);
      },
    };
  }

  return {
    write(objects) {
      const written = last.then(() => (objects.length === 0 ? [] : append(objects)));
      last = written.catch(() => {});
      return written;
    },
    free(slot) {
      live -= slots.lengthOf(slot);
      slots.free(slot);
    },
    markOf: (slot) => slots.markOf(slot),
    flagsOf: (slot) => slots.flagsOf(slot),
    view: viewOf,
    count: () => slots.count(),
    async close() {
      await last;
      current.retired = true;
      await closeUnread(current);
    },
  };
}

async function closeUnread(generation: Generation): Promise<void> {
  if (generation.retired && generation.readers === 0) await generation.file.close();
}

/** Reads what lies close together in one go, and all of it side by side. */
async function readPlaces(
  file: TemporaryFile,
  offsets: Float64Array,
  lengths: Uint32Array,
  spare: Buffer[],
): Promise<string[]> {
  const texts = new Array<string>(offsets.length);
  const byOffset = Array.from(offsets.keys()).sort((a, b) => (offsets[a] ?? 0) - (offsets[b] ?? 0));
  const runs: { readonly start: number; end: number; readonly members: number[] }[] = [];
  for (const index of byOffset) {
    const start = offsets[index] ?? 0;
    const end = start + (lengths[index] ?? 0);
    const run = runs.at(-1);
    if (run !== undefined && start - run.end <= GAP) {
      run.end = end;
      run.members.push(index);
    } else runs.push({ start, end, members: [index] });
  }
  await Promise.all(
    runs.map(async ({ start, end, members }) => {
      // Small reads are many at a time, and take little.
      const isLarge = end - start > REUSED / 32 && end - start <= REUSED;
      const memory = isLarge ? (spare.pop() ?? Buffer.allocUnsafeSlow(REUSED)) : undefined;
      const bytes = await file.read(start, end - start, memory);
      for (const index of members) {
        const from = (offsets[index] ?? 0) - start;
        texts[index] = bytes.toString('utf8', from, from + (lengths[index] ?? 0));
      }
      if (memory !== undefined && spare.length < MOST_REUSED) spare.push(memory);
    }),
  );
  return texts;
}

function openIn(directory: string): Promise<TemporaryFile> {
  return openTemporaryFile({ directory, purpose: PURPOSE });
}
