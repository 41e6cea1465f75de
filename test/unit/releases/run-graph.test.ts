import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Edge } from '../../../src/releases/graph.ts';
import { runGraph } from '../../../src/releases/run-graph.ts';

const edge = (waiter: string, provider: string): Edge => ({
  waiter,
  provider,
  what: 'CRD x',
  needsReady: true,
  reason: `${waiter} waits for ${provider}: CRD x`,
});

/** Work that ends only when a test says so, with a list of what was started. */
function manualWork() {
  const started: string[] = [];
  const work = new Map<string, { resolve: (value: string) => void; reject: (error: unknown) => void }>();
  const run = (key: string): Promise<string> => {
    started.push(key);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    work.set(key, { resolve, reject });
    return promise;
  };
  const settle = async (key: string, error?: Error): Promise<void> => {
    if (error === undefined) work.get(key)?.resolve(`${key} done`);
    else work.get(key)?.reject(error);
    // Lets everything run that was waiting for it.
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { started, run, settle };
}

describe('runGraph', () => {
  it('starts what waits for nothing, as many as allowed, in order', async () => {
    const { started, run, settle } = manualWork();
    const all = runGraph({ order: ['a', 'b', 'c', 'd'], edges: [] }, { concurrency: 2, run });
    expect(started).toEqual(['a', 'b']);
    await settle('b');
    expect(started).toEqual(['a', 'b', 'c']);
    await settle('a');
    await settle('c');
    await settle('d');
    expect([...(await all)]).toEqual(
      ['a', 'b', 'c', 'd'].map((key) => [key, { status: 'done', value: `${key} done` }]),
    );
  });

  it('starts what waits as soon as the last of its providers is done', async () => {
    const { started, run, settle } = manualWork();
    const edges = [edge('c', 'a'), edge('c', 'b'), edge('d', 'a')];
    const all = runGraph({ order: ['c', 'd', 'a', 'b'], edges }, { concurrency: 9, run });
    expect(started).toEqual(['a', 'b']);
    await settle('a');
    expect(started).toEqual(['a', 'b', 'd']);
    await settle('b');
    expect(started).toEqual(['a', 'b', 'd', 'c']);
    await settle('c');
    await settle('d');
    expect([...(await all).keys()]).toEqual(['c', 'd', 'a', 'b']);
  });

  it('skips what waits for a failed one, however far, says why, and finishes the others', async () => {
    const { started, run, settle } = manualWork();
    const error = new Error('boom');
    const edges = [edge('c', 'b'), edge('b', 'a')];
    const all = runGraph({ order: ['c', 'b', 'a', 'other'], edges }, { concurrency: 9, run });
    await settle('a', error);
    await settle('other');
    expect(Object.fromEntries(await all)).toEqual({
      a: { status: 'failed', error },
      b: { status: 'skipped', why: 'b waits for a: CRD x, and that one failed.' },
      c: { status: 'skipped', why: 'c waits for b: CRD x, and that one was skipped.' },
      other: { status: 'done', value: 'other done' },
    });
    expect(started).toEqual(['a', 'other']);
  });

  it('starts nothing more once it is cancelled, and waits for what runs', async () => {
    const { started, run, settle } = manualWork();
    const controller = new AbortController();
    const all = runGraph({ order: ['a', 'b'], edges: [] }, { concurrency: 1, run, signal: controller.signal });
    controller.abort();
    await settle('a');
    expect(Object.fromEntries(await all)).toEqual({
      a: { status: 'done', value: 'a done' },
      b: { status: 'skipped', why: 'The run was cancelled before it.' },
    });
    expect(started).toEqual(['a']);
  });

  it('takes a provider that is not there for done', async () => {
    const results = await runGraph(
      { order: ['a'], edges: [edge('a', 'elsewhere')] },
      { concurrency: 1, run: async () => 1 },
    );
    expect(results.get('a')).toEqual({ status: 'done', value: 1 });
  });

  it('ends with an error instead of never when its edges have a cycle', async () => {
    const edges = [edge('a', 'b'), edge('b', 'a')];
    await expect(runGraph({ order: ['a', 'b'], edges }, { concurrency: 1, run: async () => 1 })).rejects.toThrow(
      'These wait for each other: a,b',
    );
  });

  it('never runs more at once than allowed, nor anything before what it waits for', async () => {
    const pairs = fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(pairs, fc.integer({ min: 1, max: 4 }), fc.scheduler(), async (found, concurrency, scheduler) => {
        const edges = found.filter(([a, b]) => a > b).map(([a, b]) => edge(String(a), String(b)));
        const order = Array.from({ length: 10 }, (_, index) => String(index));
        const done = new Set<string>();
        let running = 0;
        const run = async (key: string): Promise<void> => {
          running += 1;
          expect(running).toBeLessThanOrEqual(concurrency);
          for (const { waiter, provider } of edges) if (waiter === key) expect(done.has(provider)).toBe(true);
          await scheduler.schedule(Promise.resolve());
          running -= 1;
          done.add(key);
        };
        const all = runGraph({ order, edges }, { concurrency, run });
        await scheduler.waitFor(all);
        expect([...(await all).values()].every(({ status }) => status === 'done')).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});
