import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { StripContext } from '../../../src/resources/rules.ts';
import { stripObject } from '../../../src/resources/strip.ts';

const nothing: StripContext = { keepStatus: () => false, hasVolume: () => false };

const mounts = [
  { name: 'kube-api-access-x7k2p', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
  { name: 'data', mountPath: '/data' },
];
const projected = { sources: [{ serviceAccountToken: { expirationSeconds: 3607, path: 'token' } }] };

function pod(spec: Record<string, unknown>): KubeObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'tool', namespace: 'shop' }, spec };
}

describe('a Pod', () => {
  it('loses the projected token volume and its mounts in every container', () => {
    const given = pod({
      serviceAccountName: 'web',
      initContainers: [{ name: 'init', volumeMounts: mounts.slice(0, 1) }],
      containers: [{ name: 'web', volumeMounts: mounts }],
      volumes: [
        { name: 'data', emptyDir: {} },
        { name: 'kube-api-access-x7k2p', projected },
      ],
    });
    expect(stripObject(given, nothing)).toStrictEqual(
      pod({
        serviceAccountName: 'web',
        initContainers: [{ name: 'init' }],
        containers: [{ name: 'web', volumeMounts: mounts.slice(1) }],
        volumes: [{ name: 'data', emptyDir: {} }],
      }),
    );
  });

  it('loses the Secret volume of its token that servers before 1.21 mounted, and the list with its last volume', () => {
    const given = pod({
      containers: [{ name: 'web', volumeMounts: [{ name: 'default-token-bcd45', mountPath: '/t' }] }],
      volumes: [{ name: 'default-token-bcd45', secret: { secretName: 'default-token-bcd45' } }],
    });
    expect(stripObject(given, nothing)).toStrictEqual(pod({ containers: [{ name: 'web' }] }));
  });

  it('keeps a volume of its own with a similar name', () => {
    const given = pod({
      containers: [{ name: 'web', volumeMounts: [{ name: 'web-token-bcd45', mountPath: '/t' }] }],
      volumes: [{ name: 'web-token-bcd45', secret: { secretName: 'mine' } }],
    });
    expect(stripObject(given, nothing)).toStrictEqual(
      pod({
        containers: [{ name: 'web', volumeMounts: [{ name: 'web-token-bcd45', mountPath: '/t' }] }],
        volumes: [{ name: 'web-token-bcd45', secret: { secretName: 'mine' } }],
      }),
    );
  });

  it('loses the tolerations that every Pod gets and keeps those with another time', () => {
    const given = pod({
      tolerations: [
        { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
        { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 },
      ],
    });
    expect(stripObject(given, nothing)).toStrictEqual(
      pod({
        tolerations: [
          { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 },
        ],
      }),
    );
  });

  it('loses the pull secret of its service account', () => {
    const given = pod({ imagePullSecrets: [{ name: 'default-dockercfg-x7k2p' }] });
    expect(stripObject(given, nothing)).toStrictEqual(pod({}));
  });
});
