import { hash } from 'node:crypto';
import { isMap } from '../values.ts';
import type { HelmRelease } from './helm-release.ts';
import type { ReleaseRecord } from './record.ts';

/** The annotation in a frozen chart's metadata; no original chart has it. */
export const FROZEN_ANNOTATION = 'transship.dev/frozen';

/** Marks an import of a new release that got as far as Helm, but not to its own records. */
const INSTALL = 'install:';

/** What tells one original record from another. */
function digestOf(original: ReleaseRecord): string {
  return hash('sha256', original.json);
}

/** The mark of a frozen chart that brings in a new release. */
export function installMark(original: ReleaseRecord): string {
  return INSTALL + digestOf(original);
}

/** The mark of a frozen chart that upgrades an existing release in place. */
export function upgradeMark(original: ReleaseRecord): string {
  return `upgrade:${digestOf(original)}`;
}

/** A record that is marked as an object: it stands for a history that is not whole yet, where Helm installs nothing. */
export function withMark(original: ReleaseRecord): ReleaseRecord {
  return { ...original, annotations: { ...original.annotations, [FROZEN_ANNOTATION]: installMark(original) } };
}

/** The mark of a release that Helm stored for a frozen chart; undefined for any other. */
export function frozenMark(release: HelmRelease): string | undefined {
  const metadata = release.chart?.metadata;
  const annotations = isMap(metadata) && isMap(metadata.annotations) ? metadata.annotations : {};
  const mark = annotations[FROZEN_ANNOTATION];
  return typeof mark === 'string' ? mark : undefined;
}

/**
 * Whether an import of this release was cut short before its own records were all there: then whatever there is of it is
 * the import's, so that the next one can go on. A revision that somebody has made with Helm since makes it his release.
 */
export function isUnfinished(
  revisions: readonly { readonly frozen: string | undefined; readonly isOurs: boolean }[],
): boolean {
  return (
    revisions.some(({ frozen }) => frozen?.startsWith(INSTALL) === true) &&
    revisions.every(({ frozen, isOurs }) => isOurs || frozen?.startsWith(INSTALL) === true)
  );
}
