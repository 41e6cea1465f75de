import type { KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import type { SkipContext } from './conditions.ts';
import { groupOf } from './resource.ts';
import {
  covers,
  IN_EVERY_NAMESPACE,
  KEPT_KINDS,
  NEVER_RECREATED,
  SKIPPED_KINDS,
  SKIPPED_OBJECTS,
  type SkipRule,
} from './rule-table.ts';

export type { SkipContext } from './conditions.ts';
export type { StripContext } from './edits.ts';

/** @returns why no object of the kind is exported, going on from "it …"; undefined where they are */
export function isSkippedKind({ group, kind }: Pick<ResourceKind, 'group' | 'kind' | 'plural'>): string | undefined {
  return SKIPPED_KINDS.find((rule) => covers(rule, group, kind))?.why;
}

/**
 * Looks at an object as it was read from a cluster, with its status.
 *
 * @returns why this object of a kind that travels is not exported, going on from "it …"; undefined where it is
 */
export function whySkipped(object: KubeObject, context: SkipContext): string | undefined {
  return skipRulesOf(object).find(({ when }) => when(object, context))?.why;
}

const rulesByKind = new Map<string, readonly SkipRule[]>();

function skipRulesOf({ apiVersion, kind }: KubeObject): readonly SkipRule[] {
  const key = `${apiVersion}/${kind}`;
  let rules = rulesByKind.get(key);
  if (rules === undefined) {
    rules = SKIPPED_OBJECTS.filter(({ about }) => covers(about, groupOf(apiVersion), kind));
    rulesByKind.set(key, rules);
  }
  return rules;
}

/** Whether an object of the kind that the target has, and that differs, is left as it is. */
export function isKeptKind(group: string, kind: string): boolean {
  return KEPT_KINDS.some((kinds) => covers(kinds, group, kind));
}

/** Whether an object of the kind may be deleted to be created anew. */
export function isRecreatable(group: string, kind: string): boolean {
  return !NEVER_RECREATED.some((kinds) => covers(kinds, group, kind));
}

/** Whether controllers put the object into every new namespace, so that finding it there is no conflict. */
export function appearsByItself({ apiVersion, kind, metadata }: KubeObject): boolean {
  return IN_EVERY_NAMESPACE.some(
    (rule) => rule.names.includes(metadata.name) && covers(rule, groupOf(apiVersion), kind),
  );
}
