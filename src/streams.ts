/**
 * Merges streams that are each sorted into one that is. Where two items compare equal, that of the earlier source comes
 * first, as does its failure. All sources start at once.
 */
export async function* mergeSorted<T>(
  sources: readonly AsyncIterable<T>[],
  compare: (a: T, b: T) => number,
): AsyncGenerator<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  try {
    const first = iterators.map((iterator) => iterator.next());
    // Which of two failures is told must not depend on which answer was faster.
    for (const pending of first) pending.catch(() => {});
    const heads: IteratorResult<T>[] = [];
    for (const pending of first) heads.push(await pending);
    for (;;) {
      let index = -1;
      let least: T | undefined;
      for (let at = 0; at < heads.length; at += 1) {
        const head = heads[at];
        if (head === undefined || head.done === true) continue;
        if (least !== undefined && compare(head.value, least) >= 0) continue;
        least = head.value;
        index = at;
      }
      const iterator = iterators[index];
      if (least === undefined || iterator === undefined) return;
      yield least;
      heads[index] = await iterator.next();
    }
  } finally {
    await Promise.all(iterators.map((iterator) => iterator.return?.()));
  }
}

/** Chains streams in order; up to `ahead` of those to come have already been asked for their first item. */
export async function* inTurn<T>(sources: readonly (() => AsyncIterable<T>)[], ahead: number): AsyncGenerator<T> {
  const started: { iterator: AsyncIterator<T>; first: Promise<IteratorResult<T>> }[] = [];
  let next = 0;
  const startMore = () => {
    for (let source = sources[next]; started.length <= ahead && source !== undefined; source = sources[next]) {
      const iterator = source()[Symbol.asyncIterator]();
      const first = iterator.next();
      // A failure is met when its turn comes; until then it must not end the process as unhandled.
      first.catch(() => {});
      started.push({ iterator, first });
      next += 1;
    }
  };
  try {
    for (startMore(); started[0] !== undefined; startMore()) {
      const { iterator, first } = started[0];
      for (let item = await first; item.done !== true; item = await iterator.next()) yield item.value;
      started.shift();
    }
  } finally {
    await Promise.all(started.map(({ iterator }) => iterator.return?.()));
  }
}

/** Maps a stream with up to `concurrency` items at work at once, which may change; results keep the order of the items. */
export async function* mapInOrder<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  concurrency: number | (() => number),
  map: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const most = typeof concurrency === 'number' ? () => concurrency : concurrency;
  const running: Promise<R>[] = [];
  try {
    for await (const item of items) {
      const result = map(item);
      result.catch(() => {});
      running.push(result);
      while (running.length >= most()) {
        const oldest = running.shift();
        if (oldest === undefined) break;
        yield await oldest;
      }
    }
    for (const result of running) yield await result;
  } finally {
    // Nothing may go on behind the back of a caller that has stopped.
    await Promise.allSettled(running);
  }
}

/** Does some work for each item, up to `concurrency` at once. When one fails no more are begun, and those at work end. */
export async function forEachOf<T>(
  items: AsyncIterable<T> | Iterable<T>,
  concurrency: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  for await (const _ of mapInOrder(items, concurrency, work));
}

/** Gathers a stream into lists of at most so many items, and so many bytes as long as that is more than one item. */
export async function* inBatches<T>(
  items: AsyncIterable<T>,
  bytesOf: (item: T) => number,
  most: { readonly items: number; readonly bytes: number },
): AsyncGenerator<T[]> {
  let batch: T[] = [];
  let bytes = 0;
  for await (const item of items) {
    const size = bytesOf(item);
    if (batch.length === most.items || (batch.length > 0 && bytes + size > most.bytes)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

/**
 * Maps items with up to `concurrency` at work or waiting to be taken; results come as they are done, in any order. When
 * one fails or the reader stops, the others are told by the signal, and have ended when this has.
 */
export async function* mapAsDone<T, R>(
  items: Iterable<T>,
  concurrency: number,
  map: (item: T, signal: AbortSignal) => Promise<R>,
): AsyncGenerator<R> {
  const stop = new AbortController();
  const waiting = items[Symbol.iterator]();
  const running = new Set<Promise<void>>();
  const done: { readonly result: R }[] = [];
  const start = (item: T) => {
    const work = map(item, stop.signal).then((result) => {
      running.delete(work);
      done.push({ result });
    });
    // It is heard of below, or was ended by another's failure.
    work.catch(() => {});
    running.add(work);
  };
  try {
    for (let next = waiting.next(); ; ) {
      for (; next.done !== true && running.size + done.length < concurrency; next = waiting.next()) start(next.value);
      const first = done.shift();
      if (first !== undefined) yield first.result;
      else if (running.size > 0) await Promise.race(running);
      else return;
    }
  } finally {
    stop.abort();
    await Promise.allSettled(running);
  }
}
