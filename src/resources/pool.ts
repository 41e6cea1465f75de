/**
 * Does some work for each item of a stream, up to `concurrency` at once; unlike where results keep their order, one that
 * takes long holds up no other. When one fails no more are begun, and those at work end.
 */
export async function forEachAtOnce<T>(
  items: AsyncIterable<T> | Iterable<T>,
  concurrency: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let isFailing = false;
  const worker = async () => {
    try {
      while (!isFailing) {
        const next = await iterator.next();
        if (next.done === true) return;
        await work(next.value);
      }
    } catch (error) {
      isFailing = true;
      throw error;
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.max(1, concurrency) }, worker));
  if (isFailing) await iterator.return?.();
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
