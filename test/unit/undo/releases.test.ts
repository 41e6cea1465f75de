import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { createUndo, type UndoOptions } from '../../../src/undo/undo.ts';
import { createClock, createMemoryApi } from '../resources/memory-api.ts';
import { discoveryOf, KINDS, objectOf } from '../resources/target-bed.ts';

const NAMESPACE = '/api/v1/namespaces/shop';
const NOTHING = { removed: 0, putBack: 0, uninstalled: 0, rolledBack: 0, failures: [] };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'transship-undo-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A target, and an undo log with a Helm that does what a test says. */
function prepare(more: Partial<UndoOptions> = {}) {
  const api = createMemoryApi();
  const runs: string[] = [];
  const helm = { act: (): string | undefined => undefined };
  const undo = createUndo({
    cluster: api.cluster,
    directory,
    timeout: 90_000,
    clock: createClock(),
    discover: async () => discoveryOf(KINDS.map((kind) => ({ ...kind, verbs: ['list', 'delete'] }))),
    helm: { path: '/bin/helm', version: 'v4.3.1', major: 4 },
    async runProgram(command, args, { env = {} }) {
      runs.push(`${env.HELM_DRIVER}: ${[command, ...args].join(' ')}`);
      const failure = helm.act();
      return { exitCode: failure === undefined ? 0 : 1, stdout: '', stderr: failure ?? '' };
    },
    env: {},
    noHooks: false,
    ...more,
  });
  onTestFinished(() => undo.close());
  const place = (revision: number, kind = 'secrets') => `${NAMESPACE}/${kind}/sh.helm.release.v1.web.v${revision}`;
  return {
    api,
    undo,
    runs,
    helm,
    place,
    /** Writes a record, as Helm does. */
    record(revision: number, status: string, kind: 'Secret' | 'ConfigMap' = 'Secret'): KubeObject {
      const path = place(revision, kind === 'Secret' ? 'secrets' : 'configmaps');
      const before = api.objects.get(path);
      const live = objectOf(`v1 ${kind} shop/sh.helm.release.v1.web.v${revision}`, {
        data: { release: `${revision} ${status}` },
        metadata: {
          labels: { owner: 'helm', name: 'web', status, version: `${revision}` },
          uid: before?.metadata.uid ?? `helms-${revision}`,
          resourceVersion: `${revision} ${status}`,
        },
      });
      api.objects.set(path, live);
      return structuredClone(live);
    },
    records: () => [...api.objects.values()].map(({ data }) => (data as { release: string }).release).sort(),
    back: () => undo.rollBack(silentReporter),
  };
}

describe('a release that was new', () => {
  test('is uninstalled, and what is left of its records goes', async () => {
    const { undo, record, records, runs, back } = prepare();
    await undo.installing('shop', 'web');
    record(1, 'superseded');
    record(2, 'deployed');
    expect(await back()).toEqual({ ...NOTHING, uninstalled: 1 });
    expect(runs).toEqual(['secret: /bin/helm uninstall web --namespace shop --timeout 90s --wait --ignore-not-found']);
    expect(records()).toEqual([]);
  });

  test('is uninstalled as what runs of it, without hooks where the import ran none, in its own driver', async () => {
    const { undo, record, records, runs, helm, back } = prepare({ noHooks: true });
    await undo.installing('shop', 'web');
    record(1, 'deployed', 'ConfigMap');
    // Came along as history: nothing of it was ever brought in.
    record(2, 'failed', 'ConfigMap');
    helm.act = () => {
      expect(records()).toEqual(['1 deployed']);
      return undefined;
    };
    await back();
    expect(runs).toEqual([expect.stringMatching(/^configmap: .* uninstall web .* --no-hooks$/)]);
  });

  test('of which Helm has written nothing takes no Helm', async () => {
    const { undo, runs, back } = prepare();
    await undo.installing('shop', 'web');
    expect(await back()).toEqual(NOTHING);
    expect(runs).toEqual([]);
  });

  test('that can not be uninstalled is told in words of Helm, and stays with its records and its namespace', async () => {
    const { api, undo, record, records, helm, back } = prepare();
    const body = objectOf('v1 Namespace shop');
    await undo.created(NAMESPACE, await api.cluster.json({ method: 'POST', path: '/api/v1/namespaces', body }));
    await undo.installing('shop', 'web');
    record(1, 'deployed');
    helm.act = () => 'Error: pre-delete hooks failed';
    expect((await back()).failures.map(({ object, message }) => `${object}: ${message}`)).toEqual([
      'Release shop/web: pre-delete hooks failed.',
      'Namespace shop: It stays, for others have put into it: Secret shop/sh.helm.release.v1.web.v1.',
    ]);
    api.objects.delete(NAMESPACE);
    expect(records()).toEqual(['1 deployed']);
  });

  test('goes before its namespace, which was made for it, hooks that Helm leaves and all', async () => {
    const { api, undo, record, back } = prepare();
    // Two that are installed at the same time: one has made the namespace, the other was told of first.
    await undo.installing('shop', 'web');
    const body = objectOf('v1 Namespace shop');
    await undo.created(NAMESPACE, await api.cluster.json({ method: 'POST', path: '/api/v1/namespaces', body }));
    record(1, 'deployed');
    const hook = objectOf('batch/v1 Job shop/migrate', {
      metadata: { annotations: { 'helm.sh/hook': 'pre-install' } },
    });
    api.objects.set('/apis/batch/v1/namespaces/shop/jobs/migrate', hook);
    expect(await back()).toEqual({ ...NOTHING, uninstalled: 1, removed: 1 });
    expect(api.objects.has(NAMESPACE)).toBe(false);
  });
});

