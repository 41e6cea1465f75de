import { beforeAll, describe, expect, test } from 'vitest';
import { ClusterError, type KubeObject } from '../../../src/cluster/cluster.ts';
import { type Differ, loadDiff } from '../../../src/plan/diff.ts';
import type { States } from '../../../src/plan/states.ts';
import type { ReleasePlan } from '../../../src/releases/plan-releases.ts';
import { prepareRestore, type RestoreOptions } from '../../../src/releases/restore.ts';
import { archiveOf } from './bundle-files.ts';
import { serveKinds } from './discovery.ts';
import { makeJson, makeObject, type RecordSpec } from './make-record.ts';
import { type Fault, type MemoryCluster, memoryCluster } from './memory-cluster.ts';
import { restoreOptions } from './restore-options.ts';

let differ: Differ;
beforeAll(async () => {
  differ = await loadDiff();
});

const document = (kind: string, name: string, more = '') => {
  const apiVersion = { ConfigMap: 'v1', Deployment: 'apps/v1', Job: 'batch/v1' }[kind] ?? 'example.com/v1';
  return `---\n# Source: app/templates/${name}.yaml\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata:\n  name: ${name}\n${more}`;
};
const hook = (name: string, events: string[], weight = 0) => ({
  ...{ name, kind: 'Job', path: `app/templates/${name}.yaml`, events, weight },
  manifest: `apiVersion: batch/v1\nkind: Job\nmetadata: { name: ${name}, annotations: { helm.sh/hook: "${events}" } }\n`,
});
const withFields = (spec: RecordSpec, fields: object): RecordSpec => ({
  ...spec,
  json: JSON.stringify({ ...JSON.parse(makeJson(spec)), ...fields }),
});

const SHOP: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };

interface Planned extends ReleasePlan {
  readonly noted: string[];
  readonly states: States;
}

interface Target {
  readonly records?: readonly RecordSpec[];
  readonly objects?: Readonly<Record<string, KubeObject>>;
  readonly kinds?: readonly string[];
  readonly fail?: (path: string) => Fault | undefined;
}

/** What importing some records into a target would do. */
async function plan(
  specs: readonly RecordSpec[],
  { records = [], objects = { '/api/v1/namespaces/shop': SHOP }, kinds, fail = () => undefined }: Target = {},
  more: Partial<RestoreOptions> = {},
  others: Record<string, string> = {},
): Promise<Planned> {
  const cluster: MemoryCluster = memoryCluster(({ path, method }) => {
    if (method !== 'GET') throw new Error(`A plan has sent ${method} ${path}.`);
    return fail(path);
  });
  serveKinds(cluster, kinds);
  for (const [path, object] of Object.entries(objects)) cluster.objects.set(path, object);
  for (const spec of records) {
    const object = makeObject(spec);
    cluster.objects.set(`/api/v1/namespaces/shop/secrets/${object.metadata.name}`, object);
  }
  const states: States = new Map();
  const files = await archiveOf(specs, others);
  const prepared = await prepareRestore(files, restoreOptions(cluster, { planning: true, states, ...more }));
  const noted: string[] = [];
  const preflight = {
    note: ({ metadata }: KubeObject, { plural }: { plural: string }, change: string) =>
      void noted.push(`${change} ${plural} ${metadata.namespace ?? ''}/${metadata.name}`),
    noteRelease: (namespace: string, driver: string, isNew: boolean) =>
      void noted.push(`release in ${namespace} by ${driver}${isNew ? ', new' : ''}`),
    finish: async () => [],
  };
  return { ...(await prepared.plan({ differ, preflight })), noted, states };
}

const helmOwned = (name: string, release = 'web'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    ...{ name, namespace: 'shop' },
    labels: { 'app.kubernetes.io/managed-by': 'Helm' },
    annotations: { 'meta.helm.sh/release-name': release, 'meta.helm.sh/release-namespace': 'shop' },
  },
});
const configMapPath = (name: string) => `/api/v1/namespaces/shop/configmaps/${name}`;

