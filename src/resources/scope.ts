import { isGlob, matcherOf } from '../selection/name-patterns.ts';

/** Which namespaces were asked for. */
export interface NamespaceScope {
  /** The namespaces, where all are given by name; undefined where any is a glob. */
  readonly names: readonly string[] | undefined;
  /** Those given by name beside globs too. */
  readonly required: readonly string[];
  includes(namespace: string): boolean;
  /** Globs that no namespace matched that was asked about. */
  unmatched(): readonly string[];
}

/** @param patterns - names and globs */
export function createScope(patterns: readonly string[]): NamespaceScope {
  const unique = [...new Set(patterns)];
  const required = unique.filter((pattern) => !isGlob(pattern));
  const matchers = unique.map((pattern) => ({ pattern, matches: matcherOf(pattern) }));
  const unmatched = new Set(unique.filter(isGlob));
  const known = new Map<string, boolean>();
  return {
    names: unmatched.size === 0 ? required : undefined,
    required,
    includes(namespace) {
      let included = known.get(namespace);
      if (included === undefined) {
        const found = matchers.filter(({ matches }) => matches(namespace));
        for (const { pattern } of found) unmatched.delete(pattern);
        included = found.length > 0;
        known.set(namespace, included);
      }
      return included;
    },
    unmatched: () => [...unmatched],
  };
}
