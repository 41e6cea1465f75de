import { isUtf8 } from 'node:buffer';
import { damaged } from '../archive/damage.ts';
import { MANIFEST_PATH } from '../archive/digests.ts';
import type { Body } from '../archive/entry.ts';
import { joinPieces } from '../archive/streams.ts';
import type { KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { messageOf } from '../errors.ts';
import { hasManyDigits, parseExactly, parseJson } from '../json.ts';
import { isMap } from '../values.ts';
import { limitYoungGeneration } from '../young-generation.ts';

/** What stands before the objects of a List file; each is a line of its own. */
export const LIST_HEAD = '{"apiVersion":"v1","kind":"List","metadata":{},"items":[\n';
/** What stands after them. */
export const LIST_TAIL = '\n]}\n';
/** What stands between two of them. */
export const LIST_SEPARATOR = ',\n';

/** Of a List that is laid out otherwise, and so has to be read whole. */
const MOST_WHOLE_BYTES = 64 * 1024 * 1024;

const NEWLINE = 0x0a;

/** Whether a file of a snapshot holds plain objects, by its path. */
export function isResourcePath(path: string): boolean {
  return path.endsWith('.json') && !path.startsWith('_') && !path.includes('/', path.indexOf('/') + 1);
}

/**
 * The path of a List in a snapshot: `namespaces.json`, `shop/deployments.json`, `shop/services.serving.knative.dev.json`.
 *
 * @param namespace - empty or undefined for cluster-scoped objects
 * @param sharedPlurals - the plurals that several kinds go by: those outside the core group have their group in the name
 */
export function resourcePath(
  { group, plural }: Pick<ResourceKind, 'group' | 'plural'>,
  namespace: string | undefined,
  sharedPlurals: ReadonlySet<string>,
): string {
  const file = group !== '' && sharedPlurals.has(plural) ? `${plural}.${group}.json` : `${plural}.json`;
  if (namespace === undefined || namespace === '') return file;
  // A file of that name is the last of every archive.
  return `${namespace === MANIFEST_PATH ? `${namespace}_` : namespace}/${file}`;
}

/**
 * Reads a List object by object. One that is laid out as written here, an object a line, is read as a stream; any other
 * List in JSON (someone may have edited the file) is read whole, up to 64 MiB.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` naming the path, and the line or item, of what is no object
 */
export async function* readListFile(path: string, body: Body): AsyncGenerator<KubeObject> {
  const pieces = (body instanceof Uint8Array ? piecesOf(body) : body)[Symbol.asyncIterator]();
  try {
    let start: Uint8Array = Buffer.alloc(0);
    for (let next = await pieces.next(); !next.done; next = await pieces.next()) {
      start = start.byteLength === 0 ? next.value : Buffer.concat([start, next.value]);
      if (start.byteLength >= LIST_HEAD.length) break;
    }
    const text = bufferOf(start);
    if (text.toString('latin1', 0, LIST_HEAD.length) === LIST_HEAD) {
      yield* readLines(path, text.subarray(LIST_HEAD.length), pieces);
    } else {
      yield* readWhole(path, start, pieces);
    }
  } finally {
    await pieces.return?.();
  }
}

/** @param first - what follows the first line */
async function* readLines(path: string, first: Buffer, pieces: AsyncIterator<Uint8Array>): AsyncGenerator<KubeObject> {
  let line = 2;
  let ended = false;
  /** After the last object. */
  let closing = false;
  /** The beginning of a line whose end has not come yet. */
  let begun: Uint8Array[] = [];
  let begunBytes = 0;
  /** Whether numbers that JavaScript would round may be among the lines at hand. */
  let mayHaveLarge = false;

  const readLine = (text: string): KubeObject | undefined => {
    if (ended) throw damagedAt(path, line, 'comes after the end of the List');
    if (text === ']}') {
      if (!closing && line > 2) throw damagedAt(path, line - 1, 'ends with a comma, but no object follows');
      ended = true;
      return undefined;
    }
    if (closing) throw damagedAt(path, line, 'should be the end of the List: the object before it has no comma');
    closing = !text.endsWith(',');
    return parseObject(path, line, closing ? text : text.slice(0, -1), mayHaveLarge);
  };

  for (let piece: Buffer | undefined = first; piece !== undefined; piece = await nextOf(pieces)) {
    const end = piece.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      begun.push(piece);
      begunBytes += piece.byteLength;
      if (begunBytes > MOST_WHOLE_BYTES) throw damagedAt(path, line, `has more than ${MOST_WHOLE_BYTES} bytes`);
      continue;
    }
    let lines = piece.subarray(0, end);
    if (begunBytes > 0) lines = bufferOf(joinPieces([...begun, lines], begunBytes + end));
    begun = end === piece.byteLength ? [] : [piece.subarray(end)];
    begunBytes = piece.byteLength - end;
    // Bytes that are no text would be read as other characters.
    if (!isUtf8(lines)) throw damagedAt(path, line + countValid(lines), 'is not valid UTF-8');
    limitYoungGeneration();
    mayHaveLarge = hasManyDigits(lines);
    for (let at = 0; at < lines.byteLength; line += 1) {
      const newline = lines.indexOf(NEWLINE, at);
      const object = readLine(lines.toString('utf8', at, newline));
      at = newline + 1;
      if (object !== undefined) yield object;
    }
  }
  if (begunBytes > 0) {
    const last = joinPieces(begun, begunBytes);
    mayHaveLarge = hasManyDigits(last);
    const object = readLine(last.toString());
    if (object !== undefined) yield object;
  }
  if (!ended) throw damaged(`${path} is cut after line ${line - 1}.`);
}

