/**
 * What goes wrong with a request. Where bytes are counted, they are those of the body that carries the disk: of the
 * answer, or of the request where that is a POST.
 */
export type Fault =
  /** A TCP reset, before any answer or once so many bytes have gone; what was on its way may be lost with it. */
  | { readonly kind: 'reset'; readonly after?: number }
  /** The connection ends in order, but in the middle of the body. */
  | { readonly kind: 'close'; readonly after: number }
  /** Nothing comes any more, and nothing is read; before any answer, or after so many bytes. */
  | { readonly kind: 'stall'; readonly after?: number }
  /** The body of the answer has only so many bytes, and says that it is whole. */
  | { readonly kind: 'short'; readonly length: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** One byte is another one. */
  | { readonly kind: 'corrupt'; readonly at: number }
  /** From this byte of the volume on, the server itself cannot read it. */
  | { readonly kind: 'read-error'; readonly after: number }
  /** A Range request is answered with the whole. */
  | { readonly kind: 'ignore-range' }
  /** The answer says that the volume has another size. */
  | { readonly kind: 'wrong-total'; readonly total: number }
  /** Something else answers. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** The request is carried out, and the connection is reset before the answer. */
  | { readonly kind: 'lose-answer' }
  /** Nothing goes wrong: only {@link FaultRule.onHit} is called after so many bytes. */
  | { readonly kind: 'none'; readonly after?: number };

/** What a rule looks at. */
export interface FaultyRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** Which requests go wrong, and how. */
export interface FaultRule {
  readonly method?: string;
  /** A part of the path, or a pattern. */
  readonly path?: string | RegExp;
  readonly when?: (request: FaultyRequest) => boolean;
  /** Requests that match but pass first; default 0. */
  readonly skip?: number;
  /** How many requests go wrong; default 1. */
  readonly times?: number;
  /** A fault, or what decides about one for each request that matches. */
  readonly fault: Fault | ((request: FaultyRequest) => Fault | undefined);
  /** Called when it goes wrong, before the connection is broken: to rotate a certificate, to delete a pod. */
  readonly onHit?: () => void | Promise<void>;
}

/** A fault that was chosen for a request. */
export interface ChosenFault {
  readonly fault: Fault;
  readonly onHit: (() => void | Promise<void>) | undefined;
}

/** The rules of one server. */
export interface Faults {
  /** Adds a rule; of several that match, the one added first decides. */
  add(rule: FaultRule): { readonly hits: () => number };
  clear(): void;
  choose(request: FaultyRequest): ChosenFault | undefined;
}

export function createFaults(): Faults {
  let rules: { readonly rule: FaultRule; seen: number; hits: number }[] = [];
  return {
    add(rule) {
      const entry = { rule, seen: 0, hits: 0 };
      rules.push(entry);
      return { hits: () => entry.hits };
    },
    clear() {
      rules = [];
    },
    choose(request) {
      for (const entry of rules) {
        const { rule } = entry;
        if (entry.hits >= (rule.times ?? 1) || !isMeant(rule, request)) continue;
        entry.seen += 1;
        if (entry.seen <= (rule.skip ?? 0)) continue;
        const fault = typeof rule.fault === 'function' ? rule.fault(request) : rule.fault;
        if (fault === undefined) continue;
        entry.hits += 1;
        return { fault, onHit: rule.onHit };
      }
      return undefined;
    },
  };
}

/**
 * A rule that resets the connection at given bytes of a volume, whichever Range request they are read with, each once.
 *
 * @param offsets - bytes from the start of the volume
 */
export function cutAt(path: string | RegExp, offsets: readonly number[]): FaultRule {
  const left = new Set(offsets);
  return {
    method: 'GET',
    path,
    times: offsets.length,
    fault(request) {
      const [start, end] = rangeOf(request);
      const next = [...left].sort((a, b) => a - b).find((offset) => offset >= start && offset < end);
      if (next === undefined) return undefined;
      left.delete(next);
      return { kind: 'reset', after: next - start };
    },
  };
}

/** First byte, and the one after the last, that a request asks for. */
function rangeOf({ headers }: FaultyRequest): [number, number] {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  if (first === undefined) return [0, Number.POSITIVE_INFINITY];
  return [Number(first), last === undefined || last === '' ? Number.POSITIVE_INFINITY : Number(last) + 1];
}

function isMeant({ method, path, when }: FaultRule, request: FaultyRequest): boolean {
  if (method !== undefined && method !== request.method) return false;
  if (typeof path === 'string' && !request.path.includes(path)) return false;
  if (path instanceof RegExp && !path.test(request.path)) return false;
  return when?.(request) ?? true;
}
