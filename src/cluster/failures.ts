import { messageOf } from '../errors.ts';
import { ClusterError, type ClusterRequest } from './cluster.ts';
import { decodeStatus, isProtobuf } from './protobuf.ts';
import type { WireAnswer } from './transport.ts';

/** The request that failed and where it went; what every message names. */
export interface Where {
  readonly method: ClusterRequest['method'];
  readonly path: string;
  readonly server: string;
  readonly context: string;
}

/**
 * Why a request failed, as far as sending it again is concerned.
 * - `unsent`: it never reached the server, or the server turned it away unread (429)
 * - `lost`: the connection broke, so it may have been carried out
 * - `stalled`: no byte came for too long
 * - `busy`: 5xx that passes by itself
 * - `internal`: 500 InternalError, which passes by itself only sometimes
 * - `denied`: 401 or 403
 * - `final`: anything else
 */
export type FailureKind = 'unsent' | 'lost' | 'stalled' | 'busy' | 'internal' | 'denied' | 'final';

export interface Failure {
  readonly kind: FailureKind;
  readonly error: ClusterError;
  /** Milliseconds the server asked to wait. */
  readonly retryAfter?: number | undefined;
}

/** Reads an answer of 300 and more: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
export function refusal(answer: WireAnswer, where: Where): Failure {
  const { status } = answer;
  const { parsed, text } = readRefusal(answer);
  const body = isFields(parsed) && parsed.kind === 'Status' ? parsed : {};
  const reason = typeof body.reason === 'string' && body.reason !== '' ? body.reason : (REASONS[status] ?? 'Unknown');
  const said = typeof body.message === 'string' && body.message !== '' ? body.message : firstWords(text);
  const asked = `${where.method} ${where.path} in the context "${where.context}"`;
  const hint = status === 403 ? grantHint(said) : status === 401 ? EXPIRED_HINT : undefined;
  const message =
    status === 401
      ? `${where.server} does not accept the credentials of the context "${where.context}" (401 ${said || reason}).`
      : `${said || 'The server gave no reason'} (${asked}: ${status} ${reason})`;
  return {
    kind: refusalKind(status, reason),
    error: new ClusterError(status, reason, message, { hint, answer: parsed ?? text }),
    retryAfter: retryAfter(answer.headers['retry-after']),
  };
}

/** An answer of 2xx whose body is not JSON, or not what was asked for. */
export function invalidAnswer(answer: WireAnswer, where: Where, cause: unknown): ClusterError {
  const type = answer.headers['content-type'] ?? 'no content type';
  const problem =
    cause instanceof SyntaxError
      ? `, not JSON: ${firstWords(answer.body.toString('utf8'))}`
      : ` that can't be read: ${messageOf(cause)}`;
  return new ClusterError(
    answer.status,
    'InvalidResponse',
    `${where.server} (context "${where.context}") answered ${where.method} ${where.path} with ${type}${problem}`,
    { hint: 'Is this the address of an API server, or of a login page or proxy in front of it?', cause },
  );
}

/** Reads the error of a request that got no whole answer. */
export function noAnswer(error: unknown, where: Where, stallTimeout: number): Failure {
  const code = codeOf(error);
  const at = `${where.server} (context "${where.context}")`;
  const asked = `${where.method} ${where.path}`;
  const make = (kind: FailureKind, reason: string, message: string, hint?: string): Failure => ({
    kind,
    error: new ClusterError(0, reason, message, { hint, cause: error }),
  });

  if (error instanceof ClusterError) {
    return { kind: 'final', error };
  }
  const certificate = certificateFailure(code, error, at);
  if (certificate !== undefined) {
    return make('final', 'Certificate', ...certificate);
  }
  switch (code) {
    case 'ECONNREFUSED':
      return make('unsent', 'Unreachable', `Nothing listens at ${at}: connection refused.`, REACH_HINT);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return make(
        'unsent',
        'Unreachable',
        `The host name of ${at} cannot be resolved (${code}).`,
        'Check the server address in the kubeconfig, and whether this machine can see its DNS zone (a VPN?).',
      );
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ETIMEDOUT':
      return make('unsent', 'Unreachable', `${at} cannot be reached (${code}).`, REACH_HINT);
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return make('stalled', 'Stalled', `${asked} stalled: no byte from ${at} for ${stallTimeout / 1000} s.`);
    case 'UND_ERR_PRX_TLS':
    case 'UND_ERR_PRX_CONN':
    case 'UND_ERR_ABORTED':
      return make('unsent', 'Unreachable', `The proxy in front of ${at} did not connect: ${messageOf(error)}.`);
    case 'UND_ERR_DESTROYED':
    case 'UND_ERR_CLOSED':
      return make('final', 'Closed', `${asked} ended because the connection to ${at} was closed.`);
    case 'ECONNRESET':
    case 'ECONNABORTED':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return make('lost', 'Reset', `The connection to ${at} broke during ${asked}: ${messageOf(error)}.`);
    default:
      return make('final', 'Unknown', `${asked} to ${at} failed: ${messageOf(error)}${code && ` (${code})`}`);
  }
}

