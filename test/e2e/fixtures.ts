import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Helm, makeHelm } from './helm.ts';
import { type Change, recordChanges } from './record-changes.ts';
import { capture } from './run-command.ts';

const fixtures = resolve(import.meta.dirname, '../fixtures');

/** The folder of a fixture chart. */
export const chart = (name: string): string => join(fixtures, 'charts', name);

/** A running cluster, as far as filling and reading one needs it. */
export interface ClusterUnderTest {
  readonly kubeconfig: string;
}

/** Paths of the real programs. */
export interface Tools {
  readonly helm4: string;
  readonly helm3: string;
  readonly kubectl: string;
}

/** What a release in the filled cluster is, for the tests that go through all of them. */
export interface FixtureRelease {
  readonly namespace: string;
  readonly name: string;
  readonly chart: string;
  /** Which Helm wrote its records. */
  readonly helm: 'helm3' | 'helm4';
  readonly driver: 'secret' | 'configmap';
  readonly revisions: readonly number[];
  /** The revision that an import installs; undefined where nothing may run afterwards. */
  readonly deployed: number | undefined;
}

const release = (
  namespace: string,
  name: string,
  chartName: string,
  revisions: readonly number[],
  more: Partial<FixtureRelease> = {},
): FixtureRelease => ({
  namespace,
  name,
  chart: chartName,
  helm: 'helm4',
  driver: 'secret',
  revisions,
  deployed: revisions.at(-1),
  ...more,
});

/** Every release that {@link fillSource} makes. */
export const RELEASES: readonly FixtureRelease[] = [
  release('stage', 'shop', 'umbrella', [1, 2, 3]),
  release('stage', 'hooks', 'hooks', [1]),
  release('stage', 'text', 'awkward-text', [1, 2]),
  release('stage', 'lucky', 'random', [1, 2, 3]),
  // 14 revisions with a history of 12: 1 and 2 are pruned. 4 failed, 14 is still pending.
  release('stage', 'long', 'failing-hook', [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], { deployed: 13 }),
  release('stage', 'client-side', 'many', [1, 2]),
  release('stage', 'gadgets', 'operator-templated', [1, 2]),
  release('stage', 'widgets', 'operator-user', [1]),
  release('stage', 'gone', 'many', [1, 2], { deployed: undefined }),
  release('stage', 'platform', 'provider', [1]),
  release('stage', 'big', 'big-record', [1]),
  release('stage-tenant', 'app', 'consumer', [1]),
  release('stage-ops', 'operator', 'operator', [1, 2]),
  release('stage-quota', 'never', 'many', [1]),
  release('stage-db', 'hooks-three', 'hooks', [1], { helm: 'helm3' }),
  release('stage-db', 'text-three', 'awkward-text', [1], { helm: 'helm3' }),
  release('stage-db', 'rendered', 'umbrella', [1, 2], { helm: 'helm3' }),
  release('stage-db', 'vault', 'random', [1, 2], { helm: 'helm3' }),
  release('stage-db', 'settings', 'many', [1, 2], { driver: 'configmap' }),
];

export interface FilledSource {
  readonly releases: readonly FixtureRelease[];
  /** What came and went in the cluster while real Helm installed: the order that an import has to repeat. */
  readonly changes: readonly Change[];
  readonly milliseconds: number;
}

/**
 * Fills a cluster with every kind of release that Transship has to carry, all made by the real Helm 3 and 4.
 *
 * @param scratch - a temporary folder for Helm's caches and generated values
 */
export async function fillSource(cluster: ClusterUnderTest, tools: Tools, scratch: string): Promise<FilledSource> {
  const started = performance.now();
  const helm4 = makeHelm(tools.helm4, cluster.kubeconfig, scratch);
  const helm3 = makeHelm(tools.helm3, cluster.kubeconfig, scratch);
  const recorder = await recordChanges(cluster, tools.kubectl);
  await createNamespaces(cluster, tools);
  await Promise.all([
    installHooks(helm4, helm3),
    installLong(cluster, tools, helm4),
    installUmbrella(helm4),
    installOperators(helm4),
    installHelm3(helm3),
    installSmall(helm4, scratch),
  ]);
  return { releases: RELEASES, changes: await recorder.stop(), milliseconds: performance.now() - started };
}

