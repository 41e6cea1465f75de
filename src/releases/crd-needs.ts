import { hash } from 'node:crypto';
import { isBuiltInGroup } from '../crds/built-in-groups.ts';
import type { CrdNeeds } from '../crds/needs.ts';
import { isMap } from '../values.ts';
import { objectsOf, parseTolerantly, readHeads, readKinds, splitManifest } from './manifest.ts';
import type { HelmRelease } from './record.ts';

/**
 * Adds what one revision uses. Helm stores no subchart's `crds/`, so an operator in a subchart is recognised by what it
 * asks for: the custom resources that its roles and webhooks name.
 */
export function noteCrdNeeds(needs: CrdNeeds, release: HelmRelease, running: boolean): void {
  noteManifest(needs, release.manifest ?? '', running);
  for (const hook of release.hooks ?? []) noteManifest(needs, hook.manifest, running);
  for (const { name, data } of release.chart?.files ?? []) {
    if (!/^crds\/.+\.(?:ya?ml|json)$/.test(name) || !data || !isNew(needs, data)) continue;
    for (const { text } of splitManifest(Buffer.from(data, 'base64').toString('utf8'))) noteCrds(needs, text);
  }
}

const RULE_KINDS = new Set(['Role', 'ClusterRole', 'MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration']);

function noteManifest(needs: CrdNeeds, manifest: string, running: boolean): void {
  // A text seen in an old revision counts again when the running one has it.
  if (!isNew(needs, manifest, running ? 'running' : '')) return;
  for (const { text } of splitManifest(manifest)) {
    for (const { apiVersion, kind } of readKinds(text)) {
      const slash = apiVersion.indexOf('/');
      const group = slash === -1 ? '' : apiVersion.slice(0, slash);
      if (isCrd(kind)) noteCrds(needs, text);
      else if (!isBuiltInGroup(group)) noteKind(needs, group, kind, running);
      else if (RULE_KINDS.has(kind) && mayNameCustomGroup(text) && isNew(needs, text)) noteRules(needs, text);
    }
  }
}

function noteCrds(needs: CrdNeeds, text: string): void {
  for (const { kind, name } of readHeads(text)) if (isCrd(kind)) needs.names.add(name);
}

function noteKind(needs: CrdNeeds, group: string, kind: string, running: boolean): void {
  const key = `${group}/${kind}`;
  const known = needs.kinds.get(key);
  if (known === undefined) needs.kinds.set(key, { group, kind, running });
  else known.running ||= running;
}

/** Looks for an item of a list that is a group not built in; spares most roles a YAML parser. */
function mayNameCustomGroup(text: string): boolean {
  for (const [, group = ''] of text.matchAll(/[-[,]\s*["']?([a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+)/g)) {
    if (!isBuiltInGroup(group)) return true;
  }
  return false;
}

function noteRules(needs: CrdNeeds, text: string): void {
  for (const object of objectsOf(parseTolerantly(text))) {
    const rules = [object, ...listOf(object.webhooks)].flatMap((owner) => listOf(owner.rules));
    for (const rule of rules) {
      for (const group of namesOf(rule.apiGroups)) {
        if (group === '*' || isBuiltInGroup(group)) continue;
        const resources = needs.resources.get(group) ?? new Set();
        needs.resources.set(group, resources);
        // `widgets/status` is of the resource `widgets`.
        for (const name of namesOf(rule.resources)) resources.add(name.split('/')[0] ?? name);
      }
    }
  }
}

function isCrd(kind: string): boolean {
  return kind === 'CustomResourceDefinition';
}

/** Whether a text is met for the first time; `as` tells apart what it is looked through for. */
function isNew({ seen }: CrdNeeds, text: string, as = ''): boolean {
  const digest = as + hash('sha1', text, 'base64');
  if (seen.has(digest)) return false;
  seen.add(digest);
  return true;
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isMap) : [];
}

function namesOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
