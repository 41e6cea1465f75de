import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Api, at, openApi } from './api.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { fingerprint, quietFingerprint } from './fingerprint.ts';
import { makeHelm } from './helm.ts';
import { makeNamespace } from './place.ts';
import { runCommand } from './run-command.ts';
import { namespaceMapFlags, runTransship, type TransshipRun, transship } from './run-transship.ts';

const root = resolve(import.meta.dirname, '../..');
const CHART = join(root, 'examples/charts/shop');

// One cluster is source and target: what is exported from a namespace is planned and imported into another one.
let bed: Bed;
let cluster: RunningCluster;
let api: Api;
let count = 0;
let stage: string;
let prod: string;
let folder: string;

beforeAll(async () => {
  bed = await prepareBed();
  cluster = await bed.start('plan');
  api = openApi(cluster);
});

afterAll(async () => {
  api?.close();
  await bed?.close();
});

beforeEach(async () => {
  count += 1;
  [stage, prod, folder] = [`stage-${count}`, `prod-${count}`, join(bed.scratch, `snapshots-${count}`)];
  await makeNamespace(api, stage);
});

const options = () => ({ env: bed.environment(cluster, 'helm4') });
const importing = (...more: string[]) => ['--path', folder, ...namespaceMapFlags({ [stage]: prod }), ...more];
const plan = (...more: string[]) => runTransship(['plan', ...importing(...more)], options());
const bring = (...more: string[]) => runTransship(['import', ...importing(...more)], options());
const configMap = (name: string, data: Record<string, string>) => ({ metadata: { name }, data });
const inStage = (path: string) => `/api/v1/namespaces/${stage}/${path}`;
const inProd = (path: string) => `/api/v1/namespaces/${prod}/${path}`;

async function save(...more: string[]): Promise<TransshipRun> {
  // An id is a second's, and a path keeps one snapshot of each.
  await sleep(1000 - (Date.now() % 1000));
  return transship(['export', '-n', stage, '--include', 'releases,resources', '--path', folder, ...more], options());
}

function helm(...args: string[]): Promise<string> {
  return makeHelm(bed.tools.helm4, cluster.kubeconfig, bed.scratch).run(args);
}

