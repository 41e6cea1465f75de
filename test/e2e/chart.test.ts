import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { readArguments } from '../../src/cli/arguments.ts';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { parseInputs } from '../../src/inputs.ts';
import { at } from './api.ts';
import {
  argsOf,
  CHART,
  type ChartBed,
  ofKind,
  podTemplateOf,
  startChartBed,
  type Values,
  valueFlags,
} from './chart-bed.ts';
import { fill } from './chart-fill.ts';
import { exportWith, type Right, rightsOf } from './chart-rights.ts';
import { ALL, LOCAL_PATH, S3_PATH, SCENARIOS } from './chart-scenarios.ts';
import { asList } from './live-object.ts';
import { type PodProcess, startPod } from './run-pod.ts';
import { transship } from './run-transship.ts';

/** Each holds connections and memory of this process. */
const EXPORTS_AT_ONCE = 4;
let chart: ChartBed;

beforeAll(async () => {
  chart = await startChartBed();
  await fill(chart);
});

afterAll(() => chart?.close());

describe.each(['helm3', 'helm4'] as const)('for %s', (helm) => {
  it('the linter has nothing to say against the chart', async () => {
    const words = ['lint', '--strict', CHART, ...valueFlags(SCENARIOS['a whole cluster as it changes'] ?? {})];
    expect(await chart.helm[helm].run(words)).toContain('0 chart(s) failed');
  });

  it('the path has to be given', async () => {
    expect(await chart.refusal({}, helm)).toContain("at '/path': '' does not match pattern");
  });
});

describe.each(Object.entries(SCENARIOS))('with the values of %s', (_name, values) => {
  it('the API server takes all objects, with no field it does not know', async () => {
    const objects = await chart.render(values);
    const said = await chart.cluster.kubectl(
      ['apply', '--dry-run=server', '--validate=strict', '--filename', '-'],
      objects.map((object) => stringify(object)).join('---\n'),
    );
    expect(said.trim().split('\n')).toHaveLength(objects.length);
  });

  it('the program takes the arguments', async () => {
    const args = asList(argsOf(podTemplateOf(await chart.render(values)))).map(String);
    const request = readArguments(args, 100);
    if (request.kind !== 'run') throw new Error(`${args.join(' ')} runs nothing`);
    expect(() => parseInputs(request.raw, 'cli', request.problems)).not.toThrow();
    expect(request.raw.manager).toBe('ops/backup');
  });
});

it('every value that is an input becomes the flag of its name', async () => {
  const values = SCENARIOS['a whole cluster as it changes'] ?? {};
  expect(argsOf(podTemplateOf(await chart.render(values)))).toEqual([
    ...['watch', '--namespace=*', '--include=releases', '--include=resources', '--path=s3://snapshots/prod'],
    ...['--layout=tree', '--s3-endpoint=http://minio.minio:9000', '--s3-path-style=false', '--concurrency=4'],
    ...['--on-change=true', '--settle=10s', '--retention=last=7,daily=7,age=90d'],
    ...['--manager=ops/backup', '--listen=:8080', '--log-format=json'],
  ]);
});

