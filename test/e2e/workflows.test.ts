import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { REPOSITORY, type WorkflowRun } from './act.ts';
import { type PromotionBed, RUN_ID, secretsOf, shop, startPromotionBed } from './act-bed.ts';
import type { Helm } from './helm.ts';
import { script } from './script.ts';

const ID = /^\d\d-\d\d-\d\d_\d\d-\d\d-\d\d$/;
const PLAN_ID = /^\d\d-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{32}$/;
const JOBS = ['export', 'plan', 'import'];
const PULL_REQUEST = { inputs: { 'pull-request': '7' } };

let bed: PromotionBed;

beforeAll(async () => {
  bed = await startPromotionBed();
});

afterAll(() => bed?.close());

describe('examples/promote-with-approval', () => {
  let run: WorkflowRun;
  let gh: FakeGh;

  beforeAll(async () => {
    gh = await fakeGh();
    run = await bed.promote({ payload: PULL_REQUEST, programs: gh.programs });
  });

  it('succeeds with no more rights than its folder grants', () => {
    expect(run.succeeded, run.log).toBe(true);
    expect(run.jobs).toEqual({ export: 'success', plan: 'success', import: 'success' });
  });

  it('plans as a user who may read and dry-run, and change nothing', async () => {
    const asPlanner = ['--context', 'prod-planner', '--namespace', 'prod'];
    const create = ['create', 'configmap', 'by-the-planner'];
    await expect(bed.prod.kubectl([...create, ...asPlanner])).rejects.toThrow('This user may only plan.');
    await expect(bed.prod.kubectl(['delete', 'secrets', '--all', ...asPlanner])).rejects.toThrow('may only plan');
    await expect(bed.prod.kubectl(['create', 'token', 'default', ...asPlanner])).rejects.toThrow('may only plan');
    expect(await bed.prod.kubectl([...create, '--dry-run=server', ...asPlanner])).toContain('created (server dry run)');
  });

  it('stores the snapshot as one artifact under the name and for the days it says, and the plan as another', () => {
    const { snapshot, digest, size, 'artifact-id': id } = run.outputs('export');
    const [artifact, plan, ...others] = bed.service.artifacts();
    expect(others).toEqual([]);
    expect(snapshot).toMatch(ID);
    expect(artifact).toMatchObject({ id: Number(id), runId: RUN_ID, finalized: true, digest, size: Number(size) });
    expect(artifact?.name).toBe(`stage-${snapshot}.tar.zst`);
    expect(daysUntil(artifact?.expiresAt)).toBe(7);
    expect(plan?.name).toBe(`stage-plan-${run.outputs('plan')['plan-id']}.json`);
  });

  it('gives the plan and the import the snapshot and the digest of the export, and the import the plan', () => {
    const { snapshot, digest } = run.outputs('export');
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(run.outputs('plan')).toMatchObject({ snapshot, digest, changed: 'true' });
    expect(run.outputs('plan')['plan-id']).toMatch(PLAN_ID);
    expect(JSON.parse(run.outputs('plan').counts ?? '')).toMatchObject({ created: 1, failed: 0 });
    expect(run.outputs('import')).toMatchObject({ snapshot, digest, changed: 'true' });
  });

  it('shows reviewers in the summary of the plan what will come', () => {
    const summary = run.summary('plan');
    expect(summary).toContain(`<code>${run.outputs('plan')['plan-id']}</code>`);
    expect(summary).toContain('Plan: 1 to create');
    expect(summary).toContain('prod/shop');
    expect(summary).toContain('carries 3 revisions');
    expect(summary).toContain('hook that runs: pre-install Job prod/shop-migrate');
    expect(summary).toContain('+ Deployment prod/shop-cache');
  });

  it('comments the same on the pull request', async () => {
    const { args, environment, body } = await gh.seen();
    expect(args).toEqual(['pr', 'comment', '7', '--body-file', expect.stringMatching(/\/plan\.md$/)]);
    expect(environment).toEqual([REPOSITORY, 'ghs_unused']);
    expect(body).toBe(run.summary('plan'));
  });

  it('brings the release to PROD with its whole history', async () => {
    const history = await historyOf(bed.prodHelm, 'prod');
    expect(history.map(({ revision, status }) => [revision, status])).toEqual([
      [1, 'superseded'],
      [2, 'superseded'],
      [3, 'deployed'],
    ]);
    expect(history).toEqual(await historyOf(bed.stageHelm, 'stage'));
    expect(await valuesOf(bed.prodHelm, 'prod')).toBe(await valuesOf(bed.stageHelm, 'stage'));
  });

  it('runs on PROD what ran on STAGE', async () => {
    const deployment = ['get', 'deployment', 'shop', '--namespace', 'prod', '--output', 'jsonpath={.status}'];
    expect(JSON.parse(await bed.prod.kubectl(deployment))).toMatchObject({ readyReplicas: 3, updatedReplicas: 3 });
  });

  it('shows a table of the releases in the summary of each job', () => {
    const columns = '| Release | Namespace | Chart | Version | App version | Revision | Result |';
    const summaries = [run.summary('export'), run.summary('import')];
    expect(summaries[0]).toContain('### ✅ Exported 1 release from stage-exporter');
    expect(summaries[0]).toContain(columns);
    expect(summaries[0]).toContain('| shop | stage | shop | 1.4.0 | 2026.11.0 | 3 (of 3) | exported |');
    expect(summaries[1]).toContain('### ✅ Imported 1 release into prod-importer');
    expect(summaries[1]).toContain(columns);
    expect(summaries[1]).toContain('| shop | prod | shop | 1.4.0 | 2026.11.0 | 3 (of 3) | created |');
  });

  it('says nothing that is secret in the kubeconfigs, though the runner hides none of it', async () => {
    const ofProd = ['planner', 'importer'].flatMap((user) => secretsOf(bed.prod, user));
    // STAGE's is not given in base64.
    for (const secret of [...secretsOf(bed.stage, 'exporter').slice(0, 2), ...ofProd]) {
      expect(run.masks).toContain(secret);
      expect(run.unmasked.includes(secret)).toBe(false);
    }
  });

  it('says nothing of the Secrets that travel, in the plan neither', async () => {
    const secret = ['get', 'secret', 'shop', '--namespace', 'stage', '--output', 'jsonpath={.data.SESSION_KEY}'];
    const encoded = await bed.stage.kubectl(secret);
    const { body } = await gh.seen();
    for (const text of [encoded, Buffer.from(encoded, 'base64').toString()]) {
      expect(text).not.toBe('');
      expect(`${run.unmasked}${body}`.includes(text)).toBe(false);
    }
  });

  it('has nothing left to clean up after its steps', () => {
    for (const job of JOBS) {
      expect(run.said(job, 'Post')).toContain('Nothing to clean up: the temporary folder is already gone.');
    }
    expect(run.leftovers).toEqual([]);
  });

  it('upgrades in place what PROD runs when it is run again, and PROD keeps a history of its own', async () => {
    const toFour = ['upgrade', 'shop', shop, '--namespace', 'stage', '--set', 'replicas=4'];
    await Promise.all([bed.stageHelm.run(toFour), bed.prodHelm.run(upgradeByHand(9))]);
    const again = await bed.promote();
    expect(again.jobs, again.log).toEqual({ export: 'success', plan: 'success', import: 'success' });
    expect(again.summary('plan')).toMatch(/^-replicas: 9\n\+replicas: 4$/m);
    expect(again.summary('import')).toContain('| shop | prod | shop | 1.4.0 | 2026.11.0 | 5 | updated |');
    const history = await historyOf(bed.prodHelm, 'prod');
    expect(history.map(({ revision, status }) => [revision, status])).toEqual([
      [1, 'superseded'],
      [2, 'superseded'],
      [3, 'superseded'],
      [4, 'superseded'],
      [5, 'deployed'],
    ]);
    expect(history[3]?.description).toBe('By hand');
    expect(history[4]?.description).toContain(`snapshot ${again.outputs('export').snapshot}`);
    expect(await valuesOf(bed.prodHelm, 'prod')).toBe('{"replicas":4}\n');
  });

  it('asks nobody and imports nothing when nothing would change', async () => {
    const equal = await bed.promote();
    expect(equal.jobs, equal.log).toEqual({ export: 'success', plan: 'success' });
    expect(equal.outputs('plan').changed).toBe('false');
    expect(equal.summary('plan')).toContain('Plan: 0 to create, 0 to update, 0 to recreate, 0 to delete, 1 unchanged');
  });

  it('refuses to carry out a plan when PROD has changed since, naming what has, and changes nothing', async () => {
    await bed.stageHelm.run(['upgrade', 'shop', shop, '--namespace', 'stage', '--set', 'replicas=5']);
    // Somebody upgrades PROD by hand after the plan was made, and before it was approved.
    const meanwhile = await fakeGh([bed.tools.helm4, ...upgradeByHand(6)]);
    const refused = await bed.promote({ payload: PULL_REQUEST, programs: meanwhile.programs });
    expect(refused.jobs, refused.log).toEqual({ export: 'success', plan: 'success', import: 'failure' });
    const [reason] = refused.errors('import');
    expect(reason?.message).toContain(
      `Plan ${refused.outputs('plan')['plan-id']} does not hold any more, and nothing was changed:`,
    );
    expect(reason?.message).toContain('release prod/shop');
    expect(await valuesOf(bed.prodHelm, 'prod')).toBe('{"replicas":6}\n');
    expect(refused.leftovers).toEqual([]);
  });
});

