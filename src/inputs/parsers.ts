/** What a text means, or why it means nothing. `problem` is a sentence that follows the input's name. */
export type Parsed<T> = { readonly value: T } | { readonly problem: string };
export type Parse<T> = (text: string) => Parsed<T>;

/** The longest time a timer of Node can wait. */
const LONGEST_MILLISECONDS = 2 ** 31 - 1;
const NAMESPACE = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const PAIR = new RegExp(`^(${NAMESPACE})\\s*[:=]\\s*(${NAMESPACE})$`);
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Any text that is not blank. */
export function parseText(text: string): Parsed<string> {
  const trimmed = text.trim();
  return trimmed === '' ? { problem: 'is empty. Give it a value, or leave it out.' } : { value: trimmed };
}

/** `true` and `false` as YAML 1.2's core schema spells them; not `yes`, `on` or `1`. */
export function parseBoolean(text: string): Parsed<boolean> {
  if (/^(true|True|TRUE)$/.test(text)) return { value: true };
  if (/^(false|False|FALSE)$/.test(text)) return { value: false };
  return refuse(text, 'is neither true nor false.');
}

/** A whole number in decimal digits, within both ends. */
export function parseInteger(least: number, most: number): Parse<number> {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    return value >= least && value <= most
      ? { value }
      : refuse(text, `is not allowed. Give a whole number from ${least} to ${most}.`);
  };
}

/** A Go duration as Helm takes it (`5m`, `1h30m`, `90s`), in milliseconds. */
export function parseDuration(text: string): Parsed<number> {
  const value = readDuration(text);
  if (value === undefined) {
    return refuse(text, 'is not a duration. Give numbers with a unit (ms, s, m, h), such as 5m or 1h30m.');
  }
  if (value < 1 || value > LONGEST_MILLISECONDS) {
    return refuse(text, `is not allowed. Give more than 0 and at most 596h, such as 5m or 1h30m.`);
  }
  return { value: Math.round(value) };
}

function readDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  let value = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    value += Number(number) * (UNITS[unit ?? ''] ?? Number.NaN);
  }
  return value;
}

/** How long something is wanted: a Go duration, or days (`7d`), in milliseconds; at most ten years. */
export function parseTtl(text: string): Parsed<number> {
  const [, days] = /^(\d{1,4})d$/.exec(text) ?? [];
  const value = days === undefined ? readDuration(text) : Number(days) * 86_400_000;
  if (value === undefined) return refuse(text, 'is not a duration. Give numbers with a unit, such as 90m, 72h or 7d.');
  return value >= 1000 && value <= 3650 * 86_400_000
    ? { value }
    : refuse(text, 'is not allowed. Give a second at least and 3650d at most, such as 72h or 7d.');
}

/** Writes milliseconds as a Go duration, for programs that take one: `5m0s`, `1h0m0s`, `1.5s`. */
export function formatDuration(milliseconds: number): string {
  const hours = Math.floor(milliseconds / 3_600_000);
  const minutes = Math.floor((milliseconds % 3_600_000) / 60_000);
  const seconds = (milliseconds % 60_000) / 1000;
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
}

/** One of the words given. */
export function parseChoice<const T extends string>(...choices: readonly T[]): Parse<T> {
  return (text) => {
    const value = choices.find((choice) => choice === text);
    return value === undefined ? refuse(text, `is not allowed. Give ${oneOf(choices)}.`) : { value };
  };
}

/** Items separated by commas or line breaks; repeated ones are taken once. Names every item it refuses. */
export function parseList<T>(item: Parse<T>): Parse<T[]> {
  return (text) => {
    const values = new Set<T>();
    const problems: string[] = [];
    for (const part of splitList(text)) {
      const parsed = item(part);
      if ('problem' in parsed) problems.push(parsed.problem);
      else values.add(parsed.value);
    }
    if (problems.length > 0) return { problem: problems.join(' ') };
    return values.size === 0 ? { problem: 'is empty. Give it a value, or leave it out.' } : { value: [...values] };
  };
}

/** Text that a pattern describes; `allowed` says so to a person. */
export function parsePattern(pattern: RegExp, allowed: string): Parse<string> {
  return (text) => (pattern.test(text) ? { value: text } : refuse(text, allowed));
}

/** A namespace's name, or a glob of `*` and `?` over names. */
export const parseNamespaceGlob = parsePattern(
  /^(?=.{1,63}$)[a-z0-9*?]([a-z0-9*?-]*[a-z0-9*?])?$/,
  'is not a namespace. Give names (lower-case letters, digits and -), globs with * and ?, or * for all.',
);

/** A pattern of releases or resources; what the words in it mean only the cluster or snapshot can tell. */
export const parseExclude = parsePattern(
  /^([A-Za-z0-9*?.-]+\/){0,2}[A-Za-z0-9*?.:@_-]+$/,
  'is no pattern. Give a release as name or namespace/name, or resources as kind, kind/name or namespace/kind/name.',
);

