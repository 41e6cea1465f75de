import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { isVmRunning, RUNS_ANNOTATION, type StopVmOptions, startVm, stopVm } from '../../../src/vms/stop-vm.ts';
import { RUN_LABEL } from '../../../src/vms/temporary-objects.ts';
import { objectOf } from '../resources/target-bed.ts';
import { type FakeKubevirt, fakeClock, fakeKubevirt, listeningReporter, refusal } from './fake-kubevirt.ts';

const WEB = { namespace: 'shop', name: 'web' };
const MACHINE = '/apis/kubevirt.io/v1/namespaces/shop/virtualmachines/web';
const INSTANCE = '/apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstances/web';
const STOP = 'PUT /apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachines/web/stop';
const START = 'PUT /apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachines/web/start';

/** A cluster with one VM that stops and starts as KubeVirt's virt-api and virt-controller do it. */
function clusterWith(spec: Record<string, unknown>, { running = true, metadata = {} } = {}): FakeKubevirt {
  const instance = objectOf('kubevirt.io/v1 VirtualMachineInstance shop/web', { status: { phase: 'Running' } });
  const vm = objectOf('kubevirt.io/v1 VirtualMachine shop/web', { spec, metadata });
  const cluster = fakeKubevirt([vm, ...(running ? [instance] : [])]);
  cluster.intercept = ({ method, path }) => {
    if (method !== 'PUT') return;
    const live = machine(cluster);
    const now = live.spec as Record<string, unknown>;
    if (path.endsWith('/stop')) {
      if (now.running === true) now.running = false;
      if (now.runStrategy === 'Always' || now.runStrategy === 'Once') now.runStrategy = 'Halted';
      cluster.objects.delete(INSTANCE);
    } else {
      cluster.objects.set(INSTANCE, instance);
      live.metadata.resourceVersion = 'changed-by-the-request';
    }
  };
  return cluster;
}

function machine(cluster: FakeKubevirt): KubeObject {
  const live = cluster.objects.get(MACHINE);
  if (live === undefined) throw new Error('The VM is gone.');
  return live;
}

function optionsOf(given: Partial<StopVmOptions> = {}) {
  return { timeout: 60_000, reporter: listeningReporter(), clock: fakeClock(), run: 'run-1', ...given };
}

describe('stopping a VM for its export', () => {
  it.each([{ runStrategy: 'Always' }, { runStrategy: 'Once' }, { running: true }])(
    'puts %j back, which a stop changes',
    async (spec) => {
      const cluster = clusterWith(spec);
      const stopped = await stopVm(cluster, cluster.discovery, WEB, optionsOf());
      expect(cluster.objects.has(INSTANCE)).toBe(false);
      expect(machine(cluster).metadata.labels).toEqual({ [RUN_LABEL]: 'run-1' });
      expect(machine(cluster).spec).not.toEqual(spec);
      await stopped?.putBack();
      expect(machine(cluster).spec).toEqual(spec);
      expect(machine(cluster).metadata).toMatchObject({ labels: {}, annotations: {} });
      expect(cluster.changes()).toEqual([`PATCH ${MACHINE}`, STOP, `PATCH ${MACHINE}`]);
    },
  );

  it.each([{ runStrategy: 'Manual' }, { runStrategy: 'RerunOnFailure' }])(
    'asks for a start where %j stays',
    async (spec) => {
      const cluster = clusterWith(spec);
      const stopped = await stopVm(cluster, cluster.discovery, WEB, optionsOf());
      await stopped?.putBack();
      expect(cluster.objects.has(INSTANCE)).toBe(true);
      expect(machine(cluster).spec).toEqual(spec);
      expect(machine(cluster).metadata.annotations).toEqual({});
      expect(cluster.changes()).toEqual([`PATCH ${MACHINE}`, STOP, START, `PATCH ${MACHINE}`]);
    },
  );

  it('leaves a VM alone that is off', async () => {
    const cluster = clusterWith({ runStrategy: 'Halted' }, { running: false });
    expect(await stopVm(cluster, cluster.discovery, WEB, optionsOf())).toBeUndefined();
    expect(cluster.changes()).toEqual([]);
  });

  it('puts back, on the next run, what a killed one has left off', async () => {
    const metadata = { annotations: { [RUNS_ANNOTATION]: '{"runStrategy":"Always"}' } };
    const cluster = clusterWith({ runStrategy: 'Halted' }, { running: false, metadata });
    const reporter = listeningReporter();
    const stopped = await stopVm(cluster, cluster.discovery, WEB, optionsOf({ reporter }));
    await stopped?.putBack();
    expect(machine(cluster).spec).toEqual({ runStrategy: 'Always' });
    expect(reporter.lines).toContain(
      'warn: The VM shop/web was stopped by an export that could not start it again; this one will.',
    );
  });

  it('notes when it runs before it is stopped', async () => {
    const cluster = clusterWith({ runStrategy: 'Always' });
    const carryOut = cluster.intercept;
    let noted: string | undefined;
    cluster.intercept = (request) => {
      if (request.path.endsWith('/stop')) noted = machine(cluster).metadata.annotations?.[RUNS_ANNOTATION];
      carryOut(request);
    };
    await stopVm(cluster, cluster.discovery, WEB, optionsOf());
    expect(noted).toBe('{"runStrategy":"Always"}');
  });

  it('puts it back when the guest does not shut down', async () => {
    const cluster = clusterWith({ runStrategy: 'Always' });
    cluster.intercept = ({ path }) => {
      if (path.endsWith('/stop')) machine(cluster).spec = { runStrategy: 'Halted' };
    };
    await expect(stopVm(cluster, cluster.discovery, WEB, optionsOf())).rejects.toMatchObject({
      code: 'TIMEOUT',
      hint: expect.stringContaining('terminationGracePeriodSeconds'),
    });
    expect(machine(cluster).spec).toEqual({ runStrategy: 'Always' });
    expect(machine(cluster).metadata.annotations).toEqual({});
  });

  it('tries again where a change of somebody else got in between, and takes "not running" for done', async () => {
    const cluster = clusterWith({ runStrategy: 'Always' });
    const carryOut = cluster.intercept;
    const answers = [
      'the server rejected our request due to an error in our request: testing value',
      'VM is not running',
    ];
    cluster.intercept = (request) => {
      if (request.method === 'PUT') {
        const message = answers.shift() ?? '';
        if (answers.length === 0) carryOut(request);
        throw refusal(409, 'Conflict', message);
      }
    };
    await stopVm(cluster, cluster.discovery, WEB, optionsOf());
    expect(cluster.changes()).toEqual([`PATCH ${MACHINE}`, STOP, STOP]);
  });

  it('names the verb and the resource that are missing', async () => {
    const cluster = clusterWith({ runStrategy: 'Always' });
    cluster.intercept = ({ method }) => {
      if (method === 'PUT') throw refusal(403, 'Forbidden', 'no');
    };
    await expect(stopVm(cluster, cluster.discovery, WEB, optionsOf())).rejects.toThrow(
      'Stopping the VM shop/web needs the verb update on virtualmachines/stop of subresources.kubevirt.io in the namespace "shop": no',
    );
    expect(machine(cluster).metadata.annotations).toEqual({});
  });
});