describe('a plan of a new release', () => {
  const manifest = document('ConfigMap', 'a') + document('Deployment', 'b', '  namespace: other\n');
  const spec = withFields(
    { revision: 4, manifest },
    {
      hooks: [
        hook('late', ['post-install']),
        hook('z', ['pre-install', 'pre-upgrade']),
        hook('a', ['pre-install'], 7),
        hook('check', ['test']),
      ],
    },
  );

  test('has its objects, its hooks in the order of Helm, and its history', async () => {
    const { releases, problems, noted, states } = await plan([{ revision: 3, status: 'superseded' }, spec]);
    expect(releases).toEqual([
      {
        ...{ name: 'web', namespace: 'shop', change: 'create', before: undefined, values: '', message: undefined },
        after: { chart: 'app', chartVersion: '1.2.3', appVersion: '9.9', revision: 4, status: 'deployed' },
        revisions: 2,
        objects: [
          { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name: 'a', change: 'create' },
          { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'other', name: 'b', change: 'create' },
        ],
        hooks: ['pre-install Job shop/z', 'pre-install Job shop/a', 'post-install Job shop/late'],
      },
    ]);
    expect(problems).toEqual([]);
    expect(noted.toSorted()).toEqual([
      'create configmaps shop/a',
      'create deployments other/b',
      'create jobs shop/a',
      'create jobs shop/late',
      'create jobs shop/z',
      'delete jobs shop/a',
      'delete jobs shop/late',
      'delete jobs shop/z',
      'release in shop by secret, new',
      'update configmaps shop/a',
      'update deployments other/b',
      'update jobs shop/a',
      'update jobs shop/late',
      'update jobs shop/z',
    ]);
    expect([...states]).toEqual([['release shop/web', 'absent']]);
  });

  test('names the namespace that has to be made, and asks nothing in it', async () => {
    const { namespaces, noted } = await plan([spec], { objects: {} });
    expect(namespaces).toEqual(['shop']);
    expect(noted).toContain('create namespaces /shop');
  });

  test('has no hooks where none are to run', async () => {
    expect((await plan([spec], {}, { noHooks: true })).releases).toMatchObject([{ hooks: [] }]);
  });

  test('finds the objects that Helm would refuse to take over, and takes over what is the release’s', async () => {
    const both = document('ConfigMap', 'a') + document('ConfigMap', 'b') + document('ConfigMap', 'c');
    const bare = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'b', namespace: 'shop' } };
    const objects = {
      '/api/v1/namespaces/shop': SHOP,
      [configMapPath('a')]: helmOwned('a'),
      [configMapPath('b')]: bare,
      [configMapPath('c')]: helmOwned('c', 'other'),
    };
    const { releases, problems } = await plan([{ manifest: both }], { objects });
    expect(releases[0]?.objects.map(({ name, change }) => `${name} ${change}`)).toEqual([
      'a update',
      'b keep',
      'c keep',
    ]);
    expect(problems).toEqual([
      {
        kind: 'other',
        message:
          'Helm refuses to take over what exists at the target for release shop/web:\n' +
          'ConfigMap shop/b: label app.kubernetes.io/managed-by is missing, ' +
          'annotation meta.helm.sh/release-name is missing, annotation meta.helm.sh/release-namespace is missing\n' +
          'ConfigMap shop/c: annotation meta.helm.sh/release-name is "other"',
        hint: expect.stringContaining('meta.helm.sh/release-name=web'),
      },
    ]);
  });

  test('of which nothing runs has records only', async () => {
    const { releases } = await plan([{ status: 'uninstalled', manifest }]);
    expect(releases).toMatchObject([
      { change: 'create', objects: [], hooks: [], message: 'Only its history: nothing of it runs at the source.' },
    ]);
  });

  test('says what Helm could not install as it is stored', async () => {
    const broken = withFields({ manifest }, { hooks: [{ ...hook('x', ['pre-install']), manifest: 'kind: Job\n' }] });
    const { problems } = await plan([broken]);
    expect(problems).toMatchObject([
      { kind: 'other', message: expect.stringContaining('has no helm.sh/hook annotation') },
    ]);
  });
});

