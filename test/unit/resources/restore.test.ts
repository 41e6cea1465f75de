import { describe, expect, test } from 'vitest';
import type { ClusterRequest } from '../../../src/cluster/cluster.ts';
import { cancelledBy, TransshipError } from '../../../src/errors.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { type RestoreOptions, restoreResources } from '../../../src/resources/restore.ts';
import type { ImportWork } from '../../../src/resources/work.ts';
import { type Piece, type WorkOptions, workOf } from './make-work.ts';
import { createClock, createMemoryApi, refusal, silence } from './memory-api.ts';
import { crdOf, discoveryOf, KINDS, kindOf, objectOf } from './target-bed.ts';

const discovery = discoveryOf(KINDS);
const WIDGET = kindOf('example.com/v1 widgets Widget');
const CONFIG_MAPS = '/api/v1/namespaces/shop/configmaps';

function configMap(name: string, more: Record<string, unknown> = {}) {
  return objectOf(`v1 ConfigMap shop/${name}`, more);
}

const configMaps = (count: number) => Array.from({ length: count }, (_, index) => configMap(`c-${index}`));

/** A target and what is to be brought to it; time passes only where the import waits. */
function prepare(
  pieces: readonly Piece[],
  { work: options, ...more }: Partial<RestoreOptions> & { work?: WorkOptions } = {},
) {
  const api = createMemoryApi();
  const clock = createClock();
  const lines: string[] = [];
  const say = (line: string) => void lines.push(line);
  const prepared = workOf(discovery.findKind, pieces, options);
  const reads: string[] = [];
  const work: ImportWork = {
    ...prepared,
    objects(file) {
      reads.push(file.path);
      return prepared.objects(file);
    },
  };
  const restoring = restoreResources(work, {
    cluster: api.cluster,
    discovery,
    restoreStatus: () => false,
    timeout: 60_000,
    concurrency: 4,
    reporter: { ...silentReporter, info: say, warn: say, progress: say },
    clock,
    ...more,
  });
  return {
    api,
    clock,
    lines,
    reads,
    restoring,
    async run() {
      await restoring.before();
      await restoring.after();
      const { resources, failures } = restoring.result();
      const sum = (outcome: 'created' | 'skipped' | 'failed') => resources.reduce((all, row) => all + row[outcome], 0);
      return { created: sum('created'), skipped: sum('skipped'), failed: sum('failed'), failures };
    },
    posts: () => api.requests.filter((line) => line.startsWith('POST')),
  };
}

describe('waves', () => {
  test('one is done before the next begins, and releases come before workloads', async () => {
    const { api, restoring, posts } = prepare(
      [
        objectOf('apps/v1 Deployment shop/web'),
        objectOf('storage.k8s.io/v1 StorageClass fast'),
        objectOf('v1 Secret shop/s'),
        objectOf('v1 ServiceAccount shop/robot'),
        objectOf('v1 Namespace shop'),
      ],
      { work: { namespaces: ['other'] } },
    );
    const answered = new Set<string>();
    api.intercept = async ({ method, path }) => {
      if (method !== 'POST') return;
      const before = answered.size;
      await new Promise((resolve) => setImmediate(resolve));
      if (path !== '/api/v1/namespaces') expect(answered.size).toBe(before);
      answered.add(path);
    };
    await restoring.before();
    expect(posts()).toEqual([
      'POST /api/v1/namespaces',
      'POST /api/v1/namespaces',
      'POST /apis/storage.k8s.io/v1/storageclasses',
      'POST /api/v1/namespaces/shop/serviceaccounts',
      'POST /api/v1/namespaces/shop/secrets',
    ]);
    await restoring.after();
    expect(posts().at(-1)).toBe('POST /apis/apps/v1/namespaces/shop/deployments');
  });

  test('within one, as many requests as allowed are under way, over the bounds of files', async () => {
    const pieces = ['a', 'b', 'c', 'd', 'e', 'f'].map((namespace) => objectOf(`v1 ConfigMap ${namespace}/x`));
    const { api, run } = prepare(pieces);
    let underWay = 0;
    let most = 0;
    api.intercept = async () => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
    };
    expect((await run()).created).toBe(6);
    expect(most).toBe(4);
  });

  test('it says how far it is, a few times a second at most', async () => {
    const { lines, run } = prepare(configMaps(1200));
    await run();
    expect(lines).toEqual(['Importing resources: 1 of 1,200']);
  });

  test('a snapshot that turns out damaged ends it', async () => {
    const { restoring } = prepare([], {});
    await restoring.before();
    const work = workOf(discovery.findKind, [configMap('a')]);
    const damaged: ImportWork = {
      ...work,
      // biome-ignore lint/correctness/useYield: it fails before the first.
      async *objects() {
        throw new TransshipError('ARCHIVE_DAMAGED', 'It is damaged.');
      },
    };
    const { cluster } = createMemoryApi();
    const options = {
      cluster,
      discovery,
      restoreStatus: () => false,
      timeout: 1,
      concurrency: 2,
      reporter: silentReporter,
    };
    await expect(restoreResources(damaged, options).before()).rejects.toThrow('It is damaged.');
  });
});

