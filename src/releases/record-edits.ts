import { ENVIRONMENT_LABEL, type Environment } from '../environment/environment.ts';
import { type JsonEdit, spliceJson } from './json-splice.ts';
import type { ReleaseRecord } from './record.ts';

/** What {@link withManifests} puts in place of the stored texts. */
export interface ManifestEdits {
  readonly manifest?: string | undefined;
  /** New hook manifests by their place in the release's `hooks`. */
  readonly hooks?: ReadonlyMap<number, string> | undefined;
}

/** The record with another status, in its label and its payload alike: Helm looks it up by one and shows the other. */
export function withStatus(record: ReleaseRecord, status: string, description?: string): ReleaseRecord {
  const edits: JsonEdit[] = [{ path: ['info', 'status'], value: status }];
  if (description !== undefined) edits.push({ path: ['info', 'description'], value: description });
  return { ...record, status, labels: { ...record.labels, status }, json: spliceJson(record.json, edits) };
}

/** The record in another namespace: the object and what the payload says of itself, but not the manifests. */
export function withNamespace(record: ReleaseRecord, namespace: string): ReleaseRecord {
  return { ...record, namespace, json: spliceJson(record.json, [{ path: ['namespace'], value: namespace }]) };
}

/** The record with other texts for its manifest and some of its hooks. */
export function withManifests(record: ReleaseRecord, { manifest, hooks }: ManifestEdits): ReleaseRecord {
  const edits: JsonEdit[] = manifest === undefined ? [] : [{ path: ['manifest'], value: manifest }];
  for (const [index, text] of hooks ?? []) edits.push({ path: ['hooks', index, 'manifest'], value: text });
  return edits.length === 0 ? record : { ...record, json: spliceJson(record.json, edits) };
}

/** The record with the label of an environment, which Helm carries on from revision to revision as a user's. */
export function withEnvironment(record: ReleaseRecord, environment: Environment | undefined): ReleaseRecord {
  if (environment === undefined) return record;
  return { ...record, labels: { ...record.labels, [ENVIRONMENT_LABEL]: environment.name } };
}

/** The record without Helm 4's `apply_method`: what a Helm 3 takes over, it applies client-side. */
export function withoutApplyMethod(record: ReleaseRecord): ReleaseRecord {
  return { ...record, json: spliceJson(record.json, [{ path: ['apply_method'], remove: true }]) };
}
