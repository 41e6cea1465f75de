import { describe, expect, test } from 'vitest';
import { type Asked, object, target } from './target.ts';

const config = (id: string) => object(`v1 ConfigMap ${id}`);
const HINT = 'Have them granted by a Role or ClusterRole, or run as another user. kubectl auth can-i shows each.';
/** One who may everything that is not named, as `verb resource namespace`; nobody may everything at once. */
const but =
  (...denied: string[]) =>
  ({ verb, resource, namespace = '' }: Asked) =>
    verb !== '*' && !denied.includes(`${verb} ${resource} ${namespace}`);

describe('what an import may do', () => {
  test('is one question for an administrator', async () => {
    const it = target();
    it.bring('create', config('shop/a'), config('pay/b'), object('rbac.authorization.k8s.io/v1 ClusterRole c'));
    expect(await it.problems()).toEqual([]);
    expect(it.reviews).toEqual(['* *.* /']);
  });

  test('is one question a namespace for its administrator', async () => {
    const it = target({ may: ({ verb, namespace }) => verb === '*' && namespace === 'shop' });
    it.bring('create', config('shop/a'), object('apps/v1 Deployment shop/web'));
    expect(await it.problems()).toEqual([]);
    expect(it.reviews).toEqual(['* *.* /', '* *.* shop/']);
  });

  test('is not asked where nothing is to be changed', async () => {
    const it = target({ may: () => false });
    it.bring('unchanged', config('shop/a'));
    it.bring('keep', config('shop/b'));
    expect(await it.problems()).toEqual([]);
    expect(it.reviews).toEqual([]);
  });

  test('is asked verb by verb, each once however many objects there are', async () => {
    const it = target({ may: but() });
    for (let at = 0; at < 100; at += 1) it.bring('create', config(`shop/c${at}`));
    it.bring('update', object('apps/v1 Deployment shop/web'));
    it.bring('recreate', object('batch/v1 Job shop/once'));
    it.bring('delete', config('shop/old'));
    expect(await it.problems()).toEqual([]);
    expect(it.reviews.slice(2).sort()).toEqual([
      'create configmaps shop/',
      'create jobs.batch shop/',
      'delete configmaps shop/',
      'delete jobs.batch shop/',
      'get configmaps shop/',
      'get deployments.apps shop/',
      'get jobs.batch shop/',
      'patch deployments.apps shop/',
    ]);
    expect(it.most).toBeLessThanOrEqual(4);
  });

  test('tells all that is missing at once, by namespace', async () => {
    const it = target({ may: () => false });
    it.bring('create', config('shop/a'), object('example.com/v1 Database shop/db'), config('pay/a'));
    it.bring('update', config('shop/b'), object('rbac.authorization.k8s.io/v1 ClusterRole c'));
    it.bring('create', object('apiextensions.k8s.io/v1 CustomResourceDefinition databases.example.com'));
    expect(await it.problems()).toEqual([
      {
        kind: 'forbidden',
        message: [
          'The user of this run lacks rights at the target:',
          'in the whole cluster: get, patch clusterroles.rbac.authorization.k8s.io; get, patch, create customresourcedefinitions.apiextensions.k8s.io',
          'in namespace pay: create configmaps',
          'in namespace shop: create databases.example.com; create, get, patch configmaps',
        ].join('\n'),
        hint: HINT,
      },
    ]);
  });

  test('in many namespaces is asked for all of them first', async () => {
    const it = target({ may: ({ verb, namespace }) => verb === 'create' && namespace === undefined });
    it.bring('create', ...['a', 'b', 'c', 'd'].map((namespace) => config(`${namespace}/x`)));
    expect(await it.problems()).toEqual([]);
    expect(it.reviews.filter((review) => review.startsWith('create'))).toEqual(['create configmaps /']);
  });

  test('may be granted by name', async () => {
    const it = target({ may: ({ verb, name }) => verb !== '*' && name === 'settings' });
    it.bring('update', config('shop/settings'));
    expect(await it.problems()).toEqual([]);
  });

  test('includes what a release keeps its records in', async () => {
    const it = target({ may: but('delete secrets shop', 'list configmaps shop') });
    it.noteRelease('shop', 'secret', true);
    it.noteRelease('shop', 'configmap', false);
    expect(await it.problems()).toMatchObject([
      { message: expect.stringContaining('in namespace shop: delete secrets; list configmaps') },
    ]);
  });

  test('is not judged where nobody may ask', async () => {
    const it = target({ forbidden: ['/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'] });
    it.bring('create', config('shop/a'));
    expect(await it.problems()).toEqual([]);
  });
});

describe('namespaces that are not there', () => {
  test('and may not be made are told apart from other rights', async () => {
    const it = target({ may: but('create namespaces '), newNamespaces: ['shop', 'pay'] });
    it.bring('create', object('v1 Namespace extra'), config('shop/a'));
    expect(await it.problems()).toEqual([
      {
        kind: 'missing-namespace',
        message: 'Namespaces extra, pay, shop: not at the target, and the user of this run may not create them.',
        hint: 'Have them created first, or map namespaces to existing ones with namespace-map.',
      },
    ]);
  });

  test('and may be made are no problem', async () => {
    expect(await target({ may: but(), newNamespaces: ['shop'] }).problems()).toEqual([]);
  });
});
