import type { ClusterError, KubeObject } from '../cluster/cluster.ts';
import { redactPair, redactText } from '../plan/redact.ts';
import { isMap } from '../values.ts';
import { causesOf } from './causes.ts';
import { readRefusal, saidBy } from './write-refusals.ts';

/** Why the server would not have an object, tried in a dry run. */
export interface Refused {
  readonly kind: 'refused' | 'quota';
  /** In the server's words, without what fields hold. */
  readonly message: string;
}

const LONGEST = 400;
const CAUSES_TOLD = 3;

/**
 * What a dry run that failed says about an import.
 *
 * @param object - the one that was tried
 * @returns undefined where the import may fare better: something is still to come, somebody else is to blame, or it is told
 *   elsewhere, as rights are
 */
export function readRefused(error: ClusterError, object: KubeObject): Refused | undefined {
  const said = saidBy(error);
  if (PASSED_OVER.some((words) => words.test(said)) || error.status === 404) return undefined;
  const { is } = readRefusal(error);
  if (is !== 'final' && is !== 'denied') return undefined;
  return { kind: isQuota(error.status, said) ? 'quota' : 'refused', message: describeRefusal(error, object) };
}

const PASSED_OVER = [
  // https://github.com/kubernetes/apiserver/blob/v0.35.4/pkg/admission/plugin/webhook/errors/statuserror.go
  /^admission webhook "[^"]*" does not support dry run/,
  // https://github.com/kubernetes/apiserver/blob/v0.35.4/pkg/endpoints/handlers/responsewriters/errors.go
  /is forbidden: User "[^"]*" cannot \w+ resource/,
  /is forbidden: User "[^"]*" cannot \w+ path/,
];

/** https://github.com/kubernetes/kubernetes/blob/v1.35.4/plugin/pkg/admission/limitranger/admission.go */
const OF_LIMITS = /(maximum|minimum) .+ usage per |max limit to request ratio per /;

function isQuota(status: number, said: string): boolean {
  return status === 403 && (/: (exceeded|failed) quota: /.test(said) || OF_LIMITS.test(said));
}

/** The server's words about an object, on one line, without what its fields hold. */
export function describeRefusal(error: ClusterError, object: KubeObject): string {
  const causes = causesOf(error);
  const told = causes.slice(0, CAUSES_TOLD).map(({ field, message }) => {
    const why = withoutValue(firstLine(message));
    return field === '' ? why : `${field}: ${why}`;
  });
  if (causes.length > told.length) told.push(`and ${causes.length - told.length} more`);
  const text = causes.length > 0 ? told.join('; ') : saidBy(error).replaceAll(/\s+/g, ' ').trim();
  const hidden = redactText(hide(text, secretsOf(object)));
  return hidden.length > LONGEST ? `${hidden.slice(0, LONGEST)}…` : hidden;
}

/** Some causes go on with a dump of the whole object. */
function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

/**
 * What is wrong with a field, without what it holds:
 * https://github.com/kubernetes/apimachinery/blob/v0.35.4/pkg/util/validation/field/errors.go
 */
function withoutValue(message: string): string {
  const [, what, rest] =
    /^(Invalid value|Unsupported value|Duplicate value|Not found|Too long): (.*)$/s.exec(message) ?? [];
  if (what === undefined || rest === undefined) return message;
  const [simple] = /^("(?:[^"\\]|\\.)*"|-?[\d.]+|true|false|null)(?=: |$)/.exec(rest) ?? [];
  // Of a list or a structure nobody can tell where it ends but by the last colon.
  const why =
    simple === undefined ? rest.slice(rest.lastIndexOf(': ') + 1) : rest.slice(simple.length).replace(/^:/, '');
  const held = simple !== undefined && !simple.startsWith('"') ? ` ${simple}` : '';
  return why.trim() === '' || (simple === undefined && !rest.includes(': '))
    ? `${what}${held}`
    : `${what}${held}: ${why.trim()}`;
}

/** Shorter ones would be found in any word. */
const SHORTEST_SECRET = 4;

/** All that is redacted in diffs of the object. */
function secretsOf(object: KubeObject): string[] {
  const [redacted] = redactPair(object, object);
  const found = new Set<string>();
  gather(object, redacted, found);
  for (const text of [...found]) found.add(Buffer.from(text, 'base64').toString());
  return [...found].filter(({ length }) => length >= SHORTEST_SECRET).sort((a, b) => b.length - a.length);
}

function gather(value: unknown, redacted: unknown, found: Set<string>): void {
  if (value === redacted) return;
  if (typeof value === 'string') {
    found.add(value);
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries())
      gather(item, Array.isArray(redacted) ? redacted[index] : undefined, found);
  } else if (isMap(value)) {
    for (const [key, item] of Object.entries(value)) gather(item, isMap(redacted) ? redacted[key] : undefined, found);
  }
}

function hide(text: string, secrets: readonly string[]): string {
  return secrets.reduce((left, secret) => left.replaceAll(secret, '(sensitive value)'), text);
}
