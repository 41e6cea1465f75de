import { create } from '@bufbuild/protobuf';
import { type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';

/** What Go writes: `2026-01-31T12:00:00.123456789+01:00` */
const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/;
/** From the year 1 to 9999: https://protobuf.dev/reference/protobuf/google.protobuf/#timestamp */
const MIN_SECONDS = -62_135_596_800;
const MAX_SECONDS = 253_402_300_799;

/** A time as Helm stores it; undefined for what is none, which is also Go's zero time. */
export function toTimestamp(text: unknown): Timestamp | undefined {
  const [, toSecond, fraction = '', zone] = (typeof text === 'string' && TIME.exec(text)) || [];
  if (toSecond === undefined || zone === undefined) return undefined;
  const seconds = Date.parse(`${toSecond}${zone}`) / 1000;
  if (!(seconds > MIN_SECONDS && seconds <= MAX_SECONDS)) return undefined;
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: Number(fraction.padEnd(9, '0')) });
}

/** A time as Helm 3 stores it: empty where there is none. */
export function toGoTime(timestamp: Timestamp | undefined): string {
  const seconds = Number(timestamp?.seconds ?? MIN_SECONDS);
  if (timestamp === undefined || seconds <= MIN_SECONDS || seconds > MAX_SECONDS) return '';
  if (timestamp.nanos < 0 || timestamp.nanos > 999_999_999) return '';
  const toSecond = new Date(seconds * 1000).toISOString().slice(0, 19);
  const fraction = String(timestamp.nanos).padStart(9, '0').replace(/0+$/, '');
  return `${toSecond}${fraction === '' ? '' : `.${fraction}`}Z`;
}
