/** A step from a value to those in it: a key, an index, any key or index, any index, or any number of steps. */
export type Step =
  | { readonly type: 'key'; readonly key: string }
  | { readonly type: 'index'; readonly index: number }
  | { readonly type: 'any' }
  | { readonly type: 'any-index' }
  | { readonly type: 'deep' };

/** Where fields stand in objects, such as `spec.rules[*].host`. */
export type FieldPath = readonly Step[];

/** Characters of one step: a key, `*`, `**`, `[0]`, `[*]` or `["a key"]`. */
const STEP = /(\*\*)|(\*)|\[(?:(\d+)|(\*)|"((?:[^"\\]|\\.)*)"|'([^']*)')\]|([^.[\]*"'\s][^.[\]*\s]*)/y;

/** Reads a field path; what is wrong with it, and at which character, where it is none. */
export function parseFieldPath(text: string): { path: FieldPath } | { problem: string; at: number } {
  const path: Step[] = [];
  let at = 0;
  while (at < text.length) {
    if (at > 0 && text[at] !== '[') {
      if (text[at] !== '.') return { problem: `a dot is missing before ${JSON.stringify(text.slice(at))}`, at };
      at += 1;
    }
    STEP.lastIndex = at;
    const match = STEP.exec(text);
    if (match === null) return { problem: problemAt(text, at), at };
    const [whole, deep, any, index, anyIndex, double, single, key] = match;
    if (deep !== undefined) path.push({ type: 'deep' });
    else if (any !== undefined) path.push({ type: 'any' });
    else if (index !== undefined) path.push({ type: 'index', index: Number(index) });
    else if (anyIndex !== undefined) path.push({ type: 'any-index' });
    else path.push({ type: 'key', key: key ?? single ?? (double ?? '').replace(/\\(.)/g, '$1') });
    at += whole.length;
  }
  if (path.length === 0) return { problem: 'it is empty', at: 0 };
  return { path };
}

function problemAt(text: string, at: number): string {
  if (at >= text.length) return 'it ends with a dot';
  return text[at] === '['
    ? 'a bracket holds an index, a * or a key in quotes, and is closed'
    : `there is no key at ${JSON.stringify(text.slice(at))}`;
}

/** Where one is on the way along several paths at once. */
export interface PathState {
  /** Whether one of the paths ends here. */
  readonly ends: boolean;
  /** One key further; undefined where no path goes on. */
  key(key: string): PathState | undefined;
  /** One item of a list further. */
  index(index: number): PathState | undefined;
}

/** The start of several paths. Each step is worked out once, however many objects go along it. */
export function startOf(paths: readonly FieldPath[]): PathState | undefined {
  const states = new Map<string, PathState>();
  const make = (positions: ReadonlySet<string>): PathState | undefined => {
    if (positions.size === 0) return undefined;
    const id = [...positions].sort().join(' ');
    const known = states.get(id);
    if (known !== undefined) return known;
    const made = createState(paths, positions, make);
    states.set(id, made);
    return made;
  };
  const start = new Set<string>();
  for (const number of paths.keys()) enter(paths, start, number, 0);
  return make(start);
}

/** Adds a position, and those after it where it may stand for no step. */
function enter(paths: readonly FieldPath[], positions: Set<string>, path: number, step: number): void {
  positions.add(`${path}:${step}`);
  if (paths[path]?.[step]?.type === 'deep') enter(paths, positions, path, step + 1);
}

function createState(
  paths: readonly FieldPath[],
  positions: ReadonlySet<string>,
  make: (positions: ReadonlySet<string>) => PathState | undefined,
): PathState {
  const here = [...positions].map((position) => {
    const [path = 0, step = 0] = position.split(':').map(Number);
    return { path, step, at: paths[path]?.[step] };
  });
  const next = (fits: (step: Step) => boolean): PathState | undefined => {
    const after = new Set<string>();
    for (const { path, step, at } of here) {
      if (at?.type === 'deep') enter(paths, after, path, step);
      else if (at !== undefined && fits(at)) enter(paths, after, path, step + 1);
    }
    return make(after);
  };
  const named = new Set(here.flatMap(({ at }) => (at?.type === 'key' ? [at.key] : [])));
  const numbered = new Set(here.flatMap(({ at }) => (at?.type === 'index' ? [at.index] : [])));
  // Worked out when they are met: a state may lead to itself.
  const keys = new Map<string, PathState | undefined>();
  const indexes = new Map<number, PathState | undefined>();
  let otherKey: { state: PathState | undefined } | undefined;
  let otherIndex: { state: PathState | undefined } | undefined;
  return {
    ends: here.some(({ path, step }) => step === paths[path]?.length),
    key: (key) => {
      if (named.size === 0 || !named.has(key)) {
        otherKey ??= { state: next((step) => step.type === 'any') };
        return otherKey.state;
      }
      if (!keys.has(key)) {
        keys.set(
          key,
          next((step) => step.type === 'any' || (step.type === 'key' && step.key === key)),
        );
      }
      return keys.get(key);
    },
    index: (index) => {
      if (numbered.size === 0 || !numbered.has(index)) {
        otherIndex ??= { state: next(takesIndex) };
        return otherIndex.state;
      }
      if (!indexes.has(index)) {
        indexes.set(
          index,
          next((step) => takesIndex(step) || (step.type === 'index' && step.index === index)),
        );
      }
      return indexes.get(index);
    },
  };
}

function takesIndex({ type }: Step): boolean {
  return type === 'any' || type === 'any-index';
}
