import { createHash, hash, randomInt } from 'node:crypto';
import type { KubeObject } from '../cluster/cluster.ts';
import { isMap } from '../values.ts';

/**
 * On a machine, or the DataVolume of a single claim, as long as its import is under way: with it the next run recognises
 * what a killed one has left.
 */
export const IMPORTING = 'transship.dev/importing';

/** What {@link IMPORTING} says, as JSON. */
export interface ImportNote {
  /** All names that are made up come from it, so that the next run comes to the same. */
  readonly seed: string;
  /** Of the archive and of all that is made of it: only what was begun as it would be now can be gone on with. */
  readonly plan: string;
  /** By name of a volume, the uid of the claim that holds it whole and verified, or will as soon as CDI is done. */
  readonly volumes: Readonly<Record<string, string>>;
  /** By path on the API server, the uids of objects that were made for it. */
  readonly made: Readonly<Record<string, string>>;
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';
const SUFFIX = 5;

/** The note on an object; one of nothing where it is not as it was written; undefined where there is none. */
export function noteOn(object: KubeObject): ImportNote | undefined {
  const text = object.metadata.annotations?.[IMPORTING];
  if (text === undefined) return undefined;
  try {
    const { seed, plan, volumes, made }: Record<string, unknown> = JSON.parse(text);
    if (typeof seed === 'string' && typeof plan === 'string') {
      return { seed, plan, volumes: textsIn(volumes), made: textsIn(made) };
    }
  } catch {
    // Somebody has changed it: what it is on can't be gone on with.
  }
  return { seed: newSeed(), plan: '', volumes: {}, made: {} };
}

function textsIn(value: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(isMap(value) ? value : {}).map(([name, text]) => [name, String(text)]));
}

/** The object with a note. */
export function withNote(object: KubeObject, note: ImportNote): KubeObject {
  const annotations = { ...object.metadata.annotations, [IMPORTING]: JSON.stringify(note) };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

export function newSeed(): string {
  return Array.from({ length: 8 }, () => LETTERS[randomInt(LETTERS.length)]).join('');
}

/** Gives {@link SUFFIX} letters and digits at a time, always the same for a seed. */
export function createRandom(seed: string): () => string {
  let count = 0;
  return () => {
    const bytes = createHash('sha256').update(`${seed}/${count}`).digest();
    count += 1;
    return [...bytes.subarray(0, SUFFIX)].map((byte) => LETTERS[byte % LETTERS.length]).join('');
  };
}

/** Tells one plan from another. */
export function planDigest(...parts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(parts)).slice(0, 32);
}