it.each<[problem: string, values: Values]>([
  ["additional properties 'namespaces' not allowed", { namespaces: ['*'] }],
  ["at '/retention'", { retention: 'latest=7' }],
  ["at '/extraEnv/0'", { extraEnv: [{ name: 'AWS_SECRET_ACCESS_KEY', value: 'a' }] }],
  ['- path: "/snapshots" is a folder, and no volume is mounted.', { path: '/snapshots' }],
  ['- path: "/data" is not in persistence.mountPath, /snapshots,', { ...LOCAL_PATH, path: '/data' }],
  ['- s3-region: eu is for S3, and path is a folder.', { ...LOCAL_PATH, 's3-region': 'eu' }],
  ['- on-change: true is for the Deployment, and schedule makes a CronJob', { schedule: '@daily', 'on-change': true }],
  ['- timeout: 5m is for the CronJob.', { timeout: '5m' }],
  ['- include: vms is for the CronJob:', { include: ['vms'] }],
  ['- strict: true is about resources.', { strict: true }],
  ['- settle: 1s needs on-change too.', { settle: '1s' }],
  ['- pvcs: [a] is about virtual machines.', { schedule: '@daily', pvcs: ['a'] }],
  ['- compression: zstd does not go with layout tree', { layout: 'tree', compression: 'zstd' }],
  ['- s3-sse-kms-key-id: needs s3-sse aws:kms', { 's3-sse-kms-key-id': 'key' }],
  ['- format: helm-export holds', { schedule: '@daily', format: 'helm-export', include: ['resources'] }],
  ['- networkPolicy.ingressFrom: is empty', { networkPolicy: { enabled: true }, podMonitor: { enabled: true } }],
])('says "%s"', async (problem, values) => {
  expect(await chart.refusal({ ...S3_PATH, ...values })).toContain(problem);
});

it('lets the pod reach DNS, the API server and S3 only, and be reached for its metrics', async () => {
  const [policy] = ofKind(await chart.render(SCENARIOS['a whole cluster as it changes'] ?? {}), 'NetworkPolicy');
  const tcp = (port: number) => ({ port, protocol: 'TCP' });
  expect(policy?.spec).toMatchObject({
    policyTypes: ['Ingress', 'Egress'],
    ingress: [{ ports: [{ port: 'http' }], from: [{ namespaceSelector: {} }] }],
    egress: [
      { ports: [{ port: 53, protocol: 'UDP' }, tcp(53)] },
      { ports: [tcp(443), tcp(6443), tcp(9000)] },
      { ports: [{ port: 80 }] },
    ],
  });
});

it('has Prometheus ask the pod for its metrics', async () => {
  const objects = await chart.render(SCENARIOS['a whole cluster as it changes'] ?? {});
  const [monitor] = ofKind(objects, 'PodMonitor');
  const template = podTemplateOf(objects);
  expect(at(monitor, 'metadata', 'labels')).toMatchObject({ release: 'prometheus' });
  expect(at(template, 'metadata', 'labels')).toMatchObject(Object(at(monitor, 'spec', 'selector', 'matchLabels')));
  expect(at(monitor, 'spec', 'podMetricsEndpoints')).toEqual([{ port: 'http', path: '/metrics', interval: '30s' }]);
  expect(at(template, 'spec', 'containers', 0, 'ports')).toEqual([{ name: 'http', containerPort: 8080 }]);
});

