import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../../src/backends/backend.ts';
import { untilAborted } from '../../../src/backends/bytes.ts';
import { TransshipError } from '../../../src/errors.ts';

describe('untilAborted', () => {
  it('passes bytes on and closes the source when the reader leaves', async () => {
    const source = watched([1, 2, 3]);
    for await (const chunk of untilAborted(source.bytes, new AbortController().signal)) {
      expect(chunk).toEqual(Uint8Array.of(1));
      break;
    }
    expect(source.closed()).toBe(true);
  });

  it('ends at once when the signal fires while the source is stuck', async () => {
    const controller = new AbortController();
    const stuck = (async function* () {
      yield Uint8Array.of(1);
      await new Promise(() => {});
    })();
    const reading = readAll(untilAborted(stuck, controller.signal));
    controller.abort();
    await expect(reading).rejects.toMatchObject({ code: 'CANCELLED', message: 'Cancelled.' });
  });

  it('gives the reason of the signal when it is one for the user', async () => {
    const reason = new TransshipError('CANCELLED', 'Cancelled by SIGINT.');
    const bytes = untilAborted(watched([1]).bytes, AbortSignal.abort(reason));
    await expect(readAll(bytes)).rejects.toBe(reason);
  });

  it('rethrows the error of the source as it is', async () => {
    const broken = new Error('broken');
    // biome-ignore lint/correctness/useYield: it breaks before its first byte.
    const source = (async function* (): Bytes {
      throw broken;
    })();
    await expect(readAll(untilAborted(source, new AbortController().signal))).rejects.toBe(broken);
  });

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...args);
    };
    await readAll(untilAborted(watched(Array.from({ length: 50 }, (_, index) => index)).bytes, signal));
    expect(listeners).toBe(0);
  });
});

function watched(values: readonly number[]): { bytes: Bytes; closed: () => boolean } {
  let closed = false;
  const bytes = (async function* () {
    try {
      for (const value of values) yield Uint8Array.of(value);
    } finally {
      closed = true;
    }
  })();
  return { bytes, closed: () => closed };
}

async function readAll(bytes: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}
