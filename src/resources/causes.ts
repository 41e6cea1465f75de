import type { ClusterError } from '../cluster/cluster.ts';
import { isMap, mapsIn } from '../values.ts';

/** One reason of several why the server refuses an object. */
export interface Cause {
  readonly reason: string;
  /** Such as `spec.ports[0].nodePort`; empty where it is about the whole. */
  readonly field: string;
  /** May say what the field holds, and so what nobody may see. */
  readonly message: string;
}

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
export function causesOf({ answer }: ClusterError): Cause[] {
  const causes = isMap(answer) && isMap(answer.details) ? mapsIn(answer.details.causes) : [];
  return causes.map(({ reason, field, message }) => ({
    reason: textOf(reason),
    field: textOf(field),
    message: textOf(message),
  }));
}

/** The fields that a refusal is about, each once. */
export function refusedFields(error: ClusterError): string[] {
  return [...new Set(causesOf(error).map(({ field }) => field))].filter((field) => field !== '');
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
