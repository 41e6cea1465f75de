import { ABSENT, type States } from '../plan/states.ts';

export { ABSENT };

/** Of an object of which nothing else counts. */
export const PRESENT = 'present';

/** By {@link objectKey}, what the target has there: a text that changes exactly when what counts of it does. */
export type Seen = ReadonlyMap<string, string>;

/** An object as one text, the same that the keys of a plan's states are made of. */
export function objectKey({
  group,
  kind,
  namespace = '',
  name,
}: {
  readonly group: string;
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
}): string {
  return `${group}/${kind}/${namespace}/${name}`;
}

/** Notes what was seen. What others have noted of the same object says as much. */
export function bindSeen(states: States | undefined, seen: Seen): void {
  for (const [key, state] of seen) {
    if (states?.has(`object ${key}`) === false) states.set(`object ${key}`, state);
  }
}
