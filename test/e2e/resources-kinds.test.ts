import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { type Api, at, openApi } from './api.ts';
import { namesIn, objectOf, readArchiveFiles, type SnapshotFiles } from './archive-files.ts';
import { type Bed, prepareBed, type RunningCluster } from './bed.ts';
import { fingerprint } from './fingerprint.ts';
import { asList } from './live-object.ts';
import { runTransship, type TransshipRun, transship } from './run-transship.ts';
import { fillZoo, isBound, serveKind, untilSettled } from './zoo.ts';

const SHOP = '/api/v1/namespaces/shop';
const BANK = '/api/v1/namespaces/bank';
const WIDGETS = '/apis/example.com/v1/namespaces/shop/widgets';

let bed: Bed;
let stage: RunningCluster;
let prod: RunningCluster;
let stageApi: Api;
let prodApi: Api;
let imported: TransshipRun;
let files: SnapshotFiles;
let scratch: string;
let count = 0;

beforeAll(async () => {
  bed = await prepareBed();
  [stage, prod] = await Promise.all([bed.start('stage'), bed.start('prod')]);
  [stageApi, prodApi] = [openApi(stage), openApi(prod)];
  await Promise.all([
    fillZoo(stage, stageApi),
    serveKind(stageApi, 'Gear', ['v1', 'v1beta1']),
    serveKind(prodApi, 'Gear', ['v1beta1']),
  ]);
  await stageApi.create('/apis/example.com/v1/namespaces/shop/gears', {
    apiVersion: 'example.com/v1',
    kind: 'Gear',
    metadata: { name: 'cog' },
    spec: { teeth: 12 },
  });
  const path = join(bed.scratch, 'zoo');
  const choice = ['-n', 'shop,bank', '--cluster-resources', 'all'];
  const exporting = ['export', '--include', 'resources', ...choice, '--path', path];
  const exported = await transship(exporting, { env: user(stage) });
  files = await readArchiveFiles(String(exported.output.location));
  imported = await transship(['import', '--path', path, '--timeout', '1m'], { env: user(prod) });
  await untilSettled(prodApi);
});

afterAll(async () => {
  stageApi?.close();
  prodApi?.close();
  await bed?.close();
});

beforeEach(async () => {
  count += 1;
  scratch = join(bed.scratch, `case-${count}`);
  await mkdir(scratch);
});

const user = (cluster: RunningCluster) => bed.environment(cluster, 'none');

const exportOf = (...args: string[]) =>
  transship(['export', '--include', 'resources', '--path', scratch, ...args], { env: user(stage) });

const importOf = (...args: string[]) => runTransship(['import', '--path', scratch, ...args], { env: user(prod) });

describe('Services', () => {
  it('without an address stay so', async () => {
    expect((await prodApi.get(`${SHOP}/services/db`)).spec).toMatchObject({ clusterIP: 'None', clusterIPs: ['None'] });
  });

  it('get an address of the cluster they come to', async () => {
    expect(objectOf(files, 'shop/services.json', 'web').spec).toEqual({
      internalTrafficPolicy: 'Cluster',
      ipFamilyPolicy: 'SingleStack',
      ports: [
        { name: 'http', port: 80, protocol: 'TCP', targetPort: 'http' },
        { name: 'metrics', port: 9090, protocol: 'TCP', targetPort: 9090 },
      ],
      selector: { app: 'web' },
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } },
      type: 'ClusterIP',
    });
    expect(at(await prodApi.get(`${SHOP}/services/web`), 'spec', 'clusterIP')).toMatch(/^10\.9[67]\./);
  });

  it('keep the node ports that somebody chose, by kubectl or on the server', async () => {
    for (const [name, port] of Object.entries({ pinned: 30080, 'pinned-by-server': 30081 })) {
      const service = await prodApi.get(`${SHOP}/services/${name}`);
      expect(at(service, 'spec', 'ports', 0, 'nodePort'), name).toBe(port);
    }
  });

  it('do not keep those that nobody chose, not even beside one that was chosen', () => {
    const portsOf = (name: string) => asList(at(objectOf(files, 'shop/services.json', name), 'spec', 'ports'));
    expect(portsOf('random')).toEqual([{ port: 80, protocol: 'TCP', targetPort: 80 }]);
    expect(portsOf('pinned')).toEqual([
      { name: 'a', nodePort: 30080, port: 80, protocol: 'TCP', targetPort: 80 },
      { name: 'b', port: 81, protocol: 'TCP', targetPort: 81 },
    ]);
    expect(objectOf(files, 'shop/services.json', 'balanced').spec).not.toHaveProperty('healthCheckNodePort');
  });

  it('without a selector keep the endpoints that somebody wrote', async () => {
    expect((await prodApi.get(`${BANK}/endpoints/mainframe`)).subsets).toEqual([
      { addresses: [{ ip: '192.0.2.10' }], ports: [{ port: 23, protocol: 'TCP' }] },
    ]);
    expect(
      (await prodApi.get('/apis/discovery.k8s.io/v1/namespaces/bank/endpointslices/exchange-1')).endpoints,
    ).toEqual([{ addresses: ['192.0.2.20'], conditions: { ready: true } }]);
    expect(namesIn(files, 'bank/endpoints.json')).toEqual(['mainframe']);
    expect(namesIn(files, 'bank/endpointslices.json')).toEqual(['exchange-1']);
  });
});

