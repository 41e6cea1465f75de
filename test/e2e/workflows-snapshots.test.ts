import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestCluster } from '../cluster/cluster.ts';
import { base64 } from '../cluster/kubeconfig.ts';
import { REPOSITORY, type WorkflowRun } from './act.ts';
import { grant, kubeconfigOf, type SnapshotBed, secretsOf, shop, startSnapshotBed } from './act-bed.ts';
import { objectFiles, readArchiveFiles } from './archive-files.ts';
import type { Edit } from './example-repository.ts';
import { makeHelm } from './helm.ts';
import { transship } from './run-transship.ts';
import { script } from './script.ts';

const PREVIEW = 'pr-42';
/** An environment too, with a name that is nearly the same. */
const OTHER = 'pr-420';
const EXPIRED = 'pr-43';
const DAY_MS = 86_400_000;

let bed: SnapshotBed;
/** Exports only read: all of them are run at once. */
let runs: Record<'released' | 'notReleased' | 'backup' | 'matrix' | 'composite', WorkflowRun>;

beforeAll(async () => {
  bed = await startSnapshotBed();
  const helm = makeHelm(bed.helm4, bed.prod.kubeconfig, bed.scratch);
  await bed.prod.kubectl(['apply', '--filename', '-'], namespaces('prod', 'stage', 'shop', 'billing'));
  const rights = ['post-release-export', 'cluster-backup', 'matrix', 'composite'].map((name) => `${name}/rbac.yaml`);
  await Promise.all([
    grant(bed.prod, ...rights),
    grant(bed.spare, 'preview-environment/rbac.yaml'),
    helm.run(['install', 'shop', shop, '--namespace', 'prod']),
    helm.run(['install', 'shop', shop, '--namespace', 'stage']),
    bed.prod.kubectl(['apply', '--filename', '-'], OBJECTS.join('---\n')),
  ]);
  const as = (user: string) => ({ PROD_KUBECONFIG: base64(kubeconfigOf(bed.prod, user)) });
  const exportAfter = (conclusion: string, path: string) =>
    bed.run('post-release-export', path, {
      event: 'workflow_run',
      payload: { action: 'completed', workflow_run: { name: 'Deploy', conclusion } },
      secrets: as('exporter'),
    });
  const [released, notReleased, backup, matrix, composite] = await Promise.all([
    exportAfter('success', 'nightly/prod'),
    exportAfter('failure', 'never'),
    bed.run('cluster-backup', 'trees', { event: 'schedule', secrets: as('backup') }),
    bed.run('matrix', 'matrix', {
      event: 'schedule',
      secrets: as('saver'),
      // One more, which its user has no right to.
      edits: [['[shop, billing]', '[shop, billing, stage]']],
    }),
    bed.run('composite', 'before', {
      workflow: 'deploy.yml',
      event: 'workflow_dispatch',
      secrets: as('deployer'),
    }),
  ]);
  runs = { released, notReleased, backup, matrix, composite };
});

afterAll(() => bed?.close());

describe('examples/post-release-export', () => {
  it('succeeds with no more rights in the cluster than its folder grants', () => {
    expect(runs.released.succeeded, runs.released.log).toBe(true);
    expect(runs.released.jobs).toEqual({ export: 'success' });
  });

  it('stores the snapshot as one object under the path', async () => {
    const { snapshot, location, size } = runs.released.outputs('export');
    const key = `nightly/prod/transship-${snapshot}.tar.zst`;
    expect(await bed.stored('nightly/')).toEqual([key]);
    expect(location).toBe(`s3://${bed.s3.bucket}/${key}`);
    expect(String((await stat(bed.fileOf(key))).size)).toBe(size);
  });

  it('stores what verify finds whole, as its README reads it back', async () => {
    const { snapshot, digest } = runs.released.outputs('export');
    expect(await verify('nightly/prod')).toMatchObject({ snapshot, digest });
  });

  it('shows the releases of all namespaces in the summary', () => {
    const summary = runs.released.summary('export');
    expect(summary).toContain('### ✅ Exported 2 releases from prod-exporter');
    expect(summary).toContain('| shop | prod | shop | 1.4.0 | 2026.11.0 | 1 | exported |');
    expect(summary).toContain('| shop | stage | shop | 1.4.0 | 2026.11.0 | 1 | exported |');
  });

  it('says nothing that is secret in the kubeconfig or opens the bucket', () => {
    for (const secret of [...secretsOf(bed.prod, 'exporter'), bed.s3.secretAccessKey]) {
      expect(runs.released.unmasked.includes(secret)).toBe(false);
    }
  });

  it('exports nothing after a deployment that failed', async () => {
    expect(runs.notReleased.succeeded, runs.notReleased.log).toBe(true);
    expect(runs.notReleased.jobs).toEqual({});
    expect(await bed.stored('never/')).toEqual([]);
  });
});

