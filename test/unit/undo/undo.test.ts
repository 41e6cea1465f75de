import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { ResourceKind } from '../../../src/cluster/discovery.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { createUndo, type UndoOptions } from '../../../src/undo/undo.ts';
import { createClock, createMemoryApi, refusal, silence } from '../resources/memory-api.ts';
import { crdOf, discoveryOf, KINDS, kindOf, objectOf } from '../resources/target-bed.ts';

const listable = (kind: ResourceKind): ResourceKind => ({ ...kind, verbs: ['list', 'delete'] });
const WIDGET = kindOf('example.com/v1 widgets Widget');
const discovery = discoveryOf([...KINDS, WIDGET].map(listable));
const NAMESPACE = '/api/v1/namespaces/shop';
const A = `${NAMESPACE}/configmaps/a`;
const WEB = '/apis/apps/v1/namespaces/shop/deployments/web';
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com';
const NOTHING = { removed: 0, putBack: 0, uninstalled: 0, rolledBack: 0, failures: [] };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'transship-undo-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A target, and the undo log of an import into it. */
function prepare(more: Partial<UndoOptions> = {}) {
  const api = createMemoryApi();
  const undo = createUndo({
    cluster: api.cluster,
    directory,
    timeout: 10_000,
    clock: createClock(),
    discover: async () => discovery,
    runProgram: () => Promise.reject(new Error('There is nothing for Helm to do.')),
    env: {},
    noHooks: false,
    ...more,
  });
  onTestFinished(() => undo.close());
  async function create(path: string, object: KubeObject): Promise<KubeObject> {
    const collection = path.slice(0, path.lastIndexOf('/'));
    const live = await api.cluster.json<KubeObject>({ method: 'POST', path: collection, body: object });
    await undo.created(path, live);
    return live;
  }
  return {
    api,
    undo,
    /** Puts an object into the target, as somebody else has made it. */
    there(path: string, object: KubeObject): KubeObject {
      const { name } = object.metadata;
      const managedFields = [{ manager: 'kubectl', operation: 'Update' }];
      const metadata = { uid: `old-${name}`, resourceVersion: '0', managedFields, ...object.metadata };
      const live = { ...object, metadata };
      api.objects.set(path, live);
      return structuredClone(live);
    },
    create,
    /** Changes an object as an import does. */
    async change(path: string, more: Partial<KubeObject>): Promise<void> {
      const live = api.objects.get(path);
      if (live === undefined) throw new Error(`There is no ${path}.`);
      await undo.changing(path, structuredClone(live));
      const body = { ...live, ...more, metadata: { ...live.metadata, ...more.metadata } };
      await api.cluster.json({ method: 'PUT', path, body });
    },
    async recreate(path: string, object: KubeObject): Promise<void> {
      const live = api.objects.get(path);
      if (live === undefined) throw new Error(`There is no ${path}.`);
      await undo.changing(path, structuredClone(live));
      await api.cluster.json({ method: 'DELETE', path });
      await create(path, object);
    },
    back: (signal?: AbortSignal) => undo.rollBack(silentReporter, signal),
    writes: () => api.requests.filter((line) => !line.startsWith('GET')),
  };
}

const configMap = (name: string, more: Record<string, unknown> = {}) => objectOf(`v1 ConfigMap shop/${name}`, more);

/** What an object says, without what every write changes. */
function saying({ metadata: { resourceVersion: _version, ...metadata }, ...rest }: KubeObject) {
  return { ...rest, metadata };
}

test('nothing that was done is nothing to take back, and nothing on disk', async () => {
  const { back } = prepare();
  expect(await back()).toEqual(NOTHING);
  expect(await readdir(directory)).toEqual([]);
});

test('what is remembered has no name on disk', async () => {
  const { create } = prepare();
  await create(A, objectOf('v1 Secret shop/a', { data: { password: 'c2VjcmV0' } }));
  expect(await readdir(directory)).toEqual([]);
});

