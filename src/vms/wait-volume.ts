import { collectionPath } from '../cluster/apply.ts';
import type { Clock } from '../cluster/clock.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { waitFor } from '../cluster/wait.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { mapsIn } from '../values.ts';
import { needVmKind } from './kinds.ts';
import { bytesOf } from './quantity.ts';
import { mapIn } from './vm-references.ts';

/** A claim that CDI fills, and the DataVolume of the same name that made it. */
export interface ClaimRef {
  readonly namespace: string;
  readonly pvc: string;
}

/** How far CDI is with a claim, as its annotations and its DataVolume tell. */
export interface VolumeState {
  readonly claim: KubeObject | undefined;
  /** An upload server waits for the disk. */
  readonly isReady: boolean;
  /** The whole disk is in place. */
  readonly isFilled: boolean;
  /** The upload server's pod has given up. */
  readonly hasFailed: boolean;
  /** How often the upload server has been started again. */
  readonly restarts: number;
  /** In a few words, for a person. */
  readonly words: string;
}

export interface VolumeWait {
  /** Milliseconds. */
  readonly timeout: number;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/controller/common/util.go */
const POD_PHASE = 'cdi.kubevirt.io/storage.pod.phase';
const POD_READY = 'cdi.kubevirt.io/storage.pod.ready';
const POD_RESTARTS = 'cdi.kubevirt.io/storage.pod.restarts';

/** Milliseconds between looks at most. */
const LONGEST_GAP = 2_000;
const MOST_EVENTS = 3;

/** Looks at a claim and its DataVolume; either may not exist yet, or, of a DataVolume, any more. */
export async function readVolume(
  cluster: Cluster,
  discovery: Discovery,
  { namespace, pvc }: ClaimRef,
  signal?: AbortSignal,
): Promise<VolumeState> {
  const kind = needVmKind(discovery, 'DataVolume', cluster.context);
  const [claim, dataVolume] = await Promise.all([
    findObject(cluster, `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${pvc}`, signal),
    findObject(cluster, `${collectionPath(kind, namespace)}/${pvc}`, signal),
  ]);
  return stateOf(claim, dataVolume);
}

/** What a claim and its DataVolume say together. Where CDI uses populators it copies the annotations to the claim itself. */
export function stateOf(claim: KubeObject | undefined, dataVolume: KubeObject | undefined): VolumeState {
  const notes = claim?.metadata.annotations ?? {};
  const status = mapIn(dataVolume?.status);
  const podPhase = notes[POD_PHASE];
  return {
    claim,
    isReady: notes[POD_READY] === 'true' || status.phase === 'UploadReady',
    isFilled: podPhase === 'Succeeded' || status.phase === 'Succeeded',
    hasFailed: podPhase === 'Failed' || status.phase === 'Failed',
    restarts: Number.parseInt(notes[POD_RESTARTS] ?? '0', 10) || 0,
    words: wordsOf(claim, dataVolume, status),
  };
}

/**
 * Waits until a claim takes an upload, or has had one.
 *
 * @throws TransshipError `TIMEOUT` with the state it is in and the last warnings about it
 */
export async function waitUntilReady(
  cluster: Cluster,
  discovery: Discovery,
  target: ClaimRef,
  wait: VolumeWait,
): Promise<VolumeState> {
  try {
    return await waitFor(
      async () => {
        const state = await readVolume(cluster, discovery, target, wait.signal);
        if (state.isReady || state.isFilled) return { done: true, value: state };
        wait.reporter.progress(`${target.pvc}: ${state.words}`);
        return { done: false, state: state.words };
      },
      { ...wait, longestGap: LONGEST_GAP, describe: `the claim ${target.namespace}/${target.pvc} to take an upload` },
    );
  } catch (error) {
    if (!(error instanceof TransshipError) || error.code !== 'TIMEOUT') throw error;
    const warnings = await readWarnings(cluster, target, wait.signal);
    throw new TransshipError('TIMEOUT', `${error.message}${warnings.map((text) => ` ${text}`).join('')}`, {
      hint: `Look at \`kubectl describe datavolume,pvc ${target.pvc} -n ${target.namespace}\`: does its storage class make volumes of this size, access mode and volume mode?`,
      cause: error,
    });
  }
}

/** What became of an upload that was taken: the claim with the disk in place, or why it is to be sent again. */
export type Filled = { readonly claim: KubeObject } | { readonly again: string };

/**
 * Waits until what was uploaded is in place and the claim is bound.
 *
 * @param before - the state when the upload began: a server that was started since has nothing of it
 * @throws TransshipError `TIMEOUT`
 */
export function waitUntilFilled(
  cluster: Cluster,
  discovery: Discovery,
  target: ClaimRef,
  before: VolumeState,
  wait: VolumeWait,
): Promise<Filled> {
  let wasGone = false;
  return waitFor<Filled>(
    async () => {
      const state = await readVolume(cluster, discovery, target, wait.signal);
      if (state.isFilled) {
        // With populators the volume is handed over to the claim last.
        const isBound = mapIn(state.claim?.status).phase === 'Bound';
        return state.claim !== undefined && isBound
          ? { done: true, value: { claim: state.claim } }
          : { done: false, state: state.words };
      }
      if (state.hasFailed) return { done: true, value: { again: `the upload failed: ${state.words}` } };
      if (state.restarts > before.restarts || (wasGone && state.isReady)) {
        return { done: true, value: { again: 'its upload server was started again before the disk was in place' } };
      }
      wasGone ||= !state.isReady;
      wait.reporter.progress(`${target.pvc}: uploaded, CDI is finishing (${state.words})`);
      return { done: false, state: state.words };
    },
    {
      ...wait,
      longestGap: LONGEST_GAP,
      describe: `CDI to finish the upload into the claim ${target.namespace}/${target.pvc}`,
    },
  );
}

/**
 * Makes sure that a claim has room for what is on it.
 *
 * @param size - bytes
 * @throws TransshipError `IMPORT_FAILED`
 */
export function checkCapacity(claim: KubeObject, size: number): void {
  const capacity = bytesOf(mapIn(claim.status, 'capacity').storage);
  if (capacity !== undefined && capacity >= size) return;
  const { namespace, name } = claim.metadata;
  const has = capacity === undefined ? 'tells no capacity' : `has room for ${capacity} bytes`;
  throw new TransshipError('IMPORT_FAILED', `The claim ${namespace}/${name} ${has}, and its disk has ${size}.`, {
    hint: 'Its storage class made a volume that is smaller than was asked for: map it to another with `storage-class-map`.',
  });
}

function wordsOf(
  claim: KubeObject | undefined,
  dataVolume: KubeObject | undefined,
  status: Record<string, unknown>,
): string {
  const phase = mapIn(claim?.status).phase ?? 'new';
  const parts = [
    dataVolume === undefined ? 'no DataVolume' : `DataVolume ${status.phase || 'new'}`,
    claim === undefined ? 'no claim' : `claim ${phase}`,
  ];
  if (typeof status.progress === 'string' && /\d/.test(status.progress)) parts.push(status.progress);
  for (const { type, status: is, reason, message } of mapsIn(status.conditions)) {
    if (is !== 'True' && message) parts.push(`${type}: ${reason ? `${reason}, ` : ''}${message}`);
  }
  return parts.join('; ');
}

/** The last warnings about a claim or its DataVolume; none where events may not be read: they only help to explain. */
async function readWarnings(cluster: Cluster, target: ClaimRef, signal?: AbortSignal): Promise<string[]> {
  const fieldSelector = `involvedObject.name=${target.pvc},type=Warning`;
  const found: string[] = [];
  try {
    const path = `/api/v1/namespaces/${target.namespace}/events`;
    for await (const { reason, message } of cluster.list(path, { fieldSelector, signal })) {
      const text = `${reason}: ${message}`;
      if (!found.includes(text)) found.push(text);
    }
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
  }
  return found.slice(-MOST_EVENTS);
}
