import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ObjectReference } from './vm-references.ts';

/** Why an object could not be had. */
export interface Missing {
  /** Such as `Secret shop/db-init (volume "cloudinit") does not exist`. */
  readonly message: string;
  readonly isDenied: boolean;
  readonly hint: string | undefined;
}

/** What became of a look at one object. */
export interface Lookup {
  readonly reference: ObjectReference;
  readonly object: KubeObject | undefined;
  readonly missing: Missing | undefined;
}

export type LookUp = (reference: ObjectReference) => Promise<Lookup>;

/** Reads objects by reference: that one does not exist, is not served or may not be read is an answer, all else a failure. */
export function createLookUp(cluster: Cluster, discovery: Discovery, signal: AbortSignal | undefined): LookUp {
  return async (reference) => {
    const { group, kind, namespace, name } = reference;
    const served = discovery.kinds.find((one) => one.group === group && one.kind === kind);
    if (served === undefined) return absent(reference, `is of a kind of ${group} that the cluster does not serve`);
    try {
      const path = `${collectionPath(served, namespace)}/${encodeURIComponent(name)}`;
      const object = await findObject(cluster, path, signal);
      return object === undefined ? absent(reference, 'does not exist') : { reference, object, missing: undefined };
    } catch (error) {
      return { reference, object: undefined, missing: deniedBy(error, reference) };
    }
  };
}

/** What a 403 says of an object. @throws any other failure */
export function deniedBy(error: unknown, reference: ObjectReference): Missing {
  if (!(error instanceof ClusterError) || error.status !== 403) throw error;
  return { message: `${nameReference(reference)} may not be read`, isDenied: true, hint: error.hint };
}

/** @param why - as the end of a sentence */
export function absent(reference: ObjectReference, why: string, hint?: string): Lookup {
  const missing = { message: `${nameReference(reference)} ${why}`, isDenied: false, hint };
  return { reference, object: undefined, missing };
}

function nameReference({ kind, namespace, name, by }: ObjectReference): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name} (${by})`;
}

/** Gathers what is missing, so that one error can name it all. */
export interface Findings {
  /** The object that was found; undefined where it is missing, which is told in the end as an error or a warning. */
  take(lookup: Lookup, isOptional: boolean): KubeObject | undefined;
  miss(missing: Missing, isOptional: boolean): void;
  /** @throws TransshipError `FORBIDDEN` where rights are all that lacks, else `CLUSTER` */
  end(): void;
}

/** @param what - is looked at, such as `VM shop/db` */
export function createFindings(what: string, reporter: Reporter): Findings {
  const required: Missing[] = [];
  const optional: Missing[] = [];
  const miss: Findings['miss'] = (missing, isOptional) => {
    (isOptional ? optional : required).push(missing);
  };
  return {
    miss,
    take({ object, missing }, isOptional) {
      if (missing !== undefined) miss(missing, isOptional);
      return object;
    },
    end() {
      if (required.length > 0) throw missingError(what, inOrder(required));
      for (const { message } of inOrder(optional)) {
        reporter.warn(`The ${what} is exported without what it refers to: ${message}.`);
      }
    },
  };
}

/** Whichever answer came first. */
function inOrder(missing: readonly Missing[]): Missing[] {
  return missing.toSorted((a, b) => (a.message < b.message ? -1 : 1));
}

function missingError(what: string, missing: readonly Missing[]): TransshipError {
  const hints = new Set(missing.flatMap(({ hint }) => hint ?? []));
  if (missing.some(({ isDenied, hint }) => !isDenied && hint === undefined)) {
    hints.add('Make what does not exist, or take it out of the spec: without it the machine could not start.');
  }
  return new TransshipError(
    missing.every(({ isDenied }) => isDenied) ? 'FORBIDDEN' : 'CLUSTER',
    `The ${what} can't be exported whole: ${missing.map(({ message }) => message).join('; ')}.`,
    { hint: hints.size === 0 ? undefined : [...hints].join(' ') },
  );
}
