import type { KubeObject } from '../../src/cluster/cluster.ts';
import { type Context, inNamespace } from './context.ts';
import { ANNOTATIONS, maps, namespaceOf, ownedBy, PATHS, pathIn, text } from './objects.ts';

export interface PodOptions {
  readonly namespace: string;
  readonly name: string;
  readonly owner: KubeObject;
  readonly labels?: Readonly<Record<string, string>>;
  readonly claims?: readonly string[];
  /** Does not start while that is not there. */
  readonly isPending?: boolean;
  /** The node it is put on without a scheduler. */
  readonly node?: string | undefined;
  readonly port?: number;
}

/** Creates a pod that the test bed's kubelet runs: of its program nothing but its phases. */
export async function createPod(context: Context, options: PodOptions): Promise<void> {
  const { namespace, name, owner, labels = {}, claims = [], isPending, node, port } = options;
  await context.kube.create(pathIn(PATHS.pods, namespace), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels,
      ...(isPending ? { annotations: { [ANNOTATIONS.outcome]: 'pending' } } : {}),
      ...ownedBy(owner),
    },
    spec: {
      ...(node === undefined ? {} : { nodeName: node }),
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'main',
          image: 'stand-in',
          ...(port === undefined ? {} : { ports: [{ containerPort: port }] }),
        },
      ],
      volumes: claims.map((claimName, place) => ({ name: `claim-${place}`, persistentVolumeClaim: { claimName } })),
    },
  });
}

export function isReady(pod: KubeObject): boolean {
  return maps(pod, 'status', 'conditions').some(({ type, status }) => type === 'Ready' && status === 'True');
}

export function phaseOf(object: KubeObject): string | undefined {
  return text(object, 'status', 'phase');
}

/** Pods that use a claim and have not ended. */
export function podsUsing(context: Context, claim: KubeObject): KubeObject[] {
  return inNamespace(context, PATHS.pods, namespaceOf(claim)).filter(
    (pod) =>
      !['Succeeded', 'Failed'].includes(phaseOf(pod) ?? '') &&
      maps(pod, 'spec', 'volumes').some(
        (volume) => text(volume, 'persistentVolumeClaim', 'claimName') === claim.metadata.name,
      ),
  );
}
