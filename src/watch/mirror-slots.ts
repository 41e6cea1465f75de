/** What is known of one object besides its name. */
export interface Slot {
  /** Bytes from the beginning of the file. */
  readonly offset: number;
  /** Bytes; 0 for a slot without an object. */
  readonly length: number;
  readonly mark: number;
  readonly flags: number;
}

/** Slots by number, in columns: 21 bytes an object, where an object of JavaScript would take five times as much. */
export interface Slots {
  /** A slot that is free, to be set. */
  allocate(): number;
  set(slot: number, value: Slot): void;
  /** Changes where it is and nothing else. */
  move(slot: number, offset: number): void;
  /** May be allocated again. */
  free(slot: number): void;
  offsetOf(slot: number): number;
  lengthOf(slot: number): number;
  markOf(slot: number): number;
  flagsOf(slot: number): number;
  /** Those with an object. */
  used(): Iterable<number>;
  count(): number;
}

const FIRST_CAPACITY = 1024;
const GROWTH = 1.5;

/** Makes columns without a slot. */
export function createSlots(): Slots {
  let offsets = new Float64Array(FIRST_CAPACITY);
  let lengths = new Uint32Array(FIRST_CAPACITY);
  let marks = new Float64Array(FIRST_CAPACITY);
  let flags = new Uint8Array(FIRST_CAPACITY);
  let next = 0;
  const spare: number[] = [];

  function grow(): void {
    const capacity = Math.ceil(lengths.length * GROWTH);
    const [oldOffsets, oldLengths, oldMarks, oldFlags] = [offsets, lengths, marks, flags];
    offsets = new Float64Array(capacity);
    offsets.set(oldOffsets);
    lengths = new Uint32Array(capacity);
    lengths.set(oldLengths);
    marks = new Float64Array(capacity);
    marks.set(oldMarks);
    flags = new Uint8Array(capacity);
    flags.set(oldFlags);
  }

  return {
    allocate() {
      const freed = spare.pop();
      if (freed !== undefined) return freed;
      if (next === lengths.length) grow();
      return next++;
    },
    set(slot, value) {
      offsets[slot] = value.offset;
      lengths[slot] = value.length;
      marks[slot] = value.mark;
      flags[slot] = value.flags;
    },
    move(slot, offset) {
      offsets[slot] = offset;
    },
    free(slot) {
      lengths[slot] = 0;
      marks[slot] = 0;
      spare.push(slot);
    },
    offsetOf: (slot) => offsets[slot] ?? 0,
    lengthOf: (slot) => lengths[slot] ?? 0,
    markOf: (slot) => marks[slot] ?? 0,
    flagsOf: (slot) => flags[slot] ?? 0,
    *used() {
      for (let slot = 0; slot < next; slot += 1) if ((lengths[slot] ?? 0) > 0) yield slot;
    },
    count: () => next - spare.length,
  };
}