describe('claims and volumes', () => {
  const claimOf = (api: Api, name: string) => api.get(`${BANK}/persistentvolumeclaims/${name}`);
  const volumeOf = async (api: Api, claim: KubeObject) =>
    api.get(`/api/v1/persistentvolumes/${at(claim, 'spec', 'volumeName')}`);

  it('of a volume that would have gone with the claim: provisioned anew', async () => {
    const claim = await claimOf(prodApi, 'cache');
    expect(isBound(claim)).toBe(true);
    expect(at(claim, 'spec', 'volumeName')).toBe(`pvc-${claim.metadata.uid}`);
  });

  it('of a volume made by hand: bound to each other and to nothing else', async () => {
    const claim = await claimOf(prodApi, 'archive');
    const volume = await volumeOf(prodApi, claim);
    expect(volume.metadata.name).toBe('archive-disk');
    expect(volume.spec).toMatchObject({
      claimRef: { namespace: 'bank', name: 'archive', uid: claim.metadata.uid },
      hostPath: { path: '/var/lib/transship-test/archive' },
      persistentVolumeReclaimPolicy: 'Retain',
    });
  });

  it('of a volume that the cluster made and is to outlive its claim: the same volume', async () => {
    const volumes = await Promise.all(
      [stageApi, prodApi].map(async (api) => volumeOf(api, await claimOf(api, 'ledger'))),
    );
    expect(volumes[1]?.metadata.name).toBe(volumes[0]?.metadata.name);
    expect(at(volumes[1], 'spec', 'claimRef', 'name')).toBe('ledger');
  });

  it('of a StatefulSet are those of its templates, and each is there once', async () => {
    expect(await prodApi.names(`${SHOP}/persistentvolumeclaims`)).toEqual(['data-db-0', 'data-db-1']);
  });
});

describe('what runs', () => {
  it('runs as often as at the source: no pod came along that its controller makes anyway', async () => {
    const labelled = async (api: Api) =>
      (await api.list(`${SHOP}/pods`)).map(({ metadata }) => metadata.labels?.app).sort();
    expect(await labelled(prodApi)).toEqual(await labelled(stageApi));
    expect(namesIn(files, 'shop/pods.json')).toEqual(['bare']);
    expect(namesIn(files, 'shop/replicasets.json')).toEqual(['bare-set']);
    expect(await prodApi.names('/apis/apps/v1/namespaces/shop/replicasets')).toHaveLength(2);
  });

  it('a bare pod is placed anew', async () => {
    const pod = await prodApi.get(`${SHOP}/pods/bare`);
    expect(pod.spec).toMatchObject({ nodeName: 'prod-node', priority: 1000, priorityClassName: 'gold' });
    expect(pod.status).toMatchObject({ phase: 'Running' });
  });

  it('a Job that has ended does not run again', async () => {
    const jobs = await prodApi.names('/apis/batch/v1/namespaces/bank/jobs');
    expect(jobs).not.toContain('finished');
    expect(jobs).not.toContain('broken');
  });

  it('a Job that has not ended runs, with a selector of its own', async () => {
    const job = await prodApi.get('/apis/batch/v1/namespaces/bank/jobs/running');
    expect(job.spec).toMatchObject({
      parallelism: 2,
      completions: 4,
      selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': job.metadata.uid } },
    });
    const pods = await prodApi.list(`${BANK}/pods?labelSelector=job-name%3Drunning`);
    expect(pods).toHaveLength(2);
  });

  it('a Job with a selector chosen by hand keeps it', async () => {
    const job = await prodApi.get('/apis/batch/v1/namespaces/bank/jobs/by-hand');
    expect(job.spec).toMatchObject({ suspend: true, selector: { matchLabels: { job: 'by-hand' } } });
  });

  it('a CronJob comes without the Jobs it has started', async () => {
    expect((await prodApi.get('/apis/batch/v1/namespaces/bank/cronjobs/yearly')).spec).toMatchObject({
      schedule: '0 0 1 1 *',
      timeZone: 'Europe/Berlin',
    });
    expect(await prodApi.names('/apis/batch/v1/namespaces/bank/jobs')).toEqual(['by-hand', 'running']);
  });

  it('a revision is history of its controller, but for one that nobody owns', () => {
    expect(namesIn(files, 'bank/controllerrevisions.json')).toEqual(['engine-1']);
    expect(files.has('shop/controllerrevisions.json')).toBe(false);
  });
});