describe('a plan', () => {
  it('shows what an import would change, and changes nothing', async () => {
    await api.create(inStage('configmaps'), configMap('site', { url: 'https://a.example' }));
    await api.create(inStage('configmaps'), configMap('same', { a: 'b' }));
    await save();
    await bring();
    await api.patch(inProd('configmaps/site'), { data: { url: 'https://b.example' } });
    const before = await quietFingerprint(cluster);

    const run = await plan('--replace', '--exit-code');

    expect(run.exitCode, run.stderr).toBe(3);
    expect(run.output).toMatchObject({
      changed: true,
      counts: { created: 0, updated: 1, unchanged: 3, deleted: 0, skipped: 0, failed: 0 },
      'plan-id': expect.stringMatching(/^\d\d-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{32}$/),
      plan: { format: 1, objects: [{ kind: 'ConfigMap', name: 'site', namespace: prod, change: 'update' }] },
    });
    expect(at(run.output, 'plan', 'objects', 0, 'diff')).toContain(
      '-  url: https://b.example\n+  url: https://a.example\n',
    );
    expect(run.stderr).toContain(`~ ${prod}/site`);
    expect(await fingerprint(cluster)).toEqual(before);
  });

  it('without changes has status 0 also with --exit-code', async () => {
    await api.create(inStage('configmaps'), configMap('site', { url: 'https://a.example' }));
    await save();
    await bring();
    expect(await plan('--replace', '--exit-code')).toMatchObject({ exitCode: 0, output: { changed: false } });
  });

  it('finds all that stands in the way at once, and has status 1', async () => {
    await api.create(inStage('persistentvolumeclaims'), {
      metadata: { name: 'data' },
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'missing-class',
        resources: { requests: { storage: '1Gi' } },
      },
    });
    await api.create(inStage('configmaps'), configMap('site', { a: 'b' }));
    await save();
    await makeNamespace(api, prod);
    await api.create(inProd('configmaps'), configMap('site', { a: 'c' }));

    const run = await plan();

    expect(run.exitCode, run.stderr).toBe(1);
    const kinds = [at(run.output, 'plan', 'problems')].flat().map((problem) => at(problem, 'kind'));
    expect(kinds.sort()).toEqual(['exists', 'missing-class']);
    expect(run.stderr).toContain('missing-class');
    expect(run.stderr).toContain(`ConfigMap ${prod}/site`);
    expect(run.stderr).toContain('error: An import would fail: the plan has 2 problems. Nothing was changed.');
  });

  it('shows nothing of what is secret, in no form and at no door', async () => {
    const planted = [
      'hunter-one-1',
      'hunter-two-2',
      'hunter-three-3',
      'hunter-four-4',
      'hunter-five-5',
      'hunter-six-6',
    ];
    const [a = '', b = '', c = '', d = '', e = '', f = ''] = planted;
    const write = async (secret: string, property: string, variable: string, value: string) => {
      const body = { stringData: { password: secret } };
      const login = await api.find(inStage('secrets/login'));
      await (login === undefined
        ? api.create(inStage('secrets'), { metadata: { name: 'login' }, ...body })
        : api.patch(inStage('secrets/login'), body));
      const data = { 'db.properties': `host=db\npassword=${property}\n`, dsn: `postgres://app:${property}@db/app` };
      const settings = await api.find(inStage('configmaps/settings'));
      await (settings === undefined
        ? api.create(inStage('configmaps'), configMap('settings', data))
        : api.patch(inStage('configmaps/settings'), { data }));
      const template = (password: string) => ({
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'main', image: 'web:1', env: [{ name: 'DB_PASSWORD', value: password }] }] },
      });
      const path = `/apis/apps/v1/namespaces/${stage}/deployments`;
      const web = await api.find(`${path}/web`);
      await (web === undefined
        ? api.create(path, {
            metadata: { name: 'web' },
            spec: { replicas: 0, selector: { matchLabels: { app: 'web' } }, template: template(variable) },
          })
        : api.patch(`${path}/web`, { spec: { template: template(variable) } }));
      await helm('upgrade', '--install', 'shop', CHART, '-n', stage, '--set', `adminPassword=${value}`, '--no-hooks');
    };
    await write(a, b, c, d);
    await save();
    await bring('--no-hooks');
    await write(e, e, f, f);
    await save();
    const files = ['html', 'json', 'md', 'txt'].map((ending) => join(folder, `plan.${ending}`));

    const cli = await plan('--replace', '--verbose', '--plan-files', files.join(','));
    expect(cli.exitCode, cli.stderr).toBe(0);
    expect(cli.output).toMatchObject({ counts: { updated: 4 } });
    const step = await runStep({
      MODE: 'plan',
      PATH: folder,
      'NAMESPACE-MAP': `${stage}=${prod}`,
      REPLACE: 'true',
      'EXIT-CODE': 'true',
    });

    expect(step.said).toContain('(sensitive value, differs)');
    expect(step.summary).toContain('Deployment');
    const plans = (await readdir(join(folder, 'plans'))).map((name) => join(folder, 'plans', name));
    const texts = await Promise.all([...files, ...plans].map((file) => readFile(file, 'utf8')));
    const all = [cli.stdout, cli.stderr, step.said, step.summary, step.outputs, ...texts].join('\n');
    for (const secret of planted) {
      expect(all).not.toContain(secret);
      expect(all).not.toContain(Buffer.from(secret).toString('base64').replace(/=+$/, ''));
    }
  });
});