const DOWN = refusal(500, 'InternalError', 'Internal error occurred: failed calling webhook "w": connection refused');

/** Fails every creation for as long as it is told to. */
function failing(error: Error, isFailing: (request: ClusterRequest) => boolean) {
  return (request: ClusterRequest) => {
    if (request.method === 'POST' && isFailing(request)) throw error;
  };
}

describe('what is refused for now', () => {
  test('is tried again until it is taken, even if there is more of it than is kept in memory', async () => {
    const { api, clock, reads, run, lines } = prepare(configMaps(1500));
    let isDown = true;
    clock.at(20_000, () => {
      isDown = false;
    });
    api.intercept = failing(DOWN, () => isDown);
    expect(await run()).toMatchObject({ created: 1500, failed: 0 });
    expect(reads.length).toBeGreaterThan(1);
    expect(lines).toContain(
      '1500 objects are tried again for up to 60 s: Internal error occurred: failed calling webhook "w": connection refused.',
    );
  });

  test('is given up after the timeout, and a server that refuses all is not run over meanwhile', async () => {
    const { api, run, posts } = prepare(configMaps(500));
    api.intercept = failing(DOWN, () => true);
    const { failed, failures } = await run();
    expect(failed).toBe(500);
    expect(failures[0]).toEqual({
      object: 'ConfigMap shop/c-0',
      outcome: 'failed',
      message:
        'Internal error occurred: failed calling webhook "w": connection refused. Does what answers for the webhook run? It was tried again for 60 s.',
    });
    expect(posts().length).toBeLessThan(600);
  });

  test('holds up nothing else, and no other object of its file for good', async () => {
    const { api, run } = prepare([...configMaps(20), objectOf('apps/v1 Deployment shop/web')]);
    // Four in a row stay refused: those that are tried first.
    const names = ['c-0', 'c-1', 'c-2', 'c-3'];
    let deployed = false;
    api.intercept = ({ method, path, body }) => {
      const { metadata } = (body ?? { metadata: { name: '' } }) as { metadata: { name: string } };
      if (method !== 'POST') return;
      if (path.endsWith('/deployments')) deployed = true;
      else if (!deployed || names.includes(metadata.name)) throw DOWN;
    };
    const { created, failures } = await run();
    expect(created).toBe(17);
    expect(failures.map(({ object }) => object)).toEqual(names.map((name) => `ConfigMap shop/${name}`));
  });

  test('a namespace or a CRD is waited for before anything is put into it', async () => {
    const { api, clock, run, posts } = prepare([objectOf('v1 Namespace shop'), configMap('a')]);
    let isDown = true;
    clock.at(10_000, () => {
      isDown = false;
    });
    api.intercept = failing(DOWN, ({ path }) => isDown && path === '/api/v1/namespaces');
    expect(await run()).toMatchObject({ created: 2, failed: 0 });
    expect(posts().at(-1)).toBe(`POST ${CONFIG_MAPS}`);
  });

  test('what a webhook denies is tried once more, when all else is done', async () => {
    const { api, run, posts } = prepare([configMap('bad'), objectOf('apps/v1 Deployment shop/web')]);
    api.intercept = failing(refusal(403, 'Forbidden', 'admission webhook "w" denied the request: no'), ({ path }) =>
      path.endsWith('/configmaps'),
    );
    expect((await run()).failures).toEqual([
      { object: 'ConfigMap shop/bad', outcome: 'failed', message: 'admission webhook "w" denied the request: no.' },
    ]);
    expect(posts().map((line) => line.split('/').at(-1))).toEqual(['configmaps', 'deployments', 'configmaps']);
  });
});

