import { isMap, mapsIn, stringsIn } from '../values.ts';

/** One admission webhook: what the API server will not create without asking it. */
export interface Webhook {
  /** The name of its configuration. */
  readonly name: string;
  readonly rules: readonly WebhookRule[];
  /** Whether it is asked about objects in a namespace, as far as the namespace's name tells; '' is none. */
  readonly covers: (namespace: string) => boolean;
}

interface WebhookRule {
  readonly groups: readonly string[];
  readonly resources: readonly string[];
}

/** The webhooks in a parsed Mutating- or ValidatingWebhookConfiguration that are asked when something is created. */
export function readWebhooks(configuration: Readonly<Record<string, unknown>>, name: string): Webhook[] {
  return mapsIn(configuration.webhooks).flatMap((webhook) => {
    const rules = mapsIn(webhook.rules)
      .filter(({ operations }) => stringsIn(operations).some((operation) => /^(?:CREATE|UPDATE|\*)$/.test(operation)))
      .map((rule) => ({
        groups: stringsIn(rule.apiGroups),
        resources: stringsIn(rule.resources).filter((resource) => resource === '*/*' || !resource.includes('/')),
      }));
    return rules.length === 0 ? [] : [{ name, rules, covers: readSelector(webhook.namespaceSelector) }];
  });
}

/**
 * Whether a webhook is asked about the objects of a kind, or about those that controllers make of them.
 *
 * @param groupKind - such as `apps/Deployment`
 */
export function concerns(webhook: Webhook, groupKind: string): boolean {
  const slash = groupKind.indexOf('/');
  const own: readonly [string, string] = [groupKind.slice(0, slash), pluralOf(groupKind.slice(slash + 1))];
  return [own, ...(MADE_BY[groupKind] ?? [])].some(([group, resource]) =>
    webhook.rules.some(
      ({ groups, resources }) =>
        (groups.includes('*') || groups.includes(group)) &&
        resources.some((asked) => asked === '*' || asked === '*/*' || asked === resource),
    ),
  );
}

const PODS = ['', 'pods'] as const;
/** What the cluster's own controllers create for an object. */
const MADE_BY: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'apps/Deployment': [['apps', 'replicasets'], PODS],
  'apps/ReplicaSet': [PODS],
  'apps/StatefulSet': [PODS, ['', 'persistentvolumeclaims']],
  'apps/DaemonSet': [PODS],
  'batch/Job': [PODS],
  'batch/CronJob': [['batch', 'jobs'], PODS],
  '/ReplicationController': [PODS],
};

/** How CRDs and Kubernetes form the plural, near enough to compare: https://book.kubebuilder.io does it the same way. */
function pluralOf(kind: string): string {
  const name = kind.toLowerCase();
  if (name.endsWith('endpoints')) return name;
  if (/(?:s|x|z|ch|sh)$/.test(name)) return `${name}es`;
  return /[^aeiou]y$/.test(name) ? `${name.slice(0, -1)}ies` : `${name}s`;
}

/** Of a namespace's labels only the one with its name is known; what asks for others is taken to match. */
function readSelector(selector: unknown): (namespace: string) => boolean {
  if (!isMap(selector)) return () => true;
  const wanted = isMap(selector.matchLabels) ? selector.matchLabels[NAME_LABEL] : undefined;
  const expressions = mapsIn(selector.matchExpressions).filter(({ key }) => key === NAME_LABEL);
  return (namespace) => {
    // Objects without a namespace are always asked about.
    if (namespace === '') return true;
    if (wanted !== undefined && wanted !== namespace) return false;
    return expressions.every(({ operator, values }) => {
      const isIn = stringsIn(values).includes(namespace);
      return operator === 'In' ? isIn : operator === 'NotIn' ? !isIn : operator !== 'DoesNotExist';
    });
  };
}

const NAME_LABEL = 'kubernetes.io/metadata.name';
