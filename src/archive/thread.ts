import { Worker } from 'node:worker_threads';

/** A thread that is asked one thing after the other. */
export interface Thread {
  /** Questions that have not been answered. */
  readonly waiting: number;
  /** Answers come in the order of the questions. Memory that is shared is not copied, and must not change until then. */
  ask(question: object, transfer?: ArrayBuffer[]): Promise<unknown>;
  /** Ends it. What has not been answered by then is rejected. */
  close(): Promise<void>;
}

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/**
 * Starts a thread. It keeps the process alive only as long as it has something to do.
 *
 * @param program - CommonJS that answers each message with one; as text, for a bundle has no file to start it from
 */
export function startThread(program: string): Thread {
  const worker = new Worker(program, { eval: true });
  const waiting: Waiting[] = [];
  let failure: unknown;
  const fail = (error: unknown) => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(failure);
  };
  worker.unref();
  worker.on('message', (answer: unknown) => {
    waiting.shift()?.resolve(answer);
    if (waiting.length === 0) worker.unref();
  });
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('The thread has ended.')));
  return {
    get waiting() {
      return waiting.length;
    },
    ask(question, transfer = []) {
      const answer = new Promise<unknown>((resolve, reject) => {
        if (failure !== undefined) reject(failure);
        else waiting.push({ resolve, reject });
      });
      // Whoever waits for it is told; nobody may be left to.
      answer.catch(() => {});
      worker.ref();
      worker.postMessage(question, transfer);
      return answer;
    },
    async close() {
      await worker.terminate();
    },
  };
}
