import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { createPreflight } from '../../../src/preflight/preflight.ts';
import { noWatch } from '../../helpers/no-watch.ts';
import { discoveryOf } from '../resources/target-bed.ts';
import { KINDS, kindOfObject, object, target } from './target.ts';

test('all that stands in the way is told at once', async () => {
  const hard = { configmaps: '0' };
  const it = target({
    may: ({ verb }) => verb === 'get',
    objects: [object('v1 ResourceQuota shop/q', { spec: { hard }, status: { hard } })],
    newNamespaces: ['new'],
  });
  it.bring(
    'create',
    object('v1 ConfigMap shop/a'),
    object('networking.k8s.io/v1 Ingress shop/i', { spec: { ingressClassName: 'x' } }),
  );
  expect((await it.problems()).map(({ kind }) => kind)).toEqual([
    'missing-namespace',
    'forbidden',
    'missing-class',
    'quota',
  ]);
});

test('nothing is asked about an import that changes nothing', async () => {
  const it = target();
  it.bring('unchanged', object('v1 ConfigMap shop/a'));
  expect(await it.problems()).toEqual([]);
  expect([...it.reviews, ...it.listed]).toEqual([]);
});

test('a hundred thousand objects leave only tallies behind', async () => {
  const it = target();
  const spec = { replicas: 1, template: { spec: { containers: [{ resources: { requests: { cpu: '1' } } }] } } };
  const count = (many: number) => {
    for (let at = 0; at < many; at += 1)
      it.bring('create', object(`apps/v1 Deployment n${at % 10}/web-${at}`, { spec }));
  };
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  count(1000);
  collect();
  const before = process.memoryUsage().heapUsed;
  count(100_000);
  collect();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(3 * 1024 * 1024);
  expect(await it.problems()).toEqual([]);
});

test('a cluster that breaks off is no answer', async () => {
  const preflight = createPreflight({
    cluster: {
      ...{ context: 'c', server: 's', namespace: 'n', access: {} },
      json: () => Promise.reject(new Error('The connection broke.')),
      async *list() {},
      async *listPages() {},
      ...noWatch,
      async *listData() {},
      async close() {},
    },
    ...{ discovery: discoveryOf(KINDS), concurrency: 2, newNamespaces: () => new Set<string>() },
  });
  const config = object('v1 ConfigMap shop/a');
  preflight.note(config, kindOfObject(config), 'create');
  await expect(preflight.finish()).rejects.toThrow('The connection broke.');
});