describe('examples/cluster-backup', () => {
  const folder = () => `trees/prod-backup/backup/${runs.backup.outputs('backup').snapshot}`;

  it('exports, and finds whole what it exported, with no more rights than its folder grants', () => {
    expect(runs.backup.succeeded, runs.backup.log).toBe(true);
    expect(runs.backup.jobs).toEqual({ backup: 'success' });
    expect(runs.backup.summary('backup')).toContain('### ✅ Exported 2 releases and ');
  });

  it('stores a file for each kind and namespace, the manifest among them', async () => {
    expect(await bed.stored('trees/')).toEqual(
      expect.arrayContaining(
        ['_snapshot.json', '_releases/prod/shop/1.json', 'clusterroles.json', 'prod/configmaps.json', 'manifest'].map(
          (file) => `${folder()}/${file}`,
        ),
      ),
    );
  });

  it('leaves to the release what the release brings', async () => {
    const { items } = JSON.parse(await readFile(bed.fileOf(`${folder()}/prod/configmaps.json`), 'utf8'));
    expect(items.map(({ metadata }: { metadata: { name: string } }) => metadata.name)).toEqual(['by-hand']);
  });
});

describe('examples/matrix', () => {
  it('saves each namespace in a place of its own, with rights in these only', async () => {
    for (const namespace of ['shop', 'billing']) {
      const { snapshot, digest } = runs.matrix.outputs(`export (${namespace})`);
      expect(await verify(`matrix/${namespace}`), runs.matrix.log).toMatchObject({ snapshot, digest });
      const archive = await readArchiveFiles(bed.fileOf(`matrix/${namespace}/transship-${snapshot}.tar.zst`));
      const files = Object.keys(objectFiles(archive));
      expect(files).toContain(`${namespace}/configmaps.json`);
      expect(files.filter((file) => !file.startsWith(`${namespace}/`))).toEqual([]);
    }
  });

  it('saves the others when one of them fails', async () => {
    expect(runs.matrix.succeeded).toBe(false);
    expect(runs.matrix.errors('export (stage)')[0]?.message).toContain('may not be listed in namespace stage');
    expect(await bed.stored('matrix/stage')).toEqual([]);
  });
});

describe('examples/composite', () => {
  it('saves what runs before the deployment, and tells the deployment how to take it back', async () => {
    expect(runs.composite.succeeded, runs.composite.log).toBe(true);
    const { snapshot, digest } = runs.composite.outputs('deploy');
    expect(runs.composite.said('deploy', 'Main')).toContain(`snapshot ${snapshot} takes it back`);
    expect(await verify('before')).toMatchObject({ snapshot, digest });
  });
});

