import { describe, expect, test } from 'vitest';
import { stripObject } from '../../../src/vms/strip-object.ts';

const SERVER = {
  uid: 'u-1',
  resourceVersion: '7',
  generation: 3,
  creationTimestamp: '2026-01-05T09:00:00Z',
  managedFields: [{}],
  ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u-0' }],
};

describe('an object that travels', () => {
  test('loses what the server owns, and keeps what the user wrote', () => {
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        ...SERVER,
        name: 'a',
        namespace: 'shop',
        labels: { app: 'db' },
        annotations: { note: 'x', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
        finalizers: ['example.com/keep', 'kubernetes.io/pvc-protection', 'kubevirt.io/x', 'cdi.kubevirt.io/y'],
      },
      type: 'Opaque',
      data: { a: 'YQ==' },
      immutable: true,
    };
    expect(stripObject(secret)).toEqual({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: 'a',
        namespace: 'shop',
        labels: { app: 'db' },
        annotations: { note: 'x' },
        finalizers: ['example.com/keep'],
      },
      type: 'Opaque',
      data: { a: 'YQ==' },
      immutable: true,
    });
  });

  test('is a copy', () => {
    const claim = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', uid: 'u-1' }, status: {} };
    stripObject(claim);
    expect(claim).toEqual({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', uid: 'u-1' }, status: {} });
  });

  test('keeps numbers to the digit', () => {
    const data = { revision: JSON.rawJSON('9223372036854775807') };
    const object = { apiVersion: 'apps/v1', kind: 'ControllerRevision', metadata: { name: 'a' }, data };
    expect(JSON.stringify(stripObject(object).data)).toBe('{"revision":9223372036854775807}');
  });
});

test('a claim keeps its modes, class and sizes, and loses how it was bound and filled', () => {
  const claim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: 'root',
      labels: { tier: 'gold', 'cdi.kubevirt.io/dataImportCron': 'x', 'kubevirt.io/created-by': 'u-9' },
      annotations: {
        'cdi.kubevirt.io/storage.contentType': 'archive',
        'cdi.kubevirt.io/storage.usePopulator': 'true',
        'k8s.io/CloneOf': 'true',
        'pv.kubernetes.io/bind-completed': 'yes',
        'volume.beta.kubernetes.io/storage-class': 'old',
        'volume.beta.kubernetes.io/storage-provisioner': 'x',
        'volume.kubernetes.io/selected-node': 'n1',
      },
    },
    spec: {
      accessModes: ['ReadWriteOnce'],
      dataSource: { kind: 'VolumeSnapshot', name: 's' },
      dataSourceRef: { kind: 'VolumeSnapshot', name: 's' },
      resources: { requests: { storage: '1Gi' } },
      storageClassName: 'fast',
      volumeMode: 'Block',
      volumeName: 'pv-1',
    },
    status: { accessModes: ['ReadWriteOnce'], capacity: { storage: '2Gi' }, phase: 'Bound' },
  };
  expect(stripObject(claim)).toEqual({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: 'root',
      labels: { tier: 'gold' },
      annotations: {
        'cdi.kubevirt.io/storage.contentType': 'archive',
        'volume.beta.kubernetes.io/storage-class': 'old',
      },
    },
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '1Gi' } },
      storageClassName: 'fast',
      volumeMode: 'Block',
    },
    status: { capacity: { storage: '2Gi' } },
  });
});

test('a DataVolume keeps what its user asked CDI for', () => {
  const annotations = { 'cdi.kubevirt.io/storage.bind.immediate.requested': 'true' };
  const object = {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name: 'root', annotations },
    spec: {},
    status: { phase: 'Succeeded' },
  };
  expect(stripObject(object)).toEqual({ ...object, status: undefined });
});

describe('a machine that an export has stopped for a while', () => {
  const stopped = (note: string, spec: Record<string, unknown>) => {
    const metadata = {
      name: 'db',
      labels: { 'transship.dev/vm-run': 'abc' },
      annotations: { 'transship.dev/runs-when-not-exported': note },
    };
    return stripObject({ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata, spec });
  };

  test.each([
    ['{"runStrategy":"Always"}', { runStrategy: 'Halted' }, { runStrategy: 'Always' }],
    ['{"running":true}', { running: false }, { running: true }],
    ['{"runStrategy":"Manual"}', { runStrategy: 'Manual' }, { runStrategy: 'Manual' }],
    ['{"runStrategy":"Always"}', { runStrategy: 'Once' }, { runStrategy: 'Once' }],
    ['changed by hand', { runStrategy: 'Halted' }, { runStrategy: 'Halted' }],
  ])('noted %s, and %j now: travels as %j', (note, now, spec) => {
    expect(stopped(note, now)).toEqual({
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      metadata: { name: 'db' },
      spec,
    });
  });
});
