import { describe, expect, it } from 'vitest';
import { cleanUpExports } from '../../../src/vms/clean-up.ts';
import { RUNS_ANNOTATION } from '../../../src/vms/stop-vm.ts';
import { RUN_LABEL } from '../../../src/vms/temporary-objects.ts';
import { objectOf } from '../resources/target-bed.ts';
import { fakeKubevirt, refusal } from './fake-kubevirt.ts';

const mine = { labels: { [RUN_LABEL]: 'run-1' } };
const others = { labels: { [RUN_LABEL]: 'run-2' } };
const exported = (name: string, metadata = mine) =>
  objectOf(`export.kubevirt.io/v1beta1 VirtualMachineExport ${name}`, { metadata });
const token = (name: string, metadata = mine) => objectOf(`v1 Secret ${name}`, { metadata });
const snapshot = objectOf('snapshot.kubevirt.io/v1beta1 VirtualMachineSnapshot shop/s', { metadata: mine });
const stopped = objectOf('kubevirt.io/v1 VirtualMachine shop/web', {
  metadata: { ...mine, annotations: { [RUNS_ANNOTATION]: '{"runStrategy":"Always"}' } },
  spec: { runStrategy: 'Halted' },
});

describe('cleaning up after exports that were killed', () => {
  it('deletes what bears the label of the run, in all namespaces, and starts the VMs it had stopped', async () => {
    const cluster = fakeKubevirt([
      ...[exported('shop/x'), token('shop/x'), exported('bank/y'), snapshot, stopped],
      ...[exported('shop/z', others), token('shop/z', others)],
    ]);
    const done = await cleanUpExports(cluster, cluster.discovery, 'run-1');
    expect(done).toEqual([
      '/apis/export.kubevirt.io/v1beta1/namespaces/shop/virtualmachineexports/x',
      '/apis/export.kubevirt.io/v1beta1/namespaces/bank/virtualmachineexports/y',
      '/api/v1/namespaces/shop/secrets/x',
      '/apis/snapshot.kubevirt.io/v1beta1/namespaces/shop/virtualmachinesnapshots/s',
      '/apis/kubevirt.io/v1/namespaces/shop/virtualmachines/web',
    ]);
    expect([...cluster.objects.values()].map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()).toEqual([
      'Secret z',
      'VirtualMachine web',
      'VirtualMachineExport z',
    ]);
    expect(cluster.only('VirtualMachine').spec).toEqual({ runStrategy: 'Always' });
  });

  it('looks only where it is told to', async () => {
    const cluster = fakeKubevirt([exported('shop/x'), exported('bank/y')]);
    await cleanUpExports(cluster, cluster.discovery, 'run-1', { namespaces: ['shop'] });
    expect(cluster.only('VirtualMachineExport').metadata.name).toBe('y');
    expect(cluster.requests.filter((request) => request.startsWith('LIST'))).toEqual(
      [
        '/apis/export.kubevirt.io/v1beta1/namespaces/shop/virtualmachineexports',
        '/api/v1/namespaces/shop/secrets',
        '/apis/snapshot.kubevirt.io/v1beta1/namespaces/shop/virtualmachinesnapshots',
        '/apis/kubevirt.io/v1/namespaces/shop/virtualmachines',
      ].map((path) => `LIST ${path}?${RUN_LABEL}=run-1`),
    );
  });

  it('finds nothing when all is gone already', async () => {
    const cluster = fakeKubevirt([exported('shop/z', others)]);
    expect(await cleanUpExports(cluster, cluster.discovery, 'run-1')).toEqual([]);
    expect(cluster.changes()).toEqual([]);
  });

  it('does not need to list Secrets: they go with their exports', async () => {
    const cluster = fakeKubevirt([exported('shop/x')]);
    cluster.intercept = ({ path }) => {
      if (path.includes('secrets')) throw refusal(403, 'Forbidden', 'no');
    };
    expect(await cleanUpExports(cluster, cluster.discovery, 'run-1')).toHaveLength(1);
  });

  it('does all that is possible before it names what is left', async () => {
    const cluster = fakeKubevirt([exported('shop/x'), exported('shop/y'), snapshot]);
    cluster.intercept = ({ method, path }) => {
      if (method === 'DELETE' && path.endsWith('/x')) throw refusal(500, 'InternalError', 'webhook down');
    };
    await expect(cleanUpExports(cluster, cluster.discovery, 'run-1')).rejects.toMatchObject({
      message:
        'Some of what the export made is still there. /apis/export.kubevirt.io/v1beta1/namespaces/shop/virtualmachineexports/x: webhook down',
      hint: expect.stringContaining(`-l ${RUN_LABEL}=run-1`),
    });
    expect(cluster.objects.size).toBe(1);
  });
});
