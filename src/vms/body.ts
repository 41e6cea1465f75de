/** The pieces of an answer on their way from a connection, which is paused while too many wait. */
export interface VmBody extends AsyncIterable<Uint8Array> {
  push(piece: Uint8Array): void;
  end(): void;
  fail(error: Error): void;
}

/** Of undici's request. */
interface Control {
  pause(): void;
  resume(): void;
  abort(reason: Error): void;
}

/** Bytes that wait before the connection is paused, and below which it goes on. */
const MOST_WAITING = 1024 * 1024;
const FEW_WAITING = 256 * 1024;

export function createBody(control: Control): VmBody {
  const waiting: Uint8Array[] = [];
  let bytes = 0;
  let isPaused = false;
  let ended: { readonly error?: Error } | undefined;
  let isTaken = false;
  let wake: (() => void) | undefined;

  function end(error?: Error): void {
    ended ??= error === undefined ? {} : { error };
    wake?.();
  }

  async function next(): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      const piece = waiting.shift();
      if (piece !== undefined) {
        bytes -= piece.byteLength;
        if (isPaused && bytes <= FEW_WAITING) {
          isPaused = false;
          control.resume();
        }
        return { done: false, value: piece };
      }
      if (ended?.error !== undefined) throw ended.error;
      if (ended !== undefined) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  return {
    push(piece) {
      if (ended !== undefined) return;
      waiting.push(piece);
      bytes += piece.byteLength;
      if (bytes > MOST_WAITING && !isPaused) {
        isPaused = true;
        control.pause();
      }
      wake?.();
    },
    end: () => end(),
    fail: end,
    [Symbol.asyncIterator]() {
      if (isTaken) throw new Error('The body of an answer can be read only once.');
      isTaken = true;
      return {
        next,
        async return() {
          waiting.length = 0;
          if (ended === undefined) {
            end();
            control.abort(new Error('not read to its end'));
          }
          return { done: true, value: undefined };
        },
      };
    },
  };
}
