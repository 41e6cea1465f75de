import { expect, test } from 'vitest';
import { usageOfPod } from '../../../src/preflight/pod-usage.ts';
import { formatQuantity } from '../../../src/preflight/quantity.ts';

const container = (requests: object, limits: object = {}, more: object = {}) => ({
  resources: { requests, limits },
  ...more,
});
const told = (spec: Record<string, unknown>) =>
  Object.fromEntries(
    [...usageOfPod(spec).usage].map(([name, amount]) => [name, formatQuantity(amount, name.includes('memory'))]),
  );

test('containers add up, under both names of a request', () => {
  const spec = { containers: [container({ cpu: '100m', memory: '64Mi' }, { cpu: '1' }), container({ cpu: '0.4' })] };
  expect(told(spec)).toEqual({
    cpu: '500m',
    'requests.cpu': '500m',
    memory: '64Mi',
    'requests.memory': '64Mi',
    'limits.cpu': '1',
  });
});

test('a limit without a request is the request too', () => {
  expect(told({ containers: [container({}, { memory: '1Gi' })] })).toEqual({
    memory: '1Gi',
    'requests.memory': '1Gi',
    'limits.memory': '1Gi',
  });
});

test('init containers count where one asks for more than what runs later; those that stay add up', () => {
  const containers = [container({ cpu: '1' })];
  const stays = container({ cpu: '200m' }, {}, { restartPolicy: 'Always' });
  expect(told({ containers, initContainers: [container({ cpu: '2' })] })).toMatchObject({ cpu: '2' });
  expect(told({ containers, initContainers: [container({ cpu: '900m' })] })).toMatchObject({ cpu: '1' });
  expect(told({ containers, initContainers: [stays] })).toMatchObject({ cpu: '1200m' });
  expect(told({ containers, initContainers: [stays, container({ cpu: '2' })] })).toMatchObject({ cpu: '2200m' });
});

test('the overhead and figures of the whole Pod count', () => {
  const containers = [container({ cpu: '1' }, { memory: '1Gi' })];
  expect(told({ containers, overhead: { cpu: '250m', memory: '1Gi' } })).toEqual({
    memory: '2Gi',
    'requests.memory': '2Gi',
    cpu: '1250m',
    'requests.cpu': '1250m',
    'limits.memory': '2Gi',
  });
  expect(told({ containers, resources: { requests: { cpu: '3' } } })).toMatchObject({ cpu: '3' });
});

test('devices are counted as requests only', () => {
  expect(told({ containers: [container({}, { 'nvidia.com/gpu': 2 })] })).toEqual({ 'requests.nvidia.com/gpu': '2' });
});

test('what decides about scopes is told', () => {
  expect(usageOfPod({ containers: [container({ cpu: '0', 'ephemeral-storage': '1Gi' })] })).toMatchObject({
    isBestEffort: true,
    isTerminating: false,
    priorityClass: undefined,
  });
  expect(
    usageOfPod({ activeDeadlineSeconds: 5, priorityClassName: 'high', containers: [container({ cpu: 1 })] }),
  ).toMatchObject({ isBestEffort: false, isTerminating: true, priorityClass: 'high' });
});

test('what is no Pod takes nothing', () => {
  expect(usageOfPod({ containers: 'x', initContainers: [null], overhead: [] }).usage.size).toBe(0);
});
