import { expect, it } from 'vitest';
import { countReleases, formatOutputs, formatOutputsJson, hasChanges } from '../../src/outputs.ts';
import type { Outcome, ReleaseResult } from '../../src/report/results.ts';

function release(outcome: Outcome): ReleaseResult {
  return {
    name: 'web',
    namespace: 'shop',
    chart: 'web',
    chartVersion: '1.0.0',
    appVersion: '2.0',
    revision: 3,
    revisions: 3,
    status: 'deployed',
    outcome,
  };
}

it('gives a workflow texts, structures as JSON on one line, and leaves out what there is not', () => {
  expect(
    formatOutputs({ changed: false, releases: [], size: 12, snapshot: '26-01-31_12-00-00', digest: undefined }),
  ).toEqual([
    ['snapshot', '26-01-31_12-00-00'],
    ['size', '12'],
    ['releases', '[]'],
    ['changed', 'false'],
  ]);
});

it('prints the same object as JSON in a fixed order', () => {
  expect(formatOutputsJson({ size: 12, location: './x', snapshot: '26-01-31_12-00-00' })).toBe(
    '{\n  "snapshot": "26-01-31_12-00-00",\n  "location": "./x",\n  "size": 12\n}\n',
  );
});

it('counts what became of releases', () => {
  const counts = countReleases([release('created'), release('created'), release('failed'), release('exported')]);
  expect(counts).toEqual({ created: 2, updated: 0, unchanged: 0, deleted: 0, skipped: 0, failed: 1 });
});

it('calls a cluster changed only when something in it was made, updated or deleted', () => {
  expect(hasChanges(countReleases([release('updated')]))).toBe(true);
  expect(hasChanges(countReleases([release('failed'), release('skipped'), release('unchanged')]))).toBe(false);
});