describe('the rights', () => {
  it.each<[what: string, values: Values]>([
    ['the releases of a namespace', { namespace: ['shop'] }],
    ['all of a namespace', { namespace: ['shop'], include: ['releases', 'resources'], 'cluster-resources': 'all' }],
    ['all of the cluster', ALL],
  ])('are enough to export %s, and none of them is one too many', async (_what, values) => {
    const regions = [{ apiGroups: ['example.com'], resources: ['regions'], verbs: ['list'] }];
    const extraRules = values['cluster-resources'] === undefined ? [] : regions;
    const objects = await chart.render({ ...S3_PATH, ...values, schedule: '@daily', rbac: { extraRules } });
    const rights = await servedOf(rightsOf(objects));
    const inputs = inputsOf(objects);
    const place = { ...chart, scratch: await chart.folder('rights') };
    const whole = await exportWith(place, rights, inputs);
    expect(whole.troubles).toEqual([]);
    expect(whole.files).toContain('customresourcedefinitions.json');
    const limit = pLimit(EXPORTS_AT_ONCE);
    const needless = await limit.map(rights, async (right) => {
      const others = rights.filter((one) => one !== right);
      const { troubles } = await exportWith(place, others, inputs);
      return troubles.length === 0 ? [right] : [];
    });
    expect(needless.flat()).toEqual([]);
  });

  it('for virtual machines are those of the example', async () => {
    const example = await readFile(join(CHART, '../../examples/virtual-machines/stage-rbac.yaml'), 'utf8');
    const objects = await chart.render(SCENARIOS['virtual machines'] ?? {});
    const granted = rightsOf(objects).filter(({ namespace }) => namespace === 'machines');
    const shown = rightsOf(parseAllDocuments(example).map((document) => document.toJS()));
    expect(sorted(granted)).toEqual(sorted(shown));
  });

  it('are to watch too only when it watches', async () => {
    const verbs = async (values: Values) => [
      ...new Set(rightsOf(await chart.render({ ...S3_PATH, ...ALL, ...values })).map(({ verb }) => verb)),
    ];
    expect(await verbs({ 'on-change': true })).toEqual(['get', 'list', 'watch']);
    expect(await verbs({})).toEqual(['get', 'list']);
  });

  it('never are to get everything, which opens pods/exec and nodes/proxy', async () => {
    const rights = await Promise.all(
      Object.values(SCENARIOS).map(async (values) => rightsOf(await chart.render(values))),
    );
    expect(rights.flat().filter(({ verb, resource }) => resource === '*' && !['list', 'watch'].includes(verb))).toEqual(
      [],
    );
  });
});

