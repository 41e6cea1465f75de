import { hash } from 'node:crypto';
import { type HelmRelease, isMap } from './helm-release.ts';
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

/** The mark of a release that Helm stored for a frozen chart; undefined for any other. */
export function frozenMark(release: HelmRelease): string | undefined {
  const metadata = release.chart?.metadata;
  const annotations = isMap(metadata) && isMap(metadata.annotations) ? metadata.annotations : {};
  const mark = annotations[FROZEN_ANNOTATION];
  return typeof mark === 'string' ? mark : undefined;
}

/**
 * Whether an import of this release was cut short before its own records were all there: whatever there is of it is the
 * import's, so that the next one can go on, and must not take it for somebody's release.
 */
export function isUnfinished(revisions: readonly { readonly frozen: string | undefined }[]): boolean {
  return revisions.some(({ frozen }) => frozen?.startsWith(INSTALL) === true);
}