describe('what fails', () => {
  test('takes along what cannot be without it: the objects of a CRD and of a namespace', async () => {
    const { api, run } = prepare(
      [
        crdOf('widgets.example.com', 'Widget', ['v1']),
        objectOf('example.com/v1 Widget shop/w'),
        objectOf('v1 Namespace closed'),
        objectOf('v1 Secret closed/s'),
        configMap('a'),
      ],
      { work: { custom: [WIDGET] } },
    );
    api.intercept = failing(
      refusal(403, 'Forbidden', 'User "u" may not'),
      ({ path }) => path.endsWith('customresourcedefinitions') || path === '/api/v1/namespaces',
    );
    const { created, failures } = await run();
    expect(created).toBe(1);
    expect(failures).toEqual([
      {
        object: 'CustomResourceDefinition widgets.example.com',
        outcome: 'failed',
        message: 'User "u" may not.',
      },
      { object: 'Namespace closed', outcome: 'failed', message: 'User "u" may not.' },
      {
        object: 'Secret closed/s',
        outcome: 'skipped',
        message: 'Namespace closed could not be created: User "u" may not.',
      },
      {
        object: 'Widget.example.com shop/w',
        outcome: 'skipped',
        message: 'CustomResourceDefinition widgets.example.com could not be created: User "u" may not.',
      },
    ]);
  });

  test('a CRD that is never established is a failure, though it was created', async () => {
    const { run } = prepare(
      [crdOf('widgets.example.com', 'Widget', ['v1']), objectOf('example.com/v1 Widget shop/w')],
      {
        work: { custom: [WIDGET] },
        timeout: 1_000,
      },
    );
    const { created, failures } = await run();
    expect(created).toBe(0);
    expect(failures.map(({ object, outcome }) => `${object} ${outcome}`)).toEqual([
      'CustomResourceDefinition widgets.example.com failed',
      'Widget.example.com shop/w skipped',
    ]);
  });

  test('a defect of the program is not taken for one of the target', async () => {
    const { api, run } = prepare([configMap('a')]);
    api.intercept = () => {
      throw new TypeError('x is not a function');
    };
    await expect(run()).rejects.toThrow('x is not a function');
  });
});

describe('a server that is not there', () => {
  test('for a while is waited for by all together', async () => {
    const { api, clock, run, posts } = prepare(configMaps(20));
    let isAway = false;
    api.intercept = ({ method }) => {
      if (method === 'POST' && posts().length === 10) isAway = true;
      if (isAway) throw silence('Unreachable');
    };
    clock.at(20_000, () => {
      isAway = false;
    });
    expect(await run()).toMatchObject({ created: 20, failed: 0 });
    expect(api.requests.filter((line) => line === 'GET /version').length).toBeLessThan(12);
  });

  test('for longer than the timeout ends it: what was under way has failed, the rest is skipped without a request', async () => {
    const { api, run, posts } = prepare(configMaps(100), { timeout: 10_000 });
    api.intercept = () => {
      if (posts().length > 10) throw silence('Unreachable');
    };
    const { created, failed, skipped, failures } = await run();
    expect({ created, failed, skipped }).toEqual({ created: 10, failed: 4, skipped: 86 });
    expect(failures[0]?.message).toMatch(
      /^https:\/\/target \(context "target"\) did not answer for 10 s: The connection broke\./,
    );
    expect(posts().length).toBe(14);
  });

  test('credentials that are not taken any more end it at once', async () => {
    const { api, run, posts } = prepare(configMaps(100), { concurrency: 1 });
    api.intercept = () => {
      if (posts().length > 10) throw refusal(401, 'Unauthorized', 'Unauthorized');
    };
    expect(await run()).toMatchObject({ created: 10, failed: 1, skipped: 89 });
    expect(posts().length).toBe(11);
  });

  test('an answer that was lost is no failure: what is there bears our name', async () => {
    const { api, run } = prepare([configMap('a')]);
    let isFirst = true;
    const { json } = api.cluster;
    Object.assign(api.cluster, {
      json: async (request: ClusterRequest) => {
        const answer = await json(request);
        if (request.method !== 'POST' || !isFirst) return answer;
        isFirst = false;
        throw silence();
      },
    });
    expect(await run()).toMatchObject({ created: 1, failed: 0 });
    expect(api.requests).toEqual([
      `POST ${CONFIG_MAPS}`,
      'GET /version',
      `POST ${CONFIG_MAPS}`,
      `GET ${CONFIG_MAPS}/a`,
    ]);
  });
});