async function createNamespaces(cluster: ClusterUnderTest, tools: Tools): Promise<void> {
  const items: object[] = ['stage', 'stage-db', 'stage-ops', 'stage-quota'].map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'example.com/env': 'stage' } },
  }));
  // What makes the release `never` fail for good: no other cluster has this quota.
  items.push({
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'no-deployments', namespace: 'stage-quota' },
    spec: { hard: { 'count/deployments.apps': '0' } },
  });
  await applyObjects(cluster, tools.kubectl, items);
}

/** Applies objects with kubectl. */
export async function applyObjects(cluster: ClusterUnderTest, kubectl: string, items: object[]): Promise<void> {
  await capture(kubectl, ['--kubeconfig', cluster.kubeconfig, 'apply', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
  });
}

async function installHooks(helm4: Helm, helm3: Helm): Promise<void> {
  await Promise.all([
    helm4.run(['install', 'hooks', chart('hooks'), '-n', 'stage']),
    helm3.run(['install', 'hooks-three', chart('hooks'), '-n', 'stage-db', '--set', 'message=three']),
  ]);
}

async function installUmbrella(helm: Helm): Promise<void> {
  const labels = ['--labels', 'team=shop,example.com/tier=one'];
  await helm.run([
    'install',
    'shop',
    chart('umbrella'),
    '-n',
    'stage',
    ...labels,
    '--wait',
    '--description',
    'Day one',
  ]);
  const upgrade = ['upgrade', 'shop', chart('umbrella'), '-n', 'stage', '--reuse-values'];
  await helm.run([...upgrade, '--set', 'tags.observability=true', '--set', 'features.dark=true']);
  await helm.run([...upgrade, '--set', 'replicas=3,pages.enabled=false', '--description', 'Ticket {{ 42 }}: <b>&']);
}

/** Twelve kept revisions of fourteen: deployed, superseded, failed, rolled back, and one that Helm never finished. */
async function installLong(cluster: ClusterUnderTest, tools: Tools, helm: Helm): Promise<void> {
  const target = ['long', chart('failing-hook'), '-n', 'stage'];
  const keep = ['--history-max', '12'];
  const upgrade = (generation: number, ...more: string[]) =>
    helm.run(['upgrade', ...target, ...keep, '--set', `generation=${generation}`, ...more]);

  await helm.run(['install', ...target, '--no-hooks']);
  await upgrade(2);
  await upgrade(3, '--no-hooks');
  await helm.fail(['upgrade', ...target, ...keep, '--set', 'generation=4,hook=fail']);
  await upgrade(5, '--no-hooks');
  await helm.run(['rollback', 'long', '3', '-n', 'stage', ...keep, '--no-hooks']);
  for (let generation = 7; generation <= 12; generation += 1) await upgrade(generation, '--no-hooks');
  await upgrade(13, '--labels', 'team=history');
  await abandonUpgrade(cluster, tools, helm, [...target, ...keep, '--set', 'generation=14,hook=hang']);
}

/** How pending releases come about: Helm is killed while it waits for a hook. */
async function abandonUpgrade(cluster: ClusterUnderTest, tools: Tools, helm: Helm, args: string[]): Promise<void> {
  const child = helm.spawn(['upgrade', ...args]);
  const ended = once(child, 'close');
  const jsonpath = '-o=jsonpath={.spec.template.spec.nodeSelector}';
  for (;;) {
    const get = ['--kubeconfig', cluster.kubeconfig, 'get', 'job', 'long-gate', '-n', 'stage', jsonpath];
    // The Job of the revision before is replaced by one that wants a node which does not exist.
    if ((await capture(tools.kubectl, [...get, '--ignore-not-found'])).includes('nowhere')) break;
    if (child.exitCode !== null) throw new Error('helm upgrade ended, but should have waited for its hook.');
    await delay(50);
  }
  child.kill('SIGKILL');
  await ended;
}

