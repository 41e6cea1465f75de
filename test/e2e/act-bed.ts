import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type ArtifactService, startArtifactService } from '../cluster/artifact-service/index.ts';
import { startCluster, type TestCluster } from '../cluster/cluster.ts';
import { base64, writeKubeconfig } from '../cluster/kubeconfig.ts';
import { startS3, type TestS3 } from '../cluster/s3.ts';
import { ensureTools } from '../cluster/tools.ts';
import { runWorkflow, type WorkflowOptions, type WorkflowRun } from './act.ts';
import { type Helm, makeHelm } from './helm.ts';

export const examples = resolve(import.meta.dirname, '../../examples');
export const promoteFile = join(examples, 'promote/promote.yml');
export const postReleaseFile = join(examples, 'post-release/post-release.yml');
export const backupFile = join(examples, 'cluster-backup/cluster-backup.yml');
export const shop = join(examples, 'charts/shop');
export const RUN_ID = 4711;

/** All that the examples need around them: clusters with users who have the rights that the READMEs ask for, and backends. */
export interface ExampleBed {
  readonly stage: TestCluster;
  readonly prod: TestCluster;
  readonly stageHelm: Helm;
  readonly prodHelm: Helm;
  readonly s3: TestS3;
  readonly service: ArtifactService;
  readonly scratch: string;
  /** Runs examples/promote, with secrets as its README says. */
  promote(options?: Partial<WorkflowOptions>): Promise<WorkflowRun>;
  /** Runs examples/post-release as after a deployment that ended so. */
  exportAfter(conclusion: 'success' | 'failure'): Promise<WorkflowRun>;
  /** Runs examples/cluster-backup as in the night. */
  backUp(): Promise<WorkflowRun>;
  /** Removes the release shop from PROD. */
  emptyProd(): Promise<void>;
  close(): Promise<void>;
}

/** Starts it, with the release shop in three revisions on STAGE. */
export async function startExampleBed(): Promise<ExampleBed> {
  const { helm4 } = await ensureTools(['helm4']);
  const scratch = await mkdtemp(join(tmpdir(), 'transship-workflows-'));
  const [stage, prod, s3, service] = await Promise.all([
    startCluster({ name: 'stage', tokens: [{ user: 'exporter' }] }),
    startCluster({ name: 'prod', tokens: [{ user: 'importer' }, { user: 'exporter' }, { user: 'backup' }] }),
    startS3(),
    startArtifactService({ runId: RUN_ID }),
  ]);
  const stageHelm = makeHelm(helm4, stage.kubeconfig, scratch);
  const prodHelm = makeHelm(helm4, prod.kubeconfig, scratch);
  await stage.kubectl(['create', 'namespace', 'stage']);
  await prod.kubectl(['create', 'namespace', 'prod']);
  await grant(stage, prod);
  await stageHelm.run(['install', 'shop', shop, '--namespace', 'stage']);
  for (const replicas of [2, 3]) {
    await stageHelm.run(['upgrade', 'shop', shop, '--namespace', 'stage', '--set', `replicas=${replicas}`]);
  }
  return {
    stage,
    prod,
    stageHelm,
    prodHelm,
    s3,
    service,
    scratch,
    promote: (options = {}) =>
      runWorkflow({
        workflow: promoteFile,
        event: 'workflow_dispatch',
        secrets: {
          // As it is, and in base64 as the README says.
          STAGE_KUBECONFIG: kubeconfigOf(stage, 'exporter'),
          PROD_KUBECONFIG: base64(kubeconfigOf(prod, 'importer')),
        },
        env: { ...service.env, GITHUB_RETENTION_DAYS: '90' },
        programs: { helm: helm4 },
        ...options,
      }),
    exportAfter: (conclusion) =>
      runWorkflow({
        workflow: postReleaseFile,
        event: 'workflow_run',
        payload: { action: 'completed', workflow_run: { name: 'Deploy', conclusion } },
        secrets: {
          PROD_KUBECONFIG: base64(kubeconfigOf(prod, 'exporter')),
          AWS_ACCESS_KEY_ID: s3.accessKeyId,
          AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
        },
        vars: { SNAPSHOT_PATH: `s3://${s3.bucket}/nightly/prod`, AWS_REGION: s3.region },
        env: { AWS_ENDPOINT_URL_S3: s3.endpoint },
      }),
    backUp: () =>
      runWorkflow({
        workflow: backupFile,
        event: 'schedule',
        secrets: {
          PROD_KUBECONFIG: base64(kubeconfigOf(prod, 'backup')),
          AWS_ACCESS_KEY_ID: s3.accessKeyId,
          AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
        },
        vars: { SNAPSHOT_PATH: `s3://${s3.bucket}/trees`, AWS_REGION: s3.region },
        env: { AWS_ENDPOINT_URL_S3: s3.endpoint },
      }),
    async emptyProd() {
      await prodHelm.run(['uninstall', 'shop', '--namespace', 'prod', '--ignore-not-found', '--wait']);
      await prod.kubectl(['delete', 'jobs', '--all', '--namespace', 'prod']);
    },
    async close() {
      await Promise.all([stage.stop(), prod.stop(), s3.stop(), service.stop()]);
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

/** What a repository's secret holds: the context of a user with few rights, and one of the administrator that lies idle. */
function kubeconfigOf(cluster: TestCluster, user: string): string {
  const contexts = [`${cluster.name}-${user}`, cluster.context].flatMap((wanted) =>
    cluster.access.contexts.filter(({ name }) => name === wanted),
  );
  return writeKubeconfig([{ ...cluster.access, contexts }]);
}

/** What must not be said of the kubeconfig that a workflow gets: the user's token, the idle key, and the whole in base64. */
export function secretsOf(cluster: TestCluster, user: string): string[] {
  const kubeconfig = kubeconfigOf(cluster, user);
  const found = [...kubeconfig.matchAll(/(?:token|client-key-data): "?([^\s"]+)/g)].map(([, value = '']) => value);
  if (found.length !== 2) throw new Error(`The kubeconfig of ${user} has ${found.length} secrets, not 2.`);
  return [...found, base64(kubeconfig)];
}

/** Gives the users of the examples what the READMEs ask for, and no more. */
async function grant(stage: TestCluster, prod: TestCluster): Promise<void> {
  const records = ['--verb=get,list', '--resource=secrets,configmaps'];
  const crds = ['--verb=get', '--resource=customresourcedefinitions'];
  for (const cluster of [stage, prod]) {
    await cluster.kubectl(['create', 'clusterrole', 'crds', ...crds]);
    await cluster.kubectl(['create', 'clusterrolebinding', 'crds', '--clusterrole=crds', '--user=exporter']);
  }
  const inStage = ['--namespace', 'stage'];
  await stage.kubectl(['create', 'role', 'records', ...records, ...inStage]);
  await stage.kubectl(['create', 'rolebinding', 'records', '--role=records', '--user=exporter', ...inStage]);
  await prod.kubectl(['create', 'clusterrole', 'records', ...records]);
  await prod.kubectl(['create', 'clusterrolebinding', 'records', '--clusterrole=records', '--user=exporter']);
  await prod.kubectl(['create', 'clusterrole', 'backup', '--verb=get,list', '--resource=*.*']);
  await prod.kubectl(['create', 'clusterrolebinding', 'backup', '--clusterrole=backup', '--user=backup']);
  const inProd = ['--namespace', 'prod'];
  await prod.kubectl(['create', 'rolebinding', 'importer', '--clusterrole=admin', '--user=importer', ...inProd]);
}
