import type { KubeObject } from '../cluster/cluster.ts';
import type { WantedCrd } from '../crds/restore.ts';
import { isMap } from '../values.ts';
import { objectsOf, parseTolerantly, readHeads, splitManifest } from './manifest.ts';
import type { HelmRelease } from './record.ts';
import type { ReleaseFacts } from './release-facts.ts';

/** What one release to be installed has to do with CRDs. */
export interface CrdShare {
  readonly name: string;
  readonly namespace: string;
  readonly facts: ReleaseFacts;
  /** Those that Helm will create, with its manifest or as hooks. */
  readonly brings: ReadonlySet<string>;
}

/** Reads what a release has to do with CRDs. */
export function readCrdShare(release: HelmRelease, namespace: string, facts: ReleaseFacts, noHooks: boolean): CrdShare {
  const hooks = (release.hooks ?? []).filter(
    ({ events }) => !noHooks && events?.some((event) => /-install$/.test(event)),
  );
  const crds = [release.manifest ?? '', ...hooks.map(({ manifest }) => manifest)]
    .flatMap(splitManifest)
    .flatMap(({ text }) => readHeads(text))
    .filter(({ kind }) => kind === 'CustomResourceDefinition');
  return { name: release.name, namespace, facts, brings: new Set(crds.map(({ name }) => name)) };
}

/**
 * Adds the CRDs in a chart's own `crds/` folder, which Helm is told to leave alone, to those known by name. Those that
 * travelled, as they were in the source cluster, come before; and one that many charts bring is parsed and held once.
 */
export function addChartCrds(known: Map<string, KubeObject>, release: HelmRelease): void {
  for (const { name, data } of release.chart?.files ?? []) {
    if (!/^crds\/.+\.(?:ya?ml|json)$/.test(name)) continue;
    for (const { text } of splitManifest(Buffer.from(data ?? '', 'base64').toString('utf8'))) {
      if (readHeads(text).every((head) => known.has(head.name))) continue;
      for (const crd of objectsOf(parseTolerantly(text)).filter(isCrd)) {
        if (!known.has(crd.metadata.name)) known.set(crd.metadata.name, crd);
      }
    }
  }
}

/**
 * Chooses the CRDs to apply before the first release. One that a release creates itself is left to it; but if that
 * release also uses it, Helm would refuse the manifest as a whole, so it comes first and bears the release's name.
 */
export function chooseCrds(known: Iterable<KubeObject>, shares: readonly CrdShare[]): WantedCrd[] {
  return [...known].flatMap((object) => {
    const owner = shares.find(({ brings }) => brings.has(object.metadata.name));
    if (owner !== undefined && !owner.facts.usedKinds.has(kindOf(object))) return [];
    return [{ object, owner }];
  });
}

/** As the facts have it: `group/Kind`. */
function kindOf({ spec }: KubeObject): string {
  if (!isMap(spec) || !isMap(spec.names)) return '';
  return `${spec.group}/${spec.names.kind}`;
}

function isCrd(value: unknown): value is KubeObject {
  return (
    isMap(value) &&
    value.kind === 'CustomResourceDefinition' &&
    value.apiVersion === 'apiextensions.k8s.io/v1' &&
    isMap(value.metadata) &&
    typeof value.metadata.name === 'string'
  );
}