describe('installed as a Deployment', () => {
  const place = { namespace: 'ops', name: 'backup' };
  let pod: PodProcess;
  const path = 's3://snapshots/watched';
  const regions = [{ apiGroups: ['example.com'], resources: ['regions'], verbs: ['list', 'watch'] }];
  const values: Values = {
    ...{ path, layout: 'tree', include: ['releases', 'resources'], namespace: ['shop', 'ops'] },
    ...{ 'on-change': true, settle: '1s', existingSecret: 's3', rbac: { extraRules: regions } },
  };
  const common = () => ({ 's3-endpoint': chart.s3.endpoint, 's3-region': chart.s3.region });

  beforeAll(async () => {
    const flags = ['--namespace', place.namespace, '--wait', ...valueFlags({ ...values, ...common() })];
    const notes = await chart.helm.helm4.run(['install', place.name, CHART, ...flags]);
    expect(notes).toContain(`transship list --path "${path}" --s3-endpoint ${chart.s3.endpoint} --s3-region us-east-1`);
    pod = await start();
  });

  afterAll(() => pod?.stop());

  async function start(): Promise<PodProcess> {
    const deployment = await chart.api.get(`/apis/apps/v1/namespaces/ops/deployments/backup-transship`);
    const template = at(deployment, 'spec', 'template');
    return startPod({ ...chart, namespace: 'ops', template, folder: await chart.folder('deployment') });
  }

  const answerOf = async (page: string) => {
    const response = await fetch(`${pod.url}${page}`);
    return { status: response.status, text: await response.text() };
  };
  const untilReady = () => untilSo(async () => (await answerOf('/readyz')).status === 200);

  it('lives and becomes ready, with nothing to warn of', async () => {
    await untilReady();
    expect(await answerOf('/healthz')).toMatchObject({ status: 200 });
    const lines = pod
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('has stored what the cluster has, as the manager that the release is', async () => {
    const [snapshot, ...others] = asList((await stored()).output.snapshots);
    expect(others).toEqual([]);
    expect(snapshot).toMatchObject({ layout: 'tree', state: 'complete' });
    const key = String(at(snapshot, 'location')).replace('s3://', '');
    const description = JSON.parse(await readFile(join(chart.s3.folder, 'buckets', key, '_snapshot.json'), 'utf8'));
    const { metadata } = await chart.api.get('/api/v1/namespaces/kube-system');
    expect(description.manager).toEqual({ cluster: metadata.uid, namespace: 'ops', release: 'backup', path });
  });

  it('tells Prometheus what it does', async () => {
    const { text } = await answerOf('/metrics');
    expect(text).toContain('\ntransship_is_manager 1\n');
    expect(text).toContain('\ntransship_broken_watches 0\n');
    expect(text).toContain('\ntransship_snapshots_stored_total 1\n');
  });

  it('stores what changes', async () => {
    await chart.api.patch('/api/v1/namespaces/shop/configmaps/settings', { data: { a: '2' } });
    await untilSo(async () => (await answerOf('/metrics')).text.includes('\ntransship_snapshots_stored_total 2\n'));
  });

  it('ends when it is told to, and leaves the path to the one that an upgrade starts', async () => {
    expect(await pod.stop()).toBe(0);
    const flags = [
      '--namespace',
      'ops',
      '--wait',
      '--reuse-values',
      ...valueFlags({ retention: 'last=1', settle: '2s' }),
    ];
    await chart.helm.helm3.run(['upgrade', place.name, CHART, ...flags]);
    pod = await start();
    await untilReady();
    await untilSo(async () => asList((await stored()).output.snapshots).length === 1);
    expect(await pod.stop()).toBe(0);
  });

  const stored = () => transship(['list', '--path', path], { env: chart.s3.env });
});

describe('installed as a CronJob', () => {
  const values: Values = { path: 's3://snapshots/cron', schedule: '17 3 * * *', ...ALL, existingSecret: 's3' };

  it('exports, and says so', async () => {
    const { api, helm, s3 } = chart;
    const all = { ...values, 's3-endpoint': s3.endpoint, 's3-region': s3.region };
    await helm.helm3.run(['install', 'nightly', CHART, '--namespace', 'cron', '--wait', ...valueFlags(all)]);
    await chart.cluster.kubectl(['create', 'job', '--from=cronjob/nightly-transship', 'now', '--namespace', 'cron']);
    const job = await api.get('/apis/batch/v1/namespaces/cron/jobs/now');
    const template = at(job, 'spec', 'template');
    const pod = await startPod({ ...chart, namespace: 'cron', template, folder: await chart.folder('cron-job') });
    expect(await pod.ended, pod.log()).toBe(0);
    const lines = pod
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.filter(({ level }) => level !== 'info')).toEqual([]);
    const { output } = await transship(['list', '--path', 's3://snapshots/cron'], { env: s3.env });
    expect(asList(output.snapshots)).toHaveLength(1);
    await helm.helm4.run(['uninstall', 'nightly', '--namespace', 'cron', '--wait']);
    expect(await api.find('/apis/rbac.authorization.k8s.io/v1/clusterroles/cron:nightly-transship')).toBeUndefined();
  });
});

/** The inputs that a rendered CronJob gives to an export, without where to. */
function inputsOf(objects: readonly KubeObject[]): Record<string, string> {
  const request = readArguments(asList(argsOf(podTemplateOf(objects))).map(String), 100);
  if (request.kind !== 'run') throw new Error('The CronJob exports nothing');
  const { path: _path, ...inputs } = request.raw;
  return inputs;
}

/** Those that are of kinds that this API server has: some are of older or newer ones. */
async function servedOf(rights: readonly Right[]): Promise<Right[]> {
  const served = (await chart.cluster.kubectl(['api-resources', '--output', 'name'])).split('\n');
  return rights.filter(
    ({ group, resource }) => resource === '*' || served.includes(group === '' ? resource : `${resource}.${group}`),
  );
}

/** Without where they are. */
function sorted(rights: readonly Right[]): string[] {
  return rights.map(({ group, resource, verb, name = '' }) => [group, resource, verb, name].join(' ')).sort();
}

function untilSo(isSo: () => Promise<boolean>): Promise<void> {
  return vi.waitFor(
    async () => {
      if (!(await isSo())) throw new Error('Waited in vain');
    },
    { timeout: 60_000, interval: 100 },
  );
}
