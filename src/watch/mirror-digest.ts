import { hash } from 'node:crypto';
import type { KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { isKind, NAMESPACES, SERVICES } from '../resources/list-kinds.ts';
import { whySkipped } from '../resources/rules.ts';
import type { ResourceFilter } from '../resources/selection.ts';
import { stripObject } from '../resources/strip.ts';

/** What of the cluster an export takes, as far as a single object shows it. */
export interface DigestContext {
  readonly withReleases: boolean;
  /** Undefined where plain resources are not exported. */
  readonly filter: ResourceFilter | undefined;
  /** Whether a namespace is exported. */
  readonly includes: (namespace: string) => boolean;
  /** Whether the status of these kinds is exported. */
  readonly keepStatus: (kind: string, group: string) => boolean;
}

/** Bytes of a digest that a number of JavaScript holds exactly. */
const MARK_BYTES = 6;

/** Whether Helm keeps something in an object, or some other tool that wants to look like it. */
export function isMarkedByHelm({ metadata }: KubeObject): boolean {
  return metadata.labels?.owner === 'helm';
}

/**
 * A number that stands for all that an export could have of an object; 0 for nothing. Two that differ may still be exported
 * alike: then an export finds nothing new. What an object tells about others, as Namespaces and Services do, is in its own
 * number.
 *
 * @param object - with its status and managed fields; it is changed
 */
export function markOf(object: KubeObject, kind: ResourceKind, context: DigestContext): number {
  const text = recordText(object, context) + resourceText(object, kind, context);
  if (text === '') return 0;
  // Of a digest that is nothing but zeros nobody has heard.
  return hash('sha1', text, 'buffer').readUIntBE(0, MARK_BYTES);
}

function recordText(object: KubeObject, { withReleases }: DigestContext): string {
  if (!withReleases || !isMarkedByHelm(object)) return '';
  const { labels, annotations } = object.metadata;
  return JSON.stringify([labels, annotations, object.data, object.binaryData]);
}

function resourceText(object: KubeObject, kind: ResourceKind, context: DigestContext): string {
  const { filter, withReleases, includes, keepStatus } = context;
  if (filter === undefined) return '';
  const { name } = object.metadata;
  const isNamespace = isKind(kind, NAMESPACES);
  if (isNamespace && !includes(name)) return '';
  const why = whySkipped(object, {
    withReleases,
    // A Service that comes to have no selector changes itself.
    hasSelectorlessService: () => true,
  });
  // What stays behind is of no interest, unless it tells something about others.
  if (!isNamespace && !isKind(kind, SERVICES)) {
    const isTaken = kind.namespaced ? filter.takes(object, kind.plural) : !filter.excludes(object, kind.plural);
    if (why !== undefined || !isTaken) return '';
  }
  // Whether the volume of a claim travels is told by the volume.
  const stripped = stripObject(object, { keepStatus, hasVolume: () => true });
  return `${why ?? ''}\n${JSON.stringify(stripped)}`;
}
