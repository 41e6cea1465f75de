declare global {
  // Node 24 has them; TypeScript's library does not yet: https://github.com/tc39/proposal-json-parse-with-source
  interface JSON {
    parse<T>(text: string, reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown): T;
    /** A value that `stringify` writes as it is. */
    rawJSON(text: string): object;
    isRawJSON(value: unknown): value is { readonly rawJSON: string };
  }
}

/** So many digits may be more than a number of JavaScript holds exactly. */
const MANY_DIGITS = 16;
const NUMBER_WITH_MANY_DIGITS = /[:[,]\s*-?\d{16}/;

/**
 * Parses JSON in UTF-8. Integers that JavaScript would round (int64 beyond 2^53) stay as they are: as `JSON.rawJSON`, which
 * `JSON.stringify` writes again digit by digit.
 *
 * @param text - what `bytes` says, or a part of it
 * @throws SyntaxError
 */
export function parseJson(text: string, bytes: Uint8Array): unknown {
  return hasManyDigits(bytes) ? parseExactly(text) : JSON.parse(text);
}

/**
 * Whether there are so many digits in a row that a number might be rounded. Of every run of sixteen bytes one is at a
 * place that is looked at: a tenth of the time that a pattern takes.
 */
export function hasManyDigits(bytes: Uint8Array): boolean {
  for (let at = MANY_DIGITS - 1; at < bytes.byteLength; at += MANY_DIGITS) {
    if (!isDigit(bytes[at])) continue;
    let start = at;
    while (isDigit(bytes[start - 1])) start -= 1;
    let end = at + 1;
    while (isDigit(bytes[end])) end += 1;
    if (end - start >= MANY_DIGITS) return true;
  }
  return false;
}

/** {@link parseJson} where there may be large numbers; several times slower where there are. */
export function parseExactly<T = unknown>(text: string): T {
  if (!NUMBER_WITH_MANY_DIGITS.test(text)) return JSON.parse(text);
  return JSON.parse<T>(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && Number.isInteger(value) && !Number.isSafeInteger(value)
      ? JSON.rawJSON(source)
      : value,
  );
}

/** A deep copy of a parsed value; `structuredClone` does not know exact numbers. */
export function cloneJson<T>(value: T): T;
export function cloneJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => cloneJson(item));
  if (typeof value !== 'object' || value === null || JSON.isRawJSON(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, cloneJson(item)]));
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}