describe('examples/disaster-recovery-drill', () => {
  const drill = async (path: string, edits: readonly Edit[] = []) => {
    const kind = await fakeKind(bed.spare);
    const run = await bed.run('disaster-recovery-drill', path, {
      event: 'schedule',
      edits,
      programs: { helm: bed.helm4, kind: kind.program },
    });
    return { run, calls: await kind.calls() };
  };

  it('restores the latest snapshot into an empty cluster, finds nothing missing, and throws the cluster away', async () => {
    const { run, calls } = await drill('before');
    expect(run.succeeded, run.log).toBe(true);
    expect(run.jobs).toEqual({ drill: 'success' });
    expect(run.outputs('drill')).toMatchObject({
      snapshot: runs.composite.outputs('deploy').snapshot,
      changed: 'false',
    });
    expect(run.summary('drill')).toContain('| shop | prod | shop | 1.4.0 | 2026.11.0 | 1 | created |');
    const byHand = ['get', 'configmap', 'by-hand', '--namespace', 'prod', '--output', 'jsonpath={.data}'];
    expect(await bed.spare.kubectl(byHand)).toBe('{"a":"b"}');
    expect(calls).toEqual([
      expect.stringMatching(/^create cluster --name drill --kubeconfig \/\S+\/drill\.yaml --wait 3m$/),
      'delete cluster --name drill',
    ]);
  });

  it('fails when something is missing after the restore, naming it', async () => {
    await bed.spare.kubectl(['delete', 'configmap', 'by-hand', '--namespace', 'prod']);
    // A restore that forgets something.
    const { run, calls } = await drill('before', [['wait: true', 'wait: true\n          exclude: configmaps']]);
    expect(run.jobs, run.log).toEqual({ drill: 'failure' });
    expect(run.summary('drill')).toContain('Plan: 1 to create, 0 to update');
    expect(run.summary('drill')).toContain('ConfigMap prod/by-hand');
    expect(calls.at(-1)).toBe('delete cluster --name drill');
  });

  it('fails on a damaged snapshot before it starts a cluster', async () => {
    const { snapshot } = runs.composite.outputs('deploy');
    const name = `transship-${snapshot}.tar.zst`;
    const bytes = await readFile(bed.fileOf(`before/${name}`));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await mkdir(bed.fileOf('damaged'));
    await writeFile(bed.fileOf(`damaged/${name}`), bytes);
    const { run, calls } = await drill('damaged');
    expect(run.jobs, run.log).toEqual({ drill: 'failure' });
    expect(run.errors('drill')[0]?.message).toContain('is damaged');
    expect(calls).toEqual(['delete cluster --name drill']);
  });
});

