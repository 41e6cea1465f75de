import { messageOf, TransshipError } from '../errors.ts';

/**
 * Why a request got no whole answer.
 * - `trust`: no TLS connection that can be trusted
 * - `unreachable`: no connection at all
 * - `lost`: the connection broke
 * - `stalled`: no byte came for too long
 */
export type VmHttpFailure = 'trust' | 'unreachable' | 'lost' | 'stalled';

/** A request that got no whole answer. The error of the socket or the library is its cause. */
export class VmHttpError extends TransshipError {
  readonly failure: VmHttpFailure;

  constructor(failure: VmHttpFailure, message: string, details: { hint?: string; cause: unknown }) {
    super('CLUSTER', message, details);
    this.failure = failure;
  }
}

/** The code of what this module itself fails with when no byte has come for too long. */
export const STALLED = 'STALLED';

/** https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const TRUST =
  /^(CERT_|CRL_|DEPTH_ZERO_|ERR_OSSL_|ERR_SSL_|ERR_TLS_|HOSTNAME_|INVALID_CA|PATH_LENGTH_|SELF_SIGNED_|UNABLE_TO_)/;
const TRUST_HINT =
  'The certificate must be signed by the authority that the export or proxy names, or else by one this machine trusts.';

/**
 * Puts the error of a socket or of undici into words.
 *
 * @param asked - method and URL
 * @param idleTimeout - milliseconds
 */
export function explainHttpError(error: unknown, asked: string, idleTimeout: number): VmHttpError {
  if (error instanceof VmHttpError) return error;
  const code = codeOf(error);
  const said = `${messageOf(error)}${code === '' || messageOf(error).includes(code) ? '' : ` (${code})`}`;
  if (TRUST.test(code)) {
    return new VmHttpError('trust', `${asked}: no TLS connection that can be trusted: ${said}.`, {
      hint: TRUST_HINT,
      cause: error,
    });
  }
  switch (code) {
    case STALLED:
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return new VmHttpError('stalled', `${asked} stalled: no byte for ${idleTimeout / 1000} s.`, { cause: error });
    case 'EAI_AGAIN':
    case 'ECONNREFUSED':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ENOTFOUND':
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_PRX_TLS':
    case 'UND_ERR_PRX_CONN':
    case 'UND_ERR_ABORTED':
      return new VmHttpError('unreachable', `${asked}: no connection: ${said}.`, { cause: error });
    default:
      return new VmHttpError('lost', `${asked}: the connection broke: ${said}.`, { cause: error });
  }
}

/** The code of an error or, where several addresses were tried, of the first attempt. */
export function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
