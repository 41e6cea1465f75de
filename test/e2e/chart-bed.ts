import { mkdir, mkdtemp } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { startS3, type TestS3 } from '../cluster/s3.ts';
import { type Api, at, openApi } from './api.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { type Helm, makeHelm } from './helm.ts';
import { asMap } from './live-object.ts';
import { type CommandResult, runCommand } from './run-command.ts';

/** The chart of this project. */
export const CHART = resolve(import.meta.dirname, '../../charts/transship');

export type Values = Readonly<Record<string, unknown>>;
export type HelmName = 'helm3' | 'helm4';

/** A cluster, S3, and both Helms. */
export interface ChartBed {
  readonly bed: Bed;
  readonly cluster: RunningCluster;
  readonly api: Api;
  readonly s3: TestS3;
  readonly helm: Readonly<Record<HelmName, Helm>>;
  /** What the release `backup` in the namespace `ops` would be made of. */
  render(values: Values, helm?: HelmName): Promise<KubeObject[]>;
  /** What is said of values that are refused. */
  refusal(values: Values, helm?: HelmName): Promise<string>;
  /** An empty folder. */
  folder(name: string): Promise<string>;
  close(): Promise<void>;
}

export async function startChartBed(): Promise<ChartBed> {
  const bed = await prepareBed();
  const [cluster, s3] = await Promise.all([bed.start('chart'), startS3()]);
  const api = openApi(cluster);
  const helm = {
    helm3: makeHelm(bed.tools.helm3, cluster.kubeconfig, bed.scratch),
    helm4: makeHelm(bed.tools.helm4, cluster.kubeconfig, bed.scratch),
  };
  const template = (values: Values, which: HelmName): Promise<CommandResult> =>
    runCommand(
      bed.tools[which],
      ['template', 'backup', CHART, '--namespace', 'ops', '--kube-version', '1.35.0', ...valueFlags(values)],
      { env: bed.environment(cluster, which) },
    );
  return {
    ...{ bed, cluster, api, s3, helm },
    async render(values, which = 'helm4') {
      const { exitCode, stdout, stderr } = await template(values, which);
      if (exitCode !== 0) throw new Error(stderr);
      return parseAllDocuments(stdout)
        .map((document) => document.toJS())
        .filter(isObject);
    },
    async refusal(values, which = 'helm4') {
      const { exitCode, stdout, stderr } = await template(values, which);
      if (exitCode === 0) throw new Error(`These values should have been refused: ${stdout}`);
      return stderr;
    },
    folder: async (name) => {
      await mkdir(join(bed.scratch, 'pods'), { recursive: true });
      return mkdtemp(join(bed.scratch, 'pods', `${name}-`));
    },
    async close() {
      api.close();
      await Promise.all([bed.close(), s3.stop()]);
    },
  };
}

/** Values as JSON, each as one flag of Helm. */
export function valueFlags(values: Values): string[] {
  return Object.entries(values).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]);
}

/** The objects of a kind. */
export function ofKind(objects: readonly KubeObject[], kind: string): KubeObject[] {
  return objects.filter((object) => object.kind === kind);
}

/** The template of the pod that a rendered Deployment or CronJob makes. */
export function podTemplateOf(objects: readonly KubeObject[]): unknown {
  const [deployment] = ofKind(objects, 'Deployment');
  const [cronJob] = ofKind(objects, 'CronJob');
  return at(deployment, 'spec', 'template') ?? at(cronJob, 'spec', 'jobTemplate', 'spec', 'template');
}

/** The arguments of a pod's container. */
export function argsOf(template: unknown): unknown {
  return at(template, 'spec', 'containers', 0, 'args');
}

function isObject(value: unknown): value is KubeObject {
  return asMap(asMap(value)?.metadata) !== undefined;
}
