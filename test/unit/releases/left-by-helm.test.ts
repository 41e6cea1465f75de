import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { HelmHook } from '../../../src/releases/helm-release.ts';
import { deleteSucceeded, type SettleContext, settleHelm } from '../../../src/releases/left-by-helm.ts';
import { decodeRecord, type ReleaseRecord } from '../../../src/releases/record.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { serveKinds } from './discovery.ts';
import { makeJson, makeObject } from './make-record.ts';
import { type MemoryCluster, memoryCluster } from './memory-cluster.ts';

const PLACE = { driver: 'secret', namespace: 'shop', name: 'web' } as const;
const RECORD = '/api/v1/namespaces/shop/secrets/sh.helm.release.v1.web.v1';
const MARK = 'install:abc';
const MANIFEST = '---\n# Source: app/templates/c.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: web }\n';
const BEGAN = '2026-01-02T03:04:05.9Z';

const jobPath = (name: string) => `/apis/batch/v1/namespaces/shop/jobs/${name}`;

function hook(name: string, event: string, phase?: string): HelmHook {
  const manifest = `apiVersion: batch/v1\nkind: Job\nmetadata: { name: ${name}, annotations: { helm.sh/hook: ${event} } }\n`;
  return {
    ...{ name, kind: 'Job', path: `app/templates/${name}.yaml`, manifest, events: [event] },
    ...{ delete_policies: ['hook-succeeded'], last_run: phase === undefined ? {} : { started_at: BEGAN, phase } },
  };
}

function jsonOf(fields: object, status: string, description = 'Initial install underway'): string {
  const annotations = { 'transship.dev/frozen': MARK };
  const release = JSON.parse(makeJson({ manifest: MANIFEST, chart: { metadata: { name: 'app', annotations } } }));
  return JSON.stringify({ ...release, ...fields, info: { ...release.info, status, description } });
}

interface Bed {
  readonly cluster: MemoryCluster;
  readonly said: string[];
  settle(hooks: readonly HelmHook[], more?: Partial<SettleContext>): ReturnType<typeof settleHelm>;
  /** Puts the record that Helm has left. */
  leave(hooks: readonly HelmHook[], status: string, description?: string): void;
  job(name: string, condition?: string): void;
}

/** A cluster whose time goes by when it is waited for; `after` is told of each wait. */
function makeBed(after: (waits: number, bed: Bed) => void = () => {}): Bed {
  const cluster = memoryCluster();
  serveKinds(cluster);
  let now = 0;
  let waits = 0;
  const said: string[] = [];
  const bed: Bed = {
    cluster,
    said,
    leave(hooks, status, description) {
      cluster.objects.set(RECORD, makeObject({ status, json: jsonOf({ hooks }, status, description) }));
    },
    job(name, condition) {
      const metadata = { name, namespace: 'shop', creationTimestamp: '2026-01-02T03:04:05Z' };
      const conditions = condition === undefined ? [] : [{ type: condition, status: 'True' }];
      cluster.objects.set(jobPath(name), { apiVersion: 'batch/v1', kind: 'Job', metadata, status: { conditions } });
    },
    async settle(hooks, more) {
      const original: ReleaseRecord = {
        ...(await decodeRecord(makeObject())),
        json: JSON.stringify({ ...JSON.parse(makeJson({ manifest: MANIFEST })), hooks }),
      };
      const context: SettleContext = {
        helm: { path: 'helm', version: 'v4.3.1', major: 4 },
        runProgram: () => Promise.reject(new Error('Nothing is to run.')),
        ...{
          cluster,
          env: {},
          temporaryDirectory: '',
          timeout: '1m',
          wait: false,
          noHooks: false,
          hookTimeout: 60_000,
        },
        reporter: { ...silentReporter, debug: (line) => void said.push(line) },
        clock: {
          now: () => now,
          sleep: async (milliseconds) => {
            now += milliseconds;
            waits += 1;
            after(waits, bed);
          },
        },
        ...more,
      };
      const status = cluster.objects.get(RECORD)?.metadata.labels?.status ?? 'pending-install';
      const last = { revision: 1, status, frozen: MARK, isOurs: false, digest: '' };
      return settleHelm(context, PLACE, last, { original, mark: MARK, operation: 'install' });
    },
  };
  return bed;
}

