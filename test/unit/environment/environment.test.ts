import { expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { withEnvironment, withEnvironmentOfVm } from '../../../src/environment/environment.ts';

const machine: KubeObject = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'db', namespace: 'shop', annotations: { note: 'a' } },
};

it('labels an object, and takes the label off again', () => {
  const labelled = withEnvironment(machine, 'pr-42');
  expect(labelled.metadata.labels).toEqual({ 'transship.dev/environment': 'pr-42' });
  expect(withEnvironment(labelled, undefined).metadata.labels).toEqual({});
});

it('keeps what belongs to a virtual machine from being pruned', () => {
  expect(withEnvironmentOfVm(machine, 'pr-42').metadata).toEqual({
    name: 'db',
    namespace: 'shop',
    labels: { 'transship.dev/environment': 'pr-42' },
    annotations: { note: 'a', 'transship.dev/prune': 'false' },
  });
});

it('changes nothing of a virtual machine that is of no environment', () => {
  expect(withEnvironmentOfVm(machine, undefined)).toBe(machine);
});