describe('starting a VM again', () => {
  const note = (value: string) => ({ annotations: { [RUNS_ANNOTATION]: value, team: 'a' } });

  it('does nothing where nothing is noted', async () => {
    const cluster = clusterWith({ runStrategy: 'Halted' }, { running: false });
    await startVm(cluster, cluster.discovery, WEB, optionsOf());
    expect(cluster.changes()).toEqual([]);
  });

  it('respects what somebody else has decided since', async () => {
    const cluster = clusterWith(
      { runStrategy: 'Manual' },
      { running: false, metadata: note('{"runStrategy":"Always"}') },
    );
    await startVm(cluster, cluster.discovery, WEB, optionsOf());
    expect(machine(cluster).spec).toEqual({ runStrategy: 'Manual' });
    expect(machine(cluster).metadata.annotations).toEqual({ team: 'a' });
    expect(cluster.changes()).toEqual([`PATCH ${MACHINE}`]);
  });

  it('reads the VM again when it was changed in between', async () => {
    const cluster = clusterWith(
      { runStrategy: 'Halted' },
      { running: false, metadata: note('{"runStrategy":"Always"}') },
    );
    let others = 1;
    cluster.intercept = ({ method }) => {
      if (method === 'PATCH' && others-- > 0) machine(cluster).metadata.resourceVersion = 'newer';
    };
    await startVm(cluster, cluster.discovery, WEB, optionsOf());
    expect(machine(cluster).spec).toEqual({ runStrategy: 'Always' });
    expect(cluster.changes()).toEqual([`PATCH ${MACHINE}`, `PATCH ${MACHINE}`]);
  });

  it('changes no spec by a note that was spoilt', async () => {
    const cluster = clusterWith({ runStrategy: 'Halted' }, { running: false, metadata: note('{') });
    await startVm(cluster, cluster.discovery, WEB, optionsOf());
    expect(machine(cluster).spec).toEqual({ runStrategy: 'Halted' });
    expect(machine(cluster).metadata.annotations).toEqual({ team: 'a' });
  });
});

it.each([
  [{ runStrategy: 'Halted' }, false, false],
  [{ runStrategy: 'Halted' }, true, true],
  [{ runStrategy: 'Always' }, false, true],
  [{ running: true }, false, true],
  [{ runStrategy: 'Manual' }, false, false],
])('a VM with %j and an instance: %s runs: %s', async (spec, running, runs) => {
  const cluster = clusterWith(spec, { running });
  expect(await isVmRunning(cluster, cluster.discovery, WEB)).toBe(runs);
});
