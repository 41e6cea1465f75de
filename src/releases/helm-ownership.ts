import type { KubeObject } from '../cluster/cluster.ts';

const MANAGED_BY = 'app.kubernetes.io/managed-by';
const RELEASE_NAME = 'meta.helm.sh/release-name';
const RELEASE_NAMESPACE = 'meta.helm.sh/release-namespace';

/**
 * Why Helm would not take an object over for a release: the marks it lacks, or that are of another. Empty for one it
 * takes. https://github.com/helm/helm/blob/v4.3.1/pkg/action/validate.go (checkOwnership)
 */
export function foreignMarks(
  { metadata: { labels = {}, annotations = {} } }: KubeObject,
  { name, namespace = '' }: { readonly name: string; readonly namespace?: string | undefined },
): string[] {
  const marks = [
    ['label', MANAGED_BY, labels[MANAGED_BY], 'Helm'],
    ['annotation', RELEASE_NAME, annotations[RELEASE_NAME], name],
    ['annotation', RELEASE_NAMESPACE, annotations[RELEASE_NAMESPACE], namespace],
  ];
  return marks
    .filter(([, , actual, wanted]) => actual !== wanted)
    .map(([what, key, actual]) => `${what} ${key} is ${actual === undefined ? 'missing' : JSON.stringify(actual)}`);
}

/** Whether an object bears the marks of a release. */
export function isOfRelease(
  live: KubeObject,
  release: { readonly name: string; readonly namespace?: string | undefined },
) {
  return foreignMarks(live, release).length === 0;
}
