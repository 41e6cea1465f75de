import { describe, expect, it } from 'vitest';
import { ClusterError, type KubeObject } from '../../../src/cluster/cluster.ts';
import { TransshipError } from '../../../src/errors.ts';
import type { ImportWork } from '../../../src/resources/work.ts';
import {
  crdOf,
  keepReports,
  linesOf,
  objectOf,
  prepare,
  refusalOf,
  type TargetOptions,
  targetWith,
} from './target-bed.ts';

const shop = objectOf('v1 Namespace shop');
const config = (value: string, more = {}) => objectOf('v1 ConfigMap shop/app', { data: { a: value }, ...more });
const files = { 'shop/configmaps.json': [config('1')] };

async function problemOf(work: Promise<ImportWork>): Promise<TransshipError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof TransshipError) return error;
  throw new Error('It should have failed.', { cause: error });
}

describe('an object that the target has the same', () => {
  it('is equal, and costs no request of its own', async () => {
    const live = config('1', {
      metadata: { uid: '1', resourceVersion: '7', creationTimestamp: '2026-01-31T12:00:00Z' },
    });
    const target = targetWith([shop, live]);
    expect(await linesOf(await prepare(files, target))).toEqual(['equal v1 ConfigMap shop/app']);
    expect(target.requests).toEqual(['GET /api/v1/namespaces', 'GET /api/v1/namespaces/shop/configmaps']);
  });

  it('is equal too when an apply would change nothing', async () => {
    const target = targetWith([shop, objectOf('v1 ConfigMap shop/app', { data: { a: '1', injected: 'x' } })]);
    expect(await linesOf(await prepare(files, target))).toEqual(['equal v1 ConfigMap shop/app']);
  });

  it('is told from the new ones around it, in the order of the file', async () => {
    const list = ['a', 'b', 'c', 'd'].map((name) => objectOf(`v1 ConfigMap shop/${name}`));
    const target = targetWith([shop, objectOf('v1 ConfigMap shop/b'), objectOf('v1 ConfigMap shop/d')]);
    expect(await linesOf(await prepare({ 'shop/configmaps.json': list }, target))).toEqual([
      'new v1 ConfigMap shop/a',
      'equal v1 ConfigMap shop/b',
      'new v1 ConfigMap shop/c',
      'equal v1 ConfigMap shop/d',
    ]);
  });
});

describe('an object that the target has otherwise', () => {
  const target = (options?: TargetOptions) => targetWith([shop, config('2')], options);

  it('stops the import, named with the fields that differ and never their values', async () => {
    const key = (value: string) => objectOf('v1 Secret shop/key', { data: { password: value } });
    const lists = { ...files, 'shop/secrets.json': [key('b3BlbiBzZXNhbWU=')] };
    const problem = await problemOf(prepare(lists, targetWith([shop, config('2'), key('c2VjcmV0')])));
    expect(problem.code).toBe('RESOURCE_EXISTS');
    expect(problem.message).toBe(
      '2 objects exist in prod and differ from snapshot 26-01-31_12-00-00 of stage:\n- ConfigMap shop/app (data.a)\n- Secret shop/key (data.password)',
    );
    expect(problem.hint).toContain('replace');
    expect(problem.hint).toContain('exclude');
  });

  it('is named among the first fifty only', async () => {
    const list = (value: string) =>
      Array.from({ length: 60 }, (_, n) => objectOf(`v1 ConfigMap shop/c${n}`, { data: { value } }));
    const problem = await problemOf(prepare({ 'shop/configmaps.json': list('1') }, targetWith([shop, ...list('2')])));
    expect(problem.message.split('\n')).toHaveLength(52);
    expect(problem.message).toContain('\n- and 10 more');
  });

  it('is changed with replace', async () => {
    expect(await linesOf(await prepare(files, target(), { replace: true }))).toEqual([
      'different v1 ConfigMap shop/app',
    ]);
  });

  it('is different when the server can not try the change', async () => {
    const answer: TargetOptions['answer'] = ({ method }) =>
      method === 'PATCH' ? new ClusterError(500, 'InternalError', 'failed calling webhook') : undefined;
    expect(await linesOf(await prepare(files, target({ answer }), { replace: true }))).toEqual([
      'different v1 ConfigMap shop/app',
    ]);
  });

  it('is new when it went in the meantime, or is about to', async () => {
    const answer: TargetOptions['answer'] = ({ method, path }) =>
      method === 'GET' && path.endsWith('/app') ? new ClusterError(404, 'NotFound', 'gone') : undefined;
    expect(await linesOf(await prepare(files, target({ answer })))).toEqual(['new v1 ConfigMap shop/app']);
    const ending = config('2', { metadata: { deletionTimestamp: '2026-01-31T12:00:00Z' } });
    expect(await linesOf(await prepare(files, targetWith([shop, ending])))).toEqual(['new v1 ConfigMap shop/app']);
  });

  it('differs too when a field that an import has created is in the snapshot no more', async () => {
    const managedFields = [
      { manager: 'transship', operation: 'Update', fieldsV1: { 'f:data': { 'f:a': {}, 'f:b': {} } } },
    ];
    const live = objectOf('v1 ConfigMap shop/app', { data: { a: '1', b: '2' }, metadata: { managedFields } });
    expect((await problemOf(prepare(files, targetWith([shop, live])))).message).toContain(
      'ConfigMap shop/app (data.b)',
    );
  });

  it('does not differ when the server puts back what is left out of the snapshot', async () => {
    const managedFields = [
      { manager: 'transship', operation: 'Update', fieldsV1: { 'f:data': { 'f:a': {}, 'f:b': {} } } },
    ];
    const live = objectOf('v1 ConfigMap shop/app', { data: { a: '1', b: '2' }, metadata: { managedFields } });
    const answer: TargetOptions['answer'] = ({ method }) => (method === 'PUT' ? live : undefined);
    expect(await linesOf(await prepare(files, targetWith([shop, live], { answer })))).toEqual([
      'equal v1 ConfigMap shop/app',
    ]);
  });
});

