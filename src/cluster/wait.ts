import { TransshipError } from '../errors.ts';
import { type Clock, systemClock } from './clock.ts';
import { type Cluster, ClusterError } from './cluster.ts';

/** What one look found: the awaited thing, or the state it is in, in a few words. */
export type Poll<T> = { readonly done: true; readonly value: T } | { readonly done: false; readonly state: string };

export interface WaitOptions {
  /** Milliseconds. */
  readonly timeout: number;
  /** What is awaited, to follow "waiting for": `CustomResourceDefinition x to be established`. */
  readonly describe: string;
  /** Milliseconds between looks at most; default 5 s. */
  readonly longestGap?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
}

/** Milliseconds. */
const FIRST_GAP = 100;
const LONGEST_GAP = 5_000;

/**
 * Looks again and again, with growing gaps, until `poll` is done.
 *
 * @throws TransshipError `TIMEOUT` naming what was awaited and the last state seen
 */
export async function waitFor<T>(poll: () => Promise<Poll<T>>, options: WaitOptions): Promise<T> {
  const { timeout, describe, longestGap = LONGEST_GAP, signal, clock = systemClock } = options;
  const deadline = clock.now() + timeout;
  for (let gap = FIRST_GAP; ; gap = Math.min(gap * 1.5, longestGap)) {
    const seen = await poll();
    if (seen.done) {
      return seen.value;
    }
    const left = deadline - clock.now();
    if (left <= 0) {
      throw new TransshipError(
        'TIMEOUT',
        `Timed out after ${timeout / 1000} s waiting for ${describe}. Last seen: ${seen.state}.`,
      );
    }
    await clock.sleep(Math.min(gap, left), signal);
  }
}

interface CustomResourceDefinition {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}

/**
 * Waits until custom resources of this definition can be created.
 *
 * @param name - of the CustomResourceDefinition, such as `certificates.cert-manager.io`
 * @throws TransshipError `TIMEOUT`
 */
export function waitForCrd(cluster: Cluster, name: string, options: Omit<WaitOptions, 'describe'>): Promise<void> {
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${encodeURIComponent(name)}`;
  return waitFor(
    async () => {
      try {
        return crdState(await cluster.json<CustomResourceDefinition>({ method: 'GET', path, signal: options.signal }));
      } catch (error) {
        if (error instanceof ClusterError && error.status === 404) {
          return { done: false, state: 'it does not exist' };
        }
        throw error;
      }
    },
    { ...options, describe: `the CustomResourceDefinition ${name} to be established` },
  );
}

function crdState(crd: CustomResourceDefinition): Poll<void> {
  const missing = ['NamesAccepted', 'Established'].map((type) => {
    const condition = crd.status?.conditions?.find((one) => one.type === type);
    return condition?.status === 'True'
      ? undefined
      : `${type} is ${condition?.status ?? 'not known yet'}${condition?.message ? ` (${condition.message})` : ''}`;
  });
  const [first] = missing.filter((state) => state !== undefined);
  return first === undefined ? { done: true, value: undefined } : { done: false, state: first };
}
