import { type Answer, encoded, noRanges, refusal } from './disk-errors.ts';
import type { VmHttp, VmResponse, VmTarget } from './http.ts';
import { formatRange, parseContentRange } from './range-plan.ts';

/** Bytes of a refusal that are read. */
const TOLD = 1024;

/**
 * The size of a disk in bytes. Where HEAD is not served, or hides the size, one byte is asked for.
 *
 * @throws DiskTryFailed
 * @throws TransshipError `CLUSTER` when it can only be read as a whole
 */
export async function measureDisk(volume: string, http: VmHttp, target: VmTarget): Promise<number> {
  const headers = { ...target.headers, 'accept-encoding': 'identity' };
  const head = await http.request({ ...target, method: 'HEAD', headers });
  await head.text(0);
  const length = head.headers['content-length'] ?? '';
  if (head.status === 200 && /^\d{1,15}$/.test(length) && !isEncoded(head)) return Number(length);
  const isSilent = head.status === 200 || head.status === 400 || head.status === 405 || head.status === 501;
  if (!isSilent) throw refusal(head, target.url, '');

  const range = formatRange({ start: 0, end: 1 });
  const probe = await http.request({ ...target, method: 'GET', headers: { ...headers, range } });
  const said = await probe.text(TOLD);
  if (probe.status === 200) throw noRanges(volume, target.url);
  if (isEncoded(probe)) throw encoded(volume, target.url, probe.headers['content-encoding'] ?? '');
  const found = parseContentRange(probe.headers['content-range']);
  // An empty disk has no first byte: 416 with `bytes */0`.
  if (found !== undefined && (probe.status === 206 || probe.status === 416)) return found.size;
  throw refusal(probe, target.url, said);
}

function isEncoded({ headers }: Answer | VmResponse): boolean {
  return (headers['content-encoding'] ?? 'identity') !== 'identity';
}
