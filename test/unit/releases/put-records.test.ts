import { describe, expect, test } from 'vitest';
import { ClusterError } from '../../../src/cluster/cluster.ts';
import {
  createRecord,
  ensureNamespace,
  putRecords,
  readFrozenRecord,
  readRecordAt,
} from '../../../src/releases/put-records.ts';
import { decodeRecord, type ReleaseRecord, recordToObject } from '../../../src/releases/record.ts';
import type { UndoLog } from '../../../src/undo.ts';
import { makeObject, type RecordSpec } from './make-record.ts';
import { type MemoryCluster, memoryCluster, reset } from './memory-cluster.ts';

const PLACE = { driver: 'secret', namespace: 'shop', name: 'web' } as const;
const SECRETS = '/api/v1/namespaces/shop/secrets';
const pathOf = (revision: number) => `${SECRETS}/sh.helm.release.v1.web.v${revision}`;

function record(spec: RecordSpec = {}): Promise<ReleaseRecord> {
  return decodeRecord(makeObject({ manifest: `# original ${spec.revision}\n`, status: 'superseded', ...spec }));
}

const load = ({ revision }: { revision: number }): Promise<ReleaseRecord> => record({ revision });
const originals = (...revisions: number[]) => revisions.map((revision) => ({ revision }));
const frozenChart = (mark: string) => ({
  metadata: { name: 'app', version: '1.2.3', annotations: { 'transship.dev/frozen': mark } },
});

async function frozenAt(cluster: MemoryCluster, ...revisions: number[]): Promise<void> {
  for (const revision of revisions) {
    cluster.objects.set(pathOf(revision), makeObject({ revision, chart: frozenChart('install:abc') }));
  }
}

/** What stands in the cluster, by revision: the text of its manifest. */
async function standing(cluster: MemoryCluster): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const object of cluster.objects.values()) {
    const { revision, json } = await decodeRecord(object);
    found[revision] = JSON.parse(json).manifest;
  }
  return found;
}

const WHOLE = { 1: '# original 1\n', 2: '# original 2\n', 3: '# original 3\n' };

describe('putRecords', () => {
  test('puts every original exactly as it was', async () => {
    const cluster = memoryCluster();
    await frozenAt(cluster, 1);
    const labels = { team: 'a', modifiedAt: '7' };
    const exact = ({ revision }: { revision: number }) => record({ revision, labels });
    await putRecords(cluster, PLACE, originals(1, 2, 3), exact, { present: new Set([1]), last: 1 });
    for (const revision of [1, 2, 3]) {
      const { metadata, ...object } = cluster.objects.get(pathOf(revision)) ?? {};
      const expected = await recordToObject(await exact({ revision }));
      expect({ ...object, metadata: { ...metadata, managedFields: undefined } }).toEqual(expected);
    }
    expect(cluster.objects.size).toBe(3);
  });

  test('leaves the record that Helm wrote until all the others are there', async () => {
    const cluster = memoryCluster();
    await frozenAt(cluster, 2);
    await putRecords(cluster, PLACE, originals(1, 2, 3), load, { present: new Set([2]), last: 2 });
    expect(cluster.requests.at(-1)).toBe(`PUT ${pathOf(2)}`);
    expect(await standing(cluster)).toEqual(WHOLE);
  });

  test('removes what stands at a revision that no original has, the newest of Helm last', async () => {
    const cluster = memoryCluster();
    await frozenAt(cluster, 1, 4, 5);
    await putRecords(cluster, PLACE, originals(1, 2, 3), load, { present: new Set([1, 4, 5]), last: 5 });
    expect(cluster.requests.at(-1)).toBe(`DELETE ${pathOf(5)}`);
    expect(await standing(cluster)).toEqual(WHOLE);
  });

  test('keeps the mark of an import that is cut short at any request, and is done when run again', async () => {
    for (let cut = 1; ; cut += 1) {
      let isBroken = true;
      const cluster = memoryCluster((_, count) => (isBroken && count >= cut ? reset : undefined));
      await frozenAt(cluster, 1, 4);
      const state = { present: new Set([1, 4]), last: 4 };
      const done = await putRecords(cluster, PLACE, originals(1, 2, 3), load, state).then(
        () => true,
        () => false,
      );
      if (done) break;
      expect(cluster.objects.has(pathOf(4))).toBe(true);
      isBroken = false;
      const present = new Set([...cluster.objects.values()].map(({ metadata }) => Number(metadata.labels?.version)));
      await putRecords(cluster, PLACE, originals(1, 2, 3), load, { present, last: 4 });
      expect(await standing(cluster)).toEqual(WHOLE);
      expect(cut).toBeLessThan(20);
    }
  });

  test('begins nothing more after a failure, and passes it on once nothing is under way', async () => {
    const denied = new ClusterError(403, 'Forbidden', 'no');
    const cluster = memoryCluster(({ path, body }) =>
      path === SECRETS && JSON.stringify(body).includes('web.v2"') ? denied : undefined,
    );
    await frozenAt(cluster, 1);
    const many = Array.from({ length: 50 }, (_, index) => ({ revision: index + 1 }));
    const put = putRecords(cluster, PLACE, many, load, { present: new Set([1]), last: 1 });
    await expect(put).rejects.toBe(denied);
    const sent = cluster.requests.length;
    expect(sent).toBeLessThan(10);
    await new Promise((resolve) => setImmediate(resolve));
    expect(cluster.requests.length).toBe(sent);
  });

  test('holds but a few of the originals at a time', async () => {
    let held = 0;
    let most = 0;
    const cluster = memoryCluster(() => {
      held -= 1;
      return undefined;
    });
    await frozenAt(cluster, 1);
    const counting = async (original: { revision: number }) => {
      held += 1;
      most = Math.max(most, held);
      return load(original);
    };
    const many = Array.from({ length: 40 }, (_, index) => ({ revision: index + 1 }));
    await putRecords(cluster, PLACE, many, counting, { present: new Set([1]), last: 1 });
    expect(most).toBeLessThanOrEqual(4);
    expect(held).toBe(0);
  });
});

