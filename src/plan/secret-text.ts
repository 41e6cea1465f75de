import { isSecretKey } from './secret-keys.ts';
import { findInLines } from './secret-lines.ts';

/** A part of a text that is secret. */
export interface SecretSpan {
  readonly start: number;
  readonly end: number;
  /** What tells it from other secrets of the text, whatever it holds: the key before it. */
  readonly label: string;
}

/** What is secret by its looks; where there is a group, only that. Each starts only where a word does: time stays linear. */
const FORMATS: readonly (readonly [label: string, pattern: RegExp])[] = [
  [
    'pem',
    /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}KEY(?: BLOCK)?-----|$)/dg,
  ],
  ['jwt', /(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]*){2,4}/dg],
  ['age', /(?<!\w)AGE-(?:SECRET-KEY|PLUGIN)-[A-Z0-9-]{8,}/dgi],
  ['aws', /(?<![A-Z0-9])A(?:KI|SI|BI|CC)A[A-Z0-9]{16}(?![A-Z0-9])/dg],
  ['github', /(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,})/dg],
  [
    'token',
    /(?<![\w-])(?:glpat-|xox[a-z]-|npm_|dckr_pat_|hv[sb]\.|AIza|SG\.|[rs]k_(?:live|test)_|sk-(?:proj-|ant-)?)[\w-]{16,}/dg,
  ],
  ['hook', /hooks\.slack\.com\/services\/([\w/]{10,})/dg],
  ['hash', /(?<![\w$])\$(?:2[abxy]|apr1|1|5|6|y|argon2\w{1,2})\$[^\s"',;]{8,}/dg],
  // A number and a slash is a port and a path, however the rest may look.
  ['url', /:\/\/[^\s:/?#@"'<>]{0,200}:(?!\d{1,5}[/?#])([^\s"'<>]{1,1000})@/dg],
  ['url', /:\/\/([^\s:/?#@"'<>]{20,1000})@/dg],
  ['user', /(?<![\w-])(?:-u|--user)[ =]["']?[^\s:"'-][^\s:"']{0,100}:(?!\d+(?!\S))([^\s"']+)/dg],
  ['login', /(?<!\w)login\s+\S{1,200}\s+password\s+(\S+)/dg],
  ['header', /(?<!\w)(?:Bearer|Basic)\s+(?=[^\s"']*[\d=+/])([\w+/=.~-]{4,})/dgi],
];

/** What stands before a value, and the value. Two steps: what is not secret may have secrets within. */
const KEYED: readonly (readonly [head: RegExp, value: RegExp])[] = [
  [
    // Of keys; quotes may be escaped, as in JSON inside of JSON. A colon needs a quote or a space: not that of an image.
    /(?<![\w.]|[\w.]-)(?=([A-Za-z_][\w.-]{0,250}))\1(?:\\*["']\]?)?[ \t]{0,20}(?:=>|:=|=|:(?=[ \t])|(?<=["'][ \t]{0,20}):)[ \t]{0,20}/g,
    /"""[\s\S]*?"""|'''[\s\S]*?'''|"[^"\\]*(?:\\[\s\S][^"\\]*)*"|'(?:[^']|'')*'|`[^`]*`|(?<open>\\+["'])(?:(?!\k<open>)[\s\S])*\k<open>|(?:(?:Bearer|Basic|Token)[ \t]+)?[^\s"'`;&<]+|["'`][^\n]*/y,
  ],
  [
    // Of flags; their values stand apart.
    /(?<![\w-])--?([A-Za-z][\w.-]{1,100})[ \t]{1,20}/g,
    /"[^"]*"|'[^']*'|[^\s"'-][^\s"']*/y,
  ],
  [/(?<!\w)define\s{0,5}\(\s{0,5}["']([\w.-]{1,100})["']\s{0,5},\s{0,5}/gi, /"[^"]*"|'[^']*'/y],
  [/<([A-Za-z][\w.-]{0,100})(?:\s[^<>]{0,200})?>/g, /[^<]+/y],
  [
    // Of variables, in JSON or as Go prints them.
    /(?<!\w)(?:name|key)\\*["']?\s{0,5}:\s{0,5}\\*["']([\w.-]{1,100})\\*["'],\s{0,20}\\*["']?value\\*["']?\s{0,5}:\s{0,5}/gi,
    /"[^"\\]*(?:\\[\s\S][^"\\]*)*"|(?<open>\\*["'])(?:(?!\k<open>)[\s\S])*/y,
  ],
];

/** What has none of these has no secret that could be told: most names and values. */
const SUSPECT =
  /[=:@<>"'\s\\$]|eyJ|AGE-|A(?:KI|SI|BI|CC)A|gh[pousr]_|_pat_|glpat-|xox|npm_|hv[sb]\.|AIza|SG\.|[rs]k_|sk-/i;

/** Finds what is secret in a text: known formats, and values after keys that look secret. In order, none within another. */
export function findSecrets(text: string): SecretSpan[] {
  if (text.length < 4 || !SUSPECT.test(text)) return [];
  const spans: SecretSpan[] = [];
  const hasAt = text.includes('@');
  for (const [label, pattern] of FORMATS) {
    if (label === 'url' && !hasAt) continue;
    for (const { indices } of text.matchAll(pattern)) {
      const at = indices?.[1] ?? indices?.[0];
      if (at !== undefined) spans.push({ start: at[0], end: at[1], label });
    }
  }
  for (const [head, value] of KEYED) {
    for (const { 0: whole, 1: key = '', index } of text.matchAll(head)) {
      if (!isSecretKey(key)) continue;
      value.lastIndex = index + whole.length;
      const found = value.exec(text);
      if (found !== null) spans.push({ start: found.index, end: found.index + found[0].length, label: key });
    }
  }
  spans.push(...findInLines(text));
  return inOrder(spans.filter(({ start, end }) => holdsSecret(text.slice(start, end))));
}

/** Whether there is anything to hide in the value of a secret key: not in none, a switch, or a name for what is elsewhere. */
export function holdsSecret(value: string): boolean {
  return !/^\s*(?:|[|>][-+\d]*|[[\]{}(),]+|null|~|true|false|\\*["']\s*\\*["']|(["']?)\$(?:\([A-Za-z_]\w*\)|\{[A-Za-z_]\w*\})\1)\s*,?\s*$/i.test(
    value,
  );
}

/** Sorts them, and makes one of those that overlap. */
export function inOrder(spans: readonly SecretSpan[]): SecretSpan[] {
  const sorted = [...spans].sort((a, b) => a.start - b.start || b.end - a.end);
  const merged: SecretSpan[] = [];
  for (const span of sorted) {
    const last = merged.at(-1);
    if (last === undefined || span.start >= last.end) merged.push(span);
    else if (span.end > last.end) merged[merged.length - 1] = { ...last, end: span.end };
  }
  return merged;
}
