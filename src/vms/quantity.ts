import { countOf, parseQuantity } from '../preflight/quantity.ts';

/** An amount of storage in bytes, rounded up as Kubernetes does: `10Gi`, `1.5e9`, `500M`. Undefined for what is none. */
export function bytesOf(quantity: unknown): number | undefined {
  const amount = parseQuantity(quantity);
  return amount === undefined || amount < 0n ? undefined : countOf(amount);
}