/** How many lines at the beginning are text. */
function countValid(lines: Buffer): number {
  let count = 0;
  for (let at = 0; ; count += 1) {
    const newline = lines.indexOf(NEWLINE, at);
    if (newline === -1 || !isUtf8(lines.subarray(at, newline))) return count;
    at = newline + 1;
  }
}

function parseObject(path: string, line: number, text: string, mayHaveLarge: boolean): KubeObject {
  let value: unknown;
  try {
    value = mayHaveLarge ? parseExactly(text) : JSON.parse(text);
  } catch (error) {
    throw damagedAt(path, line, `is no JSON: ${messageOf(error)}`, error);
  }
  if (!isObject(value)) throw damagedAt(path, line, NO_OBJECT);
  return value;
}

async function* readWhole(
  path: string,
  start: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<KubeObject> {
  const pieces = [start];
  let length = start.byteLength;
  for (let piece = await nextOf(rest); piece !== undefined; piece = await nextOf(rest)) {
    pieces.push(piece);
    length += piece.byteLength;
    if (length > MOST_WHOLE_BYTES) {
      throw damaged(
        `${path} is too large for a List that is not laid out one object a line: it has more than ${MOST_WHOLE_BYTES} bytes.`,
      );
    }
  }
  const bytes = joinPieces(pieces, length);
  if (!isUtf8(bytes)) throw damaged(`${path} is not valid UTF-8.`);
  let list: unknown;
  try {
    // Editors of Windows put a mark at the beginning.
    const text = bufferOf(bytes).toString('utf8');
    list = parseJson(text.replace(/^\uFEFF/, ''), bytes);
  } catch (error) {
    throw damaged(`${path} is no JSON: ${messageOf(error)}.`, error);
  }
  if (!isMap(list) || typeof list.kind !== 'string' || !list.kind.endsWith('List') || !Array.isArray(list.items)) {
    throw damaged(`${path} is no List of objects.`);
  }
  for (const [index, item] of list.items.entries()) {
    if (!isObject(item)) throw damaged(`Item ${index + 1} of ${path} ${NO_OBJECT}.`);
    yield item;
  }
}

const NO_OBJECT = 'is no object with an apiVersion, a kind and a name';

function isObject(value: unknown): value is KubeObject {
  return (
    isMap(value) &&
    typeof value.apiVersion === 'string' &&
    typeof value.kind === 'string' &&
    isMap(value.metadata) &&
    typeof value.metadata.name === 'string' &&
    value.metadata.name !== ''
  );
}

function damagedAt(path: string, line: number, problem: string, cause?: unknown) {
  return damaged(`Line ${line} of ${path} ${problem}.`, cause);
}

async function nextOf(pieces: AsyncIterator<Uint8Array>): Promise<Buffer | undefined> {
  const next = await pieces.next();
  return next.done ? undefined : bufferOf(next.value);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
