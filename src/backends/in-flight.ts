/** Work under way: several things at once, of which only so many bytes are held in memory. */
export interface InFlight {
  /**
   * Starts some work once there is room for it.
   *
   * @throws what any work before it failed with; it isn't started then
   */
  start(bytes: number, work: () => Promise<unknown>): Promise<void>;
  /**
   * Waits until nothing is under way.
   *
   * @throws what the first one failed with
   */
  finish(): Promise<void>;
  /** Waits until nothing is under way; what failed is not told. */
  settle(): Promise<void>;
}

/** @param most - how much may be under way; one thing always may */
export function createInFlight(most: { readonly count: number; readonly bytes: number }): InFlight {
  const running = new Set<Promise<void>>();
  let held = 0;
  let failure: { readonly error: unknown } | undefined;
  // One for whoever waits: to race all that is under way costs more than the work, where there is much of it.
  let ended = Promise.withResolvers<void>();
  const settle = async () => {
    while (running.size > 0) await Promise.all(running);
  };
  const tell = () => {
    if (failure !== undefined) throw failure.error;
  };
  return {
    async start(bytes, work) {
      const isFull = () => running.size >= most.count || (running.size > 0 && held + bytes > most.bytes);
      while (failure === undefined && isFull()) await ended.promise;
      tell();
      held += bytes;
      const one: Promise<void> = work()
        .then(
          () => {},
          (error: unknown) => {
            failure ??= { error };
          },
        )
        .finally(() => {
          held -= bytes;
          running.delete(one);
          ended.resolve();
          ended = Promise.withResolvers();
        });
      running.add(one);
    },
    async finish() {
      await settle();
      tell();
    },
    settle,
  };
}
