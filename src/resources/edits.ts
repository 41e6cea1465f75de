import type { KubeObject } from '../cluster/cluster.ts';
import { isMap, mapsIn } from '../values.ts';
import { isGeneratedName, TOKEN_TYPE } from './conditions.ts';
import { groupOf } from './resource.ts';

/** What stripping depends on besides the object. */
export interface StripContext {
  /** Whether the status of these kinds is to be kept. */
  keepStatus(kind: string, group: string): boolean;
  /** Whether the PersistentVolume of that name travels too. */
  hasVolume(name: string): boolean;
}

/** A change to an object in place; sees all it had when it was read. */
export type Edit = (object: KubeObject, context: StripContext) => void;

/** Drops a map that stripping has emptied. */
export function dropIfEmpty(holder: Record<string, unknown>, field: string): void {
  const value = holder[field];
  if (isMap(value) && Object.keys(value).length === 0) {
    delete holder[field];
  }
}

/** Drops those items of a list; the list with its last one. */
export function dropItems(
  holder: Record<string, unknown>,
  field: string,
  isDropped: (item: Record<string, unknown>) => boolean,
): void {
  const list = holder[field];
  if (Array.isArray(list) && list.length > 0) {
    const left = list.filter((item: unknown) => !isMap(item) || !isDropped(item));
    if (left.length === 0) {
      delete holder[field];
    } else if (left.length < list.length) {
      holder[field] = left;
    }
  }
}

/** Drops the status, unless it was asked for. */
export function dropStatus(object: KubeObject, context: StripContext): void {
  if (object.status !== undefined && !context.keepStatus(object.kind, groupOf(object.apiVersion))) {
    delete object.status;
  }
}

/** Drops `creationTimestamp: null` where servers before 1.34 print it: in the metadata of what an object makes others from. */
export function dropTemplateTimestamps(object: KubeObject): void {
  dropTimestamp(object.template);
  if (isMap(object.spec)) {
    const { template, jobTemplate, volumeClaimTemplates } = object.spec;
    dropTimestamp(object.spec);
    dropTimestamp(template);
    dropTimestamp(jobTemplate);
    if (isMap(jobTemplate) && isMap(jobTemplate.spec)) {
      dropTimestamp(jobTemplate.spec.template);
    }
    if (volumeClaimTemplates !== undefined) {
      mapsIn(volumeClaimTemplates).forEach(dropTimestamp);
    }
  }
}

function dropTimestamp(template: unknown): void {
  if (isMap(template) && isMap(template.metadata) && template.metadata.creationTimestamp === null) {
    delete template.metadata.creationTimestamp;
  }
}

/** Drops the finalizers that the server gives every namespace, and the spec that held nothing else. */
export function dropNamespaceFinalizers(namespace: KubeObject): void {
  if (isMap(namespace.spec)) {
    delete namespace.spec.finalizers;
    dropIfEmpty(namespace, 'spec');
  }
}

const UID_LABELS = ['controller-uid', 'batch.kubernetes.io/controller-uid'];
const NAME_LABELS = ['job-name', 'batch.kubernetes.io/job-name'];

/**
 * Drops the selector the server made of the Job's uid, with the labels it gave the template. A Job without labels of its
 * own shows the template's: https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/registry/batch/job/strategy.go
 */
export function dropJobSelector({ metadata, spec }: KubeObject): void {
  if (isMap(spec) && spec.manualSelector !== true) {
    delete spec.selector;
    if (isMap(spec.template) && isMap(spec.template.metadata)) {
      dropLabels(spec.template.metadata, [...UID_LABELS, ...NAME_LABELS]);
    }
    if (UID_LABELS.some((key) => metadata.labels?.[key] !== undefined)) {
      dropLabels(metadata, [...UID_LABELS, ...NAME_LABELS]);
    }
  }
}

function dropLabels(metadata: Record<string, unknown>, keys: readonly string[]): void {
  if (isMap(metadata.labels)) {
    for (const key of keys) {
      delete metadata.labels[key];
    }
    dropIfEmpty(metadata, 'labels');
  }
}

const TOKEN_KEYS = ['token', 'ca.crt', 'namespace', 'service-ca.crt'];

/** Drops what the token controller fills in: https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets */
export function dropTokenData(secret: KubeObject): void {
  if (secret.type === TOKEN_TYPE && isMap(secret.data)) {
    for (const key of TOKEN_KEYS) {
      delete secret.data[key];
    }
    dropIfEmpty(secret, 'data');
  }
}

/** Drops a ServiceAccount's references to the Secrets that the control plane made for it. */
export function dropAccountSecrets(account: KubeObject): void {
  const { name } = account.metadata;
  dropItems(account, 'secrets', (secret) => isAccountSecret(secret.name, name));
  dropItems(account, 'imagePullSecrets', (secret) => isAccountSecret(secret.name, name));
}

/** Whether a Secret of that name is one that the control plane made for that service account. */
export function isAccountSecret(secret: unknown, account: string): boolean {
  return (
    typeof secret === 'string' &&
    (isGeneratedName(secret, `${account}-token-`) || isGeneratedName(secret, `${account}-dockercfg-`))
  );
}

/** Drops the name of a volume that does not travel, so that the target makes or finds one. */
export function dropVolumeName({ spec }: KubeObject, context: StripContext): void {
  if (isMap(spec) && typeof spec.volumeName === 'string' && !context.hasVolume(spec.volumeName)) {
    delete spec.volumeName;
  }
}

/** Drops the rules that the control plane gathers from other ClusterRoles. */
export function dropAggregatedRules(role: KubeObject): void {
  if (isMap(role.aggregationRule)) {
    delete role.rules;
  }
}