const namesOf = (hooks: readonly HelmHook[] | undefined) => hooks?.map(({ name }) => name);
const ORIGINAL = [hook('a', 'pre-install'), hook('b', 'pre-install'), hook('c', 'post-install')];
const atWork = (phase = 'Running') => [
  hook('a', 'pre-install', 'Succeeded'),
  hook('b', 'pre-install', phase),
  hook('c', 'post-install'),
];

const GAVE_UP =
  'Release "web" failed: failed pre-install: resource Job/shop/b not ready. status: InProgress, message: Job in progress';

describe('what a Helm has left that stopped waiting', () => {
  test('early counts the hook that ended well, though Helm calls it failed', async () => {
    const bed = makeBed();
    bed.leave(atWork('Failed'), 'failed', GAVE_UP);
    bed.job('b', 'Complete');
    const left = await bed.settle(ORIGINAL);
    expect(namesOf(left.hooks)).toEqual(['c']);
    expect(left.ran.map(({ name, last_run }) => [name, last_run])).toEqual([
      ['a', { started_at: BEGAN, phase: 'Succeeded' }],
      ['b', { started_at: BEGAN, phase: 'Unknown' }],
    ]);
  });

  test('early has its hook run again when that failed indeed', async () => {
    const bed = makeBed();
    bed.leave(atWork('Failed'), 'failed', GAVE_UP);
    bed.job('b', 'Failed');
    expect(namesOf((await bed.settle(ORIGINAL)).hooks)).toEqual(['b', 'c']);
  });

  test.each([
    ['as its time was up', `${GAVE_UP}\ncontext deadline exceeded`],
    [
      'as its hook failed',
      'Release "web" failed: failed pre-install: resource Job/shop/b not ready. status: Failed, message: Job Failed',
    ],
  ])('%s has all hooks run again', async (_why, description) => {
    const bed = makeBed();
    bed.leave(atWork('Failed'), 'failed', description);
    bed.job('b', 'Complete');
    const left = await bed.settle(ORIGINAL);
    expect([left.hooks, left.ran]).toEqual([undefined, []]);
  });
});

