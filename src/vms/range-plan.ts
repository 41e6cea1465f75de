/** Bytes of a disk, `end` not among them. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Cuts what is left of a disk into ranges, in order. Lazily: a disk of 64 TiB has millions. */
export function* planRanges(from: number, size: number, rangeBytes: number): Generator<ByteRange> {
  for (let start = from; start < size; start += rangeBytes) {
    yield { start, end: Math.min(start + rangeBytes, size) };
  }
}

/** The value of a `Range` header. */
export function formatRange({ start, end }: ByteRange): string {
  return `bytes=${start}-${end - 1}`;
}

/**
 * Reads a `Content-Range`: https://www.rfc-editor.org/rfc/rfc9110#name-content-range
 *
 * @returns `range` undefined for that of a 416; undefined for anything that does not say the size of the whole
 */
export function parseContentRange(
  header: string | undefined,
): { readonly range: ByteRange | undefined; readonly size: number } | undefined {
  const [, first, last, size] = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15})$/i.exec(header?.trim() ?? '') ?? [];
  if (size === undefined) return undefined;
  const range = first === undefined ? undefined : { start: Number(first), end: Number(last) + 1 };
  if (range !== undefined && (range.end <= range.start || range.end > Number(size))) return undefined;
  return { range, size: Number(size) };
}
