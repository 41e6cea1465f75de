import { describe, expect, test } from 'vitest';
import type { PlanProblem } from '../../../src/plan/plan.ts';
import { object, target } from './target.ts';

const claim = (id: string, spec: object = {}) => object(`v1 PersistentVolumeClaim ${id}`, { spec });
const storageClass = (name: string, isDefault = false) =>
  object(`storage.k8s.io/v1 StorageClass ${name}`, {
    metadata: { annotations: { 'storageclass.kubernetes.io/is-default-class': String(isDefault) } },
  });
const workload = (kind: string, id: string, pod: object) =>
  object(`apps/v1 ${kind} ${id}`, { spec: { template: { spec: pod } } });
const messages = (problems: readonly PlanProblem[]) => problems.map(({ message }) => message);

describe('classes', () => {
  test('that neither the target has nor the import brings are missing, with who names them', async () => {
    const it = target({ objects: [storageClass('slow'), storageClass('standard', true)] });
    it.bring('create', claim('shop/a', { storageClassName: 'fast' }), claim('shop/b', { storageClassName: 'slow' }));
    expect(await it.problems()).toEqual([
      {
        kind: 'missing-class',
        message:
          'StorageClass fast does not exist at the target, and the snapshot does not bring it. PersistentVolumeClaim shop/a names it.',
        hint: 'There are: slow, standard. Map it to one of these with storage-class-map, or create it first.',
      },
    ]);
  });

  test('are found wherever they are named', async () => {
    const it = target({ objects: [storageClass('standard', true)] });
    it.bring(
      'update',
      object('networking.k8s.io/v1 Ingress shop/web', { spec: { ingressClassName: 'nginx' } }),
      workload('Deployment', 'shop/web', { priorityClassName: 'high', runtimeClassName: 'kata' }),
      object('example.com/v1 Database shop/db', { spec: { storage: [{ storageClassName: 'fast' }] } }),
    );
    const set = object('apps/v1 StatefulSet shop/db', {
      spec: { template: {}, volumeClaimTemplates: [{ spec: { storageClassName: 'fast' } }] },
    });
    it.bring('create', set);
    expect(messages(await it.problems())).toEqual([
      expect.stringContaining(
        'StorageClass fast does not exist at the target, and the snapshot does not bring it. Database shop/db, StatefulSet shop/db name it.',
      ),
      expect.stringContaining('IngressClass nginx does not exist'),
      expect.stringContaining('PriorityClass high does not exist'),
      expect.stringContaining('RuntimeClass kata does not exist'),
    ]);
  });

  test('that travel are not missing, in whatever order they come', async () => {
    const it = target();
    it.bring('create', claim('shop/a', { storageClassName: 'fast' }), storageClass('fast'));
    expect(await it.problems()).toEqual([]);
  });

  test('of objects that stay as they are do not matter', async () => {
    const it = target();
    const ingress = object('networking.k8s.io/v1 Ingress shop/web', { spec: { ingressClassName: 'nginx' } });
    for (const change of ['unchanged', 'keep', 'delete'] as const) it.bring(change, ingress);
    expect(await it.problems()).toEqual([]);
    expect(it.listed).toEqual([]);
  });

  test('that may not be listed are not judged', async () => {
    const it = target({ forbidden: ['/apis/storage.k8s.io/v1/storageclasses'] });
    it.bring('create', claim('shop/a', { storageClassName: 'fast' }), claim('shop/b'));
    expect(await it.problems()).toEqual([]);
  });

  test('are only a name where volumes bear it, at the target or on their way', async () => {
    const volume = (name: string, storageClassName: string) =>
      object(`v1 PersistentVolume ${name}`, { spec: { storageClassName }, status: { phase: 'Available' } });
    const it = target({ objects: [volume('there', 'manual')] });
    it.bring(
      'create',
      claim('shop/a', { storageClassName: 'manual' }),
      claim('shop/b', { storageClassName: 'mine' }),
      volume('v', 'mine'),
    );
    expect(await it.problems()).toEqual([]);
  });

  test('are counted, not listed without end', async () => {
    const it = target({ objects: [storageClass('standard', true)] });
    for (let at = 0; at < 1000; at += 1) it.bring('create', claim(`shop/c${at}`, { storageClassName: 'fast' }));
    const [problem] = await it.problems();
    expect(problem?.message).toMatch(/PersistentVolumeClaim shop\/c4 and 995 more name it\.$/);
  });
});

describe('claims that name no StorageClass', () => {
  const unclassed = () => [
    claim('shop/a'),
    object('apps/v1 StatefulSet shop/db', { spec: { volumeClaimTemplates: [{ spec: {} }] } }),
  ];

  test('need a default one', async () => {
    const it = target({ objects: [storageClass('slow')] });
    it.bring('create', ...unclassed());
    expect(await it.problems()).toEqual([
      {
        kind: 'missing-class',
        message: 'The target has no default StorageClass. PersistentVolumeClaim shop/a, StatefulSet shop/db name none.',
        hint: 'There is: slow. Mark one as the default: annotation storageclass.kubernetes.io/is-default-class: "true".',
      },
    ]);
  });

  test('are content with the default of the target, or one that travels', async () => {
    const there = target({ objects: [storageClass('standard', true)] });
    there.bring('create', ...unclassed());
    const brought = target();
    brought.bring('create', ...unclassed(), storageClass('standard', true));
    expect([await there.problems(), await brought.problems()]).toEqual([[], []]);
  });

  test('need none when they name a volume, or no class on purpose', async () => {
    const it = target();
    it.bring('create', claim('shop/a', { volumeName: 'v' }), claim('shop/b', { storageClassName: '' }));
    expect(await it.problems()).toEqual([]);
  });
});