describe('an import with a plan-id', () => {
  const planned = async () => String((await plan('--replace')).output['plan-id']);

  beforeEach(async () => {
    await api.create(inStage('configmaps'), configMap('site', { url: 'https://a.example' }));
    await api.create(inStage('configmaps'), configMap('other', { a: 'b' }));
    await helm('install', 'shop', CHART, '-n', stage, '--no-hooks');
    await save();
    await bring('--no-hooks');
    await api.patch(inStage('configmaps/site'), { data: { url: 'https://c.example' } });
    await save();
  });

  it('does what was planned, and no second time', async () => {
    const id = await planned();
    const run = await bring('--replace', '--plan-id', id);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.output).toMatchObject({ counts: { created: 0, updated: 1 } });
    const again = await bring('--replace', '--plan-id', id);
    expect(again.exitCode).toBe(1);
    expect(again.stderr).toContain(`ConfigMap ${prod}/site`);
  });

  it('is refused when something that the plan read has changed, has gone, or has come, each named', async () => {
    await api.remove(inProd('configmaps/site'));
    const id = await planned();
    await api.create(inProd('configmaps'), configMap('site', { url: 'https://elsewhere.example' }));
    await api.remove(inProd('configmaps/other'));
    await helm('upgrade', 'shop', CHART, '-n', prod, '--no-hooks', '--set', 'greeting=Changed');
    const before = await quietFingerprint(cluster);

    const run = await bring('--replace', '--plan-id', id);

    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain(`error: Plan ${id} does not hold any more, and nothing was changed:`);
    expect(run.stderr).toMatch(new RegExp(`^- ConfigMap ${prod}/site has appeared`, 'm'));
    expect(run.stderr).toMatch(new RegExp(`^- ConfigMap ${prod}/other is gone`, 'm'));
    expect(run.stderr).toMatch(new RegExp(`^- [Rr]elease ${prod}/shop was changed`, 'm'));
    expect(await fingerprint(cluster)).toEqual(before);
  });

  it('is refused with other inputs, or another snapshot, which are named', async () => {
    const id = await planned();
    const inputs = await bring('--replace', '--plan-id', id, '--exclude', 'secrets');
    expect(inputs.exitCode).toBe(1);
    expect(inputs.stderr).toContain('exclude');
    await save();
    const snapshot = await bring('--replace', '--plan-id', id);
    expect(snapshot.exitCode).toBe(1);
    expect(snapshot.stderr).toMatch(/^- .*(digest|archive|snapshot)/im);
  });
});

describe('an atomic import that fails', () => {
  it('removes what it created, puts back what it changed, and says so', async () => {
    await api.create(inStage('configmaps'), configMap('site', { url: 'https://a.example' }));
    await helm('install', 'shop', CHART, '-n', stage, '--no-hooks');
    await save();
    await makeNamespace(api, prod);
    await api.create(inProd('configmaps'), configMap('site', { url: 'https://before.example' }));
    await api.create(`/apis/policy/v1/namespaces/${stage}/poddisruptionbudgets`, {
      metadata: { name: 'one' },
      spec: { minAvailable: 1, selector: { matchLabels: { app: 'a' } } },
    });
    await save();
    // What comes last of all is refused for good.
    await api.create(inProd('resourcequotas'), {
      metadata: { name: 'none' },
      spec: { hard: { 'count/poddisruptionbudgets.policy': '0' } },
    });
    await api.until(inProd('resourcequotas/none'), (quota) => at(quota, 'status', 'hard') !== undefined);
    const names = () => Promise.all(['configmaps', 'secrets', 'services'].map((kind) => api.names(inProd(kind))));
    const before = await names();

    const run = await bring('--replace', '--atomic', '--no-hooks', '--timeout', '3s');

    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain(`PodDisruptionBudget ${prod}/one`);
    expect(run.stderr).toMatch(/Taken back: .*1 changed put back.*1 releases? uninstalled/);
    expect(run.output).toMatchObject({ counts: { created: 0, updated: 0 } });
    expect(await names()).toEqual(before);
    expect((await api.get(inProd('configmaps/site'))).data).toEqual({ url: 'https://before.example' });
  });
});