describe('Secrets and accounts', () => {
  it.each(['plain', 'registry', 'door', 'deploy-key', 'certificate', 'odd'])('%s is the same', async (name) => {
    const [theirs, ours] = await Promise.all([stageApi, prodApi].map((api) => api.get(`${SHOP}/secrets/${name}`)));
    expect(ours?.data).toEqual(theirs?.data);
    expect(ours?.type).toBe(theirs?.type);
    expect(ours?.immutable).toBe(theirs?.immutable);
  });

  it('a token of a ServiceAccount is of the cluster it is in', async () => {
    const [theirs, ours] = await Promise.all([stageApi, prodApi].map((api) => api.get(`${SHOP}/secrets/web-token`)));
    expect(at(objectOf(files, 'shop/secrets.json', 'web-token'), 'data')).toEqual({ extra: 'a2VwdA==' });
    expect(at(ours, 'data', 'token')).not.toBe(at(theirs, 'data', 'token'));
    const account = await prodApi.get(`${SHOP}/serviceaccounts/web`);
    expect(ours?.metadata.annotations?.['kubernetes.io/service-account.uid']).toBe(account.metadata.uid);
    expect(at(ours, 'data', 'extra')).toBe('a2VwdA==');
  });

  it('the account that every namespace has comes to be like the source’s', async () => {
    const account = await prodApi.get(`${SHOP}/serviceaccounts/default`);
    expect(account.imagePullSecrets).toEqual([{ name: 'registry' }]);
  });

  it('what a role allows, by itself or gathered from others, is allowed there too', async () => {
    const mayWeb = async (resourceAttributes: object) => {
      const review = await prodApi.send('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
        spec: { user: 'system:serviceaccount:shop:web', resourceAttributes },
      });
      return at(review.body, 'status', 'allowed');
    };
    expect(await mayWeb({ verb: 'get', resource: 'secrets', namespace: 'shop', name: 'plain' })).toBe(true);
    expect(await mayWeb({ verb: 'list', resource: 'configmaps', namespace: 'bank' })).toBe(true);
    expect(await mayWeb({ verb: 'delete', resource: 'configmaps', namespace: 'bank' })).toBe(false);
  });
});

describe('custom resources', () => {
  it('keep their finalizers, as other objects do', async () => {
    expect((await prodApi.get(`${WIDGETS}/engine`)).metadata.finalizers).toEqual(['example.com/widgets']);
    expect((await prodApi.get(`${SHOP}/configmaps/empty`)).metadata.finalizers).toEqual(['example.com/keep']);
  });

  it('come without the status that their operator is to find out', async () => {
    expect((await stageApi.get(`${WIDGETS}/engine`)).status).toEqual({ turns: 42 });
    expect(await prodApi.get(`${WIDGETS}/engine`)).not.toHaveProperty('status');
  });

  it('keep every field, also those that nobody knows', async () => {
    expect((await prodApi.get(`${WIDGETS}/engine`)).spec).toMatchObject({
      size: 3,
      deep: { list: [1, { two: [] }], map: {} },
    });
  });

  it('keep whole numbers that JavaScript has no number for', async () => {
    expect(files.get('shop/widgets.json')).toContain('"large":9007199254740993');
    expect(await prod.kubectl(['get', '--raw', `${WIDGETS}/engine`])).toContain('"large":9007199254740993');
  });

  it('that the target serves in another version come in that one', async () => {
    const gear = await prodApi.get('/apis/example.com/v1beta1/namespaces/shop/gears/cog');
    expect(gear.spec).toEqual({ teeth: 12 });
    expect(objectOf(files, 'shop/gears.json', 'cog').apiVersion).toBe('example.com/v1');
  });

  it('whose kind the target does not serve stop the import before it changes anything', async () => {
    await serveKind(stageApi, 'Relic', ['v1']);
    await stageApi.create('/api/v1/namespaces', { metadata: { name: 'museum' } });
    for (const name of ['crown', 'sword']) {
      const relic = { apiVersion: 'example.com/v1', kind: 'Relic', metadata: { name } };
      await stageApi.create('/apis/example.com/v1/namespaces/museum/relics', relic);
    }
    await exportOf('-n', 'museum');
    const before = await fingerprint(prod);
    const run = await importOf('--exclude', 'customresourcedefinitions');
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toMatch(/^- Relic of example\.com\/v1 .*: 2 objects: .* museum\/crown, .* museum\/sword$/m);
    expect(await fingerprint(prod)).toEqual(before);
  });

  it('whose plural another kind has too are not taken for that one', async () => {
    const mail = await prodApi.get('/apis/example.com/v1/namespaces/bank/services/mail');
    expect(mail).toMatchObject({ kind: 'HostedService', spec: { size: 1 } });
    expect(namesIn(files, 'bank/services.example.com.json')).toEqual(['mail']);
  });
});

