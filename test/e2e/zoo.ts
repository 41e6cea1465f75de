import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Api, at } from './api.ts';
import type { RunningCluster } from './bed.ts';

const folder = resolve(import.meta.dirname, '../fixtures/resources');

/** Applies one of the files in test/fixtures/resources. */
export async function applyFixture(cluster: RunningCluster, file: string, ...args: string[]): Promise<void> {
  await cluster.kubectl(['apply', '-f', '-', ...args], await readFile(resolve(folder, file), 'utf8'));
}

/**
 * Fills a cluster with nearly every kind of object there is, in the namespaces `shop` and `bank` and outside of them, and
 * waits until controllers have done their part.
 */
export async function fillZoo(cluster: RunningCluster, api: Api): Promise<void> {
  await applyFixture(cluster, 'crds.yaml');
  await cluster.kubectl(['wait', '--for=condition=Established', 'crd', '--all']);
  await applyFixture(cluster, 'cluster.yaml');
  await Promise.all([
    applyFixture(cluster, 'shop.yaml'),
    applyFixture(cluster, 'bank.yaml'),
    applyFixture(cluster, 'server-side.yaml', '--server-side', '--field-manager=deployer'),
  ]);
  await applyFixture(cluster, 'webhooks.yaml');
  await Promise.all([
    giveOwners(api),
    // As large as an object may be: https://kubernetes.io/docs/concepts/configuration/configmap/#motivation
    api.create('/api/v1/namespaces/bank/configmaps', {
      metadata: { name: 'large' },
      data: { text: 'ä'.repeat(520_000) },
    }),
    keepLedger(api),
    api.patch('/apis/example.com/v1/namespaces/shop/widgets/engine/status', { status: { turns: 42 } }),
    cluster.kubectl(['create', 'job', '--from=cronjob/yearly', 'yearly-now', '-n', 'bank']),
  ]);
  await untilSettled(api);
}

/** What operators do: a Widget has a Secret, that has a ConfigMap; a cluster-scoped Site has a ConfigMap. */
async function giveOwners(api: Api): Promise<void> {
  const configMaps = '/api/v1/namespaces/shop/configmaps';
  const [engine, berlin] = await Promise.all([
    api.get('/apis/example.com/v1/namespaces/shop/widgets/engine'),
    api.get('/apis/example.com/v1/sites/berlin'),
  ]);
  const secret = await api.create('/api/v1/namespaces/shop/secrets', {
    metadata: { name: 'engine-login', ownerReferences: [ownerReference(engine, { controller: true })] },
    stringData: { user: 'engine' },
  });
  await Promise.all([
    api.create(configMaps, {
      metadata: {
        name: 'engine-login-info',
        ownerReferences: [ownerReference({ ...secret, apiVersion: 'v1', kind: 'Secret' })],
      },
    }),
    api.create(configMaps, { metadata: { name: 'berlin-map', ownerReferences: [ownerReference(berlin)] } }),
  ]);
}

function ownerReference(
  owner: { apiVersion: string; kind: string; metadata: { name: string; uid?: string } },
  more = {},
) {
  const { apiVersion, kind, metadata } = owner;
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, ...more };
}

/** The volume of bank/ledger was made by the cluster, and outlives its claim. */
async function keepLedger(api: Api): Promise<void> {
  const claim = await api.until('/api/v1/namespaces/bank/persistentvolumeclaims/ledger', isBound);
  await api.patch(`/api/v1/persistentvolumes/${at(claim, 'spec', 'volumeName')}`, {
    spec: { persistentVolumeReclaimPolicy: 'Retain' },
  });
}

export const isBound = (claim: object): boolean => at(claim, 'status', 'phase') === 'Bound';

/** Waits until everything in the zoo runs that is to run. */
export async function untilSettled(api: Api): Promise<void> {
  const ready = (field: string, count: number) => (object: object) => at(object, 'status', field) === count;
  const [shop, bank] = ['namespaces/shop', 'namespaces/bank'];
  await Promise.all([
    api.until(`/apis/apps/v1/${shop}/deployments/web`, ready('readyReplicas', 2)),
    api.until(`/apis/apps/v1/${shop}/statefulsets/db`, ready('readyReplicas', 2)),
    api.until(`/apis/apps/v1/${shop}/daemonsets/agent`, ready('numberReady', 1)),
    api.until(`/apis/apps/v1/${shop}/replicasets/bare-set`, ready('readyReplicas', 1)),
    api.until(`/api/v1/${shop}/replicationcontrollers/old-style`, ready('readyReplicas', 1)),
    api.until(`/apis/batch/v1/${bank}/jobs/running`, ready('active', 2)),
    api.until(`/api/v1/${bank}/pods/teller`, (pod) => at(pod, 'status', 'phase') === 'Running'),
    api.until(`/api/v1/${shop}/secrets/web-token`, (secret) => at(secret, 'data', 'token') !== undefined),
    api.until('/apis/rbac.authorization.k8s.io/v1/clusterroles/shop-all', (role) => at(role, 'rules', 0) !== undefined),
    ...['archive', 'cache', 'ledger'].map((name) =>
      api.until(`/api/v1/${bank}/persistentvolumeclaims/${name}`, isBound),
    ),
  ]);
}

/** Serves a custom kind in the given versions, the first of which is stored, and waits until it can be used. */
export async function serveKind(api: Api, kind: string, versions: readonly string[]): Promise<void> {
  const singular = kind.toLowerCase();
  const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  await api.create(crds, {
    metadata: { name: `${singular}s.example.com` },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { kind, plural: `${singular}s`, singular },
      versions: versions.map((name, index) => ({ name, served: true, storage: index === 0, schema })),
    },
  });
  await api.until(`/apis/example.com/${versions[0]}/${singular}s`, () => true);
}