describe('what controllers put into every namespace', () => {
  it('is changed without replace', async () => {
    const account = (more = {}) => objectOf('v1 ServiceAccount shop/default', more);
    const wanted = account({ imagePullSecrets: [{ name: 'registry' }] });
    const work = await prepare({ 'shop/serviceaccounts.json': [wanted] }, targetWith([shop, account()]));
    expect(await linesOf(work)).toEqual(['different v1 ServiceAccount shop/default']);
  });
});

describe('a class of the target', () => {
  it('stays as it is with a warning, with replace too', async () => {
    const storage = (name: string, provisioner: string) =>
      objectOf(`storage.k8s.io/v1 StorageClass ${name}`, { provisioner });
    const reporter = keepReports();
    const wanted = [storage('fast', 'a'), storage('slow', 'a')];
    const target = targetWith([storage('fast', 'b'), storage('slow', 'b')]);
    const work = await prepare({ 'storageclasses.json': wanted }, target, { replace: true, reporter });
    expect(await linesOf(work)).toEqual([
      'kept storage.k8s.io/v1 StorageClass fast',
      'kept storage.k8s.io/v1 StorageClass slow',
    ]);
    expect(reporter.lines).toEqual([
      'warn: These exist at the target, differ, and are left as they are, for they are its own answer to the name:\n- StorageClass fast\n- StorageClass slow',
    ]);
  });
});

describe('a Namespace or CRD of the target', () => {
  const lists = {
    'namespaces.json': [objectOf('v1 Namespace shop', { metadata: { labels: { team: 'a' } } })],
    'customresourcedefinitions.json': [crdOf('widgets.example.com', 'Widget', ['v2', 'v1'])],
  };
  const target = () => targetWith([shop, crdOf('widgets.example.com', 'Widget', ['v1'])]);

  it('that differs is left with a note', async () => {
    const reporter = keepReports();
    expect(await linesOf(await prepare(lists, target(), { reporter }))).toEqual([
      'kept apiextensions.k8s.io/v1 CustomResourceDefinition widgets.example.com',
      'kept v1 Namespace shop',
    ]);
    expect(reporter.lines).toEqual([
      'info: These exist at the target, differ, and are left as they are; replace would change them:\n- CustomResourceDefinition widgets.example.com\n- Namespace shop',
    ]);
  });

  it('is changed with replace', async () => {
    expect(await linesOf(await prepare(lists, target(), { replace: true }))).toEqual([
      'different apiextensions.k8s.io/v1 CustomResourceDefinition widgets.example.com',
      'different v1 Namespace shop',
    ]);
  });
});

describe('a change that the server refuses', () => {
  const job = (image: string) => objectOf('batch/v1 Job shop/once', { spec: { image } });
  const lists = { 'shop/jobs.json': [job('b')] };
  const refusing = (answer: TargetOptions['answer'] = () => undefined, live: KubeObject = job('a')) =>
    targetWith([shop, live], {
      answer: (request) => (request.method === 'PATCH' ? refusalOf('spec.template') : answer(request)),
    });

  it('is no more than a difference without replace', async () => {
    expect(await problemOf(prepare(lists, refusing()))).toMatchObject({
      code: 'RESOURCE_EXISTS',
      message: expect.stringContaining('Job shop/once (spec.template)'),
    });
  });

  it('stops an import with replace, and says that recreate would help', async () => {
    const problem = await problemOf(prepare(lists, refusing(), { replace: true }));
    expect(problem.code).toBe('IMMUTABLE');
    expect(problem.message).toContain('Job shop/once (spec.template)');
    expect(problem.hint).toContain('recreate: true');
  });

  it('is done by deleting and creating with recreate', async () => {
    const work = await prepare(lists, refusing(), { replace: true, recreate: true });
    expect(await linesOf(work)).toEqual(['recreate batch/v1 Job shop/once']);
  });

  it('is never done so to a claim, with the reason why', async () => {
    const claim = (size: string) => objectOf('v1 PersistentVolumeClaim shop/data', { spec: { size } });
    const files = { 'shop/persistentvolumeclaims.json': [claim('1')] };
    const problem = await problemOf(prepare(files, refusing(undefined, claim('2')), { replace: true, recreate: true }));
    expect(problem.code).toBe('IMMUTABLE');
    expect(problem.message).toContain(
      'PersistentVolumeClaim shop/data (spec.template); it is never deleted, for what it holds would be lost',
    );
    expect(problem.hint).not.toContain('recreate');
  });

  it('is not done so when the server would not create it either', async () => {
    const target = refusing(({ method }) => (method === 'POST' ? refusalOf('spec.image') : undefined));
    const problem = await problemOf(prepare(lists, target, { replace: true, recreate: true }));
    expect(problem.message).toContain('created anew it would be refused too: spec.image');
  });

  it('is named beside everything else that stands in the way', async () => {
    const widget = objectOf('example.com/v1 Widget shop/a');
    const problem = await problemOf(
      prepare({ ...lists, 'shop/widgets.json': [widget] }, refusing(), { replace: true }),
    );
    expect(problem.code).toBe('NOT_SERVED');
    expect(problem.message).toContain('Widget.example.com shop/a');
    expect(problem.message).toContain('Job shop/once');
  });
});