describe('what was created', () => {
  test('is deleted, of a later wave before that of an earlier one', async () => {
    const { api, create, back } = prepare();
    await create(NAMESPACE, objectOf('v1 Namespace shop'));
    await create(A, configMap('a'));
    await create(WEB, objectOf('apps/v1 Deployment shop/web'));
    expect(await back()).toEqual({ ...NOTHING, removed: 3 });
    expect(api.objects.size).toBe(0);
    const deleted = api.requests.filter((line) => line.startsWith('DELETE'));
    expect(deleted).toEqual([WEB, A, NAMESPACE].map((path) => `DELETE ${path}`));
  });

  test('is waited for until it is gone', async () => {
    const clock = createClock();
    const { api, create, back } = prepare({ clock });
    await create(A, configMap('a', { metadata: { finalizers: ['example.com/held'] } }));
    clock.at(3_000, () => void api.objects.delete(A));
    expect(await back()).toEqual({ ...NOTHING, removed: 1 });
    expect(clock.now()).toBeGreaterThanOrEqual(3_000);
  });

  test('and is held is named, and the rest goes on', async () => {
    const { api, create, back } = prepare();
    await create(`${NAMESPACE}/configmaps/b`, configMap('b'));
    await create(A, configMap('a', { metadata: { finalizers: ['example.com/held'] } }));
    expect(await back()).toEqual({
      ...NOTHING,
      removed: 1,
      failures: [
        {
          object: 'ConfigMap shop/a',
          outcome: 'failed',
          message:
            'Timed out after 10 s waiting for ConfigMap shop/a to be gone. Last seen: it is being deleted, and these finalizers hold it: example.com/held.',
        },
      ],
    });
    expect([...api.objects.keys()]).toEqual([A]);
  });

  test('and made anew by somebody else stays', async () => {
    const { api, create, there, back } = prepare();
    await create(A, configMap('a'));
    there(A, configMap('a'));
    expect(await back()).toEqual(NOTHING);
    expect(api.objects.has(A)).toBe(true);
  });

  test('without an answer is deleted if it is there and bears our name', async () => {
    const { api, there, undo, back } = prepare();
    const B = `${NAMESPACE}/configmaps/b`;
    await api.cluster.json({ method: 'POST', path: `${NAMESPACE}/configmaps`, body: configMap('a') });
    there(B, configMap('b'));
    for (const name of ['a', 'b', 'c']) await undo.created(`${NAMESPACE}/configmaps/${name}`, configMap(name));
    expect(await back()).toEqual({ ...NOTHING, removed: 1 });
    expect([...api.objects.keys()]).toEqual([B]);
  });

  test('is taken back also when it could not be noted, for the disk was full', async () => {
    const { create, api, back } = prepare({ directory: join(directory, 'missing') });
    await expect(create(A, configMap('a'))).rejects.toMatchObject({ code: 'BACKEND' });
    expect(await back()).toEqual({ ...NOTHING, removed: 1 });
    expect(api.objects.size).toBe(0);
  });

  test('goes however often answers are lost, and a second time does no harm', async () => {
    const { api, create, back } = prepare();
    for (const name of ['a', 'b', 'c', 'd']) await create(`${NAMESPACE}/configmaps/${name}`, configMap(name));
    let count = 0;
    api.intercept = () => {
      count += 1;
      if (count % 3 === 0) throw silence();
    };
    expect(await back()).toEqual({ ...NOTHING, removed: 4 });
    expect(await back()).toEqual(NOTHING);
  });
});

