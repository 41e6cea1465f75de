import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { type OpenExportOptions, openExport, type VmSource } from '../../../src/vms/export-object.ts';
import { RUN_LABEL } from '../../../src/vms/temporary-objects.ts';
import { kindOf, objectOf } from '../resources/target-bed.ts';
import {
  condition,
  type FakeKubevirt,
  fakeClock,
  fakeKubevirt,
  KUBEVIRT_KINDS,
  listeningReporter,
  readyStatus,
  refusal,
} from './fake-kubevirt.ts';

const VM = objectOf('kubevirt.io/v1 VirtualMachine shop/web', { spec: { runStrategy: 'Halted' } });
const WEB: VmSource = { kind: 'vm', namespace: 'shop', name: 'web' };
const EXPORTS = '/apis/export.kubevirt.io/v1beta1/namespaces/shop/virtualmachineexports';

/** Opens an export of the VM shop/web, which is off, in a cluster that has it. */
function open(
  cluster: FakeKubevirt,
  { source = WEB, ...given }: Partial<OpenExportOptions> & { source?: VmSource } = {},
) {
  const reporter = listeningReporter();
  const clock = fakeClock();
  const options = {
    links: 'internal',
    ttl: 7_200_000,
    timeout: 60_000,
    reporter,
    clock,
    run: 'run-1',
    ...given,
  } as const;
  return { opened: openExport(cluster, cluster.discovery, source, options), reporter, clock };
}

function ready(given: readonly KubeObject[] = [VM], options: Parameters<typeof fakeKubevirt>[1] = {}) {
  const cluster = fakeKubevirt(given, options);
  cluster.play('VirtualMachineExport', readyStatus());
  return cluster;
}

describe('opening an export', () => {
  it('makes an export with a TTL and a token of 32 letters and digits that belongs to it', async () => {
    const cluster = ready();
    const exported = await open(cluster).opened;

    const object = cluster.only('VirtualMachineExport');
    expect(object.apiVersion).toBe('export.kubevirt.io/v1beta1');
    expect(object.metadata.name).toMatch(/^transship-export-web-[a-z0-9]{8}$/);
    expect(object.metadata.labels).toEqual({ [RUN_LABEL]: 'run-1' });
    expect(object.spec).toEqual({
      source: { apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name: 'web' },
      tokenSecretRef: object.metadata.name,
      ttlDuration: '7200s',
    });
    const { metadata, data } = cluster.only('Secret');
    expect(exported.token).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(data).toEqual({ token: Buffer.from(exported.token).toString('base64') });
    expect(metadata.ownerReferences).toEqual([
      {
        apiVersion: 'export.kubevirt.io/v1beta1',
        kind: 'VirtualMachineExport',
        name: object.metadata.name,
        uid: object.metadata.uid,
      },
    ]);
  });

  it('keeps the token out of every log', async () => {
    const { opened, reporter } = open(ready());
    const { token } = await opened;
    expect(reporter.masked).toEqual([token, Buffer.from(token).toString('base64')]);
  });

  it('gives an object with a long and dotted name one that KubeVirt can use as a label', async () => {
    const name = `db.${'x'.repeat(50)}.example`;
    const cluster = ready([objectOf(`v1 PersistentVolumeClaim shop/${name}`, { status: { phase: 'Bound' } })]);
    const exported = await open(cluster, { source: { kind: 'pvc', namespace: 'shop', name } }).opened;
    expect(exported.name).toMatch(/^transship-export-db-x{27}-[a-z0-9]{8}$/);
    expect(exported.name.length).toBeLessThanOrEqual(63);
    expect(cluster.only('VirtualMachineExport').spec).toMatchObject({
      source: { apiGroup: '', kind: 'PersistentVolumeClaim', name },
    });
  });

  it('shows each state once, with reason and message, until it is ready', async () => {
    const cluster = ready();
    const pending = { phase: 'Pending', conditions: [condition('Ready', 'False', 'PodPending', 'no node')] };
    cluster.play('VirtualMachineExport', undefined, pending, pending, readyStatus());
    const { opened, reporter } = open(cluster);
    const exported = await opened;
    expect(reporter.lines).toEqual([
      `info: Exporting the VM shop/web as shop/${exported.name}.`,
      'progress: Export of the VM shop/web: not seen by KubeVirt yet',
      'progress: Export of the VM shop/web: Pending, Ready False (PodPending: no node)',
    ]);
  });

  it('is not ready before there are links', async () => {
    const cluster = ready();
    cluster.play('VirtualMachineExport', { ...readyStatus(), links: {} }, readyStatus());
    const exported = await open(cluster).opened;
    expect((await exported.links()).volumes.map(({ name }) => name)).toEqual(['disk']);
  });
});

