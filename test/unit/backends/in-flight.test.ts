import { describe, expect, it } from 'vitest';
import { createInFlight } from '../../../src/backends/in-flight.ts';

/** Work that ends when it is told to. */
function createWork() {
  const started: number[] = [];
  const ends: PromiseWithResolvers<void>[] = [];
  return {
    started,
    make: (number: number) => () => {
      started.push(number);
      const end = Promise.withResolvers<void>();
      ends[number] = end;
      return end.promise;
    },
    end: (number: number) => ends[number]?.resolve(),
    fail: (number: number, error: Error) => ends[number]?.reject(error),
  };
}

const turn = () => new Promise(setImmediate);

describe('work in flight', () => {
  it.each([
    ['things', { count: 2, bytes: 1000 }],
    ['bytes', { count: 9, bytes: 20 }],
  ])('waits while there are too many %s', async (_what, most) => {
    const work = createWork();
    const flight = createInFlight(most);
    await flight.start(10, work.make(0));
    await flight.start(10, work.make(1));
    const third = flight.start(10, work.make(2));
    await turn();
    expect(work.started).toEqual([0, 1]);
    work.end(1);
    await third;
    expect(work.started).toEqual([0, 1, 2]);
    work.end(0);
    work.end(2);
    await flight.finish();
  });

  it('takes one thing that is larger than all that is allowed', async () => {
    const flight = createInFlight({ count: 2, bytes: 1 });
    let done = false;
    await flight.start(99, async () => {
      done = true;
    });
    await flight.finish();
    expect(done).toBe(true);
  });

  it('starts nothing after a failure, and tells the first one again and again', async () => {
    const work = createWork();
    const flight = createInFlight({ count: 2, bytes: 1000 });
    await flight.start(1, work.make(0));
    await flight.start(1, work.make(1));
    const third = expect(flight.start(1, work.make(2))).rejects.toThrow('first');
    work.fail(1, new Error('first'));
    await third;
    work.fail(0, new Error('second'));
    await expect(flight.finish()).rejects.toThrow('first');
    await expect(flight.start(1, work.make(3))).rejects.toThrow('first');
    expect(work.started).toEqual([0, 1]);
  });

  it('settles only when nothing is under way any more, telling no failure', async () => {
    const work = createWork();
    const flight = createInFlight({ count: 2, bytes: 1000 });
    await flight.start(1, work.make(0));
    await flight.start(1, work.make(1));
    let settled = false;
    const settling = flight.settle().then(() => {
      settled = true;
    });
    work.fail(0, new Error('no'));
    await turn();
    expect(settled).toBe(false);
    work.end(1);
    await settling;
  });
});
