import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, type Body, Broken, type Handler, type HttpRequest } from './answers.ts';
import { KIB } from './disks.ts';
import { type ChosenFault, createFaults, type Fault, type Faults } from './faults.ts';

/** A request that a stand-in has seen, and what became of it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Absent until it is answered. */
  readonly status?: number;
  /** Bytes of the answer's body that were handed to the connection. */
  readonly sent: number;
  /** Bytes of the request's body that were read. */
  readonly received: number;
  readonly ended: 'no' | 'whole' | 'broken';
}

/** A server without its connections: it answers requests, lets them fail and counts. */
export interface Endpoint {
  readonly handle: Handler;
  readonly faults: Faults;
  /** Every request so far, in the order they came. */
  readonly requests: readonly SeenRequest[];
  /** Bytes of all bodies sent so far. */
  sent(): number;
  /** Bytes of all bodies received so far. */
  received(): number;
  /** Requests under way. */
  active(): number;
}

/** What happens at a byte of a body. */
type Step = { readonly at: number; readonly act: () => Promise<void> };

/** Wraps a handler: faults are chosen and happen, requests and bytes are counted. */
export function createEndpoint(handler: Handler): Endpoint {
  const faults = createFaults();
  const requests: { -readonly [K in keyof SeenRequest]: SeenRequest[K] }[] = [];
  const handle: Handler = async (request) => {
    const { method, path, headers } = request;
    const seen: (typeof requests)[number] = { method, path, headers, sent: 0, received: 0, ended: 'no' };
    requests.push(seen);
    const chosen = faults.choose(request);
    const end = (ended: SeenRequest['ended']): void => {
      if (seen.ended === 'no') seen.ended = ended;
    };
    try {
      const answer = await answerWith(handler, request, chosen, (length) => {
        seen.received += length;
      });
      seen.status = answer.status;
      if (answer.body === undefined || typeof answer.body === 'string' || method === 'HEAD') {
        end('whole');
        return answer;
      }
      const body = counted(
        answer.body,
        (length) => {
          seen.sent += length;
        },
        end,
      );
      return { ...answer, body };
    } catch (error) {
      end('broken');
      throw error;
    }
  };
  return {
    handle,
    faults,
    requests,
    sent: () => requests.reduce((sum, { sent }) => sum + sent, 0),
    received: () => requests.reduce((sum, { received }) => sum + received, 0),
    active: () => requests.filter(({ ended }) => ended === 'no').length,
  };
}

async function answerWith(
  handler: Handler,
  request: HttpRequest,
  chosen: ChosenFault | undefined,
  onReceived: (length: number) => void,
): Promise<Answer> {
  const { fault } = chosen ?? {};
  const onHit = chosen?.onHit ?? (() => undefined);
  const isUpload = request.method === 'POST';
  const whole = { ...request, fault, body: counted(request.body, onReceived, () => undefined) };
  if (fault === undefined) return handler(whole);
  if (fault.kind === 'answer') {
    await onHit();
    return {
      status: fault.status,
      headers: { 'content-length': String(Buffer.byteLength(fault.body ?? '')), ...fault.headers },
      ...(fault.body === undefined ? {} : { body: fault.body }),
    };
  }
  if ((fault.kind === 'reset' || fault.kind === 'stall') && fault.after === undefined) {
    await onHit();
    if (fault.kind === 'stall') await untilGone(request.signal);
    throw new Broken('reset');
  }
  if (isUpload) {
    const answer = await handler({ ...whole, body: faultyBody(whole.body, fault, onHit, request.signal) });
    if (fault.kind === 'lose-answer') {
      await onHit();
      throw new Broken('reset');
    }
    return answer;
  }
  const answer = await handler(fault.kind === 'ignore-range' ? withoutRange(whole) : whole);
  if (fault.kind === 'lose-answer') {
    await onHit();
    throw new Broken('reset');
  }
  return faultyAnswer(answer, fault, onHit, request.signal);
}

function withoutRange(request: HttpRequest): HttpRequest {
  const { range: _, ...headers } = request.headers;
  return { ...request, headers };
}

function faultyAnswer(answer: Answer, fault: Fault, onHit: () => unknown, signal: AbortSignal): Answer {
  const headers = { ...answer.headers };
  if (fault.kind === 'short' && headers['content-length'] !== undefined) {
    headers['content-length'] = String(Math.min(fault.length, Number(headers['content-length'])));
  }
  if (fault.kind === 'wrong-total') {
    const range = headers['content-range'];
    if (range === undefined) headers['content-length'] = String(fault.total);
    else headers['content-range'] = range.replace(/\/.*/, `/${fault.total}`);
  }
  const { body } = answer;
  if (body === undefined) return { ...answer, headers };
  const bytes = typeof body === 'string' ? [Buffer.from(body)] : body;
  return { ...answer, headers, body: faultyBody(bytes, fault, onHit, signal) };
}

/** A body that something happens to on its way. */
async function* faultyBody(
  body: Body,
  fault: Fault,
  onHit: () => unknown,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const step = stepOf(fault, onHit, signal);
  let at = 0;
  for await (const piece of body) {
    let rest = piece;
    if (fault.kind === 'corrupt' && fault.at >= at && fault.at < at + piece.byteLength) {
      rest = Uint8Array.from(piece);
      rest[fault.at - at] = (rest[fault.at - at] ?? 0) ^ 1;
    }
    if (fault.kind === 'slow') {
      yield* slowly(rest, fault.bytesPerSecond, signal);
    } else if (fault.kind === 'short' && at + rest.byteLength >= fault.length) {
      yield rest.subarray(0, fault.length - at);
      await onHit();
      return;
    } else {
      if (step !== undefined && step.at >= at && step.at < at + rest.byteLength) {
        const before = rest.subarray(0, step.at - at);
        if (before.byteLength > 0) yield before;
        await step.act();
        rest = rest.subarray(before.byteLength);
      }
      yield rest;
    }
    at += piece.byteLength;
  }
  // Exactly where the body ends.
  if (step?.at === at) await step.act();
}

function stepOf(fault: Fault, onHit: () => unknown, signal: AbortSignal): Step | undefined {
  if (fault.kind === 'none') return { at: fault.after ?? 0, act: async () => void (await onHit()) };
  if (fault.kind !== 'reset' && fault.kind !== 'close' && fault.kind !== 'stall') return undefined;
  return {
    at: fault.after ?? 0,
    async act() {
      await onHit();
      if (fault.kind === 'stall') await untilGone(signal);
      throw new Broken(fault.kind === 'close' ? 'close' : 'reset');
    },
  };
}

async function* slowly(piece: Uint8Array, bytesPerSecond: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < piece.byteLength; at += 16 * KIB) {
    const part = piece.subarray(at, at + 16 * KIB);
    await delay((part.byteLength / bytesPerSecond) * 1000, undefined, { signal });
    yield part;
  }
}

function untilGone(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

async function* counted(
  body: Body,
  onBytes: (length: number) => void,
  onEnd: (how: 'whole' | 'broken') => void,
): AsyncGenerator<Uint8Array> {
  let how: 'whole' | 'broken' = 'broken';
  try {
    for await (const piece of body) {
      onBytes(piece.byteLength);
      yield piece;
    }
    how = 'whole';
  } finally {
    onEnd(how);
  }
}
