import { type Clock, systemClock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { messageOf } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { VmHttp } from './http.ts';
import { createSender } from './send-upload.ts';
import { gaveUp, notEmpty, UploadRefused } from './upload-refusals.ts';
import { checkCapacity, waitUntilFilled, waitUntilReady } from './wait-volume.ts';

export interface UploadTarget {
  readonly namespace: string;
  /** Of the claim, and of the DataVolume that makes it. */
  readonly pvc: string;
  /** Bytes: of the raw disk; of a volume of files, what its claim must have room for. */
  readonly size: number;
  /** `archive` for a volume of files, whose source is a tar; default `kubevirt`, a raw disk. */
  readonly contentType?: 'kubevirt' | 'archive' | undefined;
}

/** How to reach CDI's upload proxy. */
export interface UploadProxy {
  /** Such as `https://cdi-uploadproxy.example.com`. */
  readonly url: string;
  /** PEM; the system's authorities where absent. */
  readonly ca?: string | undefined;
  /** The name its certificate is for, where it is not that of the host. */
  readonly serverName?: string | undefined;
  /** Where to connect to instead of the host of the URL. */
  readonly connect?: { readonly host: string; readonly port: number } | undefined;
}

export interface UploadOptions {
  readonly http: VmHttp;
  readonly proxy: UploadProxy;
  /** On the wire. Never xz or zstd: CDI damages what compresses too well at its start. */
  readonly encoding: 'raw' | 'gzip';
  /** Milliseconds without progress: until the claim takes an upload, between two bytes, until the disk is in place. */
  readonly timeout: number;
  /** How often it is sent again, from its first byte. */
  readonly retries: number;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds. */
const FIRST_GAP = 1_000;
const LONGEST_GAP = 30_000;
/** Fresh tokens that may be refused in a row; one could have been signed by a key that was just rotated. */
const TOKENS_REFUSED = 2;

/**
 * Fills one claim through CDI's upload proxy and waits until the disk is in place. CDI can't resume: a try that breaks is
 * sent again from the start, as soon as an upload server is there for it.
 *
 * @param source - the raw disk, or a tar of files, from its first byte; called once a try, and not before the claim is ready
 * @throws TransshipError `IMPORT_FAILED` naming the volume and what CDI said, `TIMEOUT`, or what `source` throws
 */
export async function uploadVolume(
  cluster: Cluster,
  discovery: Discovery,
  target: UploadTarget,
  source: () => AsyncIterable<Uint8Array>,
  options: UploadOptions,
): Promise<void> {
  const { timeout, retries, reporter, clock = systemClock, signal } = options;
  const name = `${target.namespace}/${target.pvc}`;
  const wait = { timeout, reporter, clock, signal };
  const sendOnce = createSender(cluster, discovery, target, source, { ...options, clock });
  /** A whole body was sent: when the claim is filled, it is with that. */
  let wasSentWhole = false;
  let tokensRefused = 0;

  /** @returns why it did not work and may the next time; undefined when the disk is in place */
  async function tryOnce(): Promise<unknown> {
    const before = await waitUntilReady(cluster, discovery, target, wait);
    if (before.isFilled && !wasSentWhole) throw notEmpty(name);
    if (!before.isFilled) {
      const { isWhole, error } = await sendOnce();
      wasSentWhole ||= isWhole;
      tokensRefused = error?.kind === 'token' ? tokensRefused + 1 : 0;
      const isDone = error === undefined || (error.kind === 'done' && wasSentWhole);
      if (!isDone) {
        if (error.kind === 'passing' || (error.kind === 'token' && tokensRefused < TOKENS_REFUSED)) return error;
        throw error;
      }
    }
    const filled = await waitUntilFilled(cluster, discovery, target, before, wait);
    if ('claim' in filled) {
      checkCapacity(filled.claim, target.size);
      return undefined;
    }
    wasSentWhole = false;
    return new UploadRefused('passing', `${name}: ${filled.again}.`);
  }

  for (let attempt = 1; ; attempt++) {
    const failure = await tryOnce();
    if (failure === undefined) break;
    if (attempt > retries) throw gaveUp(name, attempt, failure);
    const gap = Math.min(FIRST_GAP * 2 ** (attempt - 1), LONGEST_GAP) * (0.5 + Math.random() / 2);
    reporter.info(`${messageOf(failure)} Sending it again (try ${attempt + 1} of ${retries + 1}).`);
    await clock.sleep(gap, signal);
  }
  reporter.info(`${name}: the disk is in place.`);
}
