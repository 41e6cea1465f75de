import { describe, expect, test } from 'vitest';
import type { ClusterRequest, KubeObject } from '../../../src/cluster/cluster.ts';
import { ENVIRONMENT_LABEL } from '../../../src/environment/environment.ts';
import { TransshipError } from '../../../src/errors.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { keyOf } from '../../../src/resources/resource.ts';
import { type RestoreOptions, restoreResources } from '../../../src/resources/restore.ts';
import type { UndoLog } from '../../../src/undo.ts';
import { type Piece, type WorkOptions, workOf } from './make-work.ts';
import { createClock, createMemoryApi, refusal, silence } from './memory-api.ts';
import { discoveryOf, KINDS, objectOf } from './target-bed.ts';

const discovery = discoveryOf(KINDS);
const A = '/api/v1/namespaces/shop/configmaps/a';

/** An undo log that keeps what it is told, with what the cluster was asked before that. */
function createLog() {
  const entries: { step: string; path: string; object: KubeObject }[] = [];
  const log: UndoLog = {
    async created(path, object) {
      entries.push({ step: 'created', path, object });
    },
    async changing(path, object) {
      entries.push({ step: 'changing', path, object });
    },
    async installing() {},
    async upgrading() {},
  };
  return { log, entries, steps: () => entries.map(({ step, path }) => `${step} ${path}`) };
}

function prepare(pieces: readonly Piece[], more: Partial<RestoreOptions> & { work?: WorkOptions } = {}) {
  const { work: options, ...others } = more;
  const api = createMemoryApi();
  const told = createLog();
  const restoring = restoreResources(workOf(discovery.findKind, pieces, options), {
    cluster: api.cluster,
    discovery,
    restoreStatus: () => false,
    timeout: 10_000,
    concurrency: 4,
    reporter: silentReporter,
    clock: createClock(),
    undo: told.log,
    ...others,
  });
  return {
    api,
    ...told,
    /** Puts an object into the target, as somebody else has made it. */
    there(path: string, object: KubeObject) {
      const { name } = object.metadata;
      const metadata = { uid: `old-${name}`, resourceVersion: '0', ...object.metadata };
      api.objects.set(path, { ...object, metadata });
    },
    async run() {
      await restoring.before();
      await restoring.after();
      return restoring.result();
    },
  };
}

const configMap = (name: string, more: Record<string, unknown> = {}) => objectOf(`v1 ConfigMap shop/${name}`, more);
const labelled = (name: string) => ({ metadata: { labels: { [ENVIRONMENT_LABEL]: name } } });

describe('the undo log', () => {
  test('has what was created, with its uid, bare namespaces too', async () => {
    const { run, entries } = prepare([configMap('a')], { work: { namespaces: ['shop'] } });
    await run();
    expect(entries.map(({ step, path, object }) => `${step} ${path} ${object.metadata.uid}`)).toEqual([
      'created /api/v1/namespaces/shop uid-of-shop',
      `created ${A} uid-of-a`,
    ]);
  });

  test('has what is changed as it was, before anything is done to it', async () => {
    const { run, there, entries, api } = prepare([
      { object: configMap('a', { data: { k: 'new' } }), standing: 'different' },
    ]);
    there(A, configMap('a', { data: { k: 'old' } }));
    api.intercept = ({ method }) => void (method === 'PATCH' && expect(entries.length).toBe(1));
    await run();
    expect(entries).toMatchObject([{ step: 'changing', path: A, object: { data: { k: 'old' } } }]);
    expect(api.objects.get(A)?.data).toEqual({ k: 'new' });
  });

  test('has it once, however often the change is tried', async () => {
    const { run, there, steps, api } = prepare([{ object: configMap('a', { data: {} }), standing: 'different' }]);
    there(A, configMap('a'));
    let tries = 0;
    api.intercept = ({ method }) => {
      if (method === 'PATCH' && ++tries < 3) throw refusal(409, 'Conflict', 'the object has been modified');
    };
    await run();
    expect([tries, steps()]).toEqual([3, [`changing ${A}`]]);
  });

  test('has what is recreated as it was, and then what took its place', async () => {
    const { run, there, entries } = prepare([{ object: configMap('a'), standing: 'different', recreate: true }]);
    there(A, configMap('a', { data: { k: 'old' } }));
    await run();
    expect(entries).toMatchObject([
      { step: 'changing', path: A, object: { data: { k: 'old' }, metadata: { uid: 'old-a' } } },
      { step: 'created', path: A, object: { metadata: { uid: 'uid-of-a' } } },
    ]);
  });

  test('has nothing of what is left as it is', async () => {
    const { run, there, steps } = prepare([{ object: configMap('a'), standing: 'equal' }]);
    there(A, configMap('a'));
    await run();
    expect(steps()).toEqual([]);
  });

  test('has what was created though the answer was lost', async () => {
    const { run, entries, api } = prepare([configMap('a')]);
    loseAnswers(api, 1);
    await run();
    expect(entries).toMatchObject([{ step: 'created', path: A, object: { metadata: { uid: 'uid-of-a' } } }]);
  });

  test('has without a uid what may be there though no answer ever came', async () => {
    const { run, entries, api } = prepare([configMap('a')]);
    let isGone = false;
    api.intercept = ({ method }) => {
      if (isGone) throw silence('Unreachable');
      isGone = method === 'POST';
    };
    loseAnswers(api, 1);
    await run();
    expect(entries).toMatchObject([{ step: 'created', path: A }]);
    expect(entries[0]?.object.metadata.uid).toBeUndefined();
  });

  test('that can not be written keeps the change from being made', async () => {
    const { run, there, api, log } = prepare([{ object: configMap('a', { data: {} }), standing: 'different' }]);
    there(A, configMap('a'));
    log.changing = () => Promise.reject(new TransshipError('BACKEND', 'There is no room left.'));
    expect((await run()).failures).toMatchObject([{ object: 'ConfigMap shop/a', message: 'There is no room left.' }]);
    expect(api.requests.filter((line) => !line.startsWith('GET'))).toEqual([]);
  });

  test('has an object that was there before, when it is given an owner that is new', async () => {
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };
    const owned = {
      object: configMap('a', { metadata: { ownerReferences: [owner] } }),
      standing: 'different',
    } as const;
    const { run, there, entries } = prepare([owned, objectOf('apps/v1 Deployment shop/web')]);
    there(A, configMap('a'));
    await run();
    expect(entries.map(({ step, path }) => `${step} ${path.split('/').at(-1)}`)).toEqual([
      'changing a',
      'created web',
      'changing a',
    ]);
    expect(entries[2]?.object.metadata.ownerReferences).toBeUndefined();
  });

  test('has the owner that an object lost when that was created anew', async () => {
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };
    const left = { object: configMap('a', { metadata: { ownerReferences: [owner] } }), standing: 'equal' } as const;
    const web = { object: objectOf('apps/v1 Deployment shop/web'), standing: 'different', recreate: true } as const;
    const owners = [keyOf({ group: 'apps', kind: 'Deployment', namespace: 'shop', name: 'web' })];
    const { run, there, entries } = prepare([left, web], { work: { owners } });
    // As the garbage collector leaves it, which has taken the reference away.
    there(A, configMap('a'));
    there('/apis/apps/v1/namespaces/shop/deployments/web', objectOf('apps/v1 Deployment shop/web'));
    await run();
    expect(entries.at(-1)).toMatchObject({
      step: 'changing',
      path: A,
      object: { metadata: { ownerReferences: [{ ...owner, uid: 'old-web' }] } },
    });
  });
});

