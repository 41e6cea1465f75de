import { describe, expect, it } from 'vitest';
import type { Backend } from '../../../src/backends/backend.ts';
import type { Cluster } from '../../../src/cluster/cluster.ts';
import { TransshipError } from '../../../src/errors.ts';
import { parseLease } from '../../../src/manager/lease-text.ts';
import { holderOf, retain, whileManaging } from '../../../src/modes/managing.ts';
import type { RunContext } from '../../../src/modes/run.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { fakeClock } from '../manager/fake-clock.ts';
import { type MemoryStore, memoryStore } from '../manager/memory-store.ts';
import { readAll } from '../releases/make-record.ts';
import { stored, storedBed } from '../retention/stored.ts';

const cluster = {
  json: async ({ path }: { path: string }) =>
    path === '/version' ? { gitVersion: 'v1.35.4' } : { metadata: { uid: 'c1' } },
} as unknown as Cluster;

function bed() {
  const store = memoryStore(fakeClock());
  const cancel = new AbortController();
  const context: RunContext = {
    ...{ reporter: silentReporter, signal: cancel.signal, env: { HOSTNAME: 'pod' }, temporaryDirectory: '' },
    ...{ run: '', version: '' },
  };
  return { store, cancel, context, backend: { name: 's3', lease: store } as unknown as Backend };
}

const inputs = { manager: 'ops/transship', 'take-over': false, path: 's3://b/p/' };
const released = (store: MemoryStore) => parseLease(store.text() ?? '')?.released !== undefined;

describe('whileManaging', () => {
  it('holds the lease of the path while it works, and gives it back', async () => {
    const { store, context, backend } = bed();
    const manager = await whileManaging(inputs, cluster, backend, context, async (managing) => {
      expect(released(store)).toBe(false);
      return managing.manager;
    });
    expect(manager).toEqual({ cluster: 'c1', namespace: 'ops', release: 'transship', path: 's3://b/p' });
    expect(parseLease(store.text() ?? '')).toMatchObject({ manager, holder: holderOf(context.env) });
    expect(released(store)).toBe(true);
  });

  it('gives it back after a failure too', async () => {
    const { store, context, backend } = bed();
    const fail = () => Promise.reject(new TransshipError('CLUSTER', 'down'));
    await expect(whileManaging(inputs, cluster, backend, context, fail)).rejects.toThrow('down');
    expect(released(store)).toBe(true);
  });

  it('fails a snapshot after its last entry when somebody has taken over', async () => {
    const { store, context, backend } = bed();
    const passed: string[] = [];
    const work = whileManaging(inputs, cluster, backend, context, async ({ guard }) => {
      await store.write('{}', '1');
      for await (const { path } of guard(entries())) passed.push(path);
    });
    await expect(work).rejects.toMatchObject({ code: 'MANAGED' });
    expect(passed).toEqual(['a', 'b']);
  });

  it('without a manager takes no lease', async () => {
    const { store, context, backend } = bed();
    const none = { ...inputs, manager: undefined };
    const found = await whileManaging(none, cluster, backend, context, ({ guard }) => readAll(guard(entries())));
    expect(found).toHaveLength(2);
    expect(store.texts).toEqual([]);
  });

  it('is refused where nobody can hold a lease', async () => {
    const { context } = bed();
    const backend = { name: 'artifact', lease: undefined } as unknown as Backend;
    await expect(whileManaging(inputs, cluster, backend, context, async () => {})).rejects.toMatchObject({
      code: 'INPUT',
    });
  });
});

describe('retain', () => {
  const [old, fresh] = [stored('26-06-28_12-00-00'), stored('26-06-30_11-00-00')];
  const keepOne = { retention: { last: 1 }, path: 's3://b/p' };

  it('deletes what is not kept, and says what', async () => {
    const backend = storedBed({ snapshots: [fresh, old] });
    const { outputs, failed } = await retain(backend as unknown as Backend, fresh, keepOne, bed().context);
    expect(outputs).toEqual({ removed: [expect.objectContaining({ id: old.id })] });
    expect({ failed, deleted: backend.deleted }).toEqual({ failed: false, deleted: [old.location] });
  });

  it('does nothing without a retention', async () => {
    const backend = storedBed({ snapshots: [fresh, old] });
    const none = { retention: undefined, path: 's3://b/p' };
    expect(await retain(backend as unknown as Backend, fresh, none, bed().context)).toEqual({
      ...{ outputs: {}, failed: false },
    });
    expect(backend.deleted).toEqual([]);
  });

  it('fails the run, and not what was stored, when the storage can not be looked at', async () => {
    const backend = {
      ...storedBed({}),
      survey: () => Promise.reject(new TransshipError('BACKEND', 's3:ListBucket is denied.')),
    };
    expect(await retain(backend as unknown as Backend, fresh, keepOne, bed().context)).toEqual({
      outputs: {
        removed: [],
        failures: [{ object: 's3://b/p', outcome: 'failed', message: 's3:ListBucket is denied.' }],
      },
      failed: true,
    });
  });
});

async function* entries() {
  for (const path of ['a', 'b']) yield { path, size: 0, body: Buffer.alloc(0) };
}