const EXPIRED_HINT =
  'They may have expired or been revoked: make a new token or kubeconfig, or log in again where a plugin does it.';
const REACH_HINT = 'Is the cluster running, and is its address in the kubeconfig right and reachable from here?';

const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

function refusalKind(status: number, reason: string): FailureKind {
  switch (status) {
    case 401:
    case 403:
      return 'denied';
    case 429:
      return 'unsent';
    case 500:
      return reason === 'InternalError' ? 'internal' : 'final';
    case 502:
    case 503:
    case 504:
      return 'busy';
    default:
      return 'final';
  }
}

/** The rule that would allow what the API server's message says is not allowed. */
function grantHint(message: string): string | undefined {
  const match =
    /User "(.*?)" cannot (\S+) (?:resource "(.*?)" in API group "(.*?)"|path "(.*?)")(?: in the namespace "(.*?)")?/.exec(
      message,
    );
  if (match === null) {
    return undefined;
  }
  const [, user, verb, resource, group, path, namespace] = match;
  const rule =
    path === undefined
      ? `{ apiGroups: ["${group}"], resources: ["${resource}"], verbs: ["${verb}"] }`
      : `{ nonResourceURLs: ["${path}"], verbs: ["${verb}"] }`;
  const kind = namespace === undefined ? 'ClusterRole' : 'Role';
  const where = namespace === undefined ? '' : ` in the namespace "${namespace}"`;
  return `Bind "${user}" to a ${kind}${where} with the rule ${rule}.`;
}

function certificateFailure(code: string, error: unknown, at: string): [message: string, hint: string] | undefined {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return [`The certificate of ${at} has expired.`, 'Renew the certificates of the API server.'];
    case 'CERT_NOT_YET_VALID':
      return [`The certificate of ${at} is not valid yet.`, 'Compare the clocks of this machine and of the server.'];
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return [
        `The certificate of ${at} is for another name. It names ${namesOf(error)}.`,
        'Use an address the certificate names, or set `tls-server-name` in the kubeconfig.',
      ];
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'CERT_SIGNATURE_FAILURE':
      return [
        `The certificate of ${at} is not signed by the authority in the kubeconfig (${code}).`,
        'Was the cluster made anew? Its `certificate-authority-data` in the kubeconfig must be of this cluster.',
      ];
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return [`${at} does not speak TLS.`, 'Is the port right, and should the address start with http://?'];
    default:
      break;
  }
  if (/^ERR_SSL_.*ALERT_(.*CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/.test(code)) {
    return [
      `${at} refused the client certificate (${code}).`,
      'The one in the kubeconfig may be missing, expired or of another cluster.',
    ];
  }
  if (/^ERR_(OSSL|SSL|TLS|CRYPTO)_/.test(code)) {
    return [`No TLS connection to ${at}: ${messageOf(error)} (${code})`, 'Check the certificates in the kubeconfig.'];
  }
  return undefined;
}

/** https://nodejs.org/api/tls.html#tlscheckserveridentityhostname-cert puts the certificate on the error. */
function namesOf(error: unknown): string {
  const cert = isFields(error) && isFields(error.cert) ? error.cert : {};
  return typeof cert.subjectaltname === 'string' ? cert.subjectaltname : 'none';
}

/** The code of an error or, where several addresses were tried, of the first attempt. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return codeOf(error.errors[0]);
  }
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** `Retry-After` in milliseconds: seconds or a date, https://www.rfc-editor.org/rfc/rfc9110#name-retry-after */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) {
    return undefined;
  }
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined;
}

/** The parsed body of a refusal, and the text of one that is for people. */
function readRefusal({ headers, body }: WireAnswer): { parsed: unknown; text: string } {
  if (isProtobuf(headers)) {
    return { parsed: unlessItThrows(() => decodeStatus(body)), text: '' };
  }
  const text = body.toString('utf8');
  return { parsed: unlessItThrows(() => JSON.parse(text)), text };
}

function unlessItThrows(read: () => unknown): unknown {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The first words of a text or page, tags removed, for an error message. */
function firstWords(text: string): string {
  return text
    .slice(0, 4096)
    .replace(/<(script|style)[\s\S]*?(<\/\1>|$)|<[^>]*>/gi, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 200);
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
