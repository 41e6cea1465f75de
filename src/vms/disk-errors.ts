import { TransshipError } from '../errors.ts';
import { VmHttpError } from './http-error.ts';

/**
 * What to do about a failure.
 * - `passing`: try again until the time is up
 * - `refused`: by what rarely passes; it may while a pod restarts or links change, so try again for a short while
 */
export type Passing = 'passing' | 'refused';

/** A try to read a disk that may go better next time. */
export class DiskTryFailed extends Error {
  readonly passing: Passing;
  /** Milliseconds the server asked to wait. */
  readonly retryAfter: number;
  readonly hint: string | undefined;

  constructor(passing: Passing, message: string, details: { retryAfter?: number; hint?: string | undefined } = {}) {
    super(message);
    this.passing = passing;
    this.retryAfter = details.retryAfter ?? 0;
    this.hint = details.hint;
  }
}

/** The part of an answer that says how it is meant. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

const WAIT_HINT =
  'Is the export still there, is its source not in use, and is the way to it open? `kubectl describe vmexport` says more.';
const CHANGED_HINT =
  'Keep the machine and all that mounts the volume stopped until the export is done, or export a snapshot.';
const TOKEN_HINT = "The token must be that of the export's Secret, without a newline at its end.";

/** How a failure that may pass is to be taken, and what anything else is thrown as. */
export function readTryFailure(error: unknown): DiskTryFailed {
  if (error instanceof DiskTryFailed) return error;
  if (!(error instanceof VmHttpError)) throw error;
  return new DiskTryFailed(error.failure === 'trust' ? 'refused' : 'passing', error.message, { hint: error.hint });
}

/** @param said - the first words of the body */
export function refusal({ status, headers }: Answer, url: string, said: string): DiskTryFailed {
  const text = firstWords(said);
  const to = headers.location === undefined ? '' : ` to ${headers.location}`;
  const message = `${url} answers ${status}${to}${text === '' ? '' : `: ${text}`}`;
  const isBusy = status >= 500 || status === 408 || status === 425 || status === 429;
  return new DiskTryFailed(isBusy ? 'passing' : 'refused', message, {
    retryAfter: readRetryAfter(headers['retry-after']),
    hint: status === 401 || status === 403 ? TOKEN_HINT : undefined,
  });
}

/** No byte has come for so long. */
export function gaveUp(volume: string, at: string, milliseconds: number, last: DiskTryFailed): TransshipError {
  const seconds = Math.round(milliseconds / 1000);
  return new TransshipError(
    last.passing === 'refused' ? 'CLUSTER' : 'TIMEOUT',
    `The volume "${volume}" can't be read: no byte came for ${seconds} s, ${at}. The last failure: ${sentence(last.message)}`,
    { hint: last.hint ?? WAIT_HINT, cause: last },
  );
}

const KIND_HINT =
  'A claim counts as a disk when it is of volumeMode Block, belongs to a DataVolume or has the annotation `cdi.kubevirt.io/storage.contentType: kubevirt`; any other is a folder.';

export function noLink(
  volume: string,
  format: 'raw' | 'tar.gz',
  volumes: readonly { name: string; formats: object }[],
): TransshipError {
  const found = volumes.find(({ name }) => name === volume);
  if (found === undefined) {
    const names = volumes.map(({ name }) => name).join(', ') || 'none';
    return new TransshipError('CLUSTER', `The export has no volume "${volume}"; it has: ${names}.`);
  }
  const formats = Object.keys(found.formats).join(', ') || 'nothing';
  const as = format === 'raw' ? 'a disk' : 'a folder';
  const message = `The volume "${volume}" can't be read as ${as}: the export offers ${formats}.`;
  return new TransshipError('CLUSTER', message, { hint: KIND_HINT });
}

export function noRanges(volume: string, url: string): TransshipError {
  return new TransshipError(
    'CLUSTER',
    `The volume "${volume}" can't be read in ranges: ${url} answers a Range request with the whole of it (200).`,
    { hint: 'Export servers answer 206. Does something in front of it, such as a cache, drop the header Range?' },
  );
}

export function encoded(volume: string, url: string, encoding: string): TransshipError {
  return new TransshipError(
    'CLUSTER',
    `The volume "${volume}" can't be read: ${url} answers in the encoding ${encoding}, not with the bytes of the disk.`,
    { hint: 'Something in front of the export server compresses it: turn that off for this address.' },
  );
}

export function otherRange(volume: string, asked: string, status: number, got: string | undefined): TransshipError {
  const named = got === undefined ? 'no Content-Range' : `the Content-Range "${got}"`;
  return new TransshipError(
    'CLUSTER',
    `The volume "${volume}" can't be read: asked for "${asked}", the answer is ${status} with ${named}.`,
  );
}

export function tooLong(volume: string, url: string, asked: string): TransshipError {
  return new TransshipError(
    'CLUSTER',
    `The volume "${volume}" can't be read: asked for "${asked}", ${url} sent more than its Content-Range says.`,
  );
}

export function changed(volume: string, before: string, now: string): TransshipError {
  return new TransshipError(
    'CLUSTER',
    `The volume "${volume}" was changed while it was read: ${before} before, ${now} now.`,
    {
      hint: CHANGED_HINT,
    },
  );
}

export function beyondEnd(volume: string, from: number, size: number): TransshipError {
  return new TransshipError(
    'CLUSTER',
    `The volume "${volume}" can't be read on from byte ${from}: it has ${size}. It is not the one that was read before.`,
  );
}

/** `Retry-After` in milliseconds: seconds or a date, https://www.rfc-editor.org/rfc/rfc9110#name-retry-after */
export function readRetryAfter(header: string | undefined, now = Date.now()): number {
  if (header === undefined) return 0;
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : 0;
}

/** The words of a text or page. */
function firstWords(text: string): string {
  return text
    .replace(/<(script|style)[\s\S]*?(<\/\1>|$)|<[^>]*>/gi, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 200);
}

/** The text with a full stop at its end. */
export function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}
