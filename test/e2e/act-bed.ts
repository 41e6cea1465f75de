import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type ArtifactService, startArtifactService } from '../cluster/artifact-service/index.ts';
import { startCluster, type TestCluster } from '../cluster/cluster.ts';
import { base64, writeKubeconfig } from '../cluster/kubeconfig.ts';
import { startS3, type TestS3 } from '../cluster/s3.ts';
import { ensureTools } from '../cluster/tools.ts';
import { runWorkflow, type WorkflowOptions, type WorkflowRun } from './act.ts';
import { type Helm, makeHelm } from './helm.ts';

const examples = resolve(import.meta.dirname, '../../examples');
export const shop = join(examples, 'charts/shop');
export const RUN_ID = 4711;

export const example = (name: string): string => join(examples, name);

/** What the promotions need around them: clusters with users who have the rights of the examples, and artifacts. */
export interface PromotionBed {
  readonly stage: TestCluster;
  readonly prod: TestCluster;
  readonly stageHelm: Helm;
  readonly prodHelm: Helm;
  readonly tools: Readonly<Record<'helm4' | 'kubectl', string>>;
  readonly service: ArtifactService;
  readonly scratch: string;
  /** Runs examples/promote-with-approval, with secrets as its README says. */
  promote(options?: Partial<WorkflowOptions>): Promise<WorkflowRun>;
  /** Runs examples/reusable by its caller. */
  callReusable(options?: Partial<WorkflowOptions>): Promise<WorkflowRun>;
  /** Removes the release shop from PROD. */
  emptyProd(): Promise<void>;
  close(): Promise<void>;
}

/** Starts it, with the release shop in three revisions on STAGE. */
export async function startPromotionBed(): Promise<PromotionBed> {
  const tools = await ensureTools(['helm4', 'kubectl']);
  const scratch = await mkdtemp(join(tmpdir(), 'transship-workflows-'));
  const [stage, prod, service] = await Promise.all([
    startCluster({ name: 'stage', tokens: [{ user: 'exporter' }] }),
    startCluster({ name: 'prod', tokens: [{ user: 'importer' }, { user: 'planner' }] }),
    startArtifactService({ runId: RUN_ID }),
  ]);
  const stageHelm = makeHelm(tools.helm4, stage.kubeconfig, scratch);
  const prodHelm = makeHelm(tools.helm4, prod.kubeconfig, scratch);
  const fillStage = async () => {
    await stage.kubectl(['create', 'namespace', 'stage']);
    await grant(stage, 'promote-with-approval/stage-rbac.yaml');
    await stageHelm.run(['install', 'shop', shop, '--namespace', 'stage']);
    for (const replicas of [2, 3]) {
      await stageHelm.run(['upgrade', 'shop', shop, '--namespace', 'stage', '--set', `replicas=${replicas}`]);
    }
  };
  const prepareProd = async () => {
    await prod.kubectl(['create', 'namespace', 'prod']);
    await grant(prod, 'promote-with-approval/prod-rbac.yaml');
  };
  await Promise.all([fillStage(), prepareProd()]);
  const runner = { env: { ...service.env, GITHUB_RETENTION_DAYS: '90' }, programs: { helm: tools.helm4 } };
  // As it is, and in base64 as the README says.
  const secrets = {
    STAGE_KUBECONFIG: kubeconfigOf(stage, 'exporter'),
    PROD_KUBECONFIG: base64(kubeconfigOf(prod, 'importer')),
  };
  return {
    ...{ stage, prod, stageHelm, prodHelm, tools, service, scratch },
    promote: (options) =>
      runWorkflow({
        example: example('promote-with-approval'),
        event: 'workflow_dispatch',
        secrets: { ...secrets, PROD_PLAN_KUBECONFIG: base64(kubeconfigOf(prod, 'planner')) },
        ...runner,
        ...options,
      }),
    callReusable: (options) =>
      runWorkflow({
        example: example('reusable'),
        workflow: 'caller.yml',
        event: 'workflow_dispatch',
        secrets,
        ...runner,
        ...options,
      }),
    async emptyProd() {
      await prodHelm.run(['uninstall', 'shop', '--namespace', 'prod', '--ignore-not-found', '--wait']);
      await prod.kubectl(['delete', 'jobs', '--all', '--namespace', 'prod']);
    },
    async close() {
      await Promise.all([stage.stop(), prod.stop(), service.stop()]);
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

/** What the examples around S3 need: a cluster to save, a spare one to restore and preview in, a bucket. */
export interface SnapshotBed {
  readonly prod: TestCluster;
  readonly spare: TestCluster;
  readonly s3: TestS3;
  readonly helm4: string;
  readonly scratch: string;
  /** Runs an example with the credentials of the bucket, its variables, and the kubeconfig of a user as its secret. */
  run(name: string, path: string, options: SnapshotRun): Promise<WorkflowRun>;
  /** The keys of the bucket that begin so. */
  stored(prefix: string): Promise<string[]>;
  /** The file that an object of the bucket is kept in. */
  fileOf(key: string): string;
  close(): Promise<void>;
}

export interface SnapshotRun extends Omit<WorkflowOptions, 'example' | 'secrets' | 'vars' | 'env'> {
  readonly secrets?: Readonly<Record<string, string>>;
}

/** Starts it. */
export async function startSnapshotBed(): Promise<SnapshotBed> {
  const { helm4 } = await ensureTools(['helm4']);
  const scratch = await mkdtemp(join(tmpdir(), 'transship-snapshots-'));
  const [prod, spare, s3] = await Promise.all([
    startCluster({ name: 'prod', tokens: ['exporter', 'backup', 'saver', 'deployer'].map((user) => ({ user })) }),
    startCluster({ name: 'spare', tokens: [{ user: 'previews' }] }),
    startS3(),
  ]);
  const fileOf = (key: string) => join(s3.folder, 'buckets', s3.bucket, key);
  return {
    ...{ prod, spare, s3, helm4, scratch, fileOf },
    run: (name, path, options) =>
      runWorkflow({
        example: example(name),
        vars: { SNAPSHOT_PATH: `s3://${s3.bucket}/${path}`, AWS_REGION: s3.region },
        env: { AWS_ENDPOINT_URL_S3: s3.endpoint },
        programs: { helm: helm4 },
        ...options,
        secrets: {
          AWS_ACCESS_KEY_ID: s3.accessKeyId,
          AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
          ...options.secrets,
        },
      }),
    async stored(prefix) {
      const bucket = join(s3.folder, 'buckets', s3.bucket);
      const entries = await readdir(bucket, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(bucket.length + 1))
        .filter((key) => key.startsWith(prefix));
    },
    async close() {
      await Promise.all([prod.stop(), spare.stop(), s3.stop()]);
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

/** What a repository's secret holds: the context of a user with few rights, and one of the administrator that lies idle. */
export function kubeconfigOf(cluster: TestCluster, user: string): string {
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

/** Gives the users of an example the rights that it comes with, and no more. */
export async function grant(cluster: TestCluster, ...files: readonly string[]): Promise<void> {
  await cluster.kubectl(['apply', ...files.flatMap((file) => ['--filename', example(file)])]);
}