test('a cancelled run sends nothing more, and lists what waits and what is left', async () => {
  const controller = new AbortController();
  const { api, run, posts } = prepare([...configMaps(20), objectOf('apps/v1 Deployment shop/web')], {
    signal: controller.signal,
    concurrency: 1,
  });
  api.intercept = ({ method, body }) => {
    const { name } = (body as { metadata: { name: string } }).metadata;
    if (method === 'POST' && name === 'c-3') throw DOWN;
    if (name !== 'c-10') return;
    controller.abort();
    throw cancelledBy(controller.signal);
  };
  const { created, skipped, failures } = await run();
  expect({ created, skipped }).toEqual({ created: 9, skipped: 12 });
  const messages = Map.groupBy(failures, ({ message }) => message);
  expect(messages.get('The run was cancelled while it was brought in.')?.map(({ object }) => object)).toEqual([
    'ConfigMap shop/c-10',
  ]);
  expect(messages.get('The run was cancelled before it.')?.map(({ object }) => object)).toContain('ConfigMap shop/c-3');
  expect(posts().length).toBe(11);
});

describe('owners', () => {
  const OWNER = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };
  const owned = configMap('a', { metadata: { ownerReferences: [OWNER] } });
  const web = objectOf('apps/v1 Deployment shop/web');

  test('are added to those that somebody else has written meanwhile', async () => {
    const { api, run } = prepare([owned, web]);
    const other = { apiVersion: 'v1', kind: 'Secret', name: 's', uid: 'u' };
    let patches = 0;
    api.intercept = ({ method }) => {
      if (method !== 'PATCH') return;
      patches += 1;
      const live = api.objects.get(`${CONFIG_MAPS}/a`);
      if (live === undefined || patches > 1) return;
      live.metadata.ownerReferences = [other];
      live.metadata.resourceVersion = 'later';
    };
    expect(await run()).toMatchObject({ created: 2, failed: 0 });
    expect(patches).toBe(2);
    expect(api.objects.get(`${CONFIG_MAPS}/a`)?.metadata.ownerReferences).toEqual([
      other,
      { ...OWNER, uid: 'uid-of-web' },
    ]);
  });

  test('that could not be set make a failure of what was created', async () => {
    const { api, run } = prepare([owned, web]);
    api.intercept = ({ method }) => {
      if (method === 'PATCH') throw refusal(403, 'Forbidden', 'User "u" may not patch');
    };
    expect(await run()).toEqual({
      created: 1,
      failed: 1,
      skipped: 0,
      failures: [
        {
          object: 'ConfigMap shop/a',
          outcome: 'failed',
          message: 'It has no owner references: User "u" may not patch.',
        },
      ],
    });
  });

  test('that failed are dropped, with a warning', async () => {
    const { api, run, lines } = prepare([owned, web]);
    api.intercept = failing(refusal(422, 'Invalid', 'no'), ({ path }) => path.endsWith('/deployments'));
    expect(await run()).toMatchObject({ created: 1, failed: 1 });
    expect(lines).toContain(
      'The owners of these objects are not at the target, so they came without: ConfigMap shop/a (of Deployment web).',
    );
  });
});