describe('a namespace that was created', () => {
  const inNamespace = (id: string, metadata: Record<string, unknown>) =>
    objectOf(id, { metadata: { managedFields: [{ manager: 'kube-controller-manager' }], ...metadata } });

  test('goes with what came by itself, and with what goes with its owner', async () => {
    const { api, create, there, back } = prepare();
    await create(NAMESPACE, objectOf('v1 Namespace shop'));
    there(`${NAMESPACE}/serviceaccounts/default`, objectOf('v1 ServiceAccount shop/default'));
    there(`${NAMESPACE}/configmaps/kube-root-ca.crt`, configMap('kube-root-ca.crt'));
    there(`${NAMESPACE}/persistentvolumeclaims/data-db-0`, inNamespace('v1 PersistentVolumeClaim shop/data-db-0', {}));
    const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-1', uid: 'u' }];
    there(`${NAMESPACE}/secrets/made`, objectOf('v1 Secret shop/made', { metadata: { ownerReferences } }));
    expect(await back()).toEqual({ ...NOTHING, removed: 1 });
    expect(api.objects.has(NAMESPACE)).toBe(false);
  });

  test('stays when others have put something into it, and says what', async () => {
    const { api, create, there, back } = prepare();
    await create(NAMESPACE, objectOf('v1 Namespace shop'));
    await create(A, configMap('a'));
    there(`${NAMESPACE}/secrets/theirs`, objectOf('v1 Secret shop/theirs'));
    expect(await back()).toEqual({
      ...NOTHING,
      removed: 1,
      failures: [
        {
          object: 'Namespace shop',
          outcome: 'failed',
          message: 'It stays, for others have put into it: Secret shop/theirs.',
        },
      ],
    });
    expect(api.objects.has(NAMESPACE)).toBe(true);
  });

  test('stays when that may not be looked at', async () => {
    const { api, create, back } = prepare();
    await create(NAMESPACE, objectOf('v1 Namespace shop'));
    api.intercept = ({ path }) => {
      if (path.endsWith('/secrets')) throw refusal(403, 'Forbidden', 'User "u" may not list secrets');
    };
    const { failures } = await back();
    expect(failures.map(({ message }) => message)).toEqual([
      expect.stringMatching(
        /^It stays, for it can't be seen whether others have put something into it: User "u" may not/,
      ),
    ]);
  });

  test('goes last, whatever was written down when', async () => {
    const { api, create, undo, back } = prepare();
    await undo.changing(A, configMap('a', { metadata: { uid: 'u' } }));
    await create(A, configMap('a'));
    await create(NAMESPACE, objectOf('v1 Namespace shop'));
    await api.cluster.json({ method: 'DELETE', path: A });
    await back();
    expect(api.requests.filter((line) => line.startsWith('DELETE')).at(-1)).toBe(`DELETE ${NAMESPACE}`);
  });
});

test('a CRD that was created stays when others have made something of its kind', async () => {
  const { api, create, there, back } = prepare();
  await create(CRD, crdOf('widgets.example.com', 'Widget', ['v1']));
  await create('/apis/example.com/v1/namespaces/shop/widgets/ours', objectOf('example.com/v1 Widget shop/ours'));
  there('/apis/example.com/v1/namespaces/other/widgets/theirs', objectOf('example.com/v1 Widget other/theirs'));
  const { removed, failures } = await back();
  expect([removed, failures.map(({ object, message }) => `${object}: ${message}`)]).toEqual([
    1,
    [
      'CustomResourceDefinition widgets.example.com: It stays, for others have put into it: Widget.example.com other/theirs.',
    ],
  ]);
  expect(api.objects.has(CRD)).toBe(true);
});

