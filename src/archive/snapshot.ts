import * as z from 'zod/mini';
import { messageOf, TransshipError } from '../errors.ts';
import { damaged } from './damage.ts';
import { type Entry, entryOf } from './entry.ts';

/** The first file of an archive: what the snapshot is. */
export const SNAPSHOT_PATH = '_snapshot.json';

/** Raised only when an older Transship would read an archive wrongly; what it may ignore is added without. */
const FORMAT_VERSION = 1;

const snapshotSchema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  id: z.string().check(z.refine((id) => parseSnapshotId(id) !== undefined, 'is no id: YY-MM-DD_HH-MM-SS')),
  created: z.pipe(
    z.iso.datetime(),
    z.transform((text) => new Date(text)),
  ),
  tool: z.object({ name: z.string(), version: z.string() }),
  cluster: z.object({ uid: z.optional(z.string()), version: z.string(), context: z.string() }),
  scope: z.object({
    namespaces: z.array(z.string()),
    include: z.array(z.string()),
    selector: z.optional(z.string()),
    exclude: z.optional(z.array(z.string())),
    history: z.union([z.literal('all'), z.int().check(z.positive())]),
  }),
  manager: z.optional(
    z.object({ cluster: z.optional(z.string()), namespace: z.string(), release: z.string(), path: z.string() }),
  ),
  kinds: z.optional(
    z.array(
      z.object({
        group: z.string(),
        version: z.string(),
        kind: z.string(),
        plural: z.string(),
        singular: z.optional(z.string()),
        shortNames: z.optional(z.array(z.string())),
        namespaced: z.boolean(),
        versions: z.array(z.string()),
      }),
    ),
  ),
});

/** A kind of object that the source served when it was exported. */
export interface SnapshotKind {
  /** Empty for the core group. */
  readonly group: string;
  /** The version the objects are in: the one the source preferred. */
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  /** Other names that people may use for it. */
  readonly singular?: string | undefined;
  readonly shortNames?: readonly string[] | undefined;
  readonly namespaced: boolean;
  /** Every version the source served it in. */
  readonly versions: readonly string[];
}

/** Who keeps the stored state of a place up to date: a release of Transship in a cluster. */
export interface Manager {
  /** The uid of the namespace kube-system; absent where it may not be read. */
  readonly cluster?: string | undefined;
  readonly namespace: string;
  /** The name of its Helm release. */
  readonly release: string;
  /** Where it writes to: `s3://bucket/prefix` without a slash at the end, or an absolute path. */
  readonly path: string;
}

/** What `_snapshot.json` says: where an archive comes from and what it was asked to hold. */
export interface Snapshot {
  /** `YY-MM-DD_HH-MM-SS`, UTC. */
  readonly id: string;
  readonly created: Date;
  /** What wrote it. */
  readonly tool: { readonly name: string; readonly version: string };
  readonly cluster: {
    /** The uid of the namespace kube-system; absent where it may not be read. */
    readonly uid?: string | undefined;
    /** Of the API server, such as `v1.35.4`. */
    readonly version: string;
    readonly context: string;
  };
  readonly scope: {
    /** Names and globs as they were asked for. */
    readonly namespaces: readonly string[];
    /** `releases`, `resources`, `vms` */
    readonly include: readonly string[];
    readonly selector?: string | undefined;
    readonly exclude?: readonly string[] | undefined;
    /** How many revisions of each release. */
    readonly history: 'all' | number;
  };
  /** What wrote it, where that keeps writing there: an import does not bring it in again. */
  readonly manager?: Manager | undefined;
  /** What the source served; there when the snapshot holds resources. */
  readonly kinds?: readonly SnapshotKind[] | undefined;
}

/** A snapshot's entry; the first of an archive. */
export function snapshotEntry({ id, created, tool, cluster, scope, manager, kinds }: Snapshot): Entry {
  const json = { formatVersion: FORMAT_VERSION, id, created: created.toISOString(), tool, cluster, scope, manager };
  const text = JSON.stringify(json, undefined, 2);
  if (kinds === undefined) return entryOf(SNAPSHOT_PATH, `${text}\n`);
  // A kind a line: there are hundreds, and few will look.
  const lines = kinds.map((kind) => `    ${JSON.stringify(kind)}`);
  return entryOf(SNAPSHOT_PATH, `${text.slice(0, -2)},\n  "kinds": [\n${lines.join(',\n')}\n  ]\n}\n`);
}

/**
 * Reads `_snapshot.json`. Fields that are not known are ignored.
 *
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` for a newer format, naming the version of Transship that wrote it
 * @throws TransshipError `ARCHIVE_DAMAGED` naming what is wrong
 */
export function parseSnapshot(content: string | Uint8Array): Snapshot {
  let json: unknown;
  try {
    json = JSON.parse(
      typeof content === 'string' ? content : new TextDecoder('utf-8', { fatal: true }).decode(content),
    );
  } catch (error) {
    throw damaged(`${SNAPSHOT_PATH} is no JSON: ${messageOf(error)}.`, error);
  }
  refuseNewer(json);
  const parsed = snapshotSchema.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`);
    throw damaged(`${SNAPSHOT_PATH} is not as Transship writes it: ${problems.join('; ')}.`, parsed.error);
  }
  const { formatVersion: _formatVersion, ...snapshot } = parsed.data;
  return snapshot;
}

function refuseNewer(json: unknown): void {
  const version = z.object({ formatVersion: z.int().check(z.minimum(FORMAT_VERSION + 1)) }).safeParse(json);
  if (!version.success) return;
  const tool = z.object({ tool: z.object({ version: z.string() }) }).safeParse(json);
  const writer = tool.success ? `Transship ${tool.data.tool.version}, which wrote it,` : 'the Transship that wrote it';
  throw new TransshipError(
    'ARCHIVE_UNSUPPORTED',
    `The archive has format version ${version.data.formatVersion}; this Transship reads version ${FORMAT_VERSION}.`,
    { hint: `Use ${writer} or a newer one.` },
  );
}

/** The id of a snapshot made at that time: `YY-MM-DD_HH-MM-SS`, UTC. Sorts by time. */
export function snapshotId(date: Date): string {
  return date.toISOString().slice(2, 19).replace('T', '_').replaceAll(':', '-');
}

/** The time that an id stands for; undefined for a text that is no id. */
export function parseSnapshotId(id: string): Date | undefined {
  const match = /^(\d\d-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)$/.exec(id);
  if (match === null) return undefined;
  const [, day, hour, minute, second] = match;
  const date = new Date(`20${day}T${hour}:${minute}:${second}Z`);
  // 31 February would become a day in March.
  return !Number.isNaN(date.getTime()) && snapshotId(date) === id ? date : undefined;
}
