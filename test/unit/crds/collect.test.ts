import { describe, expect, test } from 'vitest';
import { readBody } from '../../../src/archive/entry.ts';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../../../src/cluster/discovery.ts';
import { isBuiltInGroup } from '../../../src/crds/built-in-groups.ts';
import { collectCrds } from '../../../src/crds/collect.ts';
import { createCrdNeeds } from '../../../src/crds/needs.ts';
import { noteCrdNeeds } from '../../../src/releases/crd-needs.ts';
import type { HelmRelease } from '../../../src/releases/record.ts';
import { fakeCluster, keepWarnings } from '../releases/make-record.ts';

const KINDS = [
  ['widgets', 'Widget', 'example.com'],
  ['gadgets', 'Gadget', 'example.com'],
  ['snapshots', 'Snapshot', 'snapshot.storage.k8s.io'],
  ['things', 'Thing', 'other.io'],
  ['servings', 'Serving', 'aggregated.io'],
  ['deployments', 'Deployment', 'apps'],
];

const discovery: Discovery = {
  kinds: KINDS.map(
    ([plural = '', kind = '', group = '']): ResourceKind => ({
      group,
      version: 'v1',
      apiVersion: `${group}/v1`,
      kind,
      plural,
      singular: '',
      shortNames: [],
      namespaced: true,
      verbs: [],
      versions: ['v1'],
    }),
  ),
  stale: [],
  findKind: () => undefined,
  findByName: () => undefined,
};

function crdOf(name: string): KubeObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name,
      uid: 'u',
      resourceVersion: '1',
      generation: 2,
      creationTimestamp: '2026-01-01T00:00:00Z',
      managedFields: [{}],
      finalizers: ['customresourcecleanup.apiextensions.k8s.io'],
      labels: { 'app.kubernetes.io/managed-by': 'Helm' },
      annotations: { 'meta.helm.sh/release-name': 'web', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
    },
    spec: { group: name, unknown: { kept: true } },
    status: { conditions: [] },
  };
}

const LIVE = ['widgets.example.com', 'gadgets.example.com', 'snapshots.snapshot.storage.k8s.io', 'things.other.io'];

const PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/';

async function collect(releases: readonly Partial<HelmRelease>[], { forbidden = [] as string[], running = true } = {}) {
  const needs = createCrdNeeds();
  for (const release of releases) noteCrdNeeds(needs, { name: 'web', version: 1, info: {}, ...release }, running);
  const cluster = fakeCluster([], { crds: LIVE.map(crdOf), forbidden });
  const reporter = keepWarnings();
  const { entry, ...rest } = await collectCrds(cluster, discovery, needs, reporter);
  const list = entry === undefined ? undefined : JSON.parse((await readBody(entry)).toString());
  return { path: entry?.path, list, ...rest, warnings: reporter.warnings, gets: cluster.gets };
}

const objectOf = (apiVersion: string, kind: string) =>
  `---\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata:\n  name: x\n`;
const fileOf = (name: string, text: string) => ({ name, data: Buffer.from(text).toString('base64') });

