import { type ErrorDetails, messageOf, TransshipError } from '../errors.ts';
import { VmHttpError } from './http-error.ts';

/**
 * What to do about a try that failed.
 * - `passing`: send it again
 * - `token`: send it again with a new token
 * - `done`: the upload server already has a whole disk
 * - `final`: nothing would change
 */
export type RefusalKind = 'passing' | 'token' | 'done' | 'final';

/** The upload proxy, or the upload server behind it, did not take an upload. */
export class UploadRefused extends TransshipError {
  readonly kind: RefusalKind;

  constructor(kind: RefusalKind, message: string, details: ErrorDetails = {}) {
    super('IMPORT_FAILED', message, details);
    this.kind = kind;
  }
}

/**
 * Reads an answer of the upload proxy that is not 200.
 * https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/uploadproxy/uploadproxy.go and
 * https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/uploadserver/uploadserver.go
 *
 * @param said - its body
 * @param volume - `namespace/name` of the claim
 * @param proxy - the URL of the proxy
 */
export function readRefusal(status: number, said: string, volume: string, proxy: string): UploadRefused {
  const text = `${status}${said.trim() === '' ? '' : ` ${firstWords(said)}`}`;
  const refused = (kind: RefusalKind, what: string, hint?: string) =>
    new UploadRefused(kind, `${volume}: ${what} (${text}).`, { hint });
  switch (status) {
    case 400:
      return said.trim() === ''
        ? refused('final', `the upload proxy ${proxy} can't read the token of the upload`, OTHER_PROXY)
        : refused('final', 'CDI refuses the disk', 'Is the volume that was made for it large enough?');
    case 401:
      return refused('token', `the upload proxy ${proxy} does not accept CDI's token`, OTHER_PROXY);
    case 409:
      return refused('done', 'the claim already has been filled', NOT_EMPTY);
    case 413:
      return refused(
        'final',
        `what stands in front of the upload proxy ${proxy} takes no bodies of this size`,
        TOO_LARGE,
      );
    case 408:
    case 425:
    case 429:
      return refused('passing', `the upload proxy ${proxy} is busy`);
    default:
      return status >= 500
        ? refused('passing', 'CDI could not take the upload')
        : refused('final', `${proxy} does not answer as an upload proxy does`, OTHER_PROXY);
  }
}

/** A request that got no whole answer: only a connection that can't be trusted stays so. */
export function readBreak(error: unknown, volume: string): UploadRefused {
  const kind = error instanceof VmHttpError && error.failure === 'trust' ? 'final' : 'passing';
  const hint = error instanceof TransshipError ? error.hint : undefined;
  return new UploadRefused(kind, `${volume}: ${messageOf(error)}`, { hint, cause: error });
}

const OTHER_PROXY = 'Is it the upload proxy of the same cluster, and do the clocks there agree?';
const NOT_EMPTY = 'Something else has filled it: delete the virtual machine or its DataVolume and import again.';
const TOO_LARGE =
  'Allow it there, for ingress-nginx with the annotation nginx.ingress.kubernetes.io/proxy-body-size: "0".';
const MOST_WORDS = 500;

/** The claim had a disk before anything was sent. */
export function notEmpty(volume: string): UploadRefused {
  return new UploadRefused('final', `${volume}: the claim already has been filled.`, { hint: NOT_EMPTY });
}

/** No byte moved for too long. @param timeout - milliseconds */
export function stalled(volume: string, timeout: number, awaitsSource: boolean): UploadRefused {
  const what = awaitsSource ? 'its source gave no byte' : 'the upload proxy took no byte and gave no answer';
  return new UploadRefused('passing', `${volume}: ${what} for ${timeout / 1000} s.`);
}

/** The last of several tries. */
export function gaveUp(volume: string, tries: number, last: unknown): TransshipError {
  const times = tries === 1 ? 'once' : `${tries} times`;
  return new TransshipError(
    'IMPORT_FAILED',
    `The upload into ${volume} failed ${times}. The last time: ${messageOf(last)}`,
    {
      hint: last instanceof TransshipError ? last.hint : undefined,
      cause: last,
    },
  );
}

function firstWords(said: string): string {
  return said
    .replace(/<(script|style)[\s\S]*?(<\/\1>|$)|<[^>]*>/gi, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, MOST_WORDS);
}
