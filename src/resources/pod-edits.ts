import type { KubeObject } from '../cluster/cluster.ts';
import { isMap, mapsIn } from '../values.ts';
import { isGeneratedName } from './conditions.ts';
import { dropItems, isAccountSecret } from './edits.ts';

const NODE_TAINTS = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];

/** Drops from a Pod what admission put in when it was created, and what points at a Secret that does not travel. */
export function dropPodAdditions({ spec }: KubeObject): void {
  if (isMap(spec)) {
    const account = typeof spec.serviceAccountName === 'string' ? spec.serviceAccountName : 'default';
    dropTokenVolumes(spec, account);
    dropItems(spec, 'imagePullSecrets', (secret) => isAccountSecret(secret.name, account));
    // https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#defaulttolerationseconds
    dropItems(
      spec,
      'tolerations',
      ({ key, operator, effect, tolerationSeconds }) =>
        NODE_TAINTS.some((taint) => taint === key) &&
        operator === 'Exists' &&
        effect === 'NoExecute' &&
        tolerationSeconds === 300,
    );
  }
}

/**
 * The volume a Pod reads its token from, projected since Kubernetes 1.21 and a Secret before:
 * https://github.com/kubernetes/kubernetes/blob/v1.35.4/plugin/pkg/admission/serviceaccount/admission.go
 */
function dropTokenVolumes(spec: Record<string, unknown>, account: string): void {
  const dropped = new Set<unknown>();
  for (const { name, projected, secret } of mapsIn(spec.volumes)) {
    const isProjected =
      typeof name === 'string' &&
      isGeneratedName(name, 'kube-api-access-') &&
      isMap(projected) &&
      mapsIn(projected.sources).some((source) => source.serviceAccountToken !== undefined);
    const isSecret = isMap(secret) && secret.secretName === name && isAccountSecret(name, account);
    if (isProjected || isSecret) {
      dropped.add(name);
    }
  }
  if (dropped.size > 0) {
    dropItems(spec, 'volumes', (volume) => dropped.has(volume.name));
    for (const container of [...mapsIn(spec.containers), ...mapsIn(spec.initContainers)]) {
      dropItems(container, 'volumeMounts', (mount) => dropped.has(mount.name));
    }
  }
}