async function installOperators(helm: Helm): Promise<void> {
  await helm.run(['install', 'operator', chart('operator'), '-n', 'stage-ops']);
  await Promise.all([
    helm.run(['upgrade', 'operator', chart('operator'), '-n', 'stage-ops', '--description', 'Second']),
    helm.run(['install', 'widgets', chart('operator-user'), '-n', 'stage']),
  ]);
  await helm.run(['install', 'gadgets', chart('operator-templated'), '-n', 'stage', '--wait']);
  await helm.run(['upgrade', 'gadgets', chart('operator-templated'), '-n', 'stage', '--set', 'gadgets={drill,saw}']);
  await helm.run(['install', 'platform', chart('provider'), '-n', 'stage']);
  await helm.run(['install', 'app', chart('consumer'), '-n', 'stage-tenant']);
}

async function installHelm3(helm: Helm): Promise<void> {
  const db = ['-n', 'stage-db'];
  const rendered = ['rendered', chart('umbrella'), ...db, '--post-renderer', join(fixtures, 'post-renderer.mjs')];
  await helm.run(['install', 'vault', chart('random'), ...db, '--labels', 'team=db']);
  await helm.run(['upgrade', 'vault', chart('random'), ...db, '--set', 'note=second']);
  await helm.run(['install', 'text-three', chart('awkward-text'), ...db]);
  await helm.run(['install', ...rendered, '--no-hooks', '--set', 'replicas=1']);
  await helm.run(['upgrade', ...rendered, '--no-hooks', '--set', 'replicas=2,sessions.enabled=false']);
}

async function installSmall(helm: Helm, scratch: string): Promise<void> {
  const stage = ['-n', 'stage'];
  await helm.run(['install', 'text', chart('awkward-text'), ...stage]);
  await helm.run(['upgrade', 'text', chart('awkward-text'), ...stage, '--set-json', 'braces="{{ x }} --- }}"']);
  await helm.run(['install', 'lucky', chart('random'), ...stage]);
  await helm.run(['upgrade', 'lucky', chart('random'), ...stage, '--set', 'note=second']);
  await helm.run(['upgrade', 'lucky', chart('random'), ...stage, '--set', 'note=third']);

  const many = chart('many');
  const byClient = ['--server-side=false', '--set', 'deployment=true'];
  await helm.run(['install', 'client-side', many, ...stage, ...byClient]);
  await helm.run(['upgrade', 'client-side', many, ...stage, ...byClient, '--set', 'text=two']);

  const configmaps = { HELM_DRIVER: 'configmap' };
  await helm.run(['install', 'settings', many, '-n', 'stage-db', '--labels', 'kept=in-configmap'], configmaps);
  await helm.run(['upgrade', 'settings', many, '-n', 'stage-db', '--set', 'text=two'], configmaps);

  await helm.run(['install', 'gone', many, ...stage]);
  await helm.run(['upgrade', 'gone', many, ...stage, '--set', 'text=two']);
  await helm.run(['uninstall', 'gone', ...stage, '--keep-history']);

  await helm.fail(['install', 'never', many, '-n', 'stage-quota', '--set', 'deployment=true']);

  const values = join(scratch, 'big.json');
  await writeFile(values, JSON.stringify(bigValues()));
  await helm.run(['install', 'big', chart('big-record'), ...stage, '-f', values]);
}

/**
 * Values that make `big-record` a record of about 900 KiB. They stand in it twice, as values and in the manifest, as
 * those of a chart with big dashboards do, and do not compress.
 */
export function bigValues(): { blobs: Record<string, string> } {
  const blobs: Record<string, string> = {};
  for (let index = 0; index < 4; index += 1) {
    let text = '';
    // 48 bits a line come out of SHA-256 of the place: the same text on every machine.
    for (let block = 0; text.length < 112_000; block += 1) {
      text += createHash('sha256').update(`${index}/${block}`).digest('base64');
    }
    blobs[`blob-${index}`] = text;
  }
  return { blobs };
}