/** A virtual machine, snapshot or claim: a name or glob, of one namespace where that stands before it. */
export const parseVmPattern = parsePattern(
  /^([a-z0-9*?-]+\/)?[a-z0-9*?.-]+$/,
  'is no pattern. Give a name, a glob with * and ?, or namespace/name.',
);

/** A kind as people name it: plural, singular, short name or kind, with the group where wanted. */
export const parseKindName = parsePattern(
  /^[A-Za-z][A-Za-z0-9.-]*$/,
  'is not a kind. Give names such as deployments, Certificate or certificates.cert-manager.io.',
);

/** `all`, or how many of the newest revisions. */
export function parseHistory(text: string): Parsed<number | 'all'> {
  if (text === 'all') return { value: 'all' };
  return /^[1-9]\d{0,5}$/.test(text)
    ? { value: Number(text) }
    : refuse(text, 'is not allowed. Give all, or how many of the newest revisions (1 or more).');
}

/** How pairs of two texts are written. */
interface PairForm {
  /** Its groups are the two. */
  readonly pattern: RegExp;
  /** Follows the text that is none. */
  readonly allowed: string;
  /** What stands between pairs. */
  readonly separator: RegExp;
}

/** `from:to` or `from=to` pairs of namespace names. */
export const parseNamespaceMap = parsePairs({
  pattern: PAIR,
  allowed: 'is not a pair of namespaces. Give from:to or from=to, such as stage:prod.',
  separator: /[,\n]/,
});

/** `from:to` or `from=to` pairs of names of storage classes. */
export const parseClassMap = parsePairs({
  pattern: /^([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)\s*[:=]\s*([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)$/,
  allowed: 'is not a pair of storage classes. Give from:to or from=to, such as standard:fast.',
  separator: /[,\n]/,
});

/** `from=to` pairs of registries, repositories or images. */
export const parseImageMap = parsePairs({
  pattern: /^([^\s=,]+)\s*=\s*([^\s=,]+)$/,
  allowed: 'is not a pair of images. Give from=to, such as registry.stage.example=registry.prod.example.',
  separator: /[,\n]/,
});

/** `from=to` pairs of texts, one a line: they may hold commas, and the second one may be empty. */
export const parseReplaceText = parsePairs({
  pattern: /^([^=]+)=(.*)$/,
  allowed: 'is not a replacement. Give from=to, such as stage.example.com=www.example.com, one a line.',
  separator: /\n/,
});

function parsePairs({ pattern, allowed, separator }: PairForm): Parse<Readonly<Record<string, string>>> {
  return (text) => {
    const pairs = new Map<string, string>();
    const problems: string[] = [];
    const parts = text.split(separator).map((part) => part.trim());
    for (const part of parts.filter((one) => one !== '')) addPair(part);
    if (problems.length > 0) return { problem: problems.join(' ') };
    if (pairs.size === 0) return { problem: 'is empty. Give it a value, or leave it out.' };
    return { value: Object.fromEntries(pairs) };

    function addPair(part: string): void {
      const [, from, to] = pattern.exec(part) ?? [];
      if (from === undefined || to === undefined) problems.push(`${quote(part)} ${allowed}`);
      else if (pairs.has(from) && pairs.get(from) !== to) {
        problems.push(`"${from}" is mapped twice, to ${pairs.get(from)} and to ${to}. Give each one target.`);
      } else pairs.set(from, to);
    }
  };
}
/** An archive's SHA-256 as outputs and artifact pages show it, with or without `sha256:`; normalised to have it. */
export function parseDigest(text: string): Parsed<string> {
  const hex = /^(?:sha256:)?([0-9a-f]{64})$/i.exec(text)?.[1];
  return hex === undefined
    ? refuse(
        text,
        'is not a digest. Give sha256: and 64 hexadecimal digits, as the output `digest` of the export has it.',
      )
    : { value: `sha256:${hex.toLowerCase()}` };
}

/** A key of 256 bits for SSE-C, in base64. The text is secret: it is in no message. */
export function parseCustomerKey(text: string): Parsed<string> {
  const isKey = /^[A-Za-z0-9+/]{43}=$/.test(text) && Buffer.from(text, 'base64').byteLength === 32;
  return isKey
    ? { value: text }
    : { problem: 'is not a key. Give 32 random bytes in base64, such as openssl rand -base64 32 prints them.' };
}

/** An `http` or `https` URL without credentials or a query. */
export function parseEndpoint(text: string): Parsed<string> {
  const url = URL.parse(text);
  const plain = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  return plain && url.search === '' && url.hash === ''
    ? { value: text.replace(/\/+$/, '') }
    : {
        problem:
          'is not an endpoint. Give an http:// or https:// URL without credentials, such as https://minio.example:9000.',
      };
}

/** Splits at commas and line breaks; blank items are dropped, so a trailing comma or line break is fine. */
export function splitList(text: string): string[] {
  return text
    .split(/[,\n]/)
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** `a`, `a or b`, `a, b or c`. */
export function oneOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** A value as an error shows it: quoted, on one line, not endless. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

function refuse(text: string, why: string): { readonly problem: string } {
  return { problem: `${quote(text)} ${why}` };
}
