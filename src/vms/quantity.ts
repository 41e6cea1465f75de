const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

/**
 * An amount of storage in bytes, rounded up as Kubernetes does: `10Gi`, `1.5e9`, `500M`, `128974848000m`. Undefined for
 * what is none. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */
export function bytesOf(quantity: unknown): number | undefined {
  const text = typeof quantity === 'number' ? String(quantity) : quantity;
  if (typeof text !== 'string') return undefined;
  const match = /^\+?(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,2})|(m|k|[KMGTPE]i?)?)$/.exec(text.trim());
  if (match === null) return undefined;
  const [, digits = '', exponent = '0', suffix = ''] = match;
  const [whole = '', fraction = ''] = digits.split('.');
  const power = Number(exponent) - fraction.length - (suffix === 'm' ? 3 : 0);
  const unit = suffix.endsWith('i') ? 1024n ** position(BINARY, suffix) : 1000n ** position(DECIMAL, suffix);
  // In whole numbers: a disk may have more bytes than a double's fraction can hold.
  const above = BigInt(whole + fraction) * unit * 10n ** BigInt(Math.max(0, power));
  const below = 10n ** BigInt(Math.max(0, -power));
  return Number((above + below - 1n) / below);
}

function position(units: readonly string[], suffix: string): bigint {
  return BigInt(Math.max(0, units.indexOf(suffix)));
}
