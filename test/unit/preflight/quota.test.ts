import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { object, type TargetOptions, target } from './target.ts';

interface QuotaFields {
  readonly used?: object;
  readonly spec?: object;
}

const quota = (id: string, hard: object, { used = {}, spec = {} }: QuotaFields = {}) =>
  object(`v1 ResourceQuota ${id}`, { spec: { hard, ...spec }, status: { hard, used } });
const pod = (requests: object, more: object = {}) => ({ containers: [{ resources: { requests } }], ...more });
const deployment = (id: string, replicas: number | undefined, spec: object) =>
  object(`apps/v1 Deployment ${id}`, { spec: { replicas, template: { spec } } });
const claim = (id: string, storage: string, storageClassName?: string) =>
  object(`v1 PersistentVolumeClaim ${id}`, {
    spec: { storageClassName, volumeName: 'v', resources: { requests: { storage } } },
  });
const standard = object('storage.k8s.io/v1 StorageClass standard', {
  metadata: { annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
});

/** The lines about quotas after all of these are created. */
async function exceeded(objects: KubeObject[], quotas: KubeObject[], options: TargetOptions = {}): Promise<string[]> {
  const it = target({ objects: [...quotas, standard], ...options });
  it.bring('create', ...objects);
  return (await it.problems()).flatMap(({ message }) => message.split('\n').slice(1));
}

describe('a quota', () => {
  test('that has too little left is named, with what it has and what is needed', async () => {
    const it = target({
      objects: [quota('shop/small', { configmaps: '3', pods: '9' }, { used: { configmaps: '2' } })],
    });
    it.bring('create', object('v1 ConfigMap shop/a'), object('v1 ConfigMap shop/b'));
    expect(await it.problems()).toEqual([
      {
        kind: 'quota',
        message: 'ResourceQuota shop/small has less left than what comes new needs:\nconfigmaps: 2 needed, 1 left of 3',
        hint: 'Raise the quota, free some of it, or leave something out with exclude.',
      },
    ]);
  });

  test('that has just enough left, or of another namespace, is no problem', async () => {
    const objects = [object('v1 ConfigMap shop/a'), object('v1 ConfigMap shop/b')];
    expect(
      await exceeded(objects, [quota('shop/q', { configmaps: '2' }), quota('pay/q', { configmaps: '0' })]),
    ).toEqual([]);
  });

  test('is held only against what comes new', async () => {
    const it = target({ objects: [quota('shop/q', { configmaps: '0' })] });
    for (const change of ['update', 'recreate', 'unchanged', 'keep', 'delete'] as const) {
      it.bring(change, object('v1 ConfigMap shop/a'));
    }
    expect(await it.problems()).toEqual([]);
  });

  test('that was used up more than it allows has nothing left', async () => {
    const used = quota('shop/q', { configmaps: '1' }, { used: { configmaps: '5' } });
    expect(await exceeded([object('v1 ConfigMap shop/a')], [used])).toEqual(['configmaps: 1 needed, 0 left of 1']);
  });

  test('may count any kind of object', async () => {
    const hard = {
      'count/deployments.apps': '0',
      'count/configmaps': '0',
      'count/databases.example.com': '0',
      'count/replicasets.apps': '0',
    };
    const objects = [
      deployment('shop/web', 0, {}),
      object('v1 ConfigMap shop/a'),
      object('example.com/v1 Database shop/d'),
    ];
    expect(await exceeded(objects, [quota('shop/q', hard)])).toEqual([
      'count/configmaps: 1 needed, 0 left of 0',
      'count/databases.example.com: 1 needed, 0 left of 0',
      'count/deployments.apps: 1 needed, 0 left of 0',
    ]);
  });

  test('counts the Pods of workloads with what they ask for', async () => {
    const hard = {
      pods: '5',
      'count/pods': '5',
      'requests.cpu': '1',
      memory: '1Gi',
      'limits.cpu': '1',
      'count/replicasets.apps': '0',
    };
    const job = object('batch/v1 Job shop/j', {
      spec: { parallelism: 3, completions: 2, template: { spec: pod({ cpu: '1' }) } },
    });
    const objects = [
      deployment('shop/web', 3, pod({ cpu: '250m', memory: '512Mi' })),
      deployment('shop/one', undefined, pod({})),
      object('v1 Pod shop/p', { spec: pod({ cpu: '50m' }) }),
      job,
    ];
    expect(await exceeded(objects, [quota('shop/q', hard)])).toEqual([
      'count/pods: 7 needed, 5 left of 5',
      'count/replicasets.apps: 2 needed, 0 left of 0',
      'memory: 1.5Gi needed, 1Gi left of 1Gi',
      'pods: 7 needed, 5 left of 5',
      'requests.cpu: 2800m needed, 1 left of 1',
    ]);
  });

  test('does not count Pods whose number the cluster decides', async () => {
    const template = { spec: pod({ cpu: '1' }) };
    const objects = [
      object('apps/v1 DaemonSet shop/d', { spec: { template } }),
      object('batch/v1 CronJob shop/c', { spec: { jobTemplate: { spec: { template } } } }),
      object('batch/v1 Job shop/j', { spec: { suspend: true, template } }),
    ];
    expect(await exceeded(objects, [quota('shop/q', { pods: '0', cpu: '0' })])).toEqual([]);
  });

  test('counts load balancers and node ports', async () => {
    const service = (id: string, spec: object) => object(`v1 Service ${id}`, { spec });
    const ports = [{ port: 1 }, { port: 2, nodePort: 30001 }];
    const objects = [
      service('shop/a', { type: 'LoadBalancer', ports }),
      service('shop/b', { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false, ports }),
      service('shop/c', { type: 'NodePort', ports }),
      service('shop/d', { type: 'ClusterIP', ports }),
    ];
    const hard = { services: '1', 'services.loadbalancers': '1', 'services.nodeports': '1' };
    expect(await exceeded(objects, [quota('shop/q', hard)])).toEqual([
      'services: 4 needed, 1 left of 1',
      'services.loadbalancers: 2 needed, 1 left of 1',
      'services.nodeports: 5 needed, 1 left of 1',
    ]);
  });

  test('counts storage, of all classes and of each, the default one too', async () => {
    const hard = {
      'requests.storage': '10Gi',
      persistentvolumeclaims: '2',
      'fast.storageclass.storage.k8s.io/requests.storage': '1Gi',
      'standard.storageclass.storage.k8s.io/persistentvolumeclaims': '1',
    };
    const fast = object('storage.k8s.io/v1 StorageClass fast');
    const objects = [
      fast,
      claim('shop/a', '6Gi', 'fast'),
      claim('shop/b', '3Gi'),
      claim('shop/c', '2Gi', 'standard'),
      claim('shop/d', '1Gi', ''),
    ];
    expect(await exceeded(objects, [quota('shop/q', hard)])).toEqual([
      'fast.storageclass.storage.k8s.io/requests.storage: 6Gi needed, 1Gi left of 1Gi',
      'persistentvolumeclaims: 4 needed, 2 left of 2',
      'requests.storage: 12Gi needed, 10Gi left of 10Gi',
      'standard.storageclass.storage.k8s.io/persistentvolumeclaims: 2 needed, 1 left of 1',
    ]);
  });

  test('counts the claims that a StatefulSet will make, unless they travel', async () => {
    const template = { spec: { resources: { requests: { storage: '1Gi' } } } };
    const set = object('apps/v1 StatefulSet shop/db', {
      spec: { replicas: 3, template: { spec: {} }, volumeClaimTemplates: [template] },
    });
    const quotas = [quota('shop/q', { persistentvolumeclaims: '1', 'requests.storage': '1Gi' })];
    expect(await exceeded([set], quotas)).toEqual([
      'persistentvolumeclaims: 3 needed, 1 left of 1',
      'requests.storage: 3Gi needed, 1Gi left of 1Gi',
    ]);
    expect(await exceeded([set, claim('shop/data-db-0', '1Gi')], quotas)).toEqual([]);
  });

  test('counts the record of a new release', async () => {
    const it = target({ objects: [quota('shop/q', { secrets: '0', configmaps: '0' })] });
    it.noteRelease('shop', 'secret', true);
    it.noteRelease('shop', 'configmap', false);
    expect(await it.problems()).toMatchObject([
      { message: expect.stringMatching(/needs:\nsecrets: 1 needed, 0 left of 0$/) },
    ]);
  });

  test('of a namespace that is yet to be made does not exist', async () => {
    const options = { newNamespaces: ['shop'] };
    expect(await exceeded([object('v1 ConfigMap shop/a')], [quota('shop/q', { configmaps: '0' })], options)).toEqual(
      [],
    );
  });

  test('that nobody has looked at yet is read from what is asked for', async () => {
    const fresh = object('v1 ResourceQuota shop/q', { spec: { hard: { configmaps: '0' } } });
    expect(await exceeded([object('v1 ConfigMap shop/a')], [fresh])).toEqual(['configmaps: 1 needed, 0 left of 0']);
  });

  test('that may not be read is not judged', async () => {
    const options = { forbidden: ['/api/v1/namespaces/shop/resourcequotas'] };
    expect(await exceeded([object('v1 ConfigMap shop/a')], [quota('shop/q', { configmaps: '0' })], options)).toEqual(
      [],
    );
  });

  test('is read for all namespaces at once where there are many, if that is allowed', async () => {
    const objects = Array.from({ length: 12 }, (_, at) => object(`v1 ConfigMap n${at}/a`));
    const quotas = [quota('n3/q', { configmaps: '0' })];
    const line = ['configmaps: 1 needed, 0 left of 0'];
    expect(await exceeded(objects, quotas)).toEqual(line);
    expect(await exceeded(objects, quotas, { forbidden: ['/api/v1/resourcequotas'] })).toEqual(line);
  });
});

describe('a quota with a scope', () => {
  const web = deployment('shop/web', 2, pod({ cpu: '1' }, { priorityClassName: 'high' }));
  const batch = object('v1 Pod shop/p', { spec: pod({}, { activeDeadlineSeconds: 5, priorityClassName: 'low' }) });
  const high = ['high', 'low'].map((name) => object(`scheduling.k8s.io/v1 PriorityClass ${name}`));
  const selector = (operator: string, ...values: string[]) => ({
    scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator, values }] },
  });
  const judged = (spec: object) => exceeded([web, batch], [quota('shop/q', { pods: '0' }, { spec }), ...high]);

  test.each<[string, object, string]>([
    ['Terminating', { scopes: ['Terminating'] }, '1'],
    ['NotTerminating', { scopes: ['NotTerminating'] }, '2'],
    ['BestEffort', { scopes: ['BestEffort'] }, '1'],
    ['NotBestEffort', { scopes: ['NotBestEffort'] }, '2'],
    ['a priority class', selector('In', 'high'), '2'],
    ['no such priority class', selector('NotIn', 'high'), '1'],
    ['any priority class', selector('Exists'), '3'],
  ])('%s counts only the Pods within', async (_name, spec, needed) => {
    expect(await judged(spec)).toEqual([`pods: ${needed} needed, 0 left of 0`]);
  });

  test('that can not be told of a Pod is left out', async () => {
    expect(await judged({ scopes: ['CrossNamespacePodAffinity'] })).toEqual([]);
    const plain = deployment('shop/plain', 1, pod({}));
    expect(await exceeded([plain], [quota('shop/q', { pods: '0' }, { spec: selector('Exists') })])).toEqual([]);
  });
});