describe('createRecord', () => {
  const isPost = ({ method }: { method: string }) => method === 'POST';

  test('takes a record for created that was, although the answer was lost', async () => {
    const cluster = memoryCluster((request) => (isPost(request) ? { after: reset } : undefined));
    await createRecord(cluster, await record());
    expect(cluster.requests).toEqual([`POST ${SECRETS}`, `GET ${pathOf(1)}`]);
    expect(cluster.objects.size).toBe(1);
  });

  test.each([
    ['a reset', reset],
    ['a server that is not ready', new ClusterError(503, 'ServiceUnavailable', 'etcd has no leader')],
    ['a stall', new ClusterError(0, 'Stalled', 'no byte came')],
  ])('sends the record again when it was not created, after %s', async (_, failure) => {
    const cluster = memoryCluster((request, count) => (isPost(request) && count === 1 ? failure : undefined));
    await createRecord(cluster, await record());
    expect(cluster.requests).toEqual([`POST ${SECRETS}`, `GET ${pathOf(1)}`, `POST ${SECRETS}`]);
  });

  test('gives up with what the server said when it never works', async () => {
    const failure = new ClusterError(500, 'InternalError', 'failed calling webhook');
    const cluster = memoryCluster((request) => (isPost(request) ? failure : undefined));
    await expect(createRecord(cluster, await record())).rejects.toBe(failure);
    expect(cluster.requests.filter((request) => request.startsWith('POST'))).toHaveLength(5);
  });

  test('does not ask twice where the server refuses', async () => {
    const failure = new ClusterError(403, 'Forbidden', 'quota');
    const cluster = memoryCluster((request) => (isPost(request) ? failure : undefined));
    await expect(createRecord(cluster, await record())).rejects.toBe(failure);
    expect(cluster.requests).toEqual([`POST ${SECRETS}`]);
  });

  test('leaves the record of somebody else alone, and names it', async () => {
    const cluster = memoryCluster();
    const other = makeObject({ manifest: '# of somebody else\n' });
    cluster.objects.set(pathOf(1), other);
    await expect(createRecord(cluster, await record())).rejects.toMatchObject({
      code: 'IMPORT_FAILED',
      message: 'Revision 1 of release shop/web was written by somebody else during the import.',
    });
    expect(cluster.objects.get(pathOf(1))).toEqual(other);
  });
});