describe('what a killed Helm has left', () => {
  test('is ended, so that another Helm can go on, and says what it was at', async () => {
    const bed = makeBed();
    bed.leave(ORIGINAL, 'pending-install');
    expect(await bed.settle(ORIGINAL)).toMatchObject({ isDone: false, hooks: ORIGINAL, ran: [] });
    const { status, json } = await decodeRecord(bed.cluster.objects.get(RECORD) ?? makeObject());
    expect([status, JSON.parse(json).info.description]).toEqual([
      'failed',
      'The import was cut short while Helm was at work (install)',
    ]);
  });

  test.each([
    ['pending-install', undefined, 'Running'],
    ['failed', 'Release "web" failed: context canceled', 'Unknown'],
    ['failed', 'The import was cut short while Helm was at work (install)', 'Running'],
  ])('in a hook, with the record %s (%s), counts the hook that ended since', async (status, description, phase) => {
    const bed = makeBed();
    bed.leave(atWork(phase), status, description);
    bed.job('b', 'Complete');
    const left = await bed.settle(ORIGINAL);
    expect(namesOf(left.hooks)).toEqual(['c']);
    expect(left.ran.map(({ name, last_run }) => [name, last_run])).toEqual([
      ['a', { started_at: BEGAN, phase: 'Succeeded' }],
      ['b', { started_at: BEGAN, phase }],
    ]);
  });

  test('in a hook that failed, or is gone, runs that one again and says so', async () => {
    const failed = makeBed();
    failed.leave(atWork(), 'pending-install');
    failed.job('b', 'Failed');
    expect(namesOf((await failed.settle(ORIGINAL)).hooks)).toEqual(['b', 'c']);
    expect(failed.said[0]).toBe('The hook pre-install Job shop/b of shop/web failed: it runs again.');

    const gone = makeBed();
    gone.leave(atWork(), 'pending-install');
    expect(namesOf((await gone.settle(ORIGINAL)).hooks)).toEqual(['b', 'c']);
    expect(gone.said[0]).toBe('The hook pre-install Job shop/b of shop/web is gone: it runs again.');
  });

  test.each([
    ['Helm', '2026-01-02T03:04:05Z', ['c']],
    ['Helm', '2026-01-02T03:04:04Z', ['b', 'c']],
    ['kustomize', '2026-01-02T03:04:09Z', ['b', 'c']],
  ])('takes a hook that is gone for done where the manifest followed: by %s at %s', async (by, created, hooks) => {
    const bed = makeBed();
    bed.leave(atWork(), 'pending-install');
    const metadata = {
      ...{ name: 'web', namespace: 'shop', creationTimestamp: created },
      labels: { 'app.kubernetes.io/managed-by': by },
      annotations: { 'meta.helm.sh/release-name': 'web', 'meta.helm.sh/release-namespace': 'shop' },
    };
    const object: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
    bed.cluster.objects.set('/api/v1/namespaces/shop/configmaps/web', object);
    expect(namesOf((await bed.settle(ORIGINAL)).hooks)).toEqual(hooks);
  });

  test('in a hook that still runs, waits for its end', async () => {
    const bed = makeBed((waits, { job }) => {
      if (waits === 3) job('b', 'Complete');
    });
    bed.leave(atWork(), 'pending-install');
    bed.job('b');
    expect(namesOf((await bed.settle(ORIGINAL)).hooks)).toEqual(['c']);
  });

  test('in a hook that does not end, is named and stays as it is', async () => {
    const bed = makeBed();
    bed.leave(atWork(), 'pending-install');
    bed.job('b');
    await expect(bed.settle(ORIGINAL)).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining(
        'waiting for hook pre-install Job shop/b of shop/web, which an import that was cut short began to end',
      ),
      hint: 'Import again once it has ended; or delete it, and it runs again.',
    });
    expect(bed.cluster.objects.get(RECORD)?.metadata.labels?.status).toBe('pending-install');
  });

  test('may be taken on by Helm itself, which outlived the import', async () => {
    const bed = makeBed((waits, { job, leave }) => {
      if (waits === 2) job('b', 'Complete');
      if (waits === 3) leave(atWork(), 'deployed', 'Install complete');
    });
    bed.leave(atWork(), 'pending-install');
    bed.job('b');
    expect(await bed.settle(ORIGINAL)).toEqual({ isDone: true, ran: [] });
  });

  test('tells of hooks that ran in the try before: they are not in its chart', async () => {
    const bed = makeBed();
    bed.leave([hook('b', 'pre-install', 'Succeeded'), hook('c', 'post-install')], 'pending-install');
    expect(namesOf((await bed.settle(ORIGINAL)).hooks)).toEqual(['c']);
  });

  test.each([
    ['it failed by itself', 'failed', 'Release "web" failed: pre-install hooks failed: job b failed'],
    ['it was at an upgrade', 'pending-upgrade', 'Preparing upgrade'],
  ])('does not spare hooks where %s', async (_, status, description) => {
    const bed = makeBed();
    bed.leave(atWork(), status, description);
    bed.job('b', 'Complete');
    expect((await bed.settle(ORIGINAL)).hooks).toBeUndefined();
  });

  test('is not looked at where no hook is to run', async () => {
    const bed = makeBed();
    bed.leave(atWork(), 'pending-install');
    bed.job('b');
    expect(await bed.settle(ORIGINAL, { noHooks: true })).toEqual({ isDone: false, ran: [] });
  });
});

test('what Helm would have deleted of hooks that ran is deleted, and nothing else', async () => {
  const bed = makeBed();
  for (const name of ['a', 'b']) bed.job(name, 'Complete');
  const { cluster } = bed;
  const context = { cluster, reporter: silentReporter, helm: { path: '', version: '', major: 4 } } as const;
  const kept = { ...hook('b', 'pre-install'), delete_policies: ['before-hook-creation'] };
  const rest = { runProgram: () => Promise.reject(new Error()), env: {}, temporaryDirectory: '', timeout: '' };
  await deleteSucceeded({ ...context, ...rest, wait: false, noHooks: false }, 'shop', [
    hook('a', 'pre-install'),
    hook('gone', 'pre-install'),
    kept,
  ]);
  expect([cluster.objects.has(jobPath('a')), cluster.objects.has(jobPath('b'))]).toEqual([false, true]);
});
