import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { type TakeSnapshotOptions, takeSnapshot } from '../../../src/vms/snapshot-object.ts';
import { RUN_LABEL } from '../../../src/vms/temporary-objects.ts';
import { objectOf } from '../resources/target-bed.ts';
import { condition, type FakeKubevirt, fakeClock, fakeKubevirt, listeningReporter, refusal } from './fake-kubevirt.ts';

const SNAPSHOTS = '/apis/snapshot.kubevirt.io/v1beta1/namespaces/shop/virtualmachinesnapshots';
const volumes = [
  { name: 'root', dataVolume: { name: 'web-root' } },
  { name: 'data', persistentVolumeClaim: { claimName: 'web-data' } },
  { name: 'init', cloudInitNoCloud: {} },
];
const SUCCEEDED = { phase: 'Succeeded', readyToUse: true, virtualMachineSnapshotContentName: 'content-1' };

function vm(status: Record<string, unknown> = {}): KubeObject {
  return objectOf('kubevirt.io/v1 VirtualMachine shop/web', { spec: { template: { spec: { volumes } } }, status });
}

function take(cluster: FakeKubevirt, given: Partial<TakeSnapshotOptions> = {}) {
  const reporter = listeningReporter();
  const options = { timeout: 60_000, reporter, clock: fakeClock(), run: 'run-1', ...given };
  return { taken: takeSnapshot(cluster, cluster.discovery, { namespace: 'shop', name: 'web' }, options), reporter };
}

function cluster(...statuses: unknown[]): FakeKubevirt {
  const made = fakeKubevirt([vm()]);
  made.play('VirtualMachineSnapshot', ...statuses);
  return made;
}

describe('a snapshot of a VM', () => {
  it('is made with a deadline, waited for, and deleted once', async () => {
    const made = cluster(undefined, { phase: 'InProgress', readyToUse: false }, SUCCEEDED);
    const snapshot = await take(made).taken;
    const object = made.only('VirtualMachineSnapshot');
    expect(object.metadata.labels).toEqual({ [RUN_LABEL]: 'run-1' });
    expect(object.spec).toEqual({
      source: { apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name: 'web' },
      failureDeadline: '60s',
    });
    expect(snapshot).toMatchObject({ namespace: 'shop', name: object.metadata.name, content: 'content-1' });
    await Promise.all([snapshot.close(), snapshot.close()]);
    expect(made.changes()).toEqual([`POST ${SNAPSHOTS}`, `DELETE ${SNAPSHOTS}/${snapshot.name}`]);
  });

  it('is not usable when it is taken, but when the storage has finished it', async () => {
    const made = cluster({ phase: 'Succeeded', readyToUse: false }, SUCCEEDED);
    await take(made).taken;
    expect(made.requests.filter((request) => request.startsWith(`GET ${SNAPSHOTS}`))).toHaveLength(2);
  });

  it('says why it failed, and is deleted', async () => {
    const conditions = [condition('Failure', 'True', 'snapshot deadline exceeded')];
    const made = cluster({ phase: 'Failed', readyToUse: false, conditions, error: { message: 'the driver is full' } });
    await expect(take(made).taken).rejects.toMatchObject({
      message:
        'The snapshot of the VM shop/web failed: Failed, Failure True (snapshot deadline exceeded), the driver is full.',
      hint: expect.stringContaining('running-vms: stop'),
    });
    expect(made.objects.size).toBe(1);
  });

  it('is deleted when it takes too long, and when the run is cancelled', async () => {
    const slow = cluster({ phase: 'InProgress' });
    await expect(take(slow).taken).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(slow.objects.size).toBe(1);

    const cancelled = cluster({ phase: 'InProgress' });
    const cancel = new AbortController();
    cancelled.intercept = ({ method, path }) => {
      if (method === 'GET' && path.startsWith(SNAPSHOTS)) cancel.abort();
    };
    await expect(take(cancelled, { signal: cancel.signal }).taken).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(cancelled.objects.size).toBe(1);
  });

  it('is not made when a disk could not be part of it; what is no disk does not matter', async () => {
    const made = fakeKubevirt([
      vm({
        volumeSnapshotStatuses: [
          { name: 'root', enabled: true },
          { name: 'data', enabled: false, reason: 'No VolumeSnapshotClass' },
          { name: 'init', enabled: false, reason: 'Snapshot is not supported for this volumeSource type [init]' },
        ],
      }),
    ]);
    await expect(take(made).taken).rejects.toMatchObject({
      message: 'A snapshot of the VM shop/web would be without some of its disks: data (No VolumeSnapshotClass).',
    });
    expect(made.changes()).toEqual([]);
  });

  it('is refused when KubeVirt left a disk out after all', async () => {
    const made = cluster({ ...SUCCEEDED, snapshotVolumes: { excludedVolumes: ['data', 'init'] } });
    await expect(take(made).taken).rejects.toThrow('would be without some of its disks: data.');
    expect(made.objects.size).toBe(1);
  });

  it('warns when file systems were not frozen', async () => {
    const { taken, reporter } = take(cluster({ ...SUCCEEDED, indications: ['Online', 'NoGuestAgent'] }));
    await taken;
    expect(reporter.lines.filter((line) => line.startsWith('warn'))).toEqual([
      'warn: The snapshot of the VM shop/web is as after a power failure: it has no guest agent to freeze its file systems. What programs had not written yet is not in it.',
    ]);
  });

  it('names the feature gate where snapshots are off, and the rule where they are not allowed', async () => {
    const off = cluster(SUCCEEDED);
    off.intercept = ({ method }) => {
      if (method === 'POST') throw refusal(400, 'BadRequest', 'snapshot feature gate not enabled');
    };
    await expect(take(off).taken).rejects.toMatchObject({
      code: 'NOT_SERVED',
      hint: expect.stringContaining('Snapshot'),
    });

    const forbidden = cluster(SUCCEEDED);
    forbidden.intercept = ({ method }) => {
      if (method === 'POST') throw refusal(403, 'Forbidden', 'no');
    };
    await expect(take(forbidden).taken).rejects.toThrow(
      'A snapshot of the VM shop/web needs the verb create on virtualmachinesnapshots of snapshot.kubevirt.io in the namespace "shop": no',
    );
    expect([...off.changes(), ...forbidden.changes()]).toEqual([`POST ${SNAPSHOTS}`, `POST ${SNAPSHOTS}`]);
  });
});
