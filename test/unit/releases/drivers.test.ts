import { describe, expect, test } from 'vitest';
import { driversOf } from '../../../src/releases/drivers.ts';

describe('driversOf', () => {
  test.each([undefined, ''])('looks in both places when HELM_DRIVER is %j', (name) => {
    expect(driversOf(name)).toEqual(['secret', 'configmap']);
  });

  test.each([
    ['secret', 'secret'],
    ['secrets', 'secret'],
    ['configmap', 'configmap'],
    ['configmaps', 'configmap'],
  ])('looks only where HELM_DRIVER=%s says', (name, driver) => {
    expect(driversOf(name)).toEqual([driver]);
  });

  test.each(['sql', 'memory', 'vault'])('refuses HELM_DRIVER=%s, whose releases it cannot see', (name) => {
    expect(() => driversOf(name)).toThrow(
      `HELM_DRIVER: "${name}" keeps releases where the cluster's API does not show them. Transship reads secret and configmap.`,
    );
  });
});