describe('the label of an environment', () => {
  const environment = { name: 'pr-7' };
  const labelOf = (object: KubeObject | undefined) => object?.metadata.labels?.[ENVIRONMENT_LABEL];

  test('is given to all that is created, bare namespaces too, and to nothing in a template', async () => {
    const template = { spec: { template: { metadata: { labels: { app: 'web' } } } } };
    const { run, api } = prepare([configMap('a'), objectOf('apps/v1 Deployment shop/web', template)], {
      environment,
      work: { namespaces: ['shop'] },
    });
    await run();
    expect([...api.objects.values()].map(labelOf)).toEqual(['pr-7', 'pr-7', 'pr-7']);
    expect(api.objects.get('/apis/apps/v1/namespaces/shop/deployments/web')?.spec).toEqual(template.spec);
  });

  test('is not given to what appears by itself', async () => {
    const { run, api } = prepare([objectOf('v1 ServiceAccount shop/default')], { environment });
    await run();
    expect(labelOf([...api.objects.values()][0])).toBeUndefined();
  });

  test('is given to nothing without an environment, whatever the snapshot says', async () => {
    const { run, api } = prepare([configMap('a', labelled('of-the-source'))]);
    await run();
    expect(labelOf(api.objects.get(A))).toBeUndefined();
  });

  test.each([undefined, 'other'])('stays %s on what is changed', async (label) => {
    const { run, there, api } = prepare([{ object: configMap('a', { data: {} }), standing: 'different' }], {
      environment,
    });
    there(A, configMap('a', label === undefined ? {} : labelled(label)));
    const applied: unknown[] = [];
    api.intercept = ({ method, body }) => void (method === 'PATCH' && applied.push(body));
    await run();
    // What an apply leaves out of what is ours would go.
    expect(applied.map((body) => labelOf(body as KubeObject))).toEqual([label]);
  });

  test.each([undefined, 'other'])(
    'stays %s on what is created anew, also when that takes several tries',
    async (label) => {
      const { run, there, api } = prepare([{ object: configMap('a'), standing: 'different', recreate: true }], {
        environment,
      });
      there(A, configMap('a', label === undefined ? {} : labelled(label)));
      let tries = 0;
      api.intercept = ({ method }) => {
        if (method === 'POST' && ++tries < 3) throw refusal(429, 'TooManyRequests', 'later');
      };
      await run();
      expect([tries, labelOf(api.objects.get(A))]).toEqual([3, label]);
    },
  );

  test('is no difference to what has appeared meanwhile', async () => {
    const { run, there } = prepare([configMap('a', { data: { k: 'v' } })]);
    there(A, configMap('a', { data: { k: 'v' }, ...labelled('pr-7') }));
    expect(await run()).toMatchObject({ failures: [], resources: [{ unchanged: 1 }] });
  });
});

function loseAnswers(api: ReturnType<typeof createMemoryApi>, count: number): void {
  const { json } = api.cluster;
  let left = count;
  Object.assign(api.cluster, {
    json: async (request: ClusterRequest) => {
      const answer = await json(request);
      if (request.method !== 'POST' || left === 0) return answer;
      left -= 1;
      throw silence();
    },
  });
}