describe('the CRDs that travel', () => {
  test('are those of the custom kinds in manifests and hooks', async () => {
    const hook = { name: 'h', path: 'p', manifest: objectOf('other.io/v1', 'Thing') };
    const { names } = await collect([
      { manifest: objectOf('example.com/v1', 'Widget') + objectOf('apps/v1', 'Deployment'), hooks: [hook] },
    ]);
    expect(names).toEqual(['things.other.io', 'widgets.example.com']);
  });

  test('are found whatever version of the kind the manifest uses', async () => {
    expect((await collect([{ manifest: objectOf('example.com/v1alpha1', 'Widget') }])).names).toEqual([
      'widgets.example.com',
    ]);
  });

  test('are those of groups that look built in but are not', async () => {
    const { names, gets } = await collect([
      { manifest: objectOf('snapshot.storage.k8s.io/v1', 'Snapshot') + objectOf('storage.k8s.io/v1', 'StorageClass') },
    ]);
    expect(names).toEqual(['snapshots.snapshot.storage.k8s.io']);
    expect(gets).toEqual([`${PATH}snapshots.snapshot.storage.k8s.io`]);
  });

  test("are those of the chart's crds folder and of CRDs in the manifest itself", async () => {
    const crd = (name: string) =>
      objectOf('apiextensions.k8s.io/v1', 'CustomResourceDefinition').replace(': x', `: ${name}`);
    const files = [
      fileOf('crds/all.yaml', crd('widgets.example.com') + crd('gadgets.example.com')),
      fileOf('crds/README.md', crd('snapshots.snapshot.storage.k8s.io')),
      fileOf('files/crds/x.yaml', crd('snapshots.snapshot.storage.k8s.io')),
    ];
    const { names } = await collect([{ chart: { files }, manifest: crd('things.other.io') }]);
    expect(names).toEqual(['gadgets.example.com', 'things.other.io', 'widgets.example.com']);
  });

  test('are those that an operator asks for in its roles, though its crds folder was in a subchart', async () => {
    const role = `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
- apiGroups: ["", "apps", "rbac.authorization.k8s.io"]
  resources: ["*"]
  verbs: ["*"]
- apiGroups:
  - example.com
  - not-installed.io
  resources: [gadgets/status, gadgets]
- apiGroups: ['*']
  resources: ['*']
`;
    expect((await collect([{ manifest: role }])).names).toEqual(['gadgets.example.com']);
    const whole = role.replace('[gadgets/status, gadgets]', '["*"]');
    expect((await collect([{ manifest: whole }])).names).toEqual(['gadgets.example.com', 'widgets.example.com']);
  });

  test('are those that webhooks answer for', async () => {
    const webhook = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata:
  name: operator
webhooks:
- name: a
  rules:
  - {apiGroups: [other.io], apiVersions: [v1], operations: ["*"], resources: [things]}
`;
    expect((await collect([{ manifest: webhook }])).names).toEqual(['things.other.io']);
  });

  test('make one List that has what another cluster can take and nothing the server owns', async () => {
    const { path, list } = await collect([{ manifest: objectOf('example.com/v1', 'Widget') }]);
    expect(path).toBe('customresourcedefinitions.json');
    expect(list).toEqual({
      apiVersion: 'v1',
      kind: 'List',
      metadata: {},
      items: [
        {
          apiVersion: 'apiextensions.k8s.io/v1',
          kind: 'CustomResourceDefinition',
          metadata: {
            name: 'widgets.example.com',
            labels: { 'app.kubernetes.io/managed-by': 'Helm' },
            annotations: { 'meta.helm.sh/release-name': 'web' },
          },
          spec: { group: 'widgets.example.com', unknown: { kept: true } },
        },
      ],
    });
  });
});

describe('what does not travel', () => {
  test('no file is written when no release needs a CRD', async () => {
    const { path, names, gets } = await collect([{ manifest: objectOf('apps/v1', 'Deployment') }]);
    expect([path, names, gets]).toEqual([undefined, [], []]);
  });

  test('a kind of an extension server has no CRD, which is fine', async () => {
    const { names, warnings } = await collect([{ manifest: objectOf('aggregated.io/v1', 'Serving') }]);
    expect([names, warnings]).toEqual([[], []]);
  });

  test('CRDs that may not be read are named in one warning and in the result; the others travel', async () => {
    const manifest = ['Widget', 'Gadget'].map((kind) => objectOf('example.com/v1', kind)).join('');
    const forbidden = [`${PATH}widgets.example.com`];
    const { names, unreadable, warnings } = await collect([{ manifest }], { forbidden });
    expect([names, unreadable]).toEqual([['gadgets.example.com'], ['widgets.example.com']]);
    expect(warnings).toEqual([expect.stringContaining('do not travel: widgets.example.com. Grant the verb get')]);
  });

  test('a kind that the cluster no longer serves is named when a deployed revision uses it', async () => {
    const manifest = objectOf('gone.io/v1', 'Ghost');
    expect((await collect([{ manifest }])).unserved).toEqual(['Ghost.gone.io']);
    const old = await collect([{ manifest }], { running: false });
    expect([old.unserved, old.warnings]).toEqual([[], []]);
  });

  test('a text met in an old revision still counts as running when the deployed one has it', () => {
    const needs = createCrdNeeds();
    const release = { name: 'web', version: 1, info: {}, manifest: objectOf('gone.io/v1', 'Ghost') };
    noteCrdNeeds(needs, release, false);
    noteCrdNeeds(needs, release, true);
    expect(needs.kinds.get('gone.io/Ghost')?.running).toBe(true);
  });
});

test('built-in groups are told from custom ones', () => {
  expect(['', 'apps', 'networking.k8s.io', 'metrics.k8s.io'].map(isBuiltInGroup)).toEqual([true, true, true, true]);
  expect(['cert-manager.io', 'gateway.networking.k8s.io'].map(isBuiltInGroup)).toEqual([false, false]);
});