describe('owners', () => {
  it('are those of the target', async () => {
    const engine = await prodApi.get(`${WIDGETS}/engine`);
    const login = await prodApi.get(`${SHOP}/secrets/engine-login`);
    const info = await prodApi.get(`${SHOP}/configmaps/engine-login-info`);
    const berlin = await prodApi.get('/apis/example.com/v1/sites/berlin');
    const map = await prodApi.get(`${SHOP}/configmaps/berlin-map`);
    expect(login.metadata.ownerReferences).toEqual([
      { apiVersion: 'example.com/v1', kind: 'Widget', name: 'engine', uid: engine.metadata.uid, controller: true },
    ]);
    expect(info.metadata.ownerReferences).toMatchObject([{ kind: 'Secret', uid: login.metadata.uid }]);
    expect(map.metadata.ownerReferences).toMatchObject([{ kind: 'Site', uid: berlin.metadata.uid }]);
  });

  it('take what they own along when they go', async () => {
    await prodApi.patch(`${WIDGETS}/engine`, { metadata: { finalizers: [] } });
    await prodApi.remove(`${WIDGETS}/engine`);
    await Promise.all([
      prodApi.untilGone(`${SHOP}/secrets/engine-login`),
      prodApi.untilGone(`${SHOP}/configmaps/engine-login-info`),
    ]);
    expect(await prodApi.find(`${SHOP}/configmaps/berlin-map`)).toBeDefined();
  });

  it('that do not come along are let go of, with one warning', async () => {
    await stageApi.create('/api/v1/namespaces', { metadata: { name: 'orphanage' } });
    const owner = await stageApi.create('/apis/example.com/v1/namespaces/orphanage/widgets', {
      ...{ apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'parent' } },
    });
    const { uid } = owner.metadata;
    for (const name of ['one', 'two']) {
      const ownerReferences = [{ apiVersion: 'example.com/v1', kind: 'Widget', name: 'parent', uid }];
      await stageApi.create('/api/v1/namespaces/orphanage/configmaps', { metadata: { name, ownerReferences } });
    }
    await exportOf('-n', 'orphanage', '--exclude', 'widgets');
    const run = await importOf();
    expect(run.exitCode, run.stderr).toBe(0);
    for (const { metadata } of await prodApi.list('/api/v1/namespaces/orphanage/configmaps')) {
      expect(metadata.ownerReferences, metadata.name).toBeUndefined();
    }
    expect(run.stderr.match(/^warning.*Widget.*$/gim), run.stderr).toHaveLength(1);
  });
});

describe('webhooks whose service is down', () => {
  it('are there, and were no hindrance', async () => {
    const base = '/apis/admissionregistration.k8s.io/v1';
    expect(await prodApi.names(`${base}/validatingwebhookconfigurations`)).toEqual(['guard-hosted-services']);
    expect(await prodApi.names(`${base}/mutatingwebhookconfigurations`)).toEqual(['complete-hosted-services']);
    expect(imported.output.counts).toMatchObject({ failed: 0, skipped: 0 });
    const hosted = {
      apiVersion: 'example.com/v1',
      kind: 'HostedService',
      metadata: { name: 'other' },
      spec: { size: 1 },
    };
    const refused = await prodApi.send('POST', '/apis/example.com/v1/namespaces/bank/services', hosted);
    expect(JSON.stringify(refused.body)).toContain('failed calling webhook');
  });
});