describe('transforms', () => {
  beforeEach(async () => {
    await api.create(inStage('configmaps'), configMap('site', { url: 'https://stage.example.com' }));
    await helm('install', 'shop', CHART, '-n', stage, '--no-hooks');
    await save();
  });

  it('change objects and manifests alike, so that what Helm has stored is what runs', async () => {
    const file = join(folder, 'transforms.yaml');
    await writeFile(
      file,
      `version: 1
transforms:
  - name: hosts
    replace: { text: stage.example.com, with: www.example.com, in: ['data.*'] }
  - name: scale
    select: { kinds: [Deployment], names: [shop] }
    jsonPatch:
      - { op: replace, path: /spec/replicas, value: 2 }
  - name: team
    select: { kinds: [Deployment, ConfigMap] }
    labels: { set: { team: web } }
  - name: nobody
    select: { names: [nothing-is-called-so] }
    labels: { set: { a: b } }
`,
    );
    const run = await bring('--transforms', file, '--no-hooks');
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.stderr.match(/^warning: .*$/gm)).toEqual([expect.stringContaining('nobody')]);
    expect((await api.get(inProd('configmaps/site'))).data).toEqual({ url: 'https://www.example.com' });
    const shop = await api.get(`/apis/apps/v1/namespaces/${prod}/deployments/shop`);
    expect([at(shop, 'spec', 'replicas'), shop.metadata.labels?.team]).toEqual([2, 'web']);
    const manifest = await helm('get', 'manifest', 'shop', '-n', prod);
    expect(manifest).toMatch(/replicas: 2\n/);
    expect(manifest).toMatch(/team: web\n/);
    // Helm finds nothing to do where the record says what runs.
    expect((await bring('--transforms', file, '--no-hooks')).output).toMatchObject({ changed: false });
  });

  it('that are wrong are refused by file, line and column, before anything is read', async () => {
    const file = join(folder, 'transforms.yaml');
    await writeFile(file, 'version: 1\ntransforms:\n  - name: hosts\n    replce: { text: a, with: b }\n');
    const run = await bring('--transforms', file);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain(`${file}:4:5`);
    expect(run.stderr).toContain('replace');
  });
});

describe('promote', () => {
  it('brings from one context to another in one step, and stores nothing', async () => {
    await api.create(inStage('configmaps'), configMap('site', { url: 'https://stage.example.com' }));
    await helm('install', 'shop', CHART, '-n', stage, '--no-hooks');
    const args = [
      ...['promote', '--context', cluster.context, '--target-context', cluster.context, '-n', stage, '--no-hooks'],
      ...['--include', 'releases,resources', ...namespaceMapFlags({ [stage]: prod })],
      ...['--replace-text', 'stage.example.com=www.example.com'],
    ];
    const dry = await transship([...args, '--dry-run'], options());
    expect(dry.output).toMatchObject({ changed: true });
    expect(await api.find(`/api/v1/namespaces/${prod}`)).toBeUndefined();

    const run = await transship(args, options());

    expect(run.output).toMatchObject({ releases: [{ name: 'shop', namespace: prod, outcome: 'created' }] });
    expect(run.output.location).toBeUndefined();
    expect((await api.get(inProd('configmaps/site'))).data).toEqual({ url: 'https://www.example.com' });
    expect(await helm('history', 'shop', '-n', prod)).toContain('deployed');
  });
});

/** Runs the program as a workflow's step, without a runner around it. */
async function runStep(inputs: Readonly<Record<string, string>>) {
  const files = { summary: join(bed.scratch, `summary-${count}`), outputs: join(bed.scratch, `outputs-${count}`) };
  await Promise.all([...Object.values(files), join(bed.scratch, `state-${count}`)].map((file) => writeFile(file, '')));
  const result = await runCommand(join(root, 'node_modules/.bin/node'), [join(root, 'dist/index.js')], {
    env: {
      ...options().env,
      GITHUB_ACTIONS: 'true',
      GITHUB_STEP_SUMMARY: files.summary,
      GITHUB_OUTPUT: files.outputs,
      GITHUB_STATE: join(bed.scratch, `state-${count}`),
      RUNNER_TEMP: bed.scratch,
      ...Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name}`, value])),
    },
  });
  return {
    said: result.stdout + result.stderr,
    summary: await readFile(files.summary, 'utf8'),
    outputs: await readFile(files.outputs, 'utf8'),
  };
}
