/** Where a text stands, as far as it tells whether a word in it means a namespace. */
export interface TextPlace {
  /** The keys and indexes from the object to the text. */
  readonly path: readonly (string | number)[];
  /** The `name` beside it, as environment variables have one. */
  readonly siblingName: string | undefined;
  /** The item before it in the same list. */
  readonly previousItem: string | undefined;
}

const NAMESPACE_KEY = /namespace|(?:^|[_.-])ns$/i;
const NAMESPACE_FLAG = /^--?(?:n|[\w-]*namespaces?)$/i;
/** Where `namespace/name` is usual and an image's name is not. */
const NAMED_BY_PAIR = new Set(['args', 'command', 'annotations', 'value']);

/**
 * Finds what in a text refers to a namespace by its name, in the forms that are in use. A word that only looks like it
 * (a label, a container called like the namespace) is none.
 *
 * @returns the reference and nothing around it, for that may be secret
 */
export function findReference(text: string, namespace: string, place: TextPlace): string | undefined {
  if (!text.includes(namespace)) return undefined;
  const key = place.path.findLast((segment) => typeof segment === 'string') ?? '';
  if (key === 'description') return undefined;
  const isNamedSo = NAMESPACE_KEY.test(key) || (key === 'value' && NAMESPACE_KEY.test(place.siblingName ?? ''));
  const followsFlag = place.previousItem !== undefined && NAMESPACE_FLAG.test(place.previousItem);
  if ((isNamedSo || followsFlag) && text.split(/[\s,;|]+/).includes(namespace)) return namespace;
  const isPairPlace = place.path.some((segment) => NAMED_BY_PAIR.has(String(segment))) && !/image/i.test(key);
  for (const pattern of referencePatterns(namespace, isPairPlace)) {
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) return found.trim();
  }
  return undefined;
}

const cache = new Map<string, readonly RegExp[]>();

/** A name in a DNS name: a service, a pod, or `*`. */
const LABEL = '(?:\\*|[a-z](?:[-a-z0-9]*[a-z0-9])?)';
const WORD_START = '(?<![\\w.-])';
const WORD_END = '(?![\\w-])';

function referencePatterns(namespace: string, withPairs: boolean): readonly RegExp[] {
  const id = `${namespace} ${withPairs}`;
  const known = cache.get(id);
  if (known !== undefined) return known;
  // A namespace's name has nothing that means something in a pattern.
  const patterns = [
    // api.team-a.svc, db-0.db.team-a.svc.cluster.local, http://api.team-a, api.team-a:8080, api.team-a
    new RegExp(`${WORD_START}${LABEL}(?:\\.${LABEL})*\\.${namespace}\\.(?:svc|pod)(?:\\.[a-z0-9-]+)*${WORD_END}`),
    new RegExp(`(?<=//|@)${LABEL}\\.${namespace}(?![\\w.-])`),
    new RegExp(`${WORD_START}${LABEL}\\.${namespace}:\\d+`),
    new RegExp(`^${LABEL}\\.${namespace}$`),
    new RegExp(`system:serviceaccounts?:${namespace}${WORD_END}`),
    // namespace: team-a, --namespace=team-a, {namespace="team-a"}, /namespaces/team-a/pods
    new RegExp(`namespaces?["']?\\s*[:=/]?[=~]?\\s*["'([{]*${namespace}${WORD_END}`, 'i'),
    new RegExp(`(?<![\\w-])-n[ =]+${namespace}${WORD_END}`),
    ...(withPairs ? [new RegExp(`(?<![\\w./-])${namespace}/[a-z0-9][-a-z0-9.]*(?![\\w/:-])`)] : []),
  ];
  cache.set(id, patterns);
  return patterns;
}
