import { snapshotId } from '../../../src/archive/snapshot.ts';
import type { StoredSnapshot } from '../../../src/backends/backend.ts';
import { TransshipError } from '../../../src/errors.ts';
import type { LogFields, Reporter } from '../../../src/report/reporter.ts';
import { createDaemon, type DaemonOptions } from '../../../src/watch/daemon.ts';
import type { DaemonParts, Made, Making, WatchStats } from '../../../src/watch/parts.ts';
import { createFakeClock, settled } from '../../helpers/fake-clock.ts';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

export const START = new Date('2026-01-31T12:00:00Z');

/** A snapshot in the world's storage: its id, and the cluster's state that it holds. */
export type InStorage = readonly [id: string, state: string];

/** A world for a daemon: its cluster has one word as state, its storage keeps words, and time passes as the test says. */
export function createWorld(options: Partial<DaemonOptions> & { readonly onChange?: boolean } = {}) {
  const clock = createFakeClock();
  const stop = new AbortController();
  const lost = new AbortController();
  const log: { level: string; message: string; fields: LogFields }[] = [];
  const write =
    (level: string) =>
    (message: string, more?: string | LogFields, fields: LogFields = {}) =>
      void log.push({ level, message, fields: typeof more === 'object' ? more : fields });
  const reporter: Reporter = {
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    debug: write('debug'),
    progress() {},
    mask() {},
  };
  const stored = new Map<string, { state: string; complete: boolean; isEncrypted?: boolean }>();
  const onDisk = new Set<Made<string>>();
  let notify = () => {};
  const world = {
    clock,
    log,
    lost,
    state: 'one',
    /** How much the clock on the wall differs from real time, in milliseconds. */
    wallShift: 0,
    exportTakes: 0,
    pushTakes: 0,
    watchTakes: 0,
    /** Called by each export, push, retention, lease: what it throws is what fails. */
    onExport: (_from: string): void => {},
    onPush: (_id: string): void => {},
    onRetain: (): void => {},
    onAcquire: (): void => {},
    onWatch: (): void => {},
    /** The next pushes are stored, but their answer is lost. */
    loseAnswers: 0,
    stats: { objects: 7, reconnects: 0, relists: 0, broken: 0 } as WatchStats,
    exports: [] as { from: string; at: number }[],
    pushes: [] as { id: string; at: number }[],
    retentions: 0,
    isReleased: false,
    isWatchClosed: false,
    onDisk,
    /** The cluster changes, and the watches see it. */
    change(state: string): void {
      world.state = state;
      notify();
    },
    /** The watches see something that is in no snapshot. */
    stir: (): void => notify(),
    put(id: string, state: string, more: { complete?: boolean; isEncrypted?: boolean } = {}): void {
      stored.set(id, { complete: true, ...more, state });
    },
    /** What is stored and complete, in the order of ids. */
    storage: (): InStorage[] =>
      [...stored]
        .filter(([, { complete }]) => complete)
        .map(([id, { state }]): InStorage => [id, state])
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    /** The ids of all that is stored, complete or not. */
    all: () => [...stored.keys()].sort(),
    /** The id of a snapshot that is made so much later. */
    idNow: (later = 0) => idAt(clock.now() + world.wallShift + later),
    states: (): string[] => world.storage().map(([, state]) => state),
    warnings: () => log.filter(({ level }) => level === 'warn').map(({ message }) => message),
  };

  const listed = (): StoredSnapshot[] =>
    [...stored].map(([id, { state, complete }]) => ({
      id,
      layout: 'tree',
      location: `/${id}`,
      size: state.length,
      state: complete ? 'complete' : 'unfinished',
    }));
  const make = (id: string, contents: string): Made<string> => {
    const made = {
      id,
      files: 10,
      bytes: contents.length,
      contents,
      remove: async () => void onDisk.delete(made),
    };
    onDisk.add(made);
    return made;
  };
  const parts: DaemonParts<string> = {
    async acquire() {
      world.onAcquire();
      return {
        lost: lost.signal,
        release: async () => {
          world.isReleased = true;
        },
      };
    },
    list: async () => listed(),
    async findNewest(all) {
      const newest = all
        .filter(({ state }) => state === 'complete')
        .sort((a, b) => (a.id < b.id ? 1 : -1))
        .at(0);
      return newest && { snapshot: newest, contents: await parts.read(newest, stop.signal) };
    },
    read: async ({ id }) => (stored.get(id)?.isEncrypted ? undefined : stored.get(id)?.state),
    watch:
      options.onChange === false
        ? undefined
        : async (onChange, signal) => {
            world.onWatch();
            if (world.watchTakes > 0) await clock.sleep(world.watchTakes, signal);
            notify = onChange;
            return {
              stats: () => world.stats,
              close: async () => {
                world.isWatchClosed = true;
              },
            };
          },
    async make({ id, from, signal }: Making<string>) {
      world.exports.push({ from, at: clock.now() });
      const { state } = world;
      if (world.exportTakes > 0) await clock.sleep(world.exportTakes, signal);
      world.onExport(from);
      return make(id, state);
    },
    compare: (before, after) => (before === after ? 0 : 1),
    async store(made, _base, { signal }) {
      if (!onDisk.has(made)) throw new Error(`${made.id} is not on the disk any more`);
      world.pushes.push({ id: made.id, at: clock.now() });
      if (world.pushTakes > 0) await clock.sleep(world.pushTakes, signal);
      world.onPush(made.id);
      if (lost.signal.aborted) throw lost.signal.reason;
      if (stored.has(made.id)) throw new TransshipError('SNAPSHOT_EXISTS', `Snapshot ${made.id} exists.`);
      stored.set(made.id, { state: made.contents, complete: true });
      if (world.loseAnswers > 0) {
        world.loseAnswers -= 1;
        throw new TransshipError('BACKEND', 'The connection was reset.');
      }
      const { id, contents } = made;
      return { contents, snapshot: { id, layout: 'tree', location: `/${id}`, size: 100, sent: 5, state: 'complete' } };
    },
    rename: async (made, { id }) => make(id, made.contents),
    discard: async ({ id }) => void stored.delete(id),
    async retain() {
      world.retentions += 1;
      world.onRetain();
    },
  };
  const daemon = createDaemon(parts, {
    clock,
    now: () => new Date(START.getTime() + clock.now() + world.wallShift),
    // The middle: no jitter.
    random: () => 0.5,
    interval: 24 * HOUR,
    settle: 30 * SECOND,
    retry: MINUTE,
    version: '1.2.3',
    reporter,
    ...options,
  });
  return Object.assign(world, {
    daemon,
    start() {
      const running = daemon.run(stop.signal);
      running.catch(() => {});
      return running;
    },
    /** As SIGTERM does. */
    stop: () => stop.abort(new TransshipError('CANCELLED', 'Cancelled by SIGTERM.')),
    /** The value of a metric. */
    metric(name: string): number {
      const line = daemon.status
        .metrics()
        .split('\n')
        .find((one) => one.startsWith(`${name} `));
      if (line === undefined) throw new Error(`There is no metric ${name}:\n${daemon.status.metrics()}`);
      return Number(line.slice(name.length + 1));
    },
    settled,
  });
}

export type World = ReturnType<typeof createWorld>;

/** The id of a snapshot that is made so many milliseconds after the world's beginning. */
export const idAt = (milliseconds: number): string => snapshotId(new Date(START.getTime() + milliseconds));

export const failing = (message = 'The storage is away.') => {
  throw new TransshipError('BACKEND', message);
};
