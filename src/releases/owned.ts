import type { HelmRelease } from './helm-release.ts';
import { readHeads, splitManifest } from './manifest.ts';

/** An object that a release brings. */
export interface OwnedObject {
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
  /** What the manifest says, else the release's; cluster-scoped objects have one here too. */
  readonly namespace: string;
  readonly name: string;
}

/** What a release has in its manifest and hooks: an import of the release brings it again. */
export function readOwned(release: HelmRelease, releaseNamespace: string): OwnedObject[] {
  return [release.manifest ?? '', ...(release.hooks ?? []).map(({ manifest }) => manifest)]
    .flatMap(splitManifest)
    .flatMap(({ text }) => readHeads(text))
    .filter(({ name }) => name !== '')
    .map(({ apiVersion, kind, name, namespace = releaseNamespace }) => {
      const slash = apiVersion.indexOf('/');
      return { group: slash === -1 ? '' : apiVersion.slice(0, slash), kind, namespace, name };
    });
}
