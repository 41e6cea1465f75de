import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { createTransforms, type TransformInputs } from '../../../src/transforms/create-transforms.ts';
import type { Transforms } from '../../../src/transforms/transforms.ts';

const NOTHING: TransformInputs = { namespaceMap: {}, storageClassMap: {}, imageMap: {}, replaceText: {} };

/** Transforms of some inputs, the others empty. */
export function transformsOf(inputs: Partial<TransformInputs>): Promise<Transforms> {
  return createTransforms({ ...NOTHING, ...inputs });
}

/** Transforms of a file with these items under `transforms:`. */
export function transformsOfFile(items: string): Promise<Transforms> {
  return transformsOf({ file: { path: 'transforms.yaml', text: `version: 1\ntransforms:\n${items}` } });
}

/** A Deployment of one container. */
export function deployment(name = 'web', spec: Record<string, unknown> = {}): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'stage', labels: { app: name } },
    spec: {
      replicas: 1,
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'app', image: 'registry.stage.example/shop/web:1.2' }], ...spec },
      },
    },
  };
}

export function configMap(name: string, data: Record<string, string>): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'stage' }, data };
}
