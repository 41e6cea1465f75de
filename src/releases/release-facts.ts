import { isMap } from '../values.ts';
import type { HelmRelease } from './helm-release.ts';
import { objectsOf, parseTolerantly, readHeads, splitManifest } from './manifest.ts';
import { readWebhooks, type Webhook } from './webhooks.ts';

/** What one release gives others and needs of them, as far as its manifest and hooks tell. Small: texts are not kept. */
export interface ReleaseFacts {
  /** CRD names by the kind they define, as `group/Kind`. */
  readonly crds: ReadonlyMap<string, string>;
  /** Names of the namespaces it creates. */
  readonly namespaces: ReadonlySet<string>;
  /** Classes it creates, as `StorageClass/fast`. */
  readonly classes: ReadonlySet<string>;
  /** APIs that a service of it serves, as `group/version`, each with its APIService's name. */
  readonly apis: ReadonlyMap<string, string>;
  readonly webhooks: readonly Webhook[];
  /** Kinds it has objects of, as `group/Kind`, each with the namespaces they are in; '' is none. */
  readonly usedKinds: ReadonlyMap<string, ReadonlySet<string>>;
  /** `group/version` of its objects. */
  readonly usedApis: ReadonlySet<string>;
  readonly usedNamespaces: ReadonlySet<string>;
  /** Classes that its objects name, as `StorageClass/fast`. */
  readonly usedClasses: ReadonlySet<string>;
}

/** The kinds others refer to by name, and the fields and annotations that do. */
const CLASS_FIELDS: Readonly<Record<string, string>> = {
  storageClassName: 'StorageClass',
  storageClass: 'StorageClass',
  'volume.beta.kubernetes.io/storage-class': 'StorageClass',
  ingressClassName: 'IngressClass',
  ingressClass: 'IngressClass',
  'kubernetes.io/ingress.class': 'IngressClass',
  priorityClassName: 'PriorityClass',
  runtimeClassName: 'RuntimeClass',
  gatewayClassName: 'GatewayClass',
  volumeSnapshotClassName: 'VolumeSnapshotClass',
  deviceClassName: 'DeviceClass',
};
const CLASS_KINDS = new Set(Object.values(CLASS_FIELDS));
/** A field that names a class, wherever it stands: taken for one in a text by mistake, it finds no class or a true one. */
const CLASS_FIELD = new RegExp(
  `(?:^|[\\s{,"'])(${Object.keys(CLASS_FIELDS).join('|').replaceAll('.', '\\.')})["']?:[ \\t]*["']?([a-z0-9][\\w.-]*)`,
  'gm',
);

/**
 * Reads what the graph needs to know of a release.
 *
 * @param namespace - where it will be installed
 */
export function readFacts(release: HelmRelease, namespace: string): ReleaseFacts {
  const webhooks: Webhook[] = [];
  const facts = {
    crds: new Map<string, string>(),
    namespaces: new Set<string>(),
    classes: new Set<string>(),
    apis: new Map<string, string>(),
    webhooks,
    usedKinds: new Map<string, Set<string>>(),
    usedApis: new Set<string>(),
    usedNamespaces: new Set([namespace]),
    usedClasses: new Set<string>(),
  };
  const texts = [
    ...splitManifest(release.manifest ?? '').map(({ text }) => text),
    ...(release.hooks ?? []).map(({ manifest }) => manifest),
  ];
  for (const text of texts) {
    for (const head of readHeads(text)) {
      const group = head.apiVersion.includes('/') ? head.apiVersion.slice(0, head.apiVersion.indexOf('/')) : '';
      const at = head.namespace ?? namespace;
      const places = facts.usedKinds.get(`${group}/${head.kind}`) ?? new Set();
      facts.usedKinds.set(`${group}/${head.kind}`, places.add(at));
      facts.usedApis.add(head.apiVersion);
      facts.usedNamespaces.add(at);
      if (head.kind === 'Namespace' && group === '') facts.namespaces.add(head.name);
      if (CLASS_KINDS.has(head.kind)) facts.classes.add(`${head.kind}/${head.name}`);
      if (PARSED_KINDS.has(head.kind)) addParsed(facts, text);
    }
    for (const [, field = '', name] of text.matchAll(CLASS_FIELD))
      facts.usedClasses.add(`${CLASS_FIELDS[field]}/${name}`);
  }
  for (const { name, data } of release.chart?.files ?? []) {
    if (!/^crds\/.+\.(?:ya?ml|json)$/.test(name) || !data) continue;
    for (const { text } of splitManifest(Buffer.from(data, 'base64').toString('utf8'))) {
      if (text.includes('CustomResourceDefinition')) addParsed(facts, text);
    }
  }
  return facts;
}

const PARSED_KINDS = new Set([
  'CustomResourceDefinition',
  'APIService',
  'MutatingWebhookConfiguration',
  'ValidatingWebhookConfiguration',
]);

type Provided = { crds: Map<string, string>; apis: Map<string, string>; webhooks: Webhook[] };

function addParsed({ crds, apis, webhooks }: Provided, text: string): void {
  for (const object of objectsOf(parseTolerantly(text))) {
    const { kind, spec, metadata } = object;
    const name = isMap(metadata) ? String(metadata.name) : '';
    if (kind === 'CustomResourceDefinition' && isMap(spec) && isMap(spec.names)) {
      crds.set(`${spec.group}/${spec.names.kind}`, name);
    } else if (kind === 'APIService' && isMap(spec) && isMap(spec.service)) {
      apis.set(`${spec.group}/${spec.version}`, name);
    } else if (typeof kind === 'string' && kind.endsWith('WebhookConfiguration')) {
      webhooks.push(...readWebhooks(object, name));
    }
  }
}
