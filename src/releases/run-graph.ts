import type { Edge, Graph } from './graph.ts';

/** What became of one node of a graph. */
export type NodeResult<T> =
  | { readonly status: 'done'; readonly value: T }
  | { readonly status: 'failed'; readonly error: unknown }
  /** `why` says in whose failure it lies, as a sentence. */
  | { readonly status: 'skipped'; readonly why: string };

export interface RunGraphOptions<T> {
  /** How many run at once. */
  readonly concurrency: number;
  readonly run: (key: string) => Promise<T>;
  /** Once aborted, nothing more is started; what runs is waited for. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs every node of a graph once all that it waits for is done, as many at once as allowed, and of those that could
 * start always the first of the graph's order. What waits for a failed one, at whatever distance, is skipped; the others
 * finish.
 *
 * @returns the results in the graph's order
 * @throws Error when the edges have a cycle, which buildGraph leaves none of; never for a node
 */
export async function runGraph<T>(
  { order, edges }: Pick<Graph, 'order' | 'edges'>,
  { concurrency, run, signal }: RunGraphOptions<T>,
): Promise<Map<string, NodeResult<T>>> {
  const known = new Set(order);
  const waits = Map.groupBy(
    edges.filter(({ provider }) => known.has(provider)),
    ({ waiter }) => waiter,
  );
  const results = new Map<string, NodeResult<T>>();
  const waiting = new Set(order);
  const running = new Set<Promise<void>>();

  const start = async (key: string): Promise<void> => {
    try {
      results.set(key, { status: 'done', value: await run(key) });
    } catch (error) {
      results.set(key, { status: 'failed', error });
    }
  };
  while (waiting.size > 0 || running.size > 0) {
    const before = waiting.size;
    for (const key of waiting) {
      const needed = waits.get(key) ?? [];
      const lost = needed.find(({ provider }) => isLost(results.get(provider)));
      if (signal?.aborted === true) results.set(key, { status: 'skipped', why: 'The run was cancelled before it.' });
      else if (lost !== undefined) results.set(key, { status: 'skipped', why: sentence(lost, results) });
      else if (running.size >= concurrency || needed.some(({ provider }) => !results.has(provider))) continue;
      else {
        const task = start(key).finally(() => running.delete(task));
        running.add(task);
      }
      waiting.delete(key);
    }
    // A pass without a start may have skipped what lets the next pass skip more.
    if (running.size > 0) await Promise.race(running);
    else if (waiting.size > 0 && waiting.size === before) throw new Error(`These wait for each other: ${[...waiting]}`);
  }
  return new Map(order.flatMap((key) => pair(key, results.get(key))));
}

function isLost(result: NodeResult<unknown> | undefined): boolean {
  return result !== undefined && result.status !== 'done';
}

function sentence({ reason, provider }: Edge, results: ReadonlyMap<string, NodeResult<unknown>>): string {
  return `${reason}, and that one ${results.get(provider)?.status === 'failed' ? 'failed' : 'was skipped'}.`;
}

function pair<T>(key: string, result: NodeResult<T> | undefined): [string, NodeResult<T>][] {
  return result === undefined ? [] : [[key, result]];
}