describe('a plan over a release that exists', () => {
  const before = document('ConfigMap', 'same') + document('ConfigMap', 'gone') + document('ConfigMap', 'kept');
  const old = withFields(
    { revision: 2, manifest: `${before}${document('ConfigMap', 'diff', 'data: { a: one }\n')}` },
    { config: { size: 1, password: 'hunter2' } },
  );
  const manifest = `${document('ConfigMap', 'diff', 'data: { a: two }\n')}${document('ConfigMap', 'same')}${document('ConfigMap', 'new')}`;
  const next = withFields({ revision: 9, manifest }, { config: { size: 2, password: 'other' } });
  const kept = helmOwned('kept');
  kept.metadata.annotations = { 'helm.sh/resource-policy': 'keep' };
  const target: Target = {
    records: [{ revision: 1, status: 'superseded' }, old],
    objects: {
      [configMapPath('gone')]: helmOwned('gone'),
      [configMapPath('kept')]: kept,
      '/api/v1/namespaces/shop': SHOP,
    },
  };

  test('shows with replace what differs of its values and objects, and no secret', async () => {
    const { releases, problems, noted } = await plan([next], target, { replace: true });
    const [release] = releases;
    expect(release).toMatchObject({
      change: 'update',
      before: { revision: 2, status: 'deployed' },
      after: { revision: 3, status: 'deployed' },
      revisions: 1,
    });
    expect(release?.objects.map(({ name, change, diff = '' }) => `${name} ${change} ${diff !== ''}`)).toEqual([
      'diff update true',
      'new create false',
      'gone delete false',
      'kept keep false',
    ]);
    expect(release?.objects[0]?.diff).toMatch(/- {2}a: one\n\+ {2}a: two/);
    expect(release?.values).toMatch(/-size: 1\n[\s\S]*\+size: 2/);
    expect(JSON.stringify(releases)).not.toContain('hunter2');
    expect(problems).toEqual([]);
    expect(noted.toSorted()).toEqual([
      'create configmaps shop/new',
      'delete configmaps shop/gone',
      'release in shop by secret',
      'update configmaps shop/diff',
      'update configmaps shop/new',
      'update configmaps shop/same',
    ]);
  });

  test('names it as a problem without replace, and goes on with the others', async () => {
    const { releases, problems } = await plan([next, { release: 'db', manifest: '' }], target);
    expect(releases.map(({ name, change }) => `${name} ${change}`)).toEqual(['db create', 'web keep']);
    expect(problems).toMatchObject([
      { kind: 'exists', message: 'The target already has this release: shop/web (revision 2, deployed).' },
    ]);
  });

  test('has nothing to do for one that is equal', async () => {
    const { releases, problems, noted, states } = await plan([next], { ...target, records: [next] });
    expect(releases).toMatchObject([
      { change: 'unchanged', before: { revision: 9 }, after: { revision: 9 }, hooks: [] },
    ]);
    expect([problems, noted]).toEqual([[], []]);
    expect(states.get('release shop/web')).toMatch(/^secret 9 deployed \S{44}$/);
  });

  test('compares with what is deployed, though the newest has failed', async () => {
    const failed: RecordSpec = { revision: 3, status: 'failed', manifest: document('ConfigMap', 'never') };
    const { releases } = await plan([next], { ...target, records: [old, failed] }, { replace: true });
    expect(releases[0]?.before).toMatchObject({ revision: 3, status: 'failed' });
    expect(releases[0]?.objects.map(({ name }) => name)).toEqual(['diff', 'new', 'gone', 'kept']);
  });

  test('keeps it where nothing of the other runs', async () => {
    const { releases } = await plan([{ status: 'uninstalled' }], target, { replace: true });
    expect(releases).toMatchObject([
      { change: 'keep', message: 'Nothing of it runs at the source; the target keeps its own.' },
    ]);
  });
});

