import { describe, expect, it } from 'vitest';
import { abortable, coalesce, handOut, slice } from '../../../src/archive/streams.ts';
import { TransshipError } from '../../../src/errors.ts';
import { collect, endless, errorOf, inPieces, noise, silentAfter, streamOf } from './helpers.ts';

describe('abortable', () => {
  it('ends at once with the reason while the source is silent', async () => {
    const controller = new AbortController();
    const reading = errorOf(collect(abortable(silentAfter(noise(3)), controller.signal)));
    controller.abort(new TransshipError('CANCELLED', 'stopped by the user'));
    expect((await reading).message).toBe('stopped by the user');
  });

  it('does not ask a source for anything when the signal has fired before', async () => {
    let asked = false;
    async function* source() {
      asked = true;
      yield 1;
    }
    const iterator = abortable(source(), AbortSignal.abort(new TransshipError('CANCELLED', 'stopped')));
    await expect(iterator.next()).rejects.toThrow('stopped');
    expect(asked).toBe(false);
  });

  it('closes the source when the reader stops early or the signal fires between two pieces', async () => {
    const first = endless(noise(3));
    for await (const _piece of abortable(first.source, new AbortController().signal)) break;
    expect(first.closed()).toBe(true);
    const second = endless(noise(3));
    const controller = new AbortController();
    const reading = abortable(second.source, controller.signal);
    await reading.next();
    controller.abort(new TransshipError('CANCELLED', 'stopped'));
    await expect(reading.next()).rejects.toThrow('stopped');
    expect(second.closed()).toBe(true);
  });

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    const counts: number[] = [];
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      counts.push(1);
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      counts.push(-1);
      remove(...args);
    };
    await collect(abortable(inPieces(noise(1000), 10), signal));
    expect(counts).toEqual([1, -1]);
  });
});

describe('pieces', () => {
  it('are joined up to a size, and not copied where they are large enough', async () => {
    const sizes: number[] = [];
    for await (const piece of coalesce(inPieces(noise(1000), 30), 100)) sizes.push(piece.byteLength);
    expect(sizes).toEqual([120, 120, 120, 120, 120, 120, 120, 120, 40]);
    const large = noise(200);
    for await (const piece of coalesce(streamOf(large), 100)) expect(piece).toBe(large);
  });

  it('are cut down to a size', async () => {
    const sizes: number[] = [];
    for await (const piece of slice(streamOf(noise(25), noise(10)), 10)) sizes.push(piece.byteLength);
    expect(sizes).toEqual([10, 10, 5, 10]);
  });
});

describe('a body that is handed out', () => {
  it('is read on by drain where its reader stopped, without closing it', async () => {
    const passed: number[] = [];
    async function* source() {
      for (const size of [1, 2, 3]) {
        passed.push(size);
        yield noise(size);
      }
    }
    const { body, drain } = handOut(source(), 'disk.img');
    for await (const _piece of body) break;
    await drain();
    expect(passed).toEqual([1, 2, 3]);
  });

  it('refuses to be read twice', async () => {
    const { body } = handOut(streamOf(noise(1)), 'disk.img');
    await collect(body);
    await expect(collect(body)).rejects.toThrow('The body of disk.img can be read only once.');
  });

  it('refuses to be read too late, from its start or from where its reader stopped', async () => {
    const unread = handOut(streamOf(noise(1)), 'disk.img');
    await unread.drain();
    await expect(collect(unread.body)).rejects.toThrow('The body of disk.img was read too late');
    const halfRead = handOut(streamOf(noise(1), noise(2)), 'disk.img');
    const iterator = halfRead.body[Symbol.asyncIterator]();
    await iterator.next();
    await halfRead.drain();
    await expect(iterator.next()).rejects.toThrow('The body of disk.img was read too late');
  });
});
