const NANO = 1_000_000_000n;
const UNITS: Readonly<Record<string, bigint>> = {
  n: 1n,
  u: 1000n,
  m: 1_000_000n,
  '': NANO,
  k: NANO * 10n ** 3n,
  M: NANO * 10n ** 6n,
  G: NANO * 10n ** 9n,
  T: NANO * 10n ** 12n,
  P: NANO * 10n ** 15n,
  E: NANO * 10n ** 18n,
  Ki: NANO * 2n ** 10n,
  Mi: NANO * 2n ** 20n,
  Gi: NANO * 2n ** 30n,
  Ti: NANO * 2n ** 40n,
  Pi: NANO * 2n ** 50n,
  Ei: NANO * 2n ** 60n,
};
const BINARY = ['Ei', 'Pi', 'Ti', 'Gi', 'Mi', 'Ki'];
/** More is nothing that anyone writes, and would take for ever to work out. */
const MOST_EXPONENT = 30;

/** An amount of a resource in billionths, exactly: what Kubernetes rounds to. */
export type Amount = bigint;

/** As an {@link Amount}, that many. */
export function amountOf(count: number): Amount {
  return BigInt(Math.max(0, Math.trunc(count))) * NANO;
}

/** How many an {@link Amount} is, rounded up as Kubernetes does. */
export function countOf(amount: Amount): number {
  return Number((amount + NANO - 1n) / NANO);
}

/**
 * Reads a quantity such as `100m`, `1.5Gi` or `1e3`; what is finer than a billionth is rounded up. Undefined for anything else.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */
export function parseQuantity(value: unknown): Amount | undefined {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string') return undefined;
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i)?)$/.exec(text.trim());
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = '', exponent = '0', suffix = ''] = match;
  const power = Number(exponent);
  if (whole + fraction === '' || Math.abs(power) > MOST_EXPONENT) return undefined;
  const unit = UNITS[suffix] ?? NANO;
  const above = BigInt(whole + fraction) * unit * 10n ** BigInt(Math.max(0, power));
  const below = 10n ** BigInt(fraction.length + Math.max(0, -power));
  const amount = (above + below - 1n) / below;
  return sign === '-' ? -amount : amount;
}

/** As people write it: bytes in powers of 1024, fractions of anything else in thousandths. */
export function formatQuantity(amount: Amount, isBytes: boolean): string {
  if (amount <= 0n) return '0';
  if (isBytes) {
    for (const unit of BINARY) {
      const size = UNITS[unit] ?? NANO;
      if (amount >= size) return `${trimmed((amount * 100n) / size)}${unit}`;
    }
  }
  return amount % NANO === 0n ? String(amount / NANO) : `${(amount + 999_999n) / 1_000_000n}m`;
}

/** Hundredths without zeros at the end. */
function trimmed(hundredths: bigint): string {
  return String(Number(hundredths) / 100);
}
