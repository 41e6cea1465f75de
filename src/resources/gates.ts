import { cancelledBy } from '../errors.ts';
import { isKind, type KindId, type Listing, NAMESPACES, SERVICES, VOLUMES } from './list-kinds.ts';

/** What must have been read before what else: the order of {@link planListings} never has a listing wait for a later one. */
export interface Gates {
  /** @throws TransshipError `CANCELLED` when the signal fires first */
  wait(listing: Listing, signal: AbortSignal): Promise<void>;
  /** The listing was read, or can't be. */
  pass(listing: Listing): void;
}

const CLAIMS: KindId = { group: '', plural: 'persistentvolumeclaims' };
const ENDPOINTS: KindId = { group: '', plural: 'endpoints' };

/** Gates for these listings: all wait for namespaces, claims for volumes and endpoints for services. */
export function createGates(listings: readonly Listing[]): Gates {
  const gates = [NAMESPACES, VOLUMES, SERVICES].map((kind) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let left = listings.filter((listing) => isKind(listing.kind, kind)).length;
    if (left === 0) resolve();
    const pass = () => {
      left -= 1;
      if (left === 0) resolve();
    };
    return { kind, opened: promise, pass };
  });
  return {
    wait({ kind }, signal) {
      const before = gates.filter((gate) => waitsFor(kind, gate.kind)).map(({ opened }) => opened);
      return orAborted(Promise.all(before), signal);
    },
    pass({ kind }) {
      gates.find((gate) => isKind(kind, gate.kind))?.pass();
    },
  };
}

function waitsFor(kind: KindId, other: KindId): boolean {
  if (other === NAMESPACES) return !isKind(kind, NAMESPACES);
  return other === VOLUMES ? isKind(kind, CLAIMS) : isKind(kind, ENDPOINTS);
}

function orAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(cancelledBy(signal));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    void work.then(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
  });
}