describe('what was changed', () => {
  test('is as it was, without the fields that were added, and its fields are whose they were', async () => {
    const { api, there, change, back } = prepare();
    const before = there(A, configMap('a', { data: { k: 'old' }, metadata: { labels: { team: 'a' } } }));
    await change(A, { data: { k: 'new', more: 'x' }, immutable: true });
    expect(await back()).toEqual({ ...NOTHING, putBack: 1 });
    expect(saying(api.objects.get(A) as KubeObject)).toEqual(saying(before));
  });

  test('several times is as it was first', async () => {
    const { api, there, change, back } = prepare();
    there(A, configMap('a', { data: { k: '0' } }));
    await change(A, { data: { k: '1' } });
    await change(A, { data: { k: '2' } });
    await back();
    expect(api.objects.get(A)?.data).toEqual({ k: '0' });
  });

  test('and then stayed as it was is left alone', async () => {
    const { there, undo, back, writes } = prepare();
    await undo.changing(A, there(A, configMap('a')));
    expect(await back()).toEqual(NOTHING);
    expect(writes()).toEqual([]);
  });

  test('is put back over what others change at the same time', async () => {
    const { api, there, change, back } = prepare();
    there(A, configMap('a', { data: { k: 'old' } }));
    await change(A, { data: { k: 'new' } });
    let puts = 0;
    api.intercept = ({ method }) => {
      const live = api.objects.get(A);
      if (method === 'PUT' && ++puts < 3 && live !== undefined) live.metadata.resourceVersion = `other-${puts}`;
    };
    expect(await back()).toMatchObject({ putBack: 1, failures: [] });
    expect(api.objects.get(A)?.data).toEqual({ k: 'old' });
  });

  test('keeps the status it has by now, but for one that the import has written', async () => {
    const { api, there, change, back } = prepare();
    const status = { observed: 1 };
    const B = `${NAMESPACE}/configmaps/b`;
    there(A, configMap('a', { status }));
    there(B, configMap('b', { status }));
    await change(A, { data: {} });
    await change(B, { data: {} });
    Object.assign(api.objects.get(A) as KubeObject, { status: { observed: 2 } });
    const b = api.objects.get(B) as KubeObject;
    b.status = { observed: 3 };
    b.metadata.managedFields = [{ manager: 'transship', operation: 'Update', subresource: 'status' }];
    await back();
    expect([api.objects.get(A)?.status, api.objects.get(B)?.status]).toEqual([{ observed: 2 }, status]);
  });

  test('and can not be changed again is named with the words of the server, and the rest goes on', async () => {
    const { api, there, change, back } = prepare();
    for (const name of ['a', 'b']) {
      there(`${NAMESPACE}/configmaps/${name}`, configMap(name, { data: {} }));
      await change(`${NAMESPACE}/configmaps/${name}`, { data: { k: 'new' } });
    }
    api.intercept = ({ method, path }) => {
      if (method === 'PUT' && path === A)
        throw refusal(422, 'Invalid', 'data: field is immutable when `immutable` is set');
    };
    expect(await back()).toMatchObject({
      putBack: 1,
      failures: [
        { object: 'ConfigMap shop/a', outcome: 'failed', message: 'data: field is immutable when `immutable` is set.' },
      ],
    });
  });
});

