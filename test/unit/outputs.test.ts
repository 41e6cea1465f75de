import { expect, it } from 'vitest';
import { countOutcomes, formatOutputs, formatOutputsJson, hasChanges } from '../../src/outputs.ts';
import type { Outcome, ReleaseResult, ResourceResult } from '../../src/report/results.ts';

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
  const counts = countOutcomes([release('created'), release('created'), release('failed'), release('exported')]);
  expect(counts).toEqual({ created: 2, updated: 0, unchanged: 0, deleted: 0, skipped: 0, failed: 1 });
});

it('calls a cluster changed only when something in it was made, updated or deleted', () => {
  expect(hasChanges(countOutcomes([release('updated')]))).toBe(true);
  expect(hasChanges(countOutcomes([release('failed'), release('skipped'), release('unchanged')]))).toBe(false);
});

const row: ResourceResult = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  resource: 'configmaps',
  exported: 9,
  created: 3,
  updated: 1,
  unchanged: 2,
  deleted: 0,
  skipped: 4,
  failed: 5,
};

it('counts objects beside releases', () => {
  expect(countOutcomes([release('created')], [row, row])).toEqual({
    created: 7,
    updated: 2,
    unchanged: 4,
    deleted: 0,
    skipped: 8,
    failed: 10,
  });
});

it('gives a workflow no more failures than GitHub takes, and JSON all of them', () => {
  const failures = Array.from({ length: 501 }, (_, index) => ({
    object: `ConfigMap shop/c${index}`,
    outcome: 'failed' as const,
    message: 'no',
  }));
  const [[, text = ''] = []] = formatOutputs({ failures });
  expect(JSON.parse(text)).toHaveLength(500);
  expect(JSON.parse(formatOutputsJson({ failures })).failures).toHaveLength(501);
});
