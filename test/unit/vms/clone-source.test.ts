import { expect, test } from 'vitest';
import { type OpenSourceOptions, openSource } from '../../../src/vms/clone-source.ts';
import { objectOf } from '../resources/target-bed.ts';
import { fakeClock, fakeKubevirt, listeningReporter, readyStatus } from './fake-kubevirt.ts';

const CLAIM = objectOf('v1 PersistentVolumeClaim shop/disk', {
  spec: { volumeMode: 'Block', resources: { requests: { storage: '1Gi' } } },
});
const VM = objectOf('kubevirt.io/v1 VirtualMachine shop/web', {
  spec: {
    runStrategy: 'Always',
    template: { spec: { domain: {}, volumes: [{ name: 'root', persistentVolumeClaim: { claimName: 'disk' } }] } },
  },
});
const OFF = objectOf('kubevirt.io/v1 VirtualMachine shop/web', { spec: { ...Object(VM.spec), runStrategy: 'Halted' } });
const SOURCE = { kind: 'vm', namespace: 'shop', name: 'web' } as const;

function open(vm = OFF, more: Partial<OpenSourceOptions> = {}, status: unknown = readyStatus({ external: true })) {
  const cluster = fakeKubevirt([CLAIM, vm]);
  cluster.play('VirtualMachineExport', status);
  const reporter = listeningReporter();
  const options: OpenSourceOptions = {
    ...{ running: 'error', links: 'external', ttl: 600_000, timeout: 60_000, run: 'run-1' },
    ...{ reporter, clock: fakeClock(), signal: new AbortController().signal },
    ...more,
  };
  return { cluster, reporter, result: openSource({ cluster, discovery: cluster.discovery }, SOURCE, options) };
}

test('an export without an external link is an error that says which way there is, and leaves nothing', async () => {
  const { cluster, result } = open(OFF, {}, readyStatus({ external: false }));
  await expect(result).rejects.toMatchObject({
    code: 'CLUSTER',
    message: 'The export of the VM shop/web has no external link.',
    hint: expect.stringMatching(/virt-exportproxy .* Ingress or Route\. Without one, use `export` and then `import`/),
  });
  expect([...cluster.objects.values()].map(({ kind }) => kind)).toEqual(['PersistentVolumeClaim', 'VirtualMachine']);
});

test('a machine that is off is exported, and its export deleted when it is closed', async () => {
  const { cluster, result } = open();
  const opened = await result;
  expect(opened.exports.map(({ claims }) => claims)).toEqual([['disk']]);
  expect(opened.description.volumes.map(({ pvc }) => pvc)).toEqual(['disk']);
  expect(cluster.only('VirtualMachineExport').metadata.labels).toEqual({ 'transship.dev/vm-run': 'run-1' });
  expect(await opened.close()).toEqual([]);
  expect(await opened.close()).toEqual([]);
  expect([...cluster.objects.values()].map(({ kind }) => kind)).toEqual(['PersistentVolumeClaim', 'VirtualMachine']);
});

test('one that runs is refused before anything is made', async () => {
  const { cluster, result } = open(VM);
  await expect(result).rejects.toThrow(/web .*run/);
  expect(cluster.changes()).toEqual([]);
});

test('one that was stopped for it is put back after its export is gone', async () => {
  const { cluster, result } = open(VM, { running: 'stop' });
  const opened = await result;
  await opened.close();
  const changes = cluster.changes().map((line) => line.replace(/transship-export-web-\w+/, 'EXPORT'));
  const last = changes.findLastIndex((line) => line.startsWith('DELETE'));
  expect(changes.slice(last)).toEqual([
    'DELETE /api/v1/namespaces/shop/secrets/EXPORT',
    'PATCH /apis/kubevirt.io/v1/namespaces/shop/virtualmachines/web',
  ]);
  expect(cluster.only('VirtualMachine').metadata.labels).toEqual({});
});

test('that it could not be put back is told to who closes', async () => {
  const { cluster, result } = open(VM, { running: 'stop' });
  const opened = await result;
  cluster.intercept = ({ method }) => {
    if (method === 'PATCH') throw new Error('The API server is gone.');
  };
  expect(await opened.close()).toEqual(['The API server is gone.']);
});
