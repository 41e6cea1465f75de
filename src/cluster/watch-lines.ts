import { hasManyDigits, parseExactly } from '../json.ts';
import { isMap } from '../values.ts';
import { ClusterError, type KubeObject, type WatchEvent } from './cluster.ts';
import { cutManagedFields } from './managed-fields.ts';

const NEWLINE = 0x0a;

/** Splits a stream into lines, which are views of what was read where they are whole in it. */
export interface LineSplitter {
  /** The lines that end in the piece, without their ends. What is begun is kept for the next piece. */
  split(piece: Buffer): Buffer[];
}

/** Makes a splitter. A line of many pieces is joined once. */
export function createLineSplitter(): LineSplitter {
  let begun: Buffer[] = [];
  return {
    split(piece) {
      const lines: Buffer[] = [];
      let from = 0;
      for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, from)) {
        const rest = piece.subarray(from, end);
        lines.push(begun.length === 0 ? rest : Buffer.concat([...begun, rest]));
        begun = [];
        from = end + 1;
      }
      if (from < piece.byteLength) begun.push(piece.subarray(from));
      return lines;
    },
  };
}

/**
 * Reads a line of a watch. What it says of managed fields is only taken out of Kubernetes' own kinds: see
 * `ListOptions.withoutManagedFields`.
 *
 * @returns undefined for an empty line and for a type that came into the API later
 * @throws ClusterError for the event ERROR, with the status that it has
 * @throws Error for what is no event
 */
export function readWatchLine(line: Buffer, withoutManagedFields: boolean): WatchEvent | undefined {
  if (line.byteLength === 0) return undefined;
  const bytes = withoutManagedFields ? cutManagedFields(line) : line;
  const text = bytes.toString('utf8');
  const event: unknown = hasManyDigits(bytes) ? parseExactly(text) : JSON.parse(text);
  if (!isMap(event) || !isMap(event.object)) throw new Error('it is no event of a watch');
  const { type, object } = event;
  if (type === 'ERROR') throw statusError(object);
  if (!isMap(object.metadata)) throw new Error('an object in it has no metadata');
  const resourceVersion = String(object.metadata.resourceVersion ?? '');
  if (type === 'BOOKMARK') return { type, resourceVersion };
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') return undefined;
  return { type, object: objectOf(object), resourceVersion };
}

/** In the order of fields that a list gives its items. */
function objectOf(object: Record<string, unknown>): KubeObject {
  const { apiVersion, kind, metadata } = object;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || !isMap(metadata) || !isNamed(metadata)) {
    throw new Error('an object in it has no apiVersion, kind or name');
  }
  return { apiVersion, kind, ...object, metadata };
}

function isNamed(metadata: Record<string, unknown>): metadata is KubeObject['metadata'] {
  return typeof metadata.name === 'string';
}

function statusError(status: Record<string, unknown>): ClusterError {
  const code = typeof status.code === 'number' ? status.code : 500;
  const reason = typeof status.reason === 'string' && status.reason !== '' ? status.reason : 'InternalError';
  const said = typeof status.message === 'string' && status.message !== '' ? status.message : reason;
  return new ClusterError(code, reason, `The server ended the watch: ${said} (${code} ${reason})`, { answer: status });
}