describe('a plan finds out at once', () => {
  const crd = (name: string, version: string): KubeObject => ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${name.toLowerCase()}s.example.com` },
    spec: {
      group: 'example.com',
      names: { kind: name, plural: `${name.toLowerCase()}s` },
      scope: 'Namespaced',
      versions: [{ name: version, served: true }],
    },
  });

  test('which kinds the target does not serve, and who has them; a CRD that travels is not missed', async () => {
    const specs = [
      { release: 'a', manifest: document('Gear', 'one') + document('Cog', 'two') },
      withFields({ release: 'b', manifest: document('Cog', 'three') }, {}),
    ];
    const file = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [crd('Gear', 'v1')] });
    const { problems, crds, noted } = await plan(specs, {}, {}, { 'customresourcedefinitions.json': file });
    expect(problems).toEqual([
      {
        kind: 'not-served',
        message: 'The target serves no Cog of example.com/v1, which shop/a, shop/b have.',
        hint: 'Install its CustomResourceDefinition or API service at the target first.',
      },
    ]);
    expect(crds).toMatchObject([{ kind: 'CustomResourceDefinition', name: 'gears.example.com', change: 'create' }]);
    expect(noted).toContain('create gears shop/one');
  });

  test('that a kind is served in another version only', async () => {
    const { problems } = await plan([{ manifest: document('Gear', 'one') }], { kinds: ['example.com/v2 Gear gears'] });
    expect(problems).toMatchObject([{ kind: 'not-served', hint: expect.stringContaining('as example.com/v2') }]);
  });

  test('a kind that another release brings is not missed, and that one goes first', async () => {
    const definition = document(
      'CustomResourceDefinition',
      'gears.example.com',
      'spec: { group: example.com, names: { kind: Gear } }\n',
    );
    const specs = [
      { release: 'user', manifest: document('Gear', 'one') },
      { release: 'operator', manifest: definition.replace('example.com/v1', 'apiextensions.k8s.io/v1') },
    ];
    const { problems, edges } = await plan(specs);
    expect(problems).toEqual([]);
    expect(edges).toEqual([
      {
        from: 'shop/operator',
        to: 'shop/user',
        reason: 'shop/user waits for shop/operator: CRD gears.example.com',
      },
    ]);
  });

  test('a record that is too large, and what may not be looked at, beside all the rest', async () => {
    let noise = '';
    for (let seed = 1; noise.length < 1_500_000; seed = (seed * 48_271) % 2_147_483_647) noise += seed.toString(36);
    const denied = (path: string) =>
      path === configMapPath('a') ? new ClusterError(403, 'Forbidden', 'no') : undefined;
    const { releases, problems } = await plan(
      [{ release: 'large', manifest: `# ${noise}\n` }, { manifest: document('ConfigMap', 'a') }],
      { fail: denied },
    );
    expect(problems).toMatchObject([
      { kind: 'other', message: expect.stringContaining('Revision 1 of release shop/large') },
    ]);
    expect(releases).toMatchObject([{ name: 'web', change: 'create', objects: [{ name: 'a', change: 'create' }] }]);
  });

  test('hooks of an import that was cut short which have run already', async () => {
    const hooks = [hook('a', ['pre-install']), hook('b', ['pre-install']), hook('c', ['post-install'])];
    const spec = withFields({ manifest: document('ConfigMap', 'x') }, { hooks });
    const { installMark } = await import('../../../src/releases/frozen-mark.ts');
    const { decodeRecord } = await import('../../../src/releases/record.ts');
    const annotations = { 'transship.dev/frozen': installMark(await decodeRecord(makeObject(spec))) };
    const runs = [
      { started_at: '2026-01-02T03:04:05Z', phase: 'Succeeded' },
      { started_at: '2026-01-02T03:04:06Z', phase: 'Running' },
    ];
    const left = withFields(
      { status: 'pending-install', chart: { metadata: { name: 'app', annotations } } },
      { hooks: hooks.map((one, index) => ({ ...one, last_run: runs[index] })) },
    );
    const { releases } = await plan([spec], { records: [left] });
    expect(releases).toMatchObject([
      {
        change: 'create',
        message: 'It goes on where an import was cut short.',
        hooks: ['pre-install Job shop/b', 'post-install Job shop/c'],
      },
    ]);
  });
});

test('what a plan makes a problem of stops an import', async () => {
  const cluster = memoryCluster();
  cluster.objects.set('/api/v1/namespaces/shop/secrets/sh.helm.release.v1.web.v1', makeObject());
  const files = await archiveOf([{ manifest: '# other\n' }]);
  await expect(prepareRestore(files, restoreOptions(cluster))).rejects.toMatchObject({ code: 'RELEASE_EXISTS' });
});
