import { type Clock, systemClock } from '../cluster/clock.ts';
import { formatSize } from '../report/format.ts';
import type { Reporter } from '../report/reporter.ts';

/** Tells how far the volumes of one archive are. */
export interface ExportProgress {
  /** Bytes read so far, of all volumes, without what an earlier run had read. */
  readonly read: number;
  /**
   * Begins a volume.
   *
   * @param total - bytes; undefined where that is not known beforehand
   * @param from - how many of them an earlier run has read
   */
  begin(claim: string, total: number | undefined, from: number): void;
  add(bytes: number): void;
  /** Milliseconds since it was made. */
  elapsed(): number;
}

/** Milliseconds between two lines. */
const INTERVAL = 1_000;

/** @param what - such as `VM shop/db` */
export function createProgress(what: string, reporter: Reporter, clock: Clock = systemClock): ExportProgress {
  const began = clock.now();
  let read = 0;
  let volume = { claim: '', total: undefined as number | undefined, at: 0 };
  let told = { at: began, read: 0 };
  return {
    get read() {
      return read;
    },
    begin(claim, total, from) {
      volume = { claim, total, at: from };
    },
    add(bytes) {
      read += bytes;
      volume.at += bytes;
      const now = clock.now();
      if (now - told.at < INTERVAL) return;
      const rate = formatSize(((read - told.read) / (now - told.at)) * 1000);
      told = { at: now, read };
      const of = volume.total === undefined ? '' : ` of ${formatSize(volume.total)}`;
      reporter.progress(`${what}, ${volume.claim}: ${formatSize(volume.at)}${of}, ${rate}/s`);
    },
    elapsed: () => clock.now() - began,
  };
}
