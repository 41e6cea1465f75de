import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { freezeChart } from './frozen-chart.ts';
import { FROZEN_ANNOTATION } from './frozen-mark.ts';
import {
  type Helm,
  type HelmRun,
  helmEnvironment,
  helmWords,
  installArguments,
  type RunProgram,
  upgradeArguments,
} from './helm.ts';
import type { HelmHook } from './helm-release.ts';
import { packChart } from './pack-chart.ts';
import { type Driver, parseRelease, type ReleaseRecord } from './record.ts';

/** What every run of helm in one import shares. */
export interface HelmContext {
  readonly helm: Helm;
  readonly runProgram: RunProgram;
  readonly cluster: Cluster;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For this run alone, readable by this user alone. */
  readonly temporaryDirectory: string;
  /** Go duration. */
  readonly timeout: string;
  readonly wait: boolean;
  readonly noHooks: boolean;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** From here on a record that holds its manifest twice might not fit into a Secret, even if nothing in it compresses. */
const LARGE_JSON_LENGTH = 350_000;

/** How Helm is to bring a release in: under a free name, under one whose last revision has ended, or over one that runs. */
export type Way = 'install' | 'reuse' | 'upgrade';

/** What else a run of Helm is to differ in. */
export interface FrozenOptions {
  readonly hooks?: readonly HelmHook[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/**
 * Has Helm install the frozen chart of a record: Helm itself creates the objects in its order, runs the hooks and waits.
 *
 * @param driver - where Helm is to keep the release at the target
 * @param mark - kept in the chart, and so in the record that Helm writes until the original takes its place
 * @param hooks - instead of the record's own, where some have run already
 * @param labels - for the records that Helm writes
 * @throws TransshipError `HELM` in Helm's own words
 * @throws the signal's reason once helm has ended, when the signal fires
 */
export async function runFrozen(
  context: HelmContext,
  record: ReleaseRecord,
  driver: Driver,
  way: Way,
  mark: string,
  { hooks, labels }: FrozenOptions = {},
): Promise<void> {
  const { helm, cluster, reporter, signal } = context;
  const release = parseRelease(record);
  const chart = freezeChart(hooks === undefined ? release : { ...release, hooks }, helm.major, {
    annotations: { [FROZEN_ANNOTATION]: mark },
    nested: record.json.length > LARGE_JSON_LENGTH,
  });
  for (const difference of chart.differences) {
    reporter.debug(`Frozen chart of ${record.namespace}/${record.release}: ${difference}.`);
  }
  const directory = await mkdtemp(join(context.temporaryDirectory, 'frozen-'));
  try {
    const chartFile = join(directory, 'frozen-0.0.0.tgz');
    const valuesFile = chart.values === undefined ? undefined : join(directory, 'values.yaml');
    await writeFile(chartFile, await packChart(chart.files), { mode: 0o600 });
    if (valuesFile !== undefined) await writeFile(valuesFile, chart.values ?? '', { mode: 0o600 });
    const run: HelmRun = {
      release: record.release,
      namespace: record.namespace,
      chart: chartFile,
      valuesFile,
      access: cluster.access,
      timeout: context.timeout,
      wait: context.wait,
      noHooks: context.noHooks,
      serverSide: release.apply_method === 'ssa',
      labels,
    };
    const args = way === 'upgrade' ? upgradeArguments(helm, run) : installArguments(helm, run, way === 'reuse');
    const env = helmEnvironment(context.env, cluster.access, driver, join(context.temporaryDirectory, 'kube-cache'));
    const { exitCode, stderr } = await context.runProgram(helm.path, args, { env, signal });
    signal?.throwIfAborted();
    if (exitCode !== 0) throw new TransshipError('HELM', helmWords(stderr, exitCode));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
