import { mentionPattern, type NamespaceMap } from './namespace-edits.ts';
import type { ScopeOf } from './namespace-rules.ts';
import { isPlainString } from './yaml-splice.ts';

const BLANK_OR_COMMENT = /^\s*(?:#.*)?$/;
/** A line that can't be inside a string of several lines: no quote in it, or one whole quoted value. */
const WHOLE_LINE = /^ +(?:[^"'|>]*|[^"'|>]*: (?:"[^"\\]*"|'[^']*'))\r?$/;
const NAMESPACE_LINE = /^( +namespace: )(?:([a-z0-9-]+)|"([a-z0-9-]+)"|'([a-z0-9-]+)')[ \t]*\r?$/;
/** A name under a key, such as `app: team-a`. */
const IDENTITY_LINE = /^\s*(?:- +)*["']?([\w./-]+)["']?: +(["']?)[A-Za-z0-9-]+\2[ \t]*\r?$/;
/** The keys under which a name may be a namespace's, by a rule or by what findReference takes for one. */
const NAMESPACE_KEY = /namespace|(?:^|[_.-])ns$|^value$|^kubernetes\.io\/metadata\.name$/i;

/**
 * Maps a document without a parser, which takes forty times longer: one that names the old namespace nowhere but in
 * `metadata.namespace`, on a line of its own, and in names of other things, as nearly all documents do.
 *
 * @returns the new text; undefined when only a parser can tell
 */
export function mapSimpleDocument(text: string, map: NamespaceMap, scopeOf: ScopeOf): string | undefined {
  const kind = /^kind: *(\w+)[ \t]*\r?$/m.exec(text)?.[1];
  const apiVersion = /^apiVersion: *([\w./-]+)[ \t]*\r?$/m.exec(text)?.[1];
  if (kind === undefined || apiVersion === undefined || kind.endsWith('List')) return undefined;
  // Their own names are looked at too.
  if (scopeOf(apiVersion, kind) === 'Cluster') return undefined;
  const own = findOwnNamespace(text);
  if (own === undefined) return hasOnlyIdentities(text, map) ? text : undefined;
  if (!hasOnlyIdentities(text.slice(0, own.lineStart) + text.slice(own.end), map)) return undefined;
  const to = map.get(text.slice(own.start, own.end));
  if (to === undefined) return text;
  return own.isQuoted || isPlainString(to) ? text.slice(0, own.start) + to + text.slice(own.end) : undefined;
}

interface Span {
  readonly lineStart: number;
  readonly start: number;
  readonly end: number;
  readonly isQuoted: boolean;
}

/** Where `metadata.namespace` stands, if every line before it in `metadata` is one that can't hide it in a string. */
function findOwnNamespace(text: string): Span | undefined {
  const metadata = /^metadata:[ \t]*\r?\n/m.exec(text);
  if (metadata === null) return undefined;
  let indent: string | undefined;
  for (let from = metadata.index + metadata[0].length, end = 0; from < text.length; from = end + 1) {
    end = text.indexOf('\n', from);
    if (end === -1) end = text.length;
    const line = text.slice(from, end);
    if (BLANK_OR_COMMENT.test(line)) continue;
    const own = /^ */.exec(line)?.[0];
    indent ??= own;
    const match = NAMESPACE_LINE.exec(line);
    if (match !== null && own === indent) {
      const [, before = '', plain, double, single] = match;
      const isQuoted = plain === undefined;
      const start = from + before.length + (isQuoted ? 1 : 0);
      return { lineStart: from, start, end: start + (plain ?? double ?? single ?? '').length, isQuoted };
    }
    if (!WHOLE_LINE.test(line)) return undefined;
  }
  return undefined;
}

/** Whether every line that mentions a namespace only gives something else a name. */
function hasOnlyIdentities(text: string, map: NamespaceMap): boolean {
  const mentions = new RegExp(mentionPattern(map), 'g');
  for (let match = mentions.exec(text); match !== null; match = mentions.exec(text)) {
    const start = text.lastIndexOf('\n', match.index - 1) + 1;
    const newline = text.indexOf('\n', match.index);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(start, end);
    const isComment = start < match.index && line.startsWith('#');
    const key = IDENTITY_LINE.exec(line)?.[1];
    if (!isComment && (key === undefined || NAMESPACE_KEY.test(key))) return false;
    mentions.lastIndex = end;
  }
  return true;
}