describe('what was deleted to be created anew', () => {
  test('is there again as it was, in place of the new one', async () => {
    const { api, there, recreate, back } = prepare();
    const before = there(
      A,
      configMap('a', { data: { k: 'old' }, metadata: { generation: 3, creationTimestamp: 't' } }),
    );
    await recreate(A, configMap('a', { data: { k: 'new' } }));
    expect(await back()).toEqual({ ...NOTHING, removed: 1, putBack: 1 });
    const { uid: _uid, generation: _generation, creationTimestamp: _time, ...metadata } = saying(before).metadata;
    expect(saying(api.objects.get(A) as KubeObject)).toEqual({
      ...saying(before),
      metadata: { ...metadata, uid: 'uid-of-a-2' },
    });
    expect(await back()).toEqual(NOTHING);
  });

  test('is there again also when answers are lost', async () => {
    const { api, there, recreate, back } = prepare();
    there(A, configMap('a', { data: { k: 'old' } }));
    await recreate(A, configMap('a', { data: { k: 'new' } }));
    const { json } = api.cluster;
    let lost = false;
    Object.assign(api.cluster, {
      json: async (request: Parameters<typeof json>[0]) => {
        const answer = await json(request);
        if (request.method !== 'POST' || lost) return answer;
        lost = true;
        throw silence();
      },
    });
    expect(await back()).toMatchObject({ putBack: 1, failures: [] });
    expect(api.objects.get(A)?.data).toEqual({ k: 'old' });
    expect(api.requests.filter((line) => line.startsWith('POST')).length).toBe(2);
  });

  test('gives way to what somebody else has made since', async () => {
    const { api, there, recreate, back } = prepare();
    there(A, configMap('a', { data: { k: 'old' } }));
    await recreate(A, configMap('a'));
    there(A, configMap('a', { data: { k: 'theirs' }, metadata: { uid: 'another' } }));
    const { failures } = await back();
    expect(failures.map(({ message }) => message)).toEqual(['Somebody has made another one since, which stays.']);
    expect(api.objects.get(A)?.data).toEqual({ k: 'theirs' });
  });

  test('and had run to its end does not run again', async () => {
    const { there, recreate, back } = prepare();
    const path = '/apis/batch/v1/namespaces/shop/jobs/migrate';
    const status = { conditions: [{ type: 'Complete', status: 'True' }] };
    there(path, objectOf('batch/v1 Job shop/migrate', { status }));
    await recreate(path, objectOf('batch/v1 Job shop/migrate'));
    expect(await back()).toMatchObject({
      removed: 1,
      putBack: 0,
      failures: [
        {
          object: 'Job shop/migrate',
          message: 'It was deleted, and is not created again: it had run to its end, and would run once more.',
        },
      ],
    });
  });

  test('owns again what it owned, and that is never without a living owner', async () => {
    const { api, there, change, recreate, undo, back } = prepare();
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };
    there(WEB, objectOf('apps/v1 Deployment shop/web', { spec: { replicas: 1 } }));
    there(A, configMap('a', { metadata: { ownerReferences: [{ ...owner, uid: 'old-web' }] } }));
    await change(A, { data: { k: 'new' } });
    await recreate(WEB, objectOf('apps/v1 Deployment shop/web', { spec: { replicas: 2 } }));
    // The owner that was created anew takes it over.
    await undo.changing(A, structuredClone(api.objects.get(A) as KubeObject));
    const a = api.objects.get(A) as KubeObject;
    a.metadata = { ...a.metadata, resourceVersion: 'linked', ownerReferences: [{ ...owner, uid: 'uid-of-web' }] };
    api.intercept = ({ method, path, body }) => {
      if (path !== A || method === 'GET') return;
      const { ownerReferences = [] } = (body as KubeObject).metadata ?? {};
      const living = api.objects.get(WEB)?.metadata.uid;
      expect(ownerReferences.filter(({ uid }) => uid !== living)).toEqual([]);
      if (method === 'DELETE') throw new Error('Nobody deletes it.');
    };
    expect(await back()).toMatchObject({ failures: [] });
    const { uid } = api.objects.get(WEB)?.metadata ?? {};
    expect(uid).toBe('uid-of-web-2');
    expect(api.objects.get(A)?.metadata.ownerReferences).toEqual([{ ...owner, uid }]);
  });
});

test('once it is cancelled nothing more is done, and what is left is listed', async () => {
  const controller = new AbortController();
  const { api, create, back } = prepare({ concurrency: 1 });
  for (const name of ['a', 'b', 'c']) await create(`${NAMESPACE}/configmaps/${name}`, configMap(name));
  api.intercept = ({ method }) => void (method === 'DELETE' && controller.abort());
  const { removed, failures } = await back(controller.signal);
  expect(removed).toBe(1);
  expect(failures).toEqual(
    ['b', 'a'].map((name) => ({
      object: `ConfigMap shop/${name}`,
      outcome: 'skipped',
      message: 'The run was cancelled before it was taken back.',
    })),
  );
});

test('a thousand objects and more are taken back side by side', async () => {
  const { api, create, back } = prepare();
  for (let index = 0; index < 1_500; index += 1)
    await create(`${NAMESPACE}/configmaps/c-${index}`, configMap(`c-${index}`));
  let underWay = 0;
  let most = 0;
  api.intercept = async () => {
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setImmediate(resolve));
    underWay -= 1;
  };
  expect(await back()).toEqual({ ...NOTHING, removed: 1_500 });
  expect(most).toBe(8);
});
