import { ClusterError } from '../cluster/cluster.ts';
import { isMap, mapsIn } from '../values.ts';

/**
 * What a failed request means for the object it was about.
 * - `lost`: no answer, or one that leaves open whether it was carried out
 * - `closed`: no other request will do better: credentials, certificates
 * - `exists`, `ending`: there is one of that name; it is being deleted
 * - `soon`: what is missing comes by itself within moments
 * - `later`: something else has to come up or go away first
 * - `denied`: somebody's rule says no, perhaps because of what is still to come: worth one more try at the very end
 * - `final`: it stays refused
 */
export type RefusalKind = 'lost' | 'closed' | 'exists' | 'ending' | 'soon' | 'later' | 'denied' | 'final';

export interface Refusal {
  readonly is: RefusalKind;
  /** What the reader can do about it. */
  readonly hint?: string | undefined;
}

interface Rule extends Refusal {
  readonly status: readonly number[] | 'any';
  /** In the server's message; the first rule that fits counts. */
  readonly says: RegExp;
}

/**
 * What API servers say, from Kubernetes 1.35's sources: webhook/errors and util/webhook/error.go for webhooks,
 * admission/plugin for the others, registry/core/service for ports and addresses.
 */
const RULES: readonly Rule[] = [
  // A webhook's own words come first: they may contain any others.
  { status: 'any', says: /^admission webhook "[^"]*" denied the request/, is: 'denied' },
  { status: 'any', says: /AdmissionPolicy '[^']*' with binding '[^']*' denied request/, is: 'denied' },
  { status: [500], says: /failed calling webhook "/, is: 'later', hint: 'Does what answers for the webhook run?' },
  { status: [500], says: /conversion webhook for .* failed/, is: 'later', hint: 'Does the operator of the kind run?' },
  { status: [500], says: /resource quota evaluation timed out/, is: 'later' },
  { status: [403], says: /because it is being terminated/, is: 'later' },
  { status: [403], says: /status unknown for quota:/, is: 'soon' },
  { status: [403], says: /error looking up service account /, is: 'soon', hint: 'Is the service account there?' },
  { status: [403], says: /no PriorityClass with name .* was found/, is: 'soon' },
  { status: [403], says: /RuntimeClass "[^"]*" not found/, is: 'soon' },
  {
    status: [403],
    says: /exceeded quota:/,
    is: 'final',
    hint: 'Raise the quota at the target, or leave objects out with exclude.',
  },
  {
    status: [422],
    says: /provided port is already allocated/,
    is: 'final',
    hint: 'Another Service of the target has that node port: free it, or leave this Service out with exclude.',
  },
  {
    status: [422],
    says: /provided IP is already allocated/,
    is: 'final',
    hint: 'Another Service of the target has that cluster IP: free it, or leave this Service out with exclude.',
  },
  {
    status: [403, 422],
    says: /field is immutable|may not be changed|updates to .* are forbidden|are immutable|is immutable after/,
    is: 'final',
    hint: 'Only with recreate is an object deleted and created that cannot be changed.',
  },
  {
    status: [400],
    says: /strict decoding error: unknown field/,
    is: 'final',
    hint: 'The target would drop that field: bring its cluster or CRD to the version of the source, or leave the object out with exclude.',
  },
  { status: [409], says: /^object is being deleted:/, is: 'ending' },
  { status: [404], says: /^namespaces "[^"]*" not found/, is: 'final' },
  // A kind right after its CRD, or a role that a binding names and that the server has not seen yet.
  { status: [404], says: /./, is: 'soon', hint: 'Does the target serve this kind?' },
  { status: [429], says: /./, is: 'later' },
];

const CLOSED = new Set(['Certificate', 'Credentials', 'Closed']);

/** Reads what the server's refusal, or its silence, means. */
export function readRefusal(error: unknown): Refusal {
  if (!(error instanceof ClusterError)) return { is: 'final' };
  const { status, reason } = error;
  if (status === 401 || CLOSED.has(reason)) return { is: 'closed' };
  if (status === 0 || reason === 'InvalidResponse') return { is: 'lost' };
  const said = saidBy(error);
  const rule = RULES.find((one) => (one.status === 'any' || one.status.includes(status)) && one.says.test(said));
  if (rule !== undefined) return rule;
  if (status === 403 && isOfEndingNamespace(error)) return { is: 'later' };
  if (status === 409) return { is: reason === 'AlreadyExists' ? 'exists' : 'soon' };
  // Timeouts of etcd, a change of its leader, a load balancer without a server: it may have been carried out.
  return { is: status >= 500 ? 'lost' : 'final' };
}

/** The server's own words, without the request they answer. */
export function saidBy(error: ClusterError): string {
  const { answer } = error;
  return isMap(answer) && typeof answer.message === 'string' && answer.message !== '' ? answer.message : error.message;
}

function isOfEndingNamespace({ answer }: ClusterError): boolean {
  const causes = isMap(answer) && isMap(answer.details) ? mapsIn(answer.details.causes) : [];
  return causes.some(({ reason }) => reason === 'NamespaceTerminating');
}
