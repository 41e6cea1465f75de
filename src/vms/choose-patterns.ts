import type { KubeObject } from '../cluster/cluster.ts';
import { isGlob, matcherOf } from '../selection/name-patterns.ts';

/** One item of a list of names and globs. */
export interface ChoicePattern {
  /** As it was given. */
  readonly text: string;
  /** Names and globs of the namespaces it is about. */
  readonly namespaces: readonly string[];
  /** The part for the name. */
  readonly name: string;
  /** Whether it stands for just one. */
  readonly isName: boolean;
  matches(object: Pick<KubeObject, 'metadata'>): boolean;
}

/** @param namespaces - those it is about unless it names its own, before a slash */
export function readPattern(text: string, namespaces: readonly string[]): ChoicePattern {
  const slash = text.indexOf('/');
  const own = slash === -1 ? namespaces : [text.slice(0, slash)];
  const name = text.slice(slash + 1);
  const matchesName = matcherOf(name);
  const matchesNamespace = own.map(matcherOf);
  return {
    text,
    namespaces: own,
    name,
    isName: !isGlob(name),
    matches: ({ metadata }) =>
      matchesName(metadata.name) && matchesNamespace.some((matches) => matches(metadata.namespace ?? '')),
  };
}
