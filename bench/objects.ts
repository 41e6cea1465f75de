import type { KubeObject } from '../src/cluster/cluster.ts';
import { type AppContext, kindsOfApp } from './objects-of-app.ts';
import { createRandom } from './prose.ts';

const MANAGED_BY = 'app.kubernetes.io/managed-by';
const BENCH = 'transship-bench';

/** Controllers give what they make for a Service or its Endpoints the labels of these, and one of their own. */
const MADE_BY_CONTROLLER = ['endpoints.kubernetes.io/managed-by', 'endpointslice.kubernetes.io/managed-by'];

/** Selects what the bench made. */
export const BENCH_SELECTOR = [`${MANAGED_BY}=${BENCH}`, ...MADE_BY_CONTROLLER.map((label) => `!${label}`)].join();

/** An object and the collection it is created in. */
export interface Creation {
  /** Path of the collection on the server. */
  readonly path: string;
  readonly object: KubeObject;
}

const NAMESPACES = 40;
/** Above 1, so that some namespaces have many times more than others. */
const UNEVENNESS = 1.4;
/** Every third object carries what `kubectl apply` leaves. */
const APPLIED = 3;

/** What must be there before anything else can be created: namespaces, and the definitions of the custom resources. */
export function makeBasics(): Creation[] {
  const namespaces = Array.from({ length: NAMESPACES }, (_, index) => ({
    path: '/api/v1/namespaces',
    object: label({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespaceOf(index) } }),
  }));
  const text = { type: 'string' };
  const list = { type: 'array', items: text };
  return [
    ...namespaces,
    definition('Certificate', { secretName: text, dnsNames: list, issuer: text, duration: text, usages: list }),
    definition('Backend', {
      upstream: text,
      retries: { type: 'integer' },
      notes: text,
      routes: { type: 'array', items: { type: 'object', properties: { path: text, target: text, methods: list } } },
    }),
  ];
}

/**
 * So many objects of two dozen kinds, as applications have them; always the same. Nothing of it runs a pod, so that a
 * cluster comes to rest.
 */
export function* makeObjects(wanted: number): Generator<Creation> {
  const random = createRandom(4);
  let made = 0;
  for (let index = 0; ; index++) {
    const namespace = namespaceOf(Math.floor(random() ** UNEVENNESS * NAMESPACES));
    const context: AppContext = { index, app: `app-${index}`, namespace };
    for (const [count, { path, object }] of kindsOfApp(context).entries()) {
      if (made++ === wanted) return;
      const labelled = label(object, context.app);
      if ((index + count) % APPLIED === 0) addLastApplied(labelled);
      yield { path, object: labelled };
    }
  }
}

/** Whether the bench made it, and not the cluster by itself. */
export function isOfBench({ metadata: { labels = {} } }: KubeObject): boolean {
  return labels[MANAGED_BY] === BENCH && MADE_BY_CONTROLLER.every((label) => labels[label] === undefined);
}

function namespaceOf(index: number): string {
  return `team-${index}`;
}

function label(object: KubeObject, app?: string): KubeObject {
  const ofApp = app === undefined ? {} : labelsOfApp(app);
  object.metadata.labels = { [MANAGED_BY]: BENCH, ...ofApp, ...object.metadata.labels };
  return object;
}

function labelsOfApp(app: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': app,
    'app.kubernetes.io/instance': `${app}-production`,
    'app.kubernetes.io/version': '1.14.2',
    'app.kubernetes.io/part-of': 'storefront',
  };
}

function addLastApplied(object: KubeObject): void {
  const applied = `${JSON.stringify(object)}\n`;
  const annotation = { 'kubectl.kubernetes.io/last-applied-configuration': applied };
  object.metadata.annotations = { ...object.metadata.annotations, ...annotation };
}

function definition(kind: string, spec: object): Creation {
  const singular = kind.toLowerCase();
  const group = 'bench.example.com';
  const schema = {
    openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: spec } } },
  };
  return {
    path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    object: label({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `${singular}s.${group}` },
      spec: {
        group,
        scope: 'Namespaced',
        names: { kind, singular, plural: `${singular}s`, listKind: `${kind}List` },
        versions: [{ name: 'v1', served: true, storage: true, schema }],
      },
    }),
  };
}
