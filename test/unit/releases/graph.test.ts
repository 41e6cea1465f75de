import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildGraph, type Graph } from '../../../src/releases/graph.ts';
import { readFacts } from '../../../src/releases/release-facts.ts';

interface Sketch {
  readonly documents?: readonly string[];
  readonly hooks?: readonly string[];
  readonly crds?: string;
  readonly namespace?: string;
  readonly first?: string;
}

/** The graph of releases that are sketched by the documents of their manifests. */
function graphOf(sketches: Readonly<Record<string, Sketch>>): Graph {
  return buildGraph(
    Object.entries(sketches).map(([key, { documents = [], hooks = [], crds, namespace = 'apps', first }]) => ({
      key,
      title: key,
      firstDeployed: first,
      facts: readFacts(
        {
          name: key,
          version: 1,
          info: {},
          manifest: documents.join('\n---\n'),
          hooks: hooks.map((manifest, index) => ({ name: `${index}`, path: 'x', manifest })),
          chart: { files: crds === undefined ? [] : [{ name: 'crds/x.yaml', data: btoa(crds) }] },
        },
        namespace,
      ),
    })),
  );
}

function reasonsOf(sketches: Readonly<Record<string, Sketch>>): string[] {
  return graphOf(sketches).edges.map(({ reason }) => reason);
}

const object = (apiVersion: string, kind: string, rest = '', namespace?: string): string =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata:\n  name: x\n${namespace === undefined ? '' : `  namespace: ${namespace}\n`}${rest}`;
const CRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.com }
spec: { group: example.com, names: { kind: Widget, plural: widgets } }
`;
const WIDGET = object('example.com/v1', 'Widget');
const DEPLOYMENT = object('apps/v1', 'Deployment');

function webhook(rule: string, more = ''): string {
  return `apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: { name: inject }
webhooks:
- name: a.example.com
  rules: [{ operations: [CREATE], ${rule} }]
${more}`;
}
const PODS = 'apiGroups: [""], apiVersions: [v1], resources: [pods]';