describe('a release that was upgraded', () => {
  /** Two revisions, an upgrade to a third. */
  async function upgrade(bed: ReturnType<typeof prepare>, status = 'deployed') {
    const before = [bed.record(1, 'superseded'), bed.record(2, status)];
    await bed.undo.upgrading('shop', 'web', 2, before);
    bed.record(2, 'superseded');
    bed.record(3, 'deployed');
    return before;
  }

  test('is rolled back by Helm, and its records are exactly those it had', async () => {
    const bed = prepare();
    const before = await upgrade(bed);
    bed.helm.act = () => {
      bed.record(3, 'superseded');
      bed.record(4, 'deployed');
      return undefined;
    };
    expect(await bed.back()).toEqual({ ...NOTHING, rolledBack: 1 });
    expect(bed.runs).toEqual([
      'secret: /bin/helm rollback web 2 --namespace shop --timeout 90s --wait --history-max 0',
    ]);
    expect(bed.records()).toEqual(['1 superseded', '2 deployed']);
    const second = bed.api.objects.get(bed.place(2));
    expect({ ...second, metadata: { ...second?.metadata, resourceVersion: '', managedFields: '' } }).toEqual({
      ...before[1],
      metadata: { ...before[1]?.metadata, resourceVersion: '', managedFields: '' },
    });
    expect(await bed.back()).toMatchObject({ failures: [] });
    expect(bed.records()).toEqual(['1 superseded', '2 deployed']);
  });

  test('keeps the records that Helm has left when it can not be rolled back', async () => {
    const bed = prepare();
    await upgrade(bed);
    bed.helm.act = () => 'Error: no such Deployment';
    expect((await bed.back()).failures).toEqual([
      { object: 'Release shop/web', outcome: 'failed', message: 'no such Deployment.' },
    ]);
    expect(bed.records()).toEqual(['1 superseded', '2 superseded', '3 deployed']);
  });

  test('takes no Helm where Helm has changed nothing', async () => {
    const bed = prepare();
    await bed.undo.upgrading('shop', 'web', 2, [bed.record(1, 'superseded'), bed.record(2, 'pending-upgrade')]);
    expect(await bed.back()).toEqual(NOTHING);
    // What keeps every other Helm out was ended before.
    bed.record(2, 'failed');
    expect(await bed.back()).toEqual({ ...NOTHING, rolledBack: 1 });
    expect(bed.runs).toEqual([]);
    expect(bed.records()).toEqual(['1 superseded', '2 pending-upgrade']);
  });

  test('is uninstalled again where it had been, and keeps its history', async () => {
    const bed = prepare();
    await upgrade(bed, 'uninstalled');
    await bed.back();
    expect(bed.runs).toEqual([expect.stringMatching(/ uninstall web .*--keep-history$/)]);
    expect(bed.records()).toEqual(['1 superseded', '2 uninstalled']);
  });

  test('comes back from its records alone where it was uninstalled since', async () => {
    const bed = prepare();
    await upgrade(bed);
    bed.api.objects.clear();
    bed.helm.act = () => {
      expect(bed.records()).toEqual(['1 superseded', '2 deployed']);
      bed.record(3, 'deployed');
      return undefined;
    };
    expect(await bed.back()).toEqual({ ...NOTHING, rolledBack: 1 });
    expect(bed.records()).toEqual(['1 superseded', '2 deployed']);
  });
});

test('releases are taken back one by one, the last first', async () => {
  const { api, undo, runs, back } = prepare();
  for (const name of ['a', 'b', 'c']) {
    await undo.installing('shop', name);
    const labels = { owner: 'helm', name, version: '1', status: 'deployed' };
    api.objects.set(`${NAMESPACE}/secrets/${name}`, objectOf(`v1 Secret shop/${name}`, { metadata: { labels } }));
  }
  expect(await back()).toEqual({ ...NOTHING, uninstalled: 3 });
  expect(runs.map((run) => run.split(' ')[3])).toEqual(['c', 'b', 'a']);
});