describe('an export that can not be opened', () => {
  const nothingLeft = (cluster: FakeKubevirt) =>
    [...cluster.objects.values()].filter(({ kind }) => kind === 'VirtualMachineExport' || kind === 'Secret');

  it('names the VM that does not exist, and makes nothing', async () => {
    const cluster = ready([]);
    await expect(open(cluster).opened).rejects.toMatchObject({ code: 'CLUSTER', message: 'There is no VM shop/web.' });
    expect(cluster.changes()).toEqual([]);
  });

  it.each([
    [{ kind: 'snapshot', namespace: 'shop', name: 'daily' }, 'There is no VM snapshot shop/daily.'],
    [{ kind: 'pvc', namespace: 'shop', name: 'data' }, 'There is no claim shop/data.'],
  ] as const)('names the %j that does not exist', async (source, message) => {
    await expect(open(ready(), { source }).opened).rejects.toMatchObject({ message });
  });

  it('refuses a running VM at once, with the ways out', async () => {
    const instance = objectOf('kubevirt.io/v1 VirtualMachineInstance shop/web', { status: { phase: 'Running' } });
    const cluster = ready([VM, instance]);
    await expect(open(cluster).opened).rejects.toMatchObject({
      message: 'The VM shop/web is running; only one that is off can be read.',
      hint: expect.stringMatching(/running-vms: snapshot.*running-vms: stop/),
    });
    expect(cluster.changes()).toEqual([]);
  });

  it.each(['Succeeded', 'Failed'])('does not mind an instance that has %s', async (phase) => {
    const instance = objectOf('kubevirt.io/v1 VirtualMachineInstance shop/web', { status: { phase } });
    await expect(open(ready([VM, instance])).opened).resolves.toBeDefined();
  });

  it.each([
    ['InUse', 'Virtual Machine shop/web is running'],
    ['inUse', 'as KubeVirt before 0.59 says it'],
  ])('gives up on a VM that is started meanwhile (%s), and leaves nothing', async (reason, message) => {
    const cluster = ready();
    cluster.play('VirtualMachineExport', {
      phase: 'Pending',
      conditions: [condition('Ready', 'False', reason, message)],
    });
    const { opened, clock } = open(cluster, { timeout: 600_000 });
    await expect(opened).rejects.toMatchObject({
      message: `The VM shop/web is running (${message}); only one that is off can be read.`,
      hint: expect.stringContaining('running-vms: snapshot'),
    });
    expect(clock.now()).toBeGreaterThanOrEqual(30_000);
    expect(clock.now()).toBeLessThan(35_000);
    expect(nothingLeft(cluster)).toEqual([]);
  });

  it('waits for a claim whose last user is on its way out', async () => {
    const cluster = ready([objectOf('v1 PersistentVolumeClaim shop/data')]);
    const busy = { phase: 'Pending', conditions: [condition('Ready', 'False', 'InUse', 'claim shop/data is in use')] };
    cluster.play('VirtualMachineExport', busy, busy, busy, readyStatus());
    await expect(
      open(cluster, { source: { kind: 'pvc', namespace: 'shop', name: 'data' } }).opened,
    ).resolves.toBeDefined();
  });

  it('says that a VM has no volumes to export', async () => {
    const cluster = ready();
    const conditions = [condition('Ready', 'False', 'VMNoVolumes', 'Virtual Machine shop/web has no volumes')];
    cluster.play('VirtualMachineExport', { phase: 'Skipped', conditions });
    await expect(open(cluster).opened).rejects.toMatchObject({
      message:
        'The VM shop/web has no volumes that can be exported (VMNoVolumes: Virtual Machine shop/web has no volumes).',
    });
    expect(nothingLeft(cluster)).toEqual([]);
  });

  it('does not take a cache that lags for a snapshot that is missing', async () => {
    const cluster = ready([objectOf('snapshot.kubevirt.io/v1beta1 VirtualMachineSnapshot shop/daily')]);
    const missing = { phase: 'Skipped', conditions: [condition('Ready', 'False', 'VMSnapshotNotFound')] };
    cluster.play('VirtualMachineExport', missing, missing, readyStatus());
    await expect(
      open(cluster, { source: { kind: 'snapshot', namespace: 'shop', name: 'daily' } }).opened,
    ).resolves.toBeDefined();
  });

  it('says where to look when the server does not start in time', async () => {
    const cluster = ready();
    cluster.play('VirtualMachineExport', {
      phase: 'Pending',
      conditions: [condition('Ready', 'False', 'PodPending')],
    });
    await expect(open(cluster).opened).rejects.toMatchObject({
      code: 'TIMEOUT',
      message:
        'Timed out after 60 s waiting for the export of the VM shop/web to be ready. Last seen: Pending, Ready False (PodPending).',
      hint: expect.stringMatching(
        /kubectl describe pod -n shop -l kubevirt\.io\.virt-export-service=transship-export-web-/,
      ),
    });
    expect(nothingLeft(cluster)).toEqual([]);
  });

  it('names the feature gate where the API is there but switched off', async () => {
    const cluster = ready();
    cluster.intercept = ({ method }) => {
      if (method === 'POST') throw refusal(400, 'BadRequest', 'denied the request: vm export feature gate not enabled');
    };
    await expect(open(cluster).opened).rejects.toMatchObject({
      code: 'NOT_SERVED',
      hint: expect.stringContaining('Add VMExport to'),
    });
    expect(cluster.changes()).toEqual([`POST ${EXPORTS}`]);
  });

  it('names the verb and the resource that are missing, and takes back the half that was made', async () => {
    const cluster = ready();
    cluster.intercept = ({ method, path }) => {
      if (method === 'POST' && path.endsWith('/secrets')) throw refusal(403, 'Forbidden', 'not for you');
    };
    await expect(open(cluster).opened).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: 'Exporting the VM shop/web needs the verb create on secrets in the namespace "shop": not for you',
      hint: 'Grant it with the rule { apiGroups: [""], resources: ["secrets"], verbs: ["create"] }.',
    });
    expect(nothingLeft(cluster)).toEqual([]);
  });

  it('deletes what a lost answer may have created', async () => {
    const cluster = ready();
    const carryOut = cluster.json.bind(cluster);
    const lossy: FakeKubevirt = {
      ...cluster,
      async json<T>(request: Parameters<typeof carryOut>[0]): Promise<T> {
        const answer = await carryOut<T>(request);
        if (request.method === 'POST') throw refusal(0, 'Reset', 'connection reset');
        return answer;
      },
    };
    await expect(open(lossy).opened).rejects.toMatchObject({ reason: 'Reset' });
    expect(nothingLeft(cluster)).toEqual([]);
  });

  it('leaves nothing when it is cancelled while it waits', async () => {
    const cluster = ready();
    const cancel = new AbortController();
    cluster.play('VirtualMachineExport', { phase: 'Pending' });
    cluster.intercept = ({ method, path }) => {
      if (method === 'GET' && path.startsWith(EXPORTS)) cancel.abort();
    };
    await expect(open(cluster, { signal: cancel.signal }).opened).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(nothingLeft(cluster)).toEqual([]);
  });

  it('needs the export API', async () => {
    const cluster = fakeKubevirt([VM], { kinds: KUBEVIRT_KINDS.filter(({ kind }) => kind !== 'VirtualMachineExport') });
    await expect(open(cluster).opened).rejects.toMatchObject({ code: 'NOT_SERVED' });
  });
});

