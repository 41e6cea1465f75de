import { isMap } from '../values.ts';
import type { HelmRelease } from './helm-release.ts';

/** What Helm acts on: it would look for subcharts, refuse the cluster, or warn of what the source knows already. */
const LEFT_OUT = new Set(['dependencies', 'kubeVersion', 'condition', 'tags', 'deprecated', 'type']);
/** What Helm takes for a version: https://github.com/Masterminds/semver/blob/v3.5.0/version.go, without its leniency. */
const VERSION = /^v?\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

/** The `Chart.yaml` of a frozen chart: the stored metadata without what would stop Helm. */
export function frozenMetadata(
  release: HelmRelease,
  name: string,
  annotations: Readonly<Record<string, string>>,
): Record<string, unknown> {
  const stored = isMap(release.chart?.metadata) ? release.chart.metadata : {};
  const kept = Object.entries(stored).filter(([field]) => !LEFT_OUT.has(field));
  const { version } = stored;
  return {
    ...Object.fromEntries(kept),
    ...(Array.isArray(stored.maintainers) ? { maintainers: stored.maintainers.filter(isMap) } : {}),
    annotations: { ...(isMap(stored.annotations) ? stored.annotations : {}), ...annotations },
    apiVersion: 'v2',
    name,
    version: typeof version === 'string' && VERSION.test(version) ? version : '0.0.0',
  };
}

/** The `Chart.yaml` of a subchart of which nothing but its templates is known. */
export function stubMetadata(name: string): Record<string, unknown> {
  return { apiVersion: 'v2', name, version: '0.0.0' };
}

/**
 * JSON that is YAML for Go too: what a YAML file may not hold, or takes for a line break, is escaped.
 * https://yaml.org/spec/1.1/#id868518
 */
export function toYaml(value: unknown): string {
  const json = JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `${json}\n`;
}
