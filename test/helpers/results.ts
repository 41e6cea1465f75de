import type { RunResult } from '../../src/modes/run.ts';
import type { Plan } from '../../src/plan/plan.ts';
import type { ReleaseResult, ResourceResult } from '../../src/report/results.ts';

/** One row, with what matters to the test put in its place. */
export function releaseResult(changes: Partial<ReleaseResult> = {}): ReleaseResult {
  return {
    name: 'web',
    namespace: 'shop',
    chart: 'web',
    chartVersion: '1.2.3',
    appVersion: '2.0',
    revision: 3,
    revisions: 3,
    status: 'deployed',
    outcome: 'created',
    ...changes,
  };
}

/** One kind, with what matters to the test put in its place. */
export function resourceResult(changes: Partial<ResourceResult> = {}): ResourceResult {
  const none = { exported: 0, created: 0, updated: 0, unchanged: 0, deleted: 0, skipped: 0, failed: 0 };
  return { apiVersion: 'v1', kind: 'ConfigMap', resource: 'configmaps', ...none, ...changes };
}

/** An export of two releases that went well. */
export const exported: RunResult = {
  failed: false,
  summary: { mode: 'export', cluster: 'stage' },
  outputs: {
    snapshot: '26-01-31_12-00-00',
    location: './snapshots/26-01-31_12-00-00.tar.zst',
    digest: 'sha256:abc',
    size: 1536,
    releases: [
      releaseResult({ outcome: 'exported' }),
      releaseResult({ name: 'db', revision: 1, revisions: 1, outcome: 'exported' }),
    ],
  },
};

/** An import in which one release failed and one was skipped because of it. */
export const halfImported: RunResult = {
  failed: true,
  summary: { mode: 'import', cluster: 'prod' },
  outputs: {
    snapshot: '26-01-31_12-00-00',
    location: 's3://backups/26-01-31_12-00-00.tar.zst',
    releases: [
      releaseResult({ name: 'api' }),
      releaseResult({ name: 'db', outcome: 'failed', message: 'failed pre-install:\n1 error | <timeout>' }),
      releaseResult({ name: 'web', outcome: 'skipped', message: 'shop/db, which it needs, failed.' }),
    ],
    counts: { created: 1, updated: 0, unchanged: 0, deleted: 0, skipped: 1, failed: 1 },
    changed: true,
  },
};

/** What mode plan returns of a plan. */
export function planned(plan: Plan, exitCode = false): RunResult {
  return {
    failed: plan.problems.length > 0,
    summary: { mode: 'plan', cluster: plan.target.context, plan, exitCode },
    outputs: {
      snapshot: plan.snapshot.id,
      location: plan.snapshot.location,
      digest: plan.snapshot.digest,
      counts: plan.counts,
      changed: plan.changed,
      'plan-id': plan.id,
      plan,
    },
  };
}
