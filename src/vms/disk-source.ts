import type { Clock } from '../cluster/clock.ts';
import { cancelledBy } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { gaveUp, noLink, readTryFailure, sentence } from './disk-errors.ts';
import type { VmTarget } from './http.ts';
import type { ExportLinks } from './links.ts';

/** One disk of an export, wherever its links lead at the moment. */
export interface DiskSource {
  /**
   * Does something, again and again until it has been done. After each failure the links are read anew.
   *
   * @param work - told where to read, and tells each time a byte has come
   * @param signal - of who awaits it
   * @throws TransshipError when it gives up; whatever `work` throws that can't pass
   */
  persist<T>(work: (target: VmTarget, moved: () => void) => Promise<T>, signal: AbortSignal | undefined): Promise<T>;
}

export interface DiskSourceOptions {
  /** Which of the links is read. Default `raw`. */
  readonly format?: 'raw' | 'tar.gz';
  readonly links: () => Promise<ExportLinks>;
  readonly refresh: () => Promise<ExportLinks>;
  readonly token: string;
  readonly timeout: number;
  readonly clock: Clock;
  readonly reporter: Reporter;
}

/** Milliseconds. */
const FIRST_GAP = 100;
const LONGEST_GAP = 10_000;
const LONGEST_RETRY_AFTER = 60_000;
/** Milliseconds that a refusal is doubted for: links and certificates follow a restarted pod within seconds. */
const DOUBT = 30_000;

/** @param where - says how far reading has come, for the error that gives up */
export function createDiskSource(volume: string, where: () => string, options: DiskSourceOptions): DiskSource {
  const { format = 'raw', links, refresh, token, timeout, clock, reporter } = options;
  let current: Promise<ExportLinks> | undefined;
  let renewing: Promise<void> | undefined;
  let lastMoved = Number.NEGATIVE_INFINITY;

  async function targetOf(known: Promise<ExportLinks>, signal: AbortSignal | undefined): Promise<VmTarget> {
    const { volumes, ca, serverName, connect } = await known;
    const url = volumes.find(({ name }) => name === volume)?.formats[format];
    if (url === undefined) throw noLink(volume, format, volumes);
    return { url, headers: { 'x-kubevirt-export-token': token }, ca, serverName, connect, signal };
  }

  /** Once for all that have failed with the same links. */
  async function renew(used: Promise<ExportLinks>): Promise<void> {
    if (used !== current) return;
    renewing ??= refresh()
      .then((found) => {
        current = Promise.resolve(found);
      })
      .finally(() => {
        renewing = undefined;
      });
    await renewing;
  }

  return {
    async persist(work, signal) {
      let failures = 0;
      let failingSince: number | undefined;
      const moved = () => {
        lastMoved = clock.now();
        failures = 0;
        failingSince = undefined;
      };
      for (;;) {
        const began = clock.now();
        current ??= links();
        const used = current;
        const target = await targetOf(used, signal);
        try {
          return await work(target, moved);
        } catch (error) {
          if (signal?.aborted) throw cancelledBy(signal, `reading the volume "${volume}"`);
          const failure = readTryFailure(error);
          failures += 1;
          failingSince ??= began;
          // What the other ranges read counts; that nobody asked for any does not.
          const idle = clock.now() - Math.max(failingSince, lastMoved);
          const patience = failure.passing === 'refused' ? Math.min(timeout, DOUBT) : timeout;
          if (idle >= patience) throw gaveUp(volume, where(), idle, failure);
          const grown = Math.min(FIRST_GAP * 2 ** (failures - 1), LONGEST_GAP) * (0.5 + Math.random() / 2);
          const gap = Math.min(Math.max(grown, Math.min(failure.retryAfter, LONGEST_RETRY_AFTER)), patience - idle);
          reporter.debug(`Volume "${volume}", again in ${(gap / 1000).toFixed(1)} s: ${sentence(failure.message)}`);
          await clock.sleep(gap, signal);
          await renew(used);
        }
      }
    },
  };
}
