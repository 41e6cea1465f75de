import { randomInt } from 'node:crypto';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';

/** Enough of a kind to find its objects in a namespace. */
export type NamespacedKind = Pick<ResourceKind, 'group' | 'apiVersion' | 'plural'>;

export const SECRETS: NamespacedKind = { group: '', apiVersion: 'v1', plural: 'secrets' };
export const CLAIMS: NamespacedKind = { group: '', apiVersion: 'v1', plural: 'persistentvolumeclaims' };

/** The label of all that an export makes or stops for a while, with the run as its value: what a killed run left is found by it. */
export const RUN_LABEL = 'transship.dev/vm-run';

const SMALL = 'abcdefghijklmnopqrstuvwxyz0123456789';
const ALPHANUMERIC = `${SMALL}ABCDEFGHIJKLMNOPQRSTUVWXYZ`;

/** Of the name of what is exported, how much a temporary object's name shows: KubeVirt uses it as a label's value of 63. */
const SHOWN = 30;

/** What is read or written, for a refusal to name it as a rule of a Role does. */
export interface Wanted {
  readonly verb: string;
  readonly group: string;
  /** The plural, with the subresource after a slash. */
  readonly resource: string;
  readonly namespace: string;
  /** To begin a sentence with, such as `Exporting the VM shop/web`. */
  readonly purpose: string;
}

/** A new value for {@link RUN_LABEL}. */
export function newRunId(): string {
  return randomText(16, SMALL);
}

/** 32 letters and digits; KubeVirt compares them byte by byte. */
export function newToken(): string {
  return randomText(32, ALPHANUMERIC);
}

/** A name no other object has, of at most 63 letters, digits and `-`: older KubeVirts fail on dots and on more. */
export function temporaryName(prefix: string, name: string): string {
  const shown = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, SHOWN)
    .replace(/^-|-$/g, '');
  return `${prefix}-${shown}-${randomText(8, SMALL)}`;
}

function randomText(length: number, letters: string): string {
  return Array.from({ length }, () => letters[randomInt(letters.length)]).join('');
}

/** The path of one object of a namespace. */
export function pathIn({ group, apiVersion, plural }: NamespacedKind, namespace: string, name: string): string {
  const root = group === '' ? '/api' : '/apis';
  return `${root}/${apiVersion}/namespaces/${encodeURIComponent(namespace)}/${plural}/${encodeURIComponent(name)}`;
}

/**
 * Does something, and says of a 403 what it was for and which rule would allow it: webhooks and proxies do not.
 *
 * @throws ClusterError
 */
export async function allowed<T>(wanted: Wanted, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status !== 403) throw error;
    const { verb, group, resource, namespace, purpose } = wanted;
    const named = group === '' ? resource : `${resource} of ${group}`;
    throw new ClusterError(
      403,
      error.reason,
      `${purpose} needs the verb ${verb} on ${named} in the namespace "${namespace}": ${error.message}`,
      {
        hint:
          error.hint ??
          `Grant it with the rule { apiGroups: ["${group}"], resources: ["${resource}"], verbs: ["${verb}"] }.`,
        cause: error,
        answer: error.answer,
      },
    );
  }
}

/** Reads one object; undefined when it does not exist. A 403 names the rule that is missing. */
export function findIn(
  cluster: Cluster,
  kind: NamespacedKind,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  purpose: string,
  signal?: AbortSignal,
): Promise<KubeObject | undefined> {
  const { group, plural } = kind;
  return allowed({ verb: 'get', group, resource: plural, namespace, purpose }, () =>
    findObject(cluster, pathIn(kind, namespace, name), signal),
  );
}

/** A duration as Go writes and reads it; whole seconds, at least one. */
export function goDuration(milliseconds: number): string {
  return `${Math.max(1, Math.ceil(milliseconds / 1000))}s`;
}
