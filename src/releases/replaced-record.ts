import { isMap } from '../values.ts';
import type { HelmHook, HelmRelease } from './helm-release.ts';
import { spliceJson } from './json-splice.ts';
import { parseRelease, type ReleaseRecord } from './record.ts';

/**
 * The record of a release that was upgraded in place with a frozen chart: the original's chart, values, manifest and
 * hooks under the revision, times and status that Helm gave it here, and a description that says where it came from.
 *
 * @param written - the record Helm wrote for the frozen chart
 * @param original - the record that the frozen chart was made of
 * @param origin - such as `shop/web revision 3, snapshot 26-01-31_12-00-00 of stage`
 * @param ranBefore - hooks that Helm ran for this revision before it was killed, and not again
 */
export function replacedRecord(
  written: ReleaseRecord,
  original: ReleaseRecord,
  origin: string,
  ranBefore: readonly HelmHook[] = [],
): ReleaseRecord {
  const { info, hooks } = parseRelease(written);
  const description = `${info.description ?? 'Upgrade complete'} (from ${origin})`;
  const json = spliceJson(original.json, [
    { path: ['version'], json: String(written.revision) },
    { path: ['info'], json: JSON.stringify({ ...info, description }) },
    ...lastRuns(parseRelease(original), [...(hooks ?? []), ...ranBefore]),
  ]);
  return { ...written, labels: { ...written.labels, ...userLabels(original) }, json };
}

/** When each hook last ran is a fact of this cluster; Helm's record of it knows the same hooks in the same order. */
function lastRuns(original: HelmRelease, written: readonly HelmHook[]) {
  return (original.hooks ?? []).flatMap((hook, index) => {
    const same = written.find(({ path, name, kind }) => path === hook.path && name === hook.name && kind === hook.kind);
    const lastRun: unknown = isMap(same) ? same.last_run : undefined;
    return lastRun === undefined ? [] : [{ path: ['hooks', index, 'last_run'], json: JSON.stringify(lastRun) }];
  });
}

/** https://github.com/helm/helm/blob/v4.3.1/pkg/storage/driver/util.go: the labels that are Helm's own. */
const HELM_LABELS = new Set(['name', 'owner', 'status', 'version', 'createdAt', 'modifiedAt']);

function userLabels({ labels }: ReleaseRecord): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !HELM_LABELS.has(key)));
}
