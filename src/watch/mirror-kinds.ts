import type { Clock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { createBell } from './bell.ts';
import { watchSchema } from './mirror-schema.ts';
import type { Reflector } from './reflector.ts';

export interface FollowKindsOptions {
  readonly clock: Clock;
  readonly inTurn: (work: () => Promise<void>) => Promise<void>;
  /** Looks at what the cluster serves now. */
  readonly discover: () => Promise<void>;
  /** Told of CRDs, as `<plural>.<group>`, whose objects may look different without having changed. */
  readonly onRespecified: (names: ReadonlySet<string>) => void;
  /** Told when a CRD or API service has changed in what an export could have. */
  readonly onChange: () => void;
  readonly onTrouble: (error: unknown) => void;
  readonly signal: AbortSignal;
}

/** Milliseconds after a change of CRDs or API services: what it means is served a moment later, or some. */
const DISCOVER_AFTER = [1_000, 4_000, 25_000];
/** By now a server has set up what a changed CRD says. */
const RESPECIFIED_AT = 1;
const DISCOVER_EVERY = 600_000;
const DISCOVER_AGAIN = 30_000;

/** What tells of kinds that come and go. */
export interface KindsFollower {
  /** Of what hints at a change. What is discovered when the first lists of all are in misses nothing that comes later. */
  readonly reflectors: readonly Reflector[];
  /** To be called once, after the first discovery. */
  begin(): void;
  /** Resolves when the signal has ended it. */
  ended(): Promise<void>;
}

/** Keeps looking at what kinds the cluster serves: when something hints at a change, and now and then. */
export function followKinds(cluster: Cluster, options: FollowKindsOptions): KindsFollower {
  const { clock, discover, onTrouble, signal } = options;
  const bell = createBell(clock);
  const respecified = new Set<string>();
  // What has changed just before the start may not be served yet.
  let step = 1;
  let isRung = false;

  const reflectors = watchSchema(cluster, {
    ...options,
    onChange(change) {
      if (change.respecified !== undefined) respecified.add(change.respecified);
      if (change.isReal) options.onChange();
      // What is about to happen anyway is not put off.
      if (step === 0) return;
      isRung = true;
      bell.ring();
    },
  });

  async function look(): Promise<boolean> {
    try {
      await discover();
      if (step === RESPECIFIED_AT) {
        options.onRespecified(new Set(respecified));
        respecified.clear();
      }
      return true;
    } catch (error) {
      if (!signal.aborted) onTrouble(error);
      return false;
    }
  }

  async function run(): Promise<void> {
    for (let isKnown = true; ; ) {
      await bell.wait(DISCOVER_AFTER[step] ?? (isKnown ? DISCOVER_EVERY : DISCOVER_AGAIN), signal);
      if (signal.aborted) break;
      if (isRung) {
        isRung = false;
        step = 0;
        continue;
      }
      isKnown = await look();
      step = Math.min(step + 1, DISCOVER_AFTER.length);
    }
  }

  let running: Promise<void> | undefined;
  return {
    reflectors,
    begin() {
      running ??= run();
    },
    async ended() {
      await Promise.all([...reflectors.map((reflector) => reflector.done), running]);
    },
  };
}