describe('examples/preview-environment', () => {
  let opened: WorkflowRun;

  beforeAll(async () => {
    await exportStage();
    const [first, ...others] = await Promise.all([
      preview('opened', PREVIEW),
      preview('opened', OTHER),
      preview('opened', EXPIRED, [['ttl: 7d', 'ttl: 1s']]),
    ]);
    for (const { succeeded, log } of others) expect(succeeded, log).toBe(true);
    opened = first;
  });

  it('brings up a namespace of its own when a pull request is opened, with the hosts of STAGE rewritten', async () => {
    expect(opened.jobs, opened.log).toEqual({ preview: 'success' });
    expect(opened.summary('preview')).toContain(`| shop | ${PREVIEW} | shop | 1.4.0 | 2026.11.0 | 1 | created |`);
    expect(await inPreview('deployment', 'shop', '{.spec.replicas}')).toBe('1');
    expect(await inPreview('ingress', 'shop', '{.spec.rules[0].host}')).toBe(`${PREVIEW}.preview.example.com`);
    expect(await inPreview('configmap', 'retired', '{.data.url}')).toBe(`https://${PREVIEW}.preview.example.com/old`);
  });

  it('labels what it created, and says until when it is wanted', async () => {
    const label = '{.metadata.labels.transship\\.dev/environment}';
    expect(await inPreview('ingress', 'shop', label)).toBe(PREVIEW);
    expect(await inPreview('namespace', PREVIEW, label)).toBe(PREVIEW);
    const expires = await inPreview('configmap', `transship-environment-${PREVIEW}`, '{.data.expires}');
    expect(Math.round((Date.parse(expires) - Date.now()) / DAY_MS)).toBe(7);
  });

  it('follows STAGE with every push: what is gone there is pruned', async () => {
    await Promise.all([
      bed.prod.kubectl(['delete', 'configmap', 'retired', '--namespace', 'stage']),
      bed.prod.kubectl(['annotate', 'ingress', 'shop', 'example.com/since=today', '--namespace', 'stage']),
    ]);
    await exportStage();
    const run = await preview('synchronize', PREVIEW);
    expect(run.jobs, run.log).toEqual({ preview: 'success' });
    expect(JSON.parse(run.outputs('preview').counts ?? '')).toMatchObject({ created: 0, updated: 1, deleted: 1 });
    expect(await inPreview('ingress', 'shop', '{.metadata.annotations.example\\.com/since}')).toBe('today');
    expect(await namesOf('configmaps', PREVIEW)).not.toContain('retired');
    // It is what STAGE's is: Helm did not run again, nor any hook.
    expect(run.summary('preview')).toContain(`| shop | ${PREVIEW} | shop | 1.4.0 | 2026.11.0 | 1 | unchanged |`);
  });

  it('gives a pull request of a fork no preview', async () => {
    const run = await preview('opened', 'pr-44', [], 'somebody/shop');
    expect(run.succeeded, run.log).toBe(true);
    expect(run.jobs).toEqual({});
  });

  it('takes everything down when the pull request is closed, and every night what has expired, and no other', async () => {
    const [closed, night] = await Promise.all([
      preview('closed', PREVIEW),
      bed.run('preview-environment', 'stage', { event: 'schedule', secrets: previewSecrets() }),
    ]);
    expect(closed.jobs, closed.log).toEqual({ teardown: 'success' });
    expect(night.jobs, night.log).toEqual({ expired: 'success' });
    expect(closed.summary('teardown')).toContain(`of environment ${PREVIEW} from`);
    expect(night.summary('expired')).toContain(`of environment ${EXPIRED} from`);
    const left = await namesOf('namespaces');
    expect(left.filter((name) => name.startsWith('pr-'))).toEqual([OTHER]);
    expect(await namesOf('configmaps', OTHER)).toContain('retired');
  });

  const preview = (action: string, name: string, edits: readonly Edit[] = [], repository = REPOSITORY) =>
    bed.run('preview-environment', 'stage', {
      event: 'pull_request',
      payload: {
        ...{ action, number: Number(name.slice('pr-'.length)) },
        pull_request: { head: { repo: { full_name: repository } } },
      },
      secrets: previewSecrets(),
      edits,
    });
  const previewSecrets = () => ({ PREVIEW_KUBECONFIG: base64(kubeconfigOf(bed.spare, 'previews')) });
  const exportStage = () =>
    transship(
      [
        ...['export', '--kubeconfig', bed.prod.kubeconfig, '--namespace', 'stage', '--include', 'releases,resources'],
        ...['--path', `s3://${bed.s3.bucket}/stage`],
      ],
      { env: bed.s3.env },
    );
  const inPreview = (kind: string, name: string, path: string) =>
    bed.spare.kubectl(['get', kind, name, '--namespace', PREVIEW, '--output', `jsonpath=${path}`]);
  const namesOf = async (kind: string, namespace = 'default') => {
    const listed = await bed.spare.kubectl(['get', kind, '--namespace', namespace, '--output', 'name']);
    return listed.split('\n').map((line) => line.slice(line.indexOf('/') + 1));
  };
});

const OBJECTS = [
  configMap('prod', 'by-hand', { a: 'b' }),
  configMap('shop', 'prices', { coffee: '3' }),
  configMap('billing', 'rates', { vat: '0.19' }),
  configMap('stage', 'retired', { url: 'https://stage.example.com/old' }),
  `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop, namespace: stage }
spec:
  rules:
    - host: stage.example.com
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: shop, port: { number: 80 } } } }] }
`,
];

function configMap(namespace: string, name: string, data: Readonly<Record<string, string>>): string {
  return `apiVersion: v1
kind: ConfigMap
metadata: { name: ${name}, namespace: ${namespace} }
data: ${JSON.stringify(data)}
`;
}

function namespaces(...names: readonly string[]): string {
  return names.map((name) => `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${name} }\n`).join('---\n');
}

async function verify(path: string): Promise<Record<string, unknown>> {
  const place = ['--path', `s3://${bed.s3.bucket}/${path}`, '--snapshot', 'latest'];
  return (await transship(['verify', ...place], { env: bed.s3.env })).output;
}

/** kind, whose cluster is one of the test bed. */
async function fakeKind(cluster: TestCluster): Promise<{ program: string; calls(): Promise<string[]> }> {
  const record = join(bed.scratch, `kind-${kinds++}`);
  await writeFile(record, '');
  const program = await script(`${record}.sh`, [
    `echo "$*" >> '${record}'`,
    `[ "$1" != create ] || cp '${cluster.kubeconfig}' "$6"`,
  ]);
  return { program, calls: async () => (await readFile(record, 'utf8')).split('\n').slice(0, -1) };
}
let kinds = 0;
