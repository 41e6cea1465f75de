/**
 * The state of everything that a plan read of the target, by what it is: `object <key>` of resources/resource.ts's keyOf,
 * `release <namespace>/<name>`. A value says `absent`, or is a text that changes exactly when the thing does.
 */
export type States = Map<string, string>;

export const ABSENT = 'absent';
