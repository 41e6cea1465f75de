import { ABSENT, type States } from '../plan/states.ts';
import type { LiveMark } from './live.ts';
import { keyOf, type ObjectId } from './resource.ts';

/** An object whose kind may not be listed: what the target has is not known. */
const UNLISTED = 'unlisted';
const UNSERVED = 'unserved';
/** Of an object of which nothing else counts. */
const PRESENT = 'present';

/**
 * Notes what the target has under the name of a wanted object. Owners count, for those that are missing are added.
 *
 * @param live - undefined where there is nothing
 */
export function bindObject(states: States | undefined, id: ObjectId, live: LiveMark | 'unlisted' | undefined): void {
  states?.set(stateKey(id), live === 'unlisted' ? UNLISTED : live === undefined ? ABSENT : stateOf(live));
}

/** Notes that the target does not serve the kind of a wanted object. */
export function bindUnserved(states: States | undefined, id: ObjectId): void {
  states?.set(stateKey(id), UNSERVED);
}

/** Notes whether there is an object that is not wanted itself, but that others need: a namespace, an owner. */
export function bindPresence(states: States | undefined, key: string, uid: string | boolean): void {
  if (states === undefined || states.has(`object ${key}`)) return;
  states.set(`object ${key}`, typeof uid === 'string' ? uid : uid ? PRESENT : ABSENT);
}

function stateOf({ fingerprint, owners = [] }: LiveMark): string {
  return [fingerprint, ...owners.toSorted()].join(' ');
}

function stateKey(id: ObjectId): string {
  return `object ${keyOf(id)}`;
}
