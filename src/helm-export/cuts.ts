import { create } from '@bufbuild/protobuf';
import { type Node, type ParseError, parseTree } from 'jsonc-parser';
import { quoteLikeGo } from '../releases/json-splice.ts';
import type { Release } from './generated/hapi/release_pb.ts';
import { Cut, type Piece, PieceSchema } from './generated/transship/helm_export_pb.ts';

/** A shorter text is not worth a cut. */
const MIN_CUT = 64;

/**
 * What was cut out of a record's JSON, made again from the release's own fields: a string as Go writes it, values as they
 * are. Undefined where there is no such field.
 */
export function textOfCut(release: Release, cut: Cut, index: number): string | undefined {
  switch (cut) {
    case Cut.NOTHING:
      return '';
    case Cut.DESCRIPTION:
      return release.info && quoteLikeGo(release.info.Description);
    case Cut.NOTES:
      return release.info?.status && quoteLikeGo(release.info.status.notes);
    case Cut.TEMPLATE:
      return quoteBytes(release.chart?.templates[index]?.data);
    case Cut.FILE:
      return quoteBytes(release.chart?.files[index]?.value);
    case Cut.CHART_VALUES:
      return release.chart?.values?.raw;
    case Cut.CONFIG:
      return release.config?.raw;
    case Cut.MANIFEST:
      return quoteLikeGo(release.manifest);
    case Cut.HOOK:
      return release.hooks[index] && quoteLikeGo(release.hooks[index].manifest);
    default:
      return undefined;
  }
}

/**
 * Cuts out of a record's JSON what the release's own fields make again exactly; what they don't, such as a string that
 * another program wrote with other escapes, stays in the text.
 *
 * @param root - of the text, as {@link parseNodes} reads it
 * @param release - made of the same JSON
 */
export function cutJson(json: string, root: Node, release: Release): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const { node, cut, index } of findSpans(root, release)) {
    if (node.length < MIN_CUT || node.offset < from) continue;
    const end = node.offset + node.length;
    if (json.slice(node.offset, end) !== textOfCut(release, cut, index)) continue;
    pieces.push(create(PieceSchema, { text: Buffer.from(json.slice(from, node.offset), 'utf8'), cut, index }));
    from = end;
  }
  pieces.push(create(PieceSchema, { text: Buffer.from(json.slice(from), 'utf8') }));
  return pieces;
}

/**
 * Puts back what {@link cutJson} cut out.
 *
 * @returns undefined when a field that was cut out is not there
 */
export function joinJson(pieces: readonly Piece[], release: Release): string | undefined {
  const texts: string[] = [];
  for (const { text, cut, index } of pieces) {
    const cutOut = textOfCut(release, cut, index);
    if (cutOut === undefined) return undefined;
    texts.push(Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('utf8'), cutOut);
  }
  return texts.join('');
}

/**
 * Where everything stands in a JSON text.
 *
 * @throws Error when it is no JSON
 */
export function parseNodes(json: string): Node {
  const errors: ParseError[] = [];
  const root = parseTree(json, errors, { disallowComments: true });
  if (root === undefined || errors.length > 0) throw new Error(`it is no JSON at offset ${errors[0]?.offset ?? 0}`);
  return root;
}

/** The part of a JSON text that is the value of a path of keys. */
export function jsonAt(json: string, root: Node, ...path: readonly string[]): string | undefined {
  const node = nodeAt(root, ...path);
  return node && json.slice(node.offset, node.offset + node.length);
}

interface Span {
  readonly node: Node;
  readonly cut: Cut;
  readonly index: number;
}

/** In the order in which they stand in the text. */
function findSpans(root: Node, release: Release): Span[] {
  const chart = nodeAt(root, 'chart');
  const files = itemsOf(nodeAt(chart, 'files'));
  const spans: Span[] = [];
  const add = (node: Node | undefined, cut: Cut, index = 0) => {
    if (node !== undefined) spans.push({ node, cut, index });
  };
  add(nodeAt(root, 'info', 'description'), Cut.DESCRIPTION);
  add(nodeAt(root, 'info', 'notes'), Cut.NOTES);
  for (const [index, file] of itemsOf(nodeAt(chart, 'templates')).entries())
    add(nodeAt(file, 'data'), Cut.TEMPLATE, index);
  for (const [index, file] of files.entries()) add(nodeAt(file, 'data'), Cut.FILE, index);
  if ((release.chart?.files.length ?? 0) > files.length) add(nodeAt(chart, 'schema'), Cut.FILE, files.length);
  add(nodeAt(chart, 'values'), Cut.CHART_VALUES);
  add(nodeAt(root, 'config'), Cut.CONFIG);
  add(nodeAt(root, 'manifest'), Cut.MANIFEST);
  for (const [index, hook] of itemsOf(nodeAt(root, 'hooks')).entries()) add(nodeAt(hook, 'manifest'), Cut.HOOK, index);
  return spans.sort((a, b) => a.node.offset - b.node.offset);
}

/** Of a key that is there twice, the last one, as everyone who parses it takes it. */
function nodeAt(node: Node | undefined, ...path: readonly string[]): Node | undefined {
  let found = node;
  for (const key of path) {
    const properties = found?.type === 'object' ? found.children : undefined;
    found = properties?.findLast(({ children }) => children?.[0]?.value === key)?.children?.[1];
  }
  return found;
}

function itemsOf(node: Node | undefined): Node[] {
  return node?.type === 'array' ? (node.children ?? []) : [];
}

function quoteBytes(bytes: Uint8Array | undefined): string | undefined {
  return bytes && `"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}"`;
}