describe('a promotion that fails', () => {
  beforeEach(() => bed.emptyProd());

  it('refuses an archive that is not the one that was exported, and changes nothing', async () => {
    bed.service.fail({ operation: 'get-blob', kind: 'corrupt' });
    const run = await bed.promote();
    expect(run.succeeded).toBe(false);
    expect(run.jobs).toEqual({ export: 'success', plan: 'failure' });
    const { 'artifact-url': artifact, digest } = run.outputs('export');
    const [reason] = run.errors('plan');
    expect(reason?.message).toContain(
      `The artifact ${artifact} did not arrive as it was uploaded: its SHA-256 is not ${digest}.`,
    );
    expect(run.summary('plan')).toContain('❌ plan failed');
    expect(await releasesOf(bed.prodHelm, 'prod')).toEqual([]);
    expect(run.leftovers).toEqual([]);
  });

  it('finds what is in the way when it plans, and asks nobody for an import that would fail', async () => {
    await bed.prod.kubectl(['create', 'service', 'clusterip', 'shop', '--tcp=80', '--namespace', 'prod']);
    try {
      const run = await bed.promote();
      expect(run.jobs, run.log).toEqual({ export: 'success', plan: 'failure' });
      const told = 'Helm refuses to take over what exists at the target for release prod/shop';
      const [problem, end] = run.errors('plan');
      expect(problem?.message).toContain(told);
      expect(end?.message).toContain('An import would fail: the plan has 1 problem.');
      expect(run.summary('plan')).toContain(told);
      // For a later step to show.
      expect(run.leftovers).toEqual([expect.stringMatching(/\/plan\.md$/)]);
    } finally {
      await bed.prod.kubectl(['delete', 'service', 'shop', '--namespace', 'prod']);
    }
  });

  it('takes all of it back when the import fails, and says so', async () => {
    // Where nobody has looked: what a hook of the chart makes is in the way only when it runs.
    const meanwhile = await fakeGh([bed.tools.kubectl, ...serviceInTheWay()]);
    try {
      const run = await bed.promote({ payload: PULL_REQUEST, programs: meanwhile.programs });
      expect(run.jobs, run.log).toEqual({ export: 'success', plan: 'success', import: 'failure' });
      const [reason, end] = run.errors('import');
      expect(reason?.title).toBe('prod/shop failed');
      expect(reason?.message).toContain('Service "shop" in namespace "prod" exists and cannot be imported');
      expect(end?.message).toContain('1 of 1 release failed: prod/shop.');
      expect(end?.message).toContain('Taken back');
      expect(run.summary('import')).toContain('exists and cannot be imported');
      expect(JSON.parse(run.outputs('import').counts ?? '')).toMatchObject({ created: 0, failed: 1 });
      expect(await releasesOf(bed.prodHelm, 'prod')).toEqual([]);
      expect(run.leftovers).toEqual([]);
    } finally {
      await bed.prod.kubectl(['delete', 'service', 'shop', '--namespace', 'prod']);
    }
  });

  it('removes the kubeconfig of a step that was killed, in its clean-up', async () => {
    // Asked for its version it is Helm; asked to install, it takes Transship down with it.
    const seen = join(bed.scratch, 'seen-by-deadly-helm');
    const deadly = await script(join(bed.scratch, 'deadly-helm'), [
      `if [ "$1" = version ]; then exec '${bed.prodHelm.program}' "$@"; fi`,
      `grep --recursive --files-with-matches 'kind: Config' "$RUNNER_TEMP" > '${seen}'`,
      'kill -KILL $PPID',
    ]);
    const run = await bed.promote({ programs: { helm: deadly } });
    expect(run.jobs, run.log).toEqual({ export: 'success', plan: 'success', import: 'failure' });
    expect(await readFile(seen, 'utf8')).toMatch(/\/transship-\w{6}\//);
    expect(run.said('import', 'Post')).toMatch(
      /Removed \/.*\/transship-\w{6}, which an interrupted run had left behind\./,
    );
    expect(run.leftovers).toEqual([]);
  });
});

describe('a promotion that is refused before it does anything', () => {
  let runs: WorkflowRun[];
  let stored: number;

  beforeAll(async () => {
    stored = bed.service.artifacts().length;
    runs = await Promise.all([
      bed.promote({ edits: [['retention-days: 7', 'retention-days: soon']] }),
      bed.promote({ edits: [['namespace: stage', 'namespaces: stage']] }),
      bed.promote({ payload: { repository: { full_name: REPOSITORY, private: false, visibility: 'public' } } }),
    ]);
  });

  it('stores and asks for nothing', () => {
    for (const run of runs) expect(run.jobs, run.log).toEqual({ export: 'failure' });
    expect(bed.service.artifacts()).toHaveLength(stored);
  });

  it('names a bad input', () => {
    expect(runs[0]?.errors('export')).toHaveLength(1);
    expect(runs[0]?.errors('export')[0]?.message).toContain('retention-days: "soon"');
    expect(runs[0]?.said('export', 'Post')).toContain('Nothing to clean up: no temporary folder was made.');
  });

  it('names an input that there is not, and says which one was meant', () => {
    expect(runs[1]?.errors('export')[0]?.message).toMatch(/namespaces.*namespace/s);
  });

  it('keeps Secrets out of the artifacts of a public repository', () => {
    expect(runs[2]?.errors('export')[0]?.message).toContain(`an artifact of the public repository ${REPOSITORY}`);
    expect(runs[2]?.errors('export')[0]?.message).toContain('encrypt-to');
  });
});

describe('examples/reusable', () => {
  it('promotes with the words of its caller, in one step, and stores nothing', async () => {
    await bed.emptyProd();
    const stored = bed.service.artifacts().length;
    const run = await bed.callReusable();
    expect(run.succeeded, run.log).toBe(true);
    expect(run.jobs).toMatchObject({ promote: 'success' });
    expect(run.outputs('promote').changed).toBe('true');
    expect(run.summary('promote')).toContain('| shop | prod | shop | 1.4.0 | 2026.11.0 |');
    expect(await historyOf(bed.prodHelm, 'prod')).toEqual(await historyOf(bed.stageHelm, 'stage'));
    expect(bed.service.artifacts()).toHaveLength(stored);
    expect(run.leftovers).toEqual([]);
  });

  it('shows only the plan when its caller asks for a dry run', async () => {
    await bed.prodHelm.run(upgradeByHand(8));
    const run = await bed.callReusable({ payload: { inputs: { 'dry-run': 'true' } } });
    expect(run.succeeded, run.log).toBe(true);
    expect(run.outputs('promote').changed).toBe('true');
    expect(run.summary('promote')).toContain('Plan: 0 to create, 1 to update');
    expect(await valuesOf(bed.prodHelm, 'prod')).toBe('{"replicas":8}\n');
  });
});

/** Stands in for GitHub's command line, and may do something else besides. */
interface FakeGh {
  readonly programs: Readonly<Record<string, string>>;
  seen(): Promise<{ args: string[]; environment: string[]; body: string }>;
}

async function fakeGh(meanwhile: readonly string[] = ['true']): Promise<FakeGh> {
  const record = join(bed.scratch, `gh-${gh++}`);
  const program = await script(`${record}.sh`, [
    `printf '%s\\n' "$@" > '${record}.args'`,
    `printf '%s\\n' "$GH_REPO" "$GH_TOKEN" > '${record}.env'`,
    `cp "$5" '${record}.md'`,
    `export KUBECONFIG='${bed.prod.kubeconfig}' HELM_CACHE_HOME='${bed.scratch}/helm-cache'`,
    meanwhile.map((word) => `'${word}'`).join(' '),
  ]);
  const lines = async (ending: string) => (await readFile(`${record}.${ending}`, 'utf8')).trimEnd().split('\n');
  return {
    programs: { helm: bed.tools.helm4, gh: program },
    seen: async () => ({
      args: await lines('args'),
      environment: await lines('env'),
      body: await readFile(`${record}.md`, 'utf8'),
    }),
  };
}
let gh = 0;

function upgradeByHand(replicas: number): string[] {
  return ['upgrade', 'shop', shop, '--namespace', 'prod', '--set', `replicas=${replicas}`, '--description', 'By hand'];
}

function serviceInTheWay(): string[] {
  return ['create', 'service', 'clusterip', 'shop', '--tcp=80', '--namespace', 'prod'];
}

interface HistoryRow {
  readonly revision: number;
  readonly status: string;
  readonly description: string;
}

async function historyOf(helm: Helm, namespace: string): Promise<HistoryRow[]> {
  return JSON.parse(await helm.run(['history', 'shop', '--namespace', namespace, '--output', 'json']));
}

function valuesOf(helm: Helm, namespace: string): Promise<string> {
  return helm.run(['get', 'values', 'shop', '--namespace', namespace, '--output', 'json']);
}

async function releasesOf(helm: Helm, namespace: string): Promise<unknown[]> {
  return JSON.parse(await helm.run(['list', '--namespace', namespace, '--output', 'json']));
}

function daysUntil(time: string | undefined): number {
  return Math.round((Date.parse(time ?? '') - Date.now()) / 86_400_000);
}