describe('buildGraph', () => {
  it('lets a release wait for the one whose manifest or crds folder has the CRD of its kinds', () => {
    expect(reasonsOf({ b: { documents: [WIDGET] }, a: { documents: [CRD] } })).toEqual([
      'b waits for a: CRD widgets.example.com',
    ]);
    expect(reasonsOf({ b: { hooks: [WIDGET] }, a: { crds: CRD } })).toEqual(['b waits for a: CRD widgets.example.com']);
  });

  it('takes no kind of another group for the CRD’s', () => {
    expect(reasonsOf({ b: { documents: [object('example.org/v1', 'Widget')] }, a: { documents: [CRD] } })).toEqual([]);
  });

  it('lets nothing wait for what it brings itself', () => {
    expect(reasonsOf({ b: { documents: [WIDGET, CRD] }, a: { documents: [CRD, WIDGET] } })).toEqual([]);
  });

  it('lets a release wait for the one that creates its namespace, or one that its objects are in', () => {
    const documents = [`apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team\n`];
    const config = object('v1', 'ConfigMap', '', 'team');
    expect(reasonsOf({ b: { namespace: 'team' }, a: { documents }, c: { documents: [config] } })).toEqual([
      'b waits for a: Namespace team',
      'c waits for a: Namespace team',
    ]);
  });

  it.each([
    ['StorageClass', 'storage.k8s.io/v1', object('v1', 'PersistentVolumeClaim', 'spec: { storageClassName: x }\n')],
    [
      'StorageClass',
      'storage.k8s.io/v1',
      object('db.example.com/v1', 'Db', 'spec:\n  storage:\n    storageClass: "x"\n'),
    ],
    [
      'IngressClass',
      'networking.k8s.io/v1',
      object('networking.k8s.io/v1', 'Ingress', 'spec:\n  ingressClassName: x # y\n'),
    ],
    ['PriorityClass', 'scheduling.k8s.io/v1', object('v1', 'Pod', 'spec:\n  priorityClassName: x\n')],
    ['RuntimeClass', 'node.k8s.io/v1', object('v1', 'Pod', 'spec: {"runtimeClassName": "x"}\n')],
    ['GatewayClass', 'gateway.networking.k8s.io/v1', object('g/v1', 'Gateway', 'spec:\n  gatewayClassName: x\n')],
  ])('lets a release wait for the %s that it names', (kind, apiVersion, user) => {
    const documents = [`apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata:\n  name: x\n`];
    expect(reasonsOf({ b: { documents: [user] }, a: { documents } })).toEqual([`b waits for a: ${kind} x`]);
    expect(reasonsOf({ b: { documents: [user.replaceAll(/: "?x\b/g, ': y')] }, a: { documents } })).toEqual([]);
  });

  it('lets a release wait for the API service of its objects, but not for one that the API server serves itself', () => {
    const service = (spec: string): string =>
      `apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata:\n  name: v1.agg.example.com\nspec: ${spec}\n`;
    const b = { documents: [object('agg.example.com/v1', 'Thing')] };
    const served = service('{ group: agg.example.com, version: v1, service: { name: s, namespace: n } }');
    expect(reasonsOf({ b, a: { documents: [served] } })).toEqual(['b waits for a: APIService v1.agg.example.com']);
    expect(reasonsOf({ b, a: { documents: [service('{ group: agg.example.com, version: v1 }')] } })).toEqual([]);
  });

  it('lets a release wait for a webhook that its objects, or the pods made of them, go through', () => {
    const a = { documents: [webhook(PODS)] };
    expect(reasonsOf({ a, b: { documents: [DEPLOYMENT] }, c: { documents: [object('v1', 'ConfigMap')] } })).toEqual([
      'b waits for a: webhook inject for Deployment',
    ]);
    const policies = webhook(
      'apiGroups: [networking.k8s.io], apiVersions: ["*"], resources: ["networkpolicies/*", networkpolicies]',
    );
    const b = { documents: [object('networking.k8s.io/v1', 'NetworkPolicy')] };
    expect(reasonsOf({ a: { documents: [policies] }, b })).toEqual(['b waits for a: webhook inject for NetworkPolicy']);
  });

  it('lets nothing wait for a webhook that is not asked when something is created, or not in that namespace', () => {
    const b = { documents: [DEPLOYMENT], namespace: 'apps' };
    const named = (operator: string): string =>
      `  namespaceSelector: { matchExpressions: [{ key: kubernetes.io/metadata.name, operator: ${operator}, values: [apps] }] }\n`;
    const other = '  namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: other } }\n';
    const opted = '  namespaceSelector: { matchLabels: { inject: enabled } }\n';
    const withSelector = (selector: string) => reasonsOf({ b, a: { documents: [webhook(PODS, selector)] } }).length;
    expect([named('NotIn'), other, named('In'), opted].map(withSelector)).toEqual([0, 0, 1, 1]);
    const deleting = webhook(PODS).replace('CREATE', 'DELETE');
    expect(reasonsOf({ b, a: { documents: [deleting] } })).toEqual([]);
    const status = webhook('apiGroups: ["*"], apiVersions: ["*"], resources: [pods/exec, deployments/status]');
    expect(reasonsOf({ b, a: { documents: [status] } })).toEqual([]);
  });

  it('says which providers have to be up and not only installed', () => {
    const { edges } = graphOf({
      a: { documents: [CRD] },
      b: { documents: [object('v1', 'Namespace').replace('name: x', 'name: team')] },
      c: { documents: [WIDGET], namespace: 'team' },
    });
    expect(edges.map(({ provider, needsReady }) => [provider, needsReady])).toEqual([
      ['a', true],
      ['b', false],
    ]);
  });

  it('makes one edge of two releases, whatever they share', () => {
    const documents = [CRD, webhook(PODS)];
    expect(reasonsOf({ a: { documents }, b: { documents: [WIDGET, DEPLOYMENT] } })).toHaveLength(1);
  });

  it('orders releases by their first deployment, then by key', () => {
    const { order } = graphOf({
      late: { first: '2026-01-02T00:00:00+02:00' },
      early: { first: '2026-01-01T21:00:00.123456789Z' },
      b: {},
      a: {},
    });
    expect(order).toEqual(['a', 'b', 'early', 'late']);
  });

  it('breaks a cycle in favour of what was deployed first, and leaves the edges around it', () => {
    const first = (day: number): string => `2026-01-0${day}T00:00:00Z`;
    const { edges, dropped } = graphOf({
      mesh: { documents: [webhook(PODS), DEPLOYMENT], first: first(2) },
      policy: { documents: [webhook(PODS), DEPLOYMENT, CRD], first: first(1) },
      app: { documents: [DEPLOYMENT], first: first(1) },
      base: {
        documents: [object('v1', 'Namespace').replace('name: x', 'name: apps')],
        first: first(3),
        namespace: 'kube-system',
      },
    });
    expect(edges.map(({ waiter, provider }) => `${waiter}>${provider}`).sort()).toEqual([
      'app>base',
      'app>mesh',
      'app>policy',
      'mesh>base',
      'mesh>policy',
      'policy>base',
    ]);
    expect(dropped.map(({ reason }) => reason)).toEqual(['policy waits for mesh: webhook inject for Deployment']);
  });

  it('never leaves a cycle, and drops nothing without one', () => {
    const pair = fc.tuple(fc.nat(7), fc.nat(7));
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 24 }), (pairs) => {
        const sketches = Object.fromEntries(
          Array.from({ length: 8 }, (_, index) => {
            const users = pairs.filter(([user, provider]) => user === index && provider !== index);
            const namespaces = `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: n${index}\n`;
            const used = users.map(([, provider]) => object('v1', 'ConfigMap', '', `n${provider}`));
            return [`r${index}`, { documents: [namespaces, ...used], namespace: `own${index}` }];
          }),
        );
        const { order, edges, dropped } = graphOf(sketches);
        const wanted = new Set(pairs.filter(([a, b]) => a !== b).map(([a, b]) => `r${a}>r${b}`));
        const all = [...edges, ...dropped].map(({ waiter, provider }) => `${waiter}>${provider}`);
        expect(new Set(all)).toEqual(wanted);
        // Every node can be taken off, one whose providers are gone after the other.
        const done = new Set<string>();
        for (let round = 0; round < order.length; round++) {
          const free = order.find(
            (key) => !done.has(key) && edges.every((e) => e.waiter !== key || done.has(e.provider)),
          );
          expect(free).toBeDefined();
          done.add(free ?? '');
        }
        for (const { waiter, provider } of dropped) expect(reaches(edges.concat(dropped), provider, waiter)).toBe(true);
      }),
    );
  });

  it('finds the cycles of a long chain', () => {
    const names = Array.from({ length: 300 }, (_, index) => String(index).padStart(4, '0'));
    const sketches = Object.fromEntries(
      names.map((name, index) => {
        const documents = [
          `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: n${name}\n`,
          object('v1', 'ConfigMap', '', `n${names[(index + 1) % names.length]}`),
        ];
        return [name, { documents, namespace: 'none' }];
      }),
    );
    const { edges, dropped } = graphOf(sketches);
    expect(edges.map(({ waiter, provider }) => [waiter, provider])).toEqual([['0299', '0000']]);
    expect(dropped).toHaveLength(299);
  });
});

function reaches(edges: readonly { waiter: string; provider: string }[], from: string, to: string): boolean {
  const seen = new Set([from]);
  for (const key of seen) {
    for (const { waiter, provider } of edges) if (waiter === key) seen.add(provider);
  }
  return seen.has(to);
}
