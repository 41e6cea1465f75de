import { describe, expect, test } from 'vitest';
import { FIRST_WAVE_AFTER_RELEASES, WAVES, waveOf } from '../../../src/resources/order.ts';
import { kindOf } from './target-bed.ts';

/** The name of the wave that a kind comes in. */
function wave(text: string, isCustom = false): string | undefined {
  return WAVES[waveOf(kindOf(text), isCustom)]?.name;
}

describe('the order of kinds', () => {
  test.each([
    ['apiextensions.k8s.io/v1 *customresourcedefinitions CustomResourceDefinition', 'definitions'],
    ['v1 *namespaces Namespace', 'namespaces'],
    ['storage.k8s.io/v1 *storageclasses StorageClass', 'cluster basics'],
    ['rbac.authorization.k8s.io/v1 *clusterroles ClusterRole', 'cluster basics'],
    ['v1 *persistentvolumes PersistentVolume', 'cluster basics'],
    ['flowcontrol.apiserver.k8s.io/v1 *flowschemas FlowSchema', 'cluster basics'],
    ['v1 serviceaccounts ServiceAccount', 'accounts and limits'],
    ['rbac.authorization.k8s.io/v1 *clusterrolebindings ClusterRoleBinding', 'accounts and limits'],
    ['rbac.authorization.k8s.io/v1 rolebindings RoleBinding', 'configuration'],
    ['v1 secrets Secret', 'configuration'],
    ['apps/v1 deployments Deployment', 'workloads'],
    ['networking.k8s.io/v1 ingresses Ingress', 'workloads'],
    ['example.com/v1 widgets Widget', 'custom resources'],
    ['example.com/v1 *clusterwidgets ClusterWidget', 'custom resources'],
    ['example.com/v1 services Service', 'custom resources'],
    ['v1 resourcequotas ResourceQuota', 'quotas'],
    [
      'admissionregistration.k8s.io/v1 *validatingwebhookconfigurations ValidatingWebhookConfiguration',
      'admission and API services',
    ],
    ['apiregistration.k8s.io/v1 *apiservices APIService', 'admission and API services'],
  ])('%s: %s', (kind, name) => {
    expect(wave(kind)).toBe(name);
  });

  test('classes that a CRD defines come early, unless that CRD comes along: a release may be what brings it', () => {
    const kind = 'gateway.networking.k8s.io/v1 *gatewayclasses GatewayClass';
    expect(wave(kind)).toBe('cluster basics');
    expect(wave(kind, true)).toBe('custom resources');
  });

  test('Helm releases find configuration, and come before all that they may serve', () => {
    expect(WAVES[FIRST_WAVE_AFTER_RELEASES - 1]?.name).toBe('configuration');
    expect(WAVES[FIRST_WAVE_AFTER_RELEASES]?.name).toBe('workloads');
  });
});
