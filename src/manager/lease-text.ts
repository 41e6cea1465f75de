import * as z from 'zod/mini';
import type { Manager } from '../archive/snapshot.ts';
import { nameManager } from './identity.ts';

/** The process that keeps a lease. */
export interface Holder {
  /** No other process has it. */
  readonly id: string;
  /** The name of its pod or machine. */
  readonly host: string;
  readonly pid: number;
}

/** What a lease says. Its times are for people: nothing compares the clocks of two machines. */
export interface LeaseText {
  readonly manager: Manager;
  readonly holder: Holder;
  readonly acquired: Date;
  readonly renewed: Date;
  /** Makes each text another one, also where the clock stands still. */
  readonly renewals: number;
  /** Milliseconds that it lasts after it was renewed. */
  readonly duration: number;
  /** There when it was given back. */
  readonly released?: Date | undefined;
}

const time = z.pipe(
  z.iso.datetime(),
  z.transform((text) => new Date(text)),
);

const schema = z.object({
  manager: z.object({
    cluster: z.optional(z.string()),
    namespace: z.string(),
    release: z.string(),
    path: z.string(),
  }),
  holder: z.object({ id: z.string(), host: z.string(), pid: z.int() }),
  acquired: time,
  renewed: time,
  renewals: z.int(),
  durationSeconds: z.number().check(z.positive()),
  released: z.optional(time),
});

/** A lease as it is stored. */
export function formatLease({ manager, holder, acquired, renewed, renewals, duration, released }: LeaseText): string {
  const { cluster, namespace, release, path } = manager;
  const json = {
    formatVersion: 1,
    manager: { cluster, namespace, release, path },
    holder: { id: holder.id, host: holder.host, pid: holder.pid },
    acquired: acquired.toISOString(),
    renewed: renewed.toISOString(),
    renewals,
    durationSeconds: duration / 1000,
    released: released?.toISOString(),
  };
  return `${JSON.stringify(json, undefined, 2)}\n`;
}

/** Reads a stored lease; undefined for what can't be read, which may be one all the same. */
export function parseLease(text: string): LeaseText | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) return undefined;
  const { durationSeconds, ...lease } = parsed.data;
  return { ...lease, duration: durationSeconds * 1000 };
}

/** `release transship in namespace ops of cluster 6c1f…, on transship-7d4b9c, since 2026-01-31 12:00:00 UTC`. */
export function describeLease(lease: LeaseText | undefined): string {
  if (lease === undefined) return 'somebody whose lease this Transship can not read';
  const { manager, holder, acquired } = lease;
  return `${nameManager(manager)}, on ${holder.host}, since ${acquired.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** Whether a lease that was written so long ago still counts. Of one that can't be read that is not known. */
export function isLive(text: string, age: number, duration: number): boolean {
  const lease = parseLease(text);
  return lease?.released === undefined && age <= (lease?.duration ?? duration);
}
