import { describe, expect, it } from 'vitest';
import { ClusterError } from '../../../src/cluster/cluster.ts';
import type { ResourcePlan } from '../../../src/resources/prepare.ts';
import {
  crdOf,
  KINDS,
  keepReports,
  kindOf,
  objectOf,
  plan,
  refusalOf,
  type TargetOptions,
  targetWith,
} from './target-bed.ts';

const shop = objectOf('v1 Namespace shop');
const config = (value: string, name = 'app', more = {}) =>
  objectOf(`v1 ConfigMap shop/${name}`, { data: { a: value }, ...more });
const files = { 'shop/configmaps.json': [config('1')] };
const ORIGIN = 'snapshot 26-01-31_12-00-00 of stage';

const linesOf = ({ objects }: ResourcePlan) =>
  objects.map(({ change, kind, namespace, name }) => `${change} ${kind} ${namespace ? `${namespace}/` : ''}${name}`);

/** What an API server says when it refuses. */
function statusOf(status: number, message: string, causes: readonly object[] = []): ClusterError {
  const answer = { kind: 'Status', message, details: { causes } };
  return new ClusterError(status, '', `POST of something answered ${status}: ${message}`, { answer });
}

function conflictWith(...causes: readonly (readonly [manager: string, field: string])[]): ClusterError {
  return statusOf(
    409,
    'Apply failed with conflicts',
    causes.map(([manager, field]) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with ${manager}`,
      field,
    })),
  );
}

describe('a plan', () => {
  it('counts what is equal, which costs no request and is not named', async () => {
    const target = targetWith([shop, config('1')]);
    const { objects, kinds, problems, noted } = await plan(files, target);
    expect({ objects, problems, noted }).toEqual({ objects: [], problems: [], noted: [] });
    expect(kinds).toEqual([
      {
        ...{ apiVersion: 'v1', kind: 'ConfigMap', resource: 'configmaps' },
        ...{ create: 0, update: 0, recreate: 0, delete: 0, unchanged: 1, keep: 0 },
      },
    ]);
    expect(target.requests).toEqual(['GET /api/v1/namespaces', 'GET /api/v1/namespaces/shop/configmaps']);
  });

  it('names what is new and what changes, in the order of an import, and tells the preflight of each', async () => {
    const lists = {
      'shop/configmaps.json': [config('1'), config('1', 'new'), config('1', 'same')],
      'rbac.json': [objectOf('rbac.authorization.k8s.io/v1 ClusterRole reader')],
    };
    const planned = await plan(lists, targetWith([shop, config('2'), config('1', 'same')]), { replace: true });
    expect(linesOf(planned)).toEqual([
      'create ClusterRole reader',
      'update ConfigMap shop/app',
      'create ConfigMap shop/new',
    ]);
    expect(planned.noted).toEqual(linesOf(planned));
    expect(planned.kinds).toMatchObject([
      { kind: 'ClusterRole', create: 1, update: 0, unchanged: 0 },
      { kind: 'ConfigMap', create: 1, update: 1, unchanged: 1 },
    ]);
  });

  it('shows what changes as a diff, and of what is new nothing', async () => {
    const lists = { 'shop/configmaps.json': [config('1'), config('1', 'new')] };
    const { objects } = await plan(lists, targetWith([shop, config('2')]), { replace: true });
    expect(objects[0]?.diff).toContain('-  a: "2"\n+  a: "1"\n');
    expect(objects[1]?.diff).toBeUndefined();
  });

  it('shows no values of a Secret', async () => {
    const key = (value: string) =>
      objectOf('v1 Secret shop/key', { data: { password: Buffer.from(value).toString('base64') } });
    const { objects } = await plan({ 'shop/secrets.json': [key('hunter22')] }, targetWith([shop, key('tiger333')]), {
      replace: true,
    });
    expect(objects[0]?.diff).toContain('password');
    expect(JSON.stringify(objects)).not.toMatch(/aHVudGVyMjI|dGlnZXIzMzM|hunter22|tiger333/);
  });

  it('says what the server adds to what is wanted only where that changes too', async () => {
    const live = config('2', 'app', { immutable: false, metadata: { uid: '1', resourceVersion: '7' } });
    const { objects } = await plan(files, targetWith([shop, live]), { replace: true });
    expect(objects[0]?.diff).not.toMatch(/^[+-].*(immutable|uid|resourceVersion)/m);
  });

  it('names the namespaces that are to be made', async () => {
    const { namespaces, noted } = await plan(
      { ...files, 'bills/secrets.json': [objectOf('v1 Secret bills/key')] },
      targetWith([shop]),
    );
    expect(namespaces).toEqual(['bills']);
    expect(noted).toEqual(['create Secret bills/key', 'create ConfigMap shop/app']);
  });

  it('tells of what two namespaces have each of its own, and bring to one place, once', async () => {
    const account = (namespace: string) => objectOf(`v1 ServiceAccount ${namespace}/default`);
    const lists = { 'a/serviceaccounts.json': [account('a')], 'b/serviceaccounts.json': [account('b')] };
    const planned = await plan(lists, targetWith([]), { map: { a: 'shop', b: 'shop' } });
    expect(planned.noted).toEqual(['create ServiceAccount shop/default']);
    expect(planned.kinds).toMatchObject([{ kind: 'ServiceAccount', create: 1 }]);
  });

  it('tells of an object that gets its owner back', async () => {
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'app', uid: '' };
    const secret = (more = {}) => objectOf('v1 Secret shop/key', { metadata: more });
    const lists = { ...files, 'shop/secrets.json': [secret({ ownerReferences: [owner] })] };
    const planned = await plan(lists, targetWith([shop, config('1'), secret()]));
    expect(planned.objects).toMatchObject([
      { kind: 'Secret', change: 'update', message: 'It gets its owner back: ConfigMap app.' },
    ]);
    expect(planned.noted).toEqual(['update Secret shop/key']);
  });

  it('warns of patterns that have left out nothing', async () => {
    const reporter = keepReports();
    await plan(files, targetWith([shop]), { reporter, choice: { exclude: ['Secret/none'] } });
    expect(reporter.lines).toEqual(['warn: exclude has "Secret/none", which matches no object.']);
  });

  it('fails for a choice that finds nothing', async () => {
    await expect(plan(files, targetWith([shop]), { choice: { namespaces: ['nowhere'] } })).rejects.toMatchObject({
      code: 'INPUT',
    });
  });
});

describe('what stops an import', () => {
  it('is a problem of the plan, and all of it is found at once', async () => {
    const job = (image: string) => objectOf('batch/v1 Job shop/once', { spec: { image } });
    const answer: TargetOptions['answer'] = ({ method, path }) => {
      if (path.endsWith('/secrets')) return statusOf(403, 'forbidden');
      return method === 'PATCH' && path.endsWith('/jobs/once') ? refusalOf('spec.template') : undefined;
    };
    const lists = {
      ...files,
      'shop/secrets.json': [objectOf('v1 Secret shop/key')],
      'shop/widgets.json': [objectOf('example.com/v1 Widget shop/a')],
      'shop/jobs.json': [job('b')],
    };
    const { problems } = await plan(lists, targetWith([shop, config('1'), job('a')], { answer }), { replace: true });
    expect(problems.map(({ kind }) => kind)).toEqual(['forbidden', 'not-served', 'immutable']);
    expect(problems.map(({ message }) => message).join('\n')).toMatch(
      /in namespace shop: secrets\n.*Widget of example.com\/v1.*\n.*Job shop\/once \(spec.template\)/s,
    );
    expect(problems.every(({ hint }) => hint !== undefined)).toBe(true);
  });

  it('is what differs without replace, which is shown as what it would become', async () => {
    const { objects, problems, noted } = await plan(files, targetWith([shop, config('2')]));
    expect(objects).toMatchObject([{ change: 'update', name: 'app', diff: expect.stringContaining('+  a: "1"') }]);
    expect(problems).toEqual([
      {
        kind: 'exists',
        message: `An object exists in prod and differs from ${ORIGIN}:\n- ConfigMap shop/app (data.a)`,
        hint: expect.stringContaining('replace'),
      },
    ]);
    expect(noted).toEqual(['update ConfigMap shop/app']);
  });

  it('is what two namespaces bring to one place', async () => {
    const lists = {
      'a/configmaps.json': [objectOf('v1 ConfigMap a/app')],
      'b/configmaps.json': [objectOf('v1 ConfigMap b/app')],
    };
    const { problems } = await plan(lists, targetWith([]), { map: { a: 'shop', b: 'shop' } });
    expect(problems).toMatchObject([
      { kind: 'other', message: expect.stringContaining('ConfigMap shop/app: from a and b') },
    ]);
  });

  it('leaves open what a kind has that may not be listed', async () => {
    const answer: TargetOptions['answer'] = ({ path }) =>
      path.endsWith('/configmaps') ? statusOf(403, 'no') : undefined;
    const target = targetWith([shop, config('1')], { answer });
    const { objects } = await plan(files, target);
    expect(objects).toMatchObject([{ change: 'create', message: expect.stringContaining('is not known') }]);
    expect(target.requests.filter((request) => request.startsWith('POST'))).toEqual([]);
  });
});

describe('an object that differs', () => {
  const job = (image: string) => objectOf('batch/v1 Job shop/once', { spec: { image } });
  const refusing: TargetOptions['answer'] = ({ method }) =>
    method === 'PATCH' ? refusalOf('spec.template') : undefined;

  it('tells from whom fields are taken over, but not that they are our own', async () => {
    const answer: TargetOptions['answer'] = ({ method, query }) =>
      method === 'PATCH' && query?.force === undefined
        ? conflictWith(
            ['"kubectl" using v1 at 2026-01-31T12:00:00Z', '.data.a'],
            ['"argo \\"cd\\"" with subresource "scale" using v1', '.spec.replicas'],
            ['"kubectl" using v1', '.data.b'],
            ['"transship" using v1', '.data.c'],
          )
        : undefined;
    const { objects } = await plan(files, targetWith([shop, config('2')], { answer }), { replace: true });
    expect(objects[0]?.conflicts).toEqual([
      { manager: 'argo "cd"', fields: ['spec.replicas'] },
      { manager: 'kubectl', fields: ['data.a', 'data.b'] },
    ]);
    expect(objects[0]?.diff).toContain('+  a: "1"');
  });

  it('has no conflicts where only our own fields change', async () => {
    const answer: TargetOptions['answer'] = ({ method, query }) =>
      method === 'PATCH' && query?.force === undefined ? conflictWith(['"transship" using v1', '.data.a']) : undefined;
    const { objects } = await plan(files, targetWith([shop, config('2')], { answer }), { replace: true });
    expect(objects[0]?.conflicts).toBeUndefined();
  });

  it('is looked at again when its controller writes to it meanwhile', async () => {
    let tries = 0;
    const answer: TargetOptions['answer'] = ({ method }) => {
      if (method !== 'PATCH') return undefined;
      tries += 1;
      return tries < 3 ? statusOf(409, 'the object has been modified') : undefined;
    };
    const target = targetWith([shop, config('1', 'app', { immutable: false })], { answer });
    expect((await plan(files, target)).objects).toEqual([]);
    expect(tries).toBe(3);
  });

  it('is kept where it is the answer of the target to that name, and its rights are not asked for', async () => {
    const storage = (provisioner: string) => objectOf('storage.k8s.io/v1 StorageClass fast', { provisioner });
    const planned = await plan({ 'storageclasses.json': [storage('a')] }, targetWith([storage('b')]), {
      replace: true,
    });
    expect(planned.objects).toMatchObject([
      {
        change: 'keep',
        diff: expect.stringContaining('+provisioner: a'),
        message: expect.stringContaining('stays as it is'),
      },
    ]);
    expect(planned.kinds).toMatchObject([{ keep: 1, update: 0, unchanged: 0 }]);
    expect(planned.noted).toEqual([]);
  });

  it('is recreated where it is immutable and that is allowed, naming the fields', async () => {
    const target = targetWith([shop, job('a')], { answer: refusing });
    const { objects, problems, noted } = await plan({ 'shop/jobs.json': [job('b')] }, target, {
      replace: true,
      recreate: true,
    });
    expect(objects).toMatchObject([
      {
        change: 'recreate',
        diff: expect.stringContaining('-  image: a\n+  image: b'),
        message: "Deleted and created anew, for these can't be changed: spec.template.",
      },
    ]);
    expect(objects[0]?.diff).not.toContain('transship-dry-run');
    expect(problems).toEqual([]);
    expect(noted).toEqual(['recreate Job shop/once']);
  });

  it('names the fields that are immutable where it may not be recreated', async () => {
    const target = targetWith([shop, job('a')], { answer: refusing });
    const { objects, problems } = await plan({ 'shop/jobs.json': [job('b')] }, target, { replace: true });
    expect(objects).toMatchObject([{ change: 'update', message: "These can't be changed: spec.template." }]);
    expect(problems).toMatchObject([{ kind: 'immutable' }]);
  });

  it('is a problem where a policy denies the change', async () => {
    const answer: TargetOptions['answer'] = ({ method }) =>
      method === 'PATCH'
        ? statusOf(403, 'admission webhook "policy.example.com" denied the request: no\n  such thing')
        : undefined;
    const { objects, problems } = await plan(files, targetWith([shop, config('2')], { answer }), { replace: true });
    const said = 'admission webhook "policy.example.com" denied the request: no such thing';
    expect(problems).toMatchObject([
      { kind: 'refused', message: `prod would refuse this:\n- ConfigMap shop/app: ${said}` },
    ]);
    expect(objects).toMatchObject([{ change: 'update', message: said, diff: expect.stringContaining('+  a: "1"') }]);
  });

  it('keeps the label of the environment it was made for', async () => {
    const labels = { 'transship.dev/environment': 'pr-7' };
    const managedFields = [
      {
        ...{ manager: 'transship', operation: 'Update' },
        fieldsV1: { 'f:metadata': { 'f:labels': { 'f:transship.dev/environment': {} } }, 'f:data': { 'f:a': {} } },
      },
    ];
    const made = (value: string, more = {}) => config(value, 'app', { metadata: { labels, managedFields }, ...more });
    expect((await plan(files, targetWith([shop, made('1')]))).objects).toEqual([]);
    expect((await plan(files, targetWith([shop, made('1', { immutable: false })]))).objects).toEqual([]);
    const { objects } = await plan(files, targetWith([shop, made('2')]), { replace: true });
    expect(objects[0]?.diff).toContain('+  a: "1"');
    expect(objects[0]?.diff).not.toContain('transship.dev/environment');
  });
});

describe('an object that is new', () => {
  const refuse = (error: ClusterError): TargetOptions => ({
    answer: ({ method }) => (method === 'POST' ? error : undefined),
  });

  it('is tried as an import would create it, without owners', async () => {
    const bodies: unknown[] = [];
    const owner = { apiVersion: 'v1', kind: 'Secret', name: 'key', uid: '' };
    const target = targetWith([shop], {
      answer: ({ method, path, query, body }) => {
        if (method === 'POST') bodies.push({ path, query, body });
        return undefined;
      },
    });
    await plan({ 'shop/configmaps.json': [config('1', 'app', { metadata: { ownerReferences: [owner] } })] }, target);
    expect(bodies).toEqual([
      {
        path: '/api/v1/namespaces/shop/configmaps',
        query: { fieldManager: 'transship', dryRun: 'All', fieldValidation: 'Strict' },
        body: config('1'),
      },
    ]);
  });

  it('is a problem where the server refuses it, and is planned all the same', async () => {
    const causes = [{ reason: 'FieldValueInvalid', field: 'data.a', message: 'Invalid value: "1": must be even' }];
    const target = targetWith([shop], refuse(statusOf(422, 'is invalid', causes)));
    const { objects, problems, noted } = await plan(files, target);
    expect(problems).toMatchObject([
      {
        kind: 'refused',
        message: 'prod would refuse this:\n- ConfigMap shop/app: data.a: Invalid value: must be even',
        hint: expect.stringContaining('exclude'),
      },
    ]);
    expect(objects).toMatchObject([{ change: 'create', message: 'data.a: Invalid value: must be even' }]);
    expect(noted).toEqual(['create ConfigMap shop/app']);
  });

  it('is a problem of quotas where one is exceeded', async () => {
    const said =
      'configmaps "app" is forbidden: exceeded quota: small, requested: configmaps=1, used: configmaps=2, limited: configmaps=2';
    const { problems } = await plan(files, targetWith([shop], refuse(statusOf(403, said))));
    expect(problems).toMatchObject([
      { kind: 'quota', message: expect.stringContaining(`ConfigMap shop/app: ${said}`) },
    ]);
  });

  it.each([
    ['there is one meanwhile', new ClusterError(409, 'AlreadyExists', 'configmaps "app" already exists')],
    [
      'a right is missing, which the preflight tells',
      statusOf(
        403,
        'configmaps is forbidden: User "a" cannot create resource "configmaps" in API group "" in the namespace "shop"',
      ),
    ],
    [
      'a webhook can not be asked',
      statusOf(500, 'Internal error occurred: failed calling webhook "a.example.com": no endpoints'),
    ],
    ['a webhook knows no dry runs', statusOf(400, 'admission webhook "a.example.com" does not support dry run')],
    ['the server is busy', statusOf(429, 'too many requests')],
    [
      'what it names is still to come',
      statusOf(403, 'pods "a" is forbidden: no PriorityClass with name high was found'),
    ],
  ])('is no problem where %s', async (_why, error) => {
    const { objects, problems } = await plan(files, targetWith([shop], refuse(error)));
    expect(problems).toEqual([]);
    expect(objects).toMatchObject([{ change: 'create', message: undefined }]);
  });

  it('stops the plan where the server can not be reached', async () => {
    const error = new ClusterError(0, 'Reset', 'connection reset');
    await expect(plan(files, targetWith([shop], refuse(error)))).rejects.toBe(error);
  });

  it('is not tried in a namespace that is to come', async () => {
    const target = targetWith([]);
    await plan(files, target);
    expect(target.requests).toEqual(['GET /api/v1/namespaces']);
  });

  it('is not tried where its kind is to come, nor where that changes', async () => {
    const served = [...KINDS, kindOf('example.com/v1 gadgets Gadget')];
    const crd = (name: string, kind: string, more = {}) => crdOf(name, kind, ['v1'], more);
    const lists = {
      'customresourcedefinitions.json': [
        crd('widgets.example.com', 'Widget'),
        crd('gadgets.example.com', 'Gadget', { metadata: { labels: { a: 'b' } } }),
      ],
      'shop/widgets.json': [objectOf('example.com/v1 Widget shop/a')],
      'shop/gadgets.json': [objectOf('example.com/v1 Gadget shop/a')],
    };
    const target = () =>
      targetWith([shop, crd('gadgets.example.com', 'Gadget')], {
        kinds: served,
        answer: ({ method, path }) =>
          method === 'POST' && path.endsWith('/gadgets')
            ? statusOf(400, 'strict decoding error: unknown field "spec.a"')
            : undefined,
      });
    const changing = await plan(lists, target(), { served, replace: true });
    expect(changing.problems).toEqual([]);
    const staying = await plan(lists, target(), { served });
    expect(staying.problems).toMatchObject([
      { kind: 'refused', message: expect.stringContaining('Gadget.example.com shop/a') },
    ]);
  });

  it('is tried side by side with others, as many as are allowed', async () => {
    let running = 0;
    let most = 0;
    const target = targetWith([shop]);
    const cluster: typeof target = {
      ...target,
      async json(request) {
        running += 1;
        most = Math.max(most, running);
        await new Promise(setImmediate);
        running -= 1;
        return target.json(request);
      },
    };
    const many = Array.from({ length: 50 }, (_, index) => config('1', `c${index}`));
    await plan({ 'shop/configmaps.json': many }, cluster, { concurrency: 8 });
    expect(most).toBe(8);
  });
});
