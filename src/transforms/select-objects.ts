import type { KubeObject } from '../cluster/cluster.ts';
import { parseLabelSelector } from '../selection/label-selector.ts';
import { isGlob, matcherOf } from '../selection/name-patterns.ts';
import type { SelectionSpec } from './spec.ts';

/** What a selection looks at of an object. */
export interface Selected {
  readonly object: KubeObject;
  /** At the source; undefined where there is none. */
  readonly namespace: string | undefined;
  /** Before any transform. */
  readonly labels: Readonly<Record<string, string>>;
}

export interface Selector {
  matches(selected: Selected): boolean;
  /** Whether a document in YAML may have an object that matches; false only when that is certain. */
  mayMatch(text: string): boolean;
  /** Whether kinds are named, and the one of an object is among them. */
  namesKind(object: KubeObject): boolean;
}

/** @throws TransshipError `INPUT` for a wrong label selector */
export function createSelector(spec: SelectionSpec): Selector {
  const kinds = spec.kinds?.map(kindMatcher);
  const names = spec.names?.map(matcherOf);
  const namespaces = spec.namespaces?.map(matcherOf);
  const labels = spec.labels === undefined ? undefined : parseLabelSelector(spec.labels);
  const known = new Map<string, boolean>();
  const matchesKind = (apiVersion: string, kind: string): boolean => {
    const key = `${apiVersion} ${kind}`;
    const answer = known.get(key) ?? kinds?.some((matches) => matches(apiVersion, kind)) ?? true;
    known.set(key, answer);
    return answer;
  };
  return {
    matches: ({ object, namespace, labels: own }) => {
      if (kinds !== undefined && !matchesKind(object.apiVersion, object.kind)) return false;
      const { name } = object.metadata;
      if (names !== undefined && !names.some((matches) => matches(name ?? ''))) return false;
      if (namespaces !== undefined && (namespace === undefined || !namespaces.some((matches) => matches(namespace)))) {
        return false;
      }
      return labels === undefined || labels(own);
    },
    mayMatch: (text) => {
      const kind = ONE_KIND.exec(text)?.[1];
      const apiVersion = ONE_VERSION.exec(text)?.[1];
      const isCertain = kind !== undefined && apiVersion !== undefined && !kind.endsWith('List');
      if (kinds !== undefined && isCertain && !matchesKind(apiVersion, kind)) return false;
      // A name has no character that YAML would write in another way.
      return spec.names === undefined || spec.names.some((name) => isGlob(name) || text.includes(name));
    },
    namesKind: (object) => kinds !== undefined && matchesKind(object.apiVersion, object.kind),
  };
}

/** Only keys of the object itself stand at the start of a line. */
const ONE_KIND = /^kind:[ \t]+["']?([A-Za-z0-9]+)["']?[ \t]*\r?$/m;
const ONE_VERSION = /^apiVersion:[ \t]+["']?([\w./-]+)["']?[ \t]*\r?$/m;

/** Takes `Deployment`, `deployment`, `deployments`, each also with its group (`deployments.apps`), and globs. */
function kindMatcher(text: string): (apiVersion: string, kind: string) => boolean {
  const matches = matcherOf(text.toLowerCase());
  return (apiVersion, kind) => {
    const slash = apiVersion.indexOf('/');
    const group = slash === -1 ? '' : apiVersion.slice(0, slash);
    return namesOf(kind.toLowerCase()).some((name) => matches(name) || (group !== '' && matches(`${name}.${group}`)));
  };
}

/** A kind's name and its plural, which only a cluster knows for certain: as Kubernetes guesses it. */
function namesOf(kind: string): string[] {
  if (kind.endsWith('s')) return [kind, `${kind}es`];
  return kind.endsWith('y') ? [kind, `${kind.slice(0, -1)}ies`, `${kind}s`] : [kind, `${kind}s`];
}
