import type { LeaseStore, StoredLease } from '../../../src/backends/backend.ts';
import { TransshipError } from '../../../src/errors.ts';
import type { FakeClock } from './fake-clock.ts';

/** How one request goes wrong: not sent, or answered by nothing although it was done. */
type Fault = 'before' | 'after' | 'never';

/** A store in memory, whose network can break. */
export interface MemoryStore extends LeaseStore {
  /** What becomes of the next writes; then they go well. */
  readonly faults: Fault[];
  /** Nothing gets through. */
  isDown: boolean;
  /** Milliseconds by which its clock is ahead of what it was when something was written. */
  jump: number;
  /** All that was written, in order. */
  readonly texts: string[];
  text(): string | undefined;
}

export function memoryStore(clock: FakeClock): MemoryStore {
  let stored: (Omit<StoredLease, 'age'> & { readonly at: number }) | undefined;
  let versions = 0;
  const texts: string[] = [];
  const reset = () => new TransshipError('BACKEND', 's3://b/p: read ECONNRESET.');
  const store: MemoryStore = {
    faults: [],
    isDown: false,
    jump: 0,
    texts,
    text: () => stored?.text,
    async read() {
      await undefined;
      if (store.isDown) throw reset();
      return stored && { text: stored.text, version: stored.version, age: clock.now() - stored.at + store.jump };
    },
    async write(text, expected, signal) {
      await undefined;
      const fault = store.faults.shift();
      if (store.isDown || fault === 'before') throw reset();
      if (fault === 'never') {
        await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
      }
      if (stored?.version !== expected) return undefined;
      versions += 1;
      stored = { text, version: String(versions), at: clock.now() };
      texts.push(text);
      if (fault === 'after') throw reset();
      return stored.version;
    },
    async remove() {
      stored = undefined;
    },
  };
  return store;
}