describe('links of an open export', () => {
  it('are the internal ones for a pod in its own cluster', async () => {
    const cluster = ready([VM], { isPod: true });
    cluster.play('VirtualMachineExport', readyStatus({ external: true }));
    const exported = await open(cluster, { links: 'auto' }).opened;
    const { volumes, ca } = await exported.links();
    expect(volumes[0]?.formats.raw).toBe('https://virt-export-x.shop.svc/volumes/disk/disk.img');
    expect(ca).toBe('CA-1');
  });

  it('are the external ones elsewhere', async () => {
    const cluster = ready();
    cluster.play('VirtualMachineExport', readyStatus({ external: true }));
    const exported = await open(cluster, { links: 'auto' }).opened;
    expect((await exported.links()).volumes[0]?.formats.raw).toMatch(/^https:\/\/export\.example\.com\//);
  });

  it('can not be external without an Ingress or Route', async () => {
    await expect(open(ready(), { links: 'external' }).opened).rejects.toMatchObject({
      message: 'The export of the VM shop/web has no external link.',
      hint: expect.stringMatching(/port-forward.*virt-exportproxy/),
    });
  });

  it('are kept until fresh ones are asked for, and then read once for all who ask', async () => {
    const cluster = ready();
    const exported = await open(cluster).opened;
    cluster.play('VirtualMachineExport', { phase: 'Pending' }, readyStatus({ cert: 'CA-2' }));
    const reads = () => cluster.requests.filter((request) => request.startsWith(`GET ${EXPORTS}`)).length;
    const before = reads();
    expect((await exported.links()).ca).toBe('CA-1');
    expect(reads()).toBe(before);
    const fresh = await Promise.all([exported.links(true), exported.links(true), exported.links()]);
    expect(fresh.map(({ ca }) => ca)).toEqual(['CA-2', 'CA-2', 'CA-2']);
    expect(reads()).toBe(before + 2);
  });

  it('end with the TTL, and say so', async () => {
    const cluster = ready();
    const { opened, clock } = open(cluster);
    const exported = await opened;
    await clock.sleep(7_200_000);
    cluster.objects.delete(`${EXPORTS}/${exported.name}`);
    await expect(exported.links(true)).rejects.toMatchObject({
      message: `The export shop/${exported.name} of the VM shop/web has reached the end of its TTL (7200s) and is gone.`,
    });
  });

  it('say that somebody has deleted the export', async () => {
    const cluster = ready();
    const exported = await open(cluster).opened;
    cluster.objects.delete(`${EXPORTS}/${exported.name}`);
    await expect(exported.links(true)).rejects.toThrow('was deleted while it was in use');
  });

  it('wait for another server when one has ended for its certificate, but not for ever', async () => {
    const cluster = ready();
    const exported = await open(cluster).opened;
    const ended = { phase: 'Terminated', conditions: [condition('Ready', 'False', 'PodCompleted')] };
    cluster.play('VirtualMachineExport', ended, ended, readyStatus({ cert: 'CA-2' }));
    expect((await exported.links(true)).ca).toBe('CA-2');
    cluster.play('VirtualMachineExport', ended);
    await expect(exported.links(true)).rejects.toThrow('The export of the VM shop/web has ended');
    expect((await exported.links()).ca).toBe('CA-2');
  });
});

describe('closing an export', () => {
  it('deletes both objects, once, however often it is called', async () => {
    const cluster = ready();
    const exported = await open(cluster).opened;
    await Promise.all([exported.close(), exported.close()]);
    await exported.close();
    expect(cluster.changes().slice(2)).toEqual([
      `DELETE ${EXPORTS}/${exported.name}`,
      `DELETE /api/v1/namespaces/shop/secrets/${exported.name}`,
    ]);
    await expect(exported.links()).rejects.toThrow(`The export shop/${exported.name} is closed.`);
  });

  it('deletes them after a cancel, too', async () => {
    const cluster = ready();
    const cancel = new AbortController();
    const exported = await open(cluster, { signal: cancel.signal }).opened;
    cancel.abort();
    await exported.close();
    expect([...cluster.objects.values()].map(({ kind }) => kind)).toEqual(['VirtualMachine']);
  });

  it('does not mind what is gone already, and warns of what it can not delete', async () => {
    const cluster = ready();
    const { opened, reporter } = open(cluster);
    const exported = await opened;
    cluster.objects.delete(`/api/v1/namespaces/shop/secrets/${exported.name}`);
    cluster.intercept = ({ method, path }) => {
      if (method === 'DELETE' && path.startsWith(EXPORTS)) throw refusal(403, 'Forbidden', 'no.');
    };
    await exported.close();
    expect(reporter.lines.filter((line) => line.startsWith('warn'))).toEqual([
      `warn: Could not delete ${EXPORTS}/${exported.name}: no. They are gone at the end of the TTL (7200s).`,
    ]);
  });

  it('ends a wait for fresh links', async () => {
    const cluster = ready();
    const exported = await open(cluster).opened;
    cluster.play('VirtualMachineExport', { phase: 'Pending' });
    const fresh = exported.links(true);
    const closed = exported.close();
    await expect(fresh).rejects.toThrow(`The export shop/${exported.name} is closed.`);
    await closed;
  });
});

it('uses v1 of the export API where it is served', async () => {
  const kinds = [
    ...KUBEVIRT_KINDS.filter(({ kind }) => kind !== 'VirtualMachineExport'),
    kindOf('export.kubevirt.io/v1beta1 virtualmachineexports VirtualMachineExport', ['v1beta1', 'v1']),
  ];
  const cluster = ready([VM], { kinds });
  await open(cluster).opened;
  expect(cluster.only('VirtualMachineExport').apiVersion).toBe('export.kubevirt.io/v1');
});
