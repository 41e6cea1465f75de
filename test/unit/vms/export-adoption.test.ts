import { describe, expect, it } from 'vitest';
import {
  type OpenExportOptions,
  type OpenedExport,
  openExport,
  type VmSource,
} from '../../../src/vms/export-object.ts';
import { RUN_LABEL } from '../../../src/vms/temporary-objects.ts';
import { objectOf } from '../resources/target-bed.ts';
import {
  condition,
  type FakeKubevirt,
  fakeClock,
  fakeKubevirt,
  listeningReporter,
  readyStatus,
  refusal,
} from './fake-kubevirt.ts';

const WEB: VmSource = { kind: 'vm', namespace: 'shop', name: 'web' };
const SINCE = '2026-01-31T12:00:00Z';
const LEFT = { namespace: 'shop', name: 'left', uid: 'uid-left', readySince: SINCE };
const EXPORTS = '/apis/export.kubevirt.io/v1beta1/namespaces/shop/virtualmachineexports';
const TOKEN = 'T'.repeat(32);

/** Ready as ever, but since another time. */
const readyAgain = () => ({
  ...readyStatus(),
  conditions: [{ ...condition('Ready', 'True', 'PodReady'), lastTransitionTime: '2026-01-31T13:00:00Z' }],
});
const BUSY = { phase: 'Pending', conditions: [condition('Ready', 'False', 'InUse', 'VM shop/web is running')] };

function bed(
  left: Record<string, unknown> = {},
  secret: Record<string, unknown> = { data: { token: Buffer.from(TOKEN).toString('base64') } },
) {
  const cluster = fakeKubevirt([
    objectOf('kubevirt.io/v1 VirtualMachine shop/web', { spec: { runStrategy: 'Halted' } }),
    objectOf('export.kubevirt.io/v1beta1 VirtualMachineExport shop/left', {
      metadata: { uid: 'uid-left', labels: { [RUN_LABEL]: 'killed' } },
      spec: { source: { kind: 'VirtualMachine', name: 'web' }, tokenSecretRef: 'left' },
      ...left,
    }),
    objectOf('v1 Secret shop/left', secret),
  ]);
  cluster.play('VirtualMachineExport', readyStatus());
  return cluster;
}

function open(cluster: FakeKubevirt, given: Partial<OpenExportOptions> = {}, source = WEB): Promise<OpenedExport> {
  return openExport(cluster, cluster.discovery, source, {
    ...{ links: 'internal', ttl: 7_200_000, timeout: 60_000, run: 'run-2' },
    ...{ reporter: listeningReporter(), clock: fakeClock(), adopt: LEFT },
    ...given,
  });
}

describe('an export that a killed run has left', () => {
  it('is used again with its token, belongs to this run, and is taken away at the end', async () => {
    const cluster = bed();
    const reporter = listeningReporter();
    const opened = await open(cluster, { reporter });
    expect(opened).toMatchObject({ ...LEFT, token: TOKEN, refusal: undefined });
    expect(reporter.masked).toContain(TOKEN);
    expect(cluster.only('VirtualMachineExport').metadata.labels).toEqual({ [RUN_LABEL]: 'run-2' });
    await opened.close();
    expect(cluster.changes()).toEqual([
      `PATCH ${EXPORTS}/left`,
      `DELETE ${EXPORTS}/left`,
      'DELETE /api/v1/namespaces/shop/secrets/left',
    ]);
  });

  it.each([
    ['was ready anew', bed(), { readySince: '2026-01-31T11:00:00Z' }, /was not ready all the time/],
    ['has no token', bed({}, {}), {}, /the token of the export shop\/left can't be read/],
  ])('is replaced, and taken away, when it %s', async (_what, cluster, other, why) => {
    const opened = await open(cluster, { adopt: { ...LEFT, ...other } });
    expect(opened.name).not.toBe('left');
    expect(opened.refusal).toMatch(why);
    expect(cluster.changes()[0]).toBe(`DELETE ${EXPORTS}/left`);
  });

  it.each([
    ['is another one by now', bed({ metadata: { uid: 'other', labels: { [RUN_LABEL]: 'x' } } }), /is gone/],
    ['is not known to be ours', bed({ metadata: { uid: 'uid-left' } }), /is not labelled/],
    [
      'is of something else',
      bed({ spec: { source: { kind: 'VirtualMachine', name: 'db' }, tokenSecretRef: 'left' } }),
      /is of something else/,
    ],
  ])('is left alone when it %s', async (_what, cluster, why) => {
    const opened = await open(cluster);
    expect(opened.refusal).toMatch(why);
    await opened.close();
    expect(cluster.objects.has(`${EXPORTS}/left`)).toBe(true);
  });

  it('is replaced where its token may not be read', async () => {
    const cluster = bed();
    cluster.intercept = ({ method, path }) => {
      if (method === 'GET' && path.includes('/secrets/')) throw refusal(403, 'Forbidden', 'no');
    };
    expect((await open(cluster)).refusal).toMatch(/can't be read/);
  });
});

describe('an export whose source may have been written while it was open', () => {
  const fresh = { adopt: undefined };
  const touch = (cluster: FakeKubevirt) => {
    cluster.only('VirtualMachine').metadata.resourceVersion = 'newer';
  };

  it('fails for good once the source is seen in use, even for a moment', async () => {
    const cluster = bed();
    cluster.objects.delete(`${EXPORTS}/left`);
    const opened = await open(cluster, fresh);
    cluster.play('VirtualMachineExport', BUSY, readyStatus());
    const failure = { message: expect.stringContaining('The VM shop/web was started while it was exported') };
    await expect(opened.links(true)).rejects.toMatchObject(failure);
    await expect(opened.links()).rejects.toMatchObject(failure);
  });

  it('takes no harm from a pod that restarts while the VM is not touched', async () => {
    const cluster = bed();
    const opened = await open(cluster, fresh);
    cluster.play('VirtualMachineExport', readyAgain());
    await expect(opened.links(true)).resolves.toBeDefined();
    await expect(opened.check()).resolves.toBeUndefined();
  });

  it('fails when it became ready anew and the VM was touched since', async () => {
    const cluster = bed();
    const opened = await open(cluster, fresh);
    touch(cluster);
    await expect(opened.check()).resolves.toBeUndefined();
    cluster.play('VirtualMachineExport', readyAgain());
    await expect(opened.check()).rejects.toThrow('was started while it was exported');
  });

  it('needs no such care for a snapshot', async () => {
    const cluster = fakeKubevirt([objectOf('snapshot.kubevirt.io/v1beta1 VirtualMachineSnapshot shop/daily')]);
    cluster.play('VirtualMachineExport', readyStatus());
    const opened = await open(cluster, fresh, { kind: 'snapshot', namespace: 'shop', name: 'daily' });
    cluster.play('VirtualMachineExport', readyAgain());
    await expect(opened.links(true)).resolves.toBeDefined();
    await expect(opened.check()).resolves.toBeUndefined();
  });
});
