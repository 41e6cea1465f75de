/** What is wrong with a regular expression, and at which of its characters. */
export interface RegexProblem {
  readonly problem: string;
  readonly at: number;
}

/**
 * Finds out why a regular expression can't be used: it is none, it would match nothing at all between any two characters,
 * or some text could keep it busy for ever. JavaScript tries every way in which an expression can match, and there are
 * exponentially many where something is repeated that repeats itself, as in `(a+)+`, unless a character that nothing
 * else in it matches tells one round from the next, as in `([a-z]+\.)+`.
 */
export function checkRegex(source: string, flags: string): RegexProblem | undefined {
  let regex: RegExp;
  try {
    regex = new RegExp(source, flags);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { problem: `it is no regular expression: ${why.slice(why.lastIndexOf(': ') + 2)}`, at: findBreak(source) };
  }
  if (regex.test('')) return { problem: 'it matches an empty text, and so between any two characters', at: 0 };
  return parseRegex(source, flags).danger;
}

/**
 * The longest text that is in everything that a valid expression matches: looking for it is many times faster.
 *
 * @returns empty when there is none for certain
 */
export function findLiteral(source: string, flags: string): string {
  const { alternatives } = parseRegex(source, flags).root;
  const [terms] = alternatives;
  if (terms === undefined || alternatives.length > 1 || flags.includes('i')) return '';
  const runs = [''];
  for (const term of terms) {
    if (term.isOnce && isMark(term, [])) runs.push(`${runs.pop()}${term.atom?.replace(/^\\/, '')}`);
    else runs.push('');
  }
  return runs.reduce((longest, run) => (run.length > longest.length ? run : longest));
}

/** A flag that means nothing here, or is there twice. */
export function findWrongFlag(flags: string): string | undefined {
  return [...flags].find((flag, index) => !'imsu'.includes(flag) || flags.indexOf(flag) !== index);
}

/** The first character from which on it makes no sense. */
function findBreak(source: string): number {
  const open: number[] = [];
  for (let at = 0; at < source.length; at += 1) {
    const character = source[at];
    if (character === '\\') at += 1;
    else if (character === '[') {
      const end = endOfClass(source, at);
      if (end === -1) return at;
      at = end - 1;
    } else if (character === '(') open.push(at);
    else if (character === ')' && open.pop() === undefined) return at;
    else if ('*+?'.includes(character ?? '') && (at === 0 || '(|'.includes(source[at - 1] ?? ''))) {
      if (!(source[at - 1] === '(' && character === '?')) return at;
    }
  }
  return open.at(-1) ?? 0;
}

function endOfClass(source: string, start: number): number {
  for (let at = start + 1; at < source.length; at += 1) {
    if (source[at] === '\\') at += 1;
    else if (source[at] === ']') return at + 1;
  }
  return -1;
}

/** A part of an expression. */
interface Term {
  /** Of a single character, as it is written; undefined for a group or what has no width. */
  readonly atom: string | undefined;
  readonly group: Group | undefined;
  /** Whether it may match more or less. */
  readonly varies: boolean;
  /** Whether it matches just once. */
  readonly isOnce: boolean;
}

interface Group {
  readonly alternatives: readonly (readonly Term[])[];
}

/** So many rounds are no danger. */
const FEW = 4;

const QUANTIFIER = /(?:[*+?]|\{(\d+)(?:(,)(\d*))?\})\??/y;
const ESCAPE = /\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|c[A-Za-z]|k<[^>]*>|\d+|.)/suy;
const GROUP = /\((?:\?(?:<?[=!]|:|<[^>]*>|[a-z]*(?:-[a-z]+)?:))?/y;

/** Reads a valid expression, and finds what of it could take for ever. */
function parseRegex(source: string, flags: string): { root: Group; danger: RegexProblem | undefined } {
  let at = 0;
  let danger: RegexProblem | undefined;

  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const text = pattern.exec(source)?.[0] ?? '';
    at += text.length;
    return text;
  };
  const readGroup = (): Group => {
    const alternatives: Term[][] = [[]];
    while (at < source.length && source[at] !== ')') {
      if (source[at] === '|') {
        at += 1;
        alternatives.push([]);
      } else alternatives.at(-1)?.push(readTerm());
    }
    return { alternatives };
  };
  const readTerm = (): Term => {
    const start = at;
    const character = source[start] ?? '';
    let atom: string | undefined;
    let group: Group | undefined;
    if (character === '(') {
      take(GROUP);
      group = readGroup();
      at += 1;
    } else if (character === '[') {
      at = endOfClass(source, start);
      atom = source.slice(start, at);
    } else if (character === '\\') {
      const escaped = take(ESCAPE);
      if (/^\\(?:[1-9]|k<)/.test(escaped)) {
        danger ??= { problem: 'it refers back to a group, which can take for ever', at: start };
      }
      atom = /^\\[bB]$/.test(escaped) ? undefined : escaped;
    } else {
      // With the flag u two halves make one character.
      at += flags.includes('u') && (source.codePointAt(start) ?? 0) > 0xffff ? 2 : 1;
      atom = '^$'.includes(character) ? undefined : source.slice(start, at);
    }
    const [least, most] = readQuantifier(take(QUANTIFIER));
    const problem = group !== undefined && most > FEW ? findConfusion(group, flags) : undefined;
    if (problem !== undefined) danger ??= { problem, at: start };
    return { atom, group, varies: least !== most, isOnce: least === 1 && most === 1 };
  };

  const root = readGroup();
  return { root, danger };
}

function readQuantifier(text: string): [least: number, most: number] {
  if (text === '') return [1, 1];
  if (text[0] === '?') return [0, 1];
  if (text[0] === '*' || text[0] === '+') return [text[0] === '*' ? 0 : 1, Number.POSITIVE_INFINITY];
  const [, least = '', comma, most = ''] = /^\{(\d+)(,?)(\d*)/.exec(text) ?? [];
  if (comma === '') return [Number(least), Number(least)];
  return [Number(least), most === '' ? Number.POSITIVE_INFINITY : Number(most)];
}

/** Why one could not tell where one round of a repeated group ends and the next begins. */
function findConfusion(group: Group, flags: string): string | undefined {
  const firsts = group.alternatives.map(([first]) => first);
  const isClear = firsts.every(
    (first, index) => isMark(first, []) && firsts.findIndex((other) => other?.atom === first?.atom) === index,
  );
  if (firsts.length > 1 && !isClear) return 'it repeats alternatives that may begin alike, which can take for ever';
  const loose = looseAtoms(group).map((atom) => new RegExp(`^(?:${atom})$`, flags));
  const isTold = group.alternatives.every((terms) => isMark(terms[0], loose) || isMark(terms.at(-1), loose));
  return loose.length === 0 || isTold ? undefined : 'it repeats what repeats itself, which can take for ever';
}

/** Whether a part is one character that stands for itself, and that none of the others matches. */
function isMark(term: Term | undefined, others: readonly RegExp[]): boolean {
  if (term?.atom === undefined || term.varies || !/^(?:\\[^\w]|[^\\.[])$/su.test(term.atom)) return false;
  const character = term.atom.replace(/^\\/, '');
  return !others.some((other) => other.test(character));
}

/** The characters of those parts of a group of which there may be more or fewer. */
function looseAtoms(group: Group, isLoose = false): string[] {
  return group.alternatives.flatMap((terms) =>
    terms.flatMap((term) => {
      const varies = isLoose || term.varies;
      if (term.group !== undefined) return looseAtoms(term.group, varies || term.group.alternatives.length > 1);
      return varies && term.atom !== undefined ? [term.atom] : [];
    }),
  );
}
