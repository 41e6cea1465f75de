import type { KubeObject } from '../cluster/cluster.ts';
import { isMap } from './helm-release.ts';
import { objectsOf, parseTolerantly, readHeads, splitManifest } from './manifest.ts';
import type { HelmRelease } from './record.ts';
import type { ReleaseFacts } from './release-facts.ts';
import type { WantedCrd } from './restore-crds.ts';

/** What one release to be installed has to do with CRDs. */
export interface CrdShare {
  readonly name: string;
  readonly namespace: string;
  readonly facts: ReleaseFacts;
  /** Those that Helm will create with the rest of its manifest. */
  readonly inManifest: ReadonlySet<string>;
  /** Those in the chart's own `crds/` folder, which Helm is told to leave alone. */
  readonly inChart: readonly KubeObject[];
}

/** Reads what a release has to do with CRDs. */
export function readCrdShare(release: HelmRelease, namespace: string, facts: ReleaseFacts): CrdShare {
  const inManifest = splitManifest(release.manifest ?? '')
    .flatMap(({ text }) => readHeads(text))
    .filter(({ kind }) => kind === 'CustomResourceDefinition');
  const files = (release.chart?.files ?? []).filter(({ name }) => /^crds\/.+\.(?:ya?ml|json)$/.test(name));
  const inChart = files
    .flatMap(({ data }) => splitManifest(Buffer.from(data ?? '', 'base64').toString('utf8')))
    .flatMap(({ text }) => objectsOf(parseTolerantly(text)))
    .filter(isCrd);
  return { name: release.name, namespace, facts, inManifest: new Set(inManifest.map(({ name }) => name)), inChart };
}

/**
 * Chooses the CRDs to apply before the first release: those that travelled, as they were in the source cluster, and those
 * that only a chart's `crds/` folder has. One that a release creates itself is left to it; but if that release also
 * uses it, Helm would refuse the manifest as a whole, so it comes first and bears the release's name.
 */
export function chooseCrds(travelled: readonly KubeObject[], shares: readonly CrdShare[]): WantedCrd[] {
  const byName = new Map(shares.flatMap(({ inChart }) => inChart).map((object) => [object.metadata.name, object]));
  for (const object of travelled) byName.set(object.metadata.name, object);
  return [...byName.values()].flatMap((object) => {
    const owner = shares.find(({ inManifest }) => inManifest.has(object.metadata.name));
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