describe('what is told so that it can be taken back', () => {
  const keep = () => {
    const told: string[] = [];
    const undo: UndoLog = {
      created: async (path, { metadata }) => void told.push(`created ${path} ${metadata.name}`),
      changing: async (path, before) => void told.push(`changing ${path} ${(await decodeRecord(before)).json.length}`),
      installing: () => Promise.reject(new Error('Nothing is installed.')),
      upgrading: () => Promise.reject(new Error('Nothing is upgraded.')),
    };
    return { told, undo };
  };

  test('is each record that is created, and each as it was before it is changed or removed', async () => {
    const cluster = memoryCluster();
    await frozenAt(cluster, 1, 4);
    const before = (await decodeRecord(cluster.objects.get(pathOf(1)) ?? makeObject())).json.length;
    const { told, undo } = keep();
    await putRecords(cluster, PLACE, originals(1, 2), load, { present: new Set([1, 4]), last: 4, undo });
    expect(told.toSorted()).toEqual([
      `changing ${pathOf(1)} ${before}`,
      `changing ${pathOf(4)} ${before}`,
      `created ${pathOf(2)} sh.helm.release.v1.web.v2`,
    ]);
  });

  test('is also what was created in a try whose answer was lost, but not what another has created', async () => {
    const lossy = memoryCluster(({ method }) => (method === 'POST' ? { after: reset } : undefined));
    const first = keep();
    await createRecord(lossy, await record(), undefined, first.undo);
    expect(first.told).toEqual([`created ${pathOf(1)} sh.helm.release.v1.web.v1`]);

    const path = '/api/v1/namespaces/shop';
    const busy = memoryCluster(({ method }) => {
      if (method === 'POST')
        busy.objects.set(path, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
      return undefined;
    });
    const second = keep();
    await ensureNamespace(busy, 'shop', undefined, { undo: second.undo });
    expect(second.told).toEqual([]);
  });
});

describe('readFrozenRecord', () => {
  test('reads the newest one of the mark, however new others are', async () => {
    const cluster = memoryCluster();
    await frozenAt(cluster, 2, 10);
    cluster.objects.set(pathOf(11), makeObject({ revision: 11 }));
    cluster.objects.set(pathOf(12), makeObject({ revision: 12, chart: frozenChart('install:other') }));
    expect(await readFrozenRecord(cluster, PLACE, 'install:abc')).toMatchObject({ revision: 10, status: 'deployed' });
  });

  test('passes over records that cannot be read', async () => {
    const cluster = memoryCluster();
    await frozenAt(cluster, 1);
    cluster.objects.set(pathOf(2), makeObject({ revision: 2, json: '{' }));
    expect(await readFrozenRecord(cluster, PLACE, 'install:abc')).toMatchObject({ revision: 1 });
  });

  test('says so when there is none', async () => {
    const cluster = memoryCluster();
    cluster.objects.set(pathOf(1), makeObject());
    await expect(readFrozenRecord(cluster, PLACE, 'install:abc')).rejects.toMatchObject({
      code: 'HELM',
      message: 'Helm reported success, but what it has written of release shop/web is gone.',
    });
  });
});

test('readRecordAt is undefined for a revision that is not there', async () => {
  const cluster = memoryCluster();
  await frozenAt(cluster, 3);
  expect(await readRecordAt(cluster, PLACE, 3)).toMatchObject({ revision: 3, release: 'web' });
  expect(await readRecordAt(cluster, PLACE, 4)).toBeUndefined();
});

describe('ensureNamespace', () => {
  const path = '/api/v1/namespaces/shop';

  test('creates the namespace as helm install --create-namespace does', async () => {
    const cluster = memoryCluster();
    await ensureNamespace(cluster, 'shop');
    expect(cluster.objects.get(path)?.metadata.labels).toEqual({ name: 'shop' });
  });

  test('gives it the label of the environment it is made for, and says that it was made', async () => {
    const cluster = memoryCluster();
    const created: string[] = [];
    const fail = () => Promise.reject(new Error('It is only created.'));
    const undo = {
      created: async (where: string) => void created.push(where),
      ...{ changing: fail, installing: fail, upgrading: fail },
    };
    await ensureNamespace(cluster, 'shop', undefined, { environment: { name: 'pr-1' }, undo });
    const labels = cluster.objects.get(path)?.metadata.labels;
    expect(labels).toEqual({ name: 'shop', 'transship.dev/environment': 'pr-1' });
    expect(created).toEqual([path]);
  });

  test('writes nothing where it exists', async () => {
    const cluster = memoryCluster();
    cluster.objects.set(path, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
    await ensureNamespace(cluster, 'shop');
    expect(cluster.requests).toEqual([`GET ${path}`]);
  });

  test('is content when another import creates it at the same time', async () => {
    const cluster = memoryCluster(({ method }) => {
      if (method === 'POST')
        cluster.objects.set(path, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
      return undefined;
    });
    await ensureNamespace(cluster, 'shop');
    expect(cluster.objects.get(path)?.metadata.labels).toBeUndefined();
  });

  test('lets Helm say what is missing where namespaces may not even be read', async () => {
    const cluster = memoryCluster(() => new ClusterError(403, 'Forbidden', 'no'));
    await ensureNamespace(cluster, 'shop');
    expect(cluster.requests).toEqual([`GET ${path}`]);
  });
});
