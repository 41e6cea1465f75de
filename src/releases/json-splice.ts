import { findNodeAtLocation, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { TransshipError } from '../errors.ts';

/** Where a value stands in JSON, such as `['hooks', 0, 'manifest']`. */
export type JsonPath = readonly (string | number)[];

/** One change to a JSON text: a string put at a path, any value put there as JSON text, or a key removed. */
export type JsonEdit =
  | { readonly path: JsonPath; readonly value: string }
  | { readonly path: JsonPath; readonly json: string }
  | { readonly path: JsonPath; readonly remove: true };

/**
 * Changes strings inside a JSON text and leaves every other byte as it is. Parsing and printing it again would lose
 * integers beyond 2^53 and `-0`. A key that is missing in an object that exists is added as its last one; removing
 * what is not there changes nothing.
 *
 * @throws TransshipError `RECORD_INVALID` when the text is not JSON, a path's parent is missing, two edits overlap, or
 * a string would replace something that is no string
 */
export function spliceJson(text: string, edits: readonly JsonEdit[]): string {
  if (edits.length === 0) return text;
  const root = parse(text);
  const cuts = edits.flatMap((edit) => ('remove' in edit ? removal(root, edit.path) : [placement(root, edit)]));
  cuts.sort((a, b) => a.start - b.start || a.end - b.end);
  const parts: string[] = [];
  let from = 0;
  for (const { start, end, replacement } of cuts) {
    if (start < from) throw failed('two edits overlap');
    parts.push(text.slice(from, start), replacement);
    from = end;
  }
  parts.push(text.slice(from));
  return parts.join('');
}

/**
 * A string as Go's encoding/json writes it, which is how Helm wrote the ones around it: `<`, `>`, `&`, U+2028 and
 * U+2029 escaped, everything else beyond ASCII as it is, and what is no valid UTF-16 as U+FFFD.
 * https://github.com/golang/go/blob/go1.26.0/src/encoding/json/encode.go (appendString)
 */
export function quoteLikeGo(value: string): string {
  // JSON.stringify writes control characters as Go does: \b \f \n \r \t, else \u00xx with lower-case digits.
  return JSON.stringify(value.toWellFormed()).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

interface Cut {
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

function parse(text: string): Node {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { disallowComments: true });
  const error = errors[0];
  if (error !== undefined) throw failed(`${printParseErrorCode(error.error)} at offset ${error.offset}`);
  if (root === undefined) throw failed('it is empty');
  return root;
}

function placement(root: Node, edit: Exclude<JsonEdit, { remove: true }>): Cut {
  const { path } = edit;
  const replacement = 'json' in edit ? edit.json : quoteLikeGo(edit.value);
  const node = findNodeAtLocation(root, [...path]);
  if (node !== undefined) {
    if ('value' in edit && node.type !== 'string') throw failed(`${path.join('.')} is ${node.type}, not a string`);
    return { start: node.offset, end: node.offset + node.length, replacement };
  }
  const key = path.at(-1);
  const parent = findNodeAtLocation(root, path.slice(0, -1));
  if (typeof key !== 'string' || parent?.type !== 'object') throw failed(`there is no ${path.join('.')}`);
  const last = parent.children?.at(-1);
  const position = last === undefined ? parent.offset + 1 : last.offset + last.length;
  const comma = last === undefined ? '' : ',';
  return { start: position, end: position, replacement: `${comma}${quoteLikeGo(key)}:${replacement}` };
}

/** The key, its value and one of the commas beside it. */
function removal(root: Node, path: JsonPath): Cut[] {
  const property = findNodeAtLocation(root, [...path])?.parent;
  const siblings = property?.parent?.children;
  if (property?.type !== 'property' || siblings === undefined) return [];
  const index = siblings.indexOf(property);
  const before = siblings[index - 1];
  const after = siblings[index + 1];
  const end = property.offset + property.length;
  if (after !== undefined) return [{ start: property.offset, end: after.offset, replacement: '' }];
  return [{ start: before === undefined ? property.offset : before.offset + before.length, end, replacement: '' }];
}

function failed(problem: string): TransshipError {
  return new TransshipError('RECORD_INVALID', `The JSON of a release record can't be edited: ${problem}.`);
}
