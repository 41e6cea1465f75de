import { parseDocument } from 'yaml';
import { isMap } from '../values.ts';

/** One document of a stored manifest. */
export interface ManifestDocument {
  /** As Helm 4 splits it: its `# Source:` line included, leading white space removed, the rest untouched. */
  readonly text: string;
  /** The template it was rendered from, such as `chart/charts/sub/templates/x.yaml`; absent after a post-renderer. */
  readonly source: string | undefined;
  /** Where `text` stands in the manifest; `manifest.slice(start, end) === text`. */
  readonly start: number;
  readonly end: number;
}

/** What tells one object of a manifest from another. */
export interface DocumentHead {
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty where there is none, such as with `generateName`. */
  readonly name: string;
  readonly namespace: string | undefined;
}

/** The characters of Go's unicode.IsSpace; JavaScript's `\s` has U+FEFF and lacks U+0085. */
const LEADING_SPACE = /[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*/y;
const SOURCE = /^# Source: (.*?)\r?(?:\n|$)/;

/**
 * Splits a stored manifest into its documents, as Helm does. Every line that starts with `---` separates, also one that
 * goes on (`---apiVersion: v1`), for Helm took it so when it rendered the chart:
 * https://github.com/helm/helm/blob/v4.3.1/pkg/release/v1/util/manifest.go
 */
export function splitManifest(manifest: string): ManifestDocument[] {
  const documents: ManifestDocument[] = [];
  let from = skipSpace(manifest, 0);
  if (manifest.startsWith('---', from)) from = afterSeparator(manifest, from);
  while (from < manifest.length) {
    const newline = manifest.indexOf('\n---', from);
    const end = newline === -1 ? manifest.length : newline + 1;
    const start = skipSpace(manifest, from);
    if (start < end) {
      const text = manifest.slice(start, end);
      documents.push({ text, source: SOURCE.exec(text)?.[1], start, end });
    }
    if (newline === -1) break;
    from = afterSeparator(manifest, end);
  }
  return documents;
}

/**
 * The heads of the objects in a document: none when it has only comments, each item's when it is a list. Reads the
 * usual document line by line; only an unusual one (JSON, quoted keys, a list) costs a YAML parser. A document that the
 * parser can't make sense of yields what it can.
 */
export function readHeads(text: string): DocumentHead[] {
  const head = scanHead(text);
  if (head !== 'unusual') return head === undefined ? [] : [head];
  return objectsOf(parseTolerantly(text)).flatMap(headOf);
}

const PLAIN_API_VERSION = /(?:^|\n)apiVersion:[ \t]+["']?([\w./-]+)["']?[ \t]*\r?(?:\n|$)/;
const PLAIN_KIND = /(?:^|\n)kind:[ \t]+["']?([A-Za-z0-9]+)["']?[ \t]*\r?(?:\n|$)/;

/**
 * The apiVersion and kind of the object in a document, where that is all that is asked: faster than {@link readHeads},
 * to which it leaves what is unusual. Only keys of the object itself stand at the start of a line.
 */
export function readKinds(text: string): Pick<DocumentHead, 'apiVersion' | 'kind'>[] {
  const apiVersion = PLAIN_API_VERSION.exec(text)?.[1];
  const kind = PLAIN_KIND.exec(text)?.[1];
  if (apiVersion === undefined || kind === undefined || kind.endsWith('List')) return readHeads(text);
  return [{ apiVersion, kind }];
}

/** A document as a plain value, or undefined when it has none; errors that leave a value are ignored. For reading only. */
export function parseTolerantly(text: string): unknown {
  try {
    return parseDocument(text, { merge: true, strict: false, uniqueKeys: false, logLevel: 'silent' }).toJS();
  } catch {
    return undefined;
  }
}

/** The objects of a parsed document: itself, or the items of a list. */
export function objectsOf(value: unknown): Record<string, unknown>[] {
  if (!isMap(value)) return [];
  if (typeof value.kind === 'string' && value.kind.endsWith('List') && Array.isArray(value.items)) {
    // The items of a typed list, such as RoleList, may leave out what the list says.
    const implied = value.kind === 'List' ? {} : { apiVersion: value.apiVersion, kind: value.kind.slice(0, -4) };
    return value.items.filter(isMap).flatMap((item) => objectsOf({ ...implied, ...item }));
  }
  return [value];
}

function headOf(object: Record<string, unknown>): DocumentHead[] {
  const { apiVersion, kind } = object;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return [];
  const metadata = isMap(object.metadata) ? object.metadata : {};
  const name = metadata.name === undefined || metadata.name === null ? '' : String(metadata.name);
  const namespace = typeof metadata.namespace === 'string' ? metadata.namespace : undefined;
  return [{ apiVersion, kind, name, namespace }];
}

const BLANK_OR_COMMENT = /^\s*(?:#.*)?$/;
const TOP_LEVEL_KEY = /^([A-Za-z_][\w.-]*):(?=\s|$)(.*)$/;
const METADATA_KEY = /^ +(name|namespace):(?=\s|$)(.*)$/;
const SCALAR = /^\s*(?:"([^"\\]*)"|'([^']*)'|([A-Za-z0-9][\w./:-]*))?\s*(?:\s#.*)?$/;

/** Reads the lines from the start until the head is known; `unusual` where only a parser can tell. */
function scanHead(text: string): DocumentHead | undefined | 'unusual' {
  let apiVersion: string | undefined;
  let kind: string | undefined;
  let metadata: { indent: string; name: string; namespace: string | undefined } | undefined;
  let inMetadata = false;
  let isEmpty = true;
  for (let from = 0, end = 0; from < text.length; from = end + 1) {
    end = text.indexOf('\n', from);
    if (end === -1) end = text.length;
    const first = text[from];
    if (first === '\n' || first === '\r' || first === '#') continue;
    if (first === ' ') {
      if (inMetadata && metadata !== undefined && !addMetadata(metadata, text.slice(from, end))) return 'unusual';
      continue;
    }
    // The items of a list may stand as far left as its key.
    if (first === '-' && !isEmpty) continue;
    const match = TOP_LEVEL_KEY.exec(text.slice(from, end));
    if (match === null) return 'unusual';
    isEmpty = false;
    const value = match[2] ?? '';
    inMetadata = match[1] === 'metadata';
    if (inMetadata) {
      if (!BLANK_OR_COMMENT.test(value)) return 'unusual';
      metadata = { indent: '', name: '', namespace: undefined };
    } else if (match[1] === 'apiVersion') {
      apiVersion = readScalar(value);
    } else if (match[1] === 'kind') {
      kind = readScalar(value);
      if (kind?.endsWith('List')) return 'unusual';
    }
    if (apiVersion && kind && metadata !== undefined && !inMetadata) break;
  }
  if (isEmpty) return undefined;
  if (!apiVersion || !kind) return 'unusual';
  return { apiVersion, kind, name: metadata?.name ?? '', namespace: metadata?.namespace };
}

/** Takes `name` and `namespace` from one indented line of `metadata`; false when that takes a parser. */
function addMetadata(metadata: { indent: string; name: string; namespace: string | undefined }, line: string): boolean {
  if (BLANK_OR_COMMENT.test(line)) return true;
  const indent = /^ */.exec(line)?.[0] ?? '';
  if (metadata.indent === '') metadata.indent = indent;
  if (indent !== metadata.indent) return true;
  if (/["'{]/.test(line[indent.length] ?? '')) return false;
  const match = METADATA_KEY.exec(line);
  if (match === null) return true;
  const value = readScalar(match[2] ?? '');
  if (value === undefined) return false;
  if (match[1] === 'name') metadata.name = value;
  else metadata.namespace = value === '' ? undefined : value;
  return true;
}

/** A scalar on one line; empty when there is none, undefined when it takes a parser. */
function readScalar(value: string): string | undefined {
  const match = SCALAR.exec(value);
  return match === null ? undefined : (match[1] ?? match[2] ?? match[3] ?? '');
}

function afterSeparator(text: string, separator: number): number {
  let from = separator + 3;
  while (text[from] === ' ' || text[from] === '\t') from += 1;
  return from;
}

function skipSpace(text: string, from: number): number {
  LEADING_SPACE.lastIndex = from;
  return from + (LEADING_SPACE.exec(text)?.[0].length ?? 0);
}
