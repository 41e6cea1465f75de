import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  describeNamespaceWarning,
  mapNamespaces,
  mapObjectNamespaces,
  namespaceMapOf,
  type ScopeOf,
} from '../../../src/transforms/namespace-map.ts';

const MAP = namespaceMapOf({ stage: 'prod', infra: 'base' });

function mapped(text: string): string {
  return mapNamespaces(text, MAP).text;
}

/** What is still found of the old namespaces: object, path and text. */
function warned(text: string, scopeOf?: ScopeOf): string[] {
  return mapNamespaces(text, MAP, scopeOf).warnings.map(
    (warning) => `${warning.object} ${warning.path}: ${warning.text}`,
  );
}

/** Maps the text and tells which lines changed, as `old -> new` without the white space around them. */
function changes(text: string): string[] {
  const after = mapped(text).split('\n');
  return text
    .split('\n')
    .flatMap((line, index) => (line === after[index] ? [] : [`${line.trim()} -> ${after[index]?.trim()}`]));
}

const head = (apiVersion: string, kind: string): string =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata:\n  name: x\n`;

describe('namespaceMapOf', () => {
  it('leaves out namespaces that stay', () => {
    expect([...namespaceMapOf({ a: 'b', c: 'c' })]).toEqual([['a', 'b']]);
  });
});

describe('mapNamespaces', () => {
  it('rewrites metadata.namespace and keeps every other byte', () => {
    const text = `# Source: stage/x.yaml\r\napiVersion: v1   # v1\r\nkind:   ConfigMap\r\nmetadata:\r\n  # stage\r\n  namespace:   "stage"  # here\r\n  name: 'stage'\r\n  labels: {a: stage, b: "x"}\r\n\r\n`;
    expect(mapped(text)).toBe(text.replace('"stage"', '"prod"'));
  });

  it.each([
    ['stage', 'prod'],
    ["'stage'", "'prod'"],
    ['"stage"', '"prod"'],
    ['|-\n    stage\n', 'prod\n'],
    ['>-\n    stage\n', 'prod\n'],
    ['!!str stage', '!!str prod'],
    ['&ns stage', '&ns prod'],
  ])('writes the new name in the style of %j', (before, after) => {
    const text = (namespace: string): string =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: ${namespace}\n  name: x\n`;
    expect(mapped(text(before))).toBe(text(after));
  });

  it.each(['123', '1e3', '0x1f', 'true', 'no', 'null', 'y'])(
    'quotes the name %s, which YAML takes for no string',
    (name) => {
      const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: stage\n';
      const once = mapNamespaces(text, namespaceMapOf({ stage: name })).text;
      expect(once).toBe(text.replace('stage', `"${name}"`));
      const beside = `${text}data: { a: --namespace=stage }\n`;
      expect(mapNamespaces(beside, namespaceMapOf({ stage: name })).text).toBe(beside.replace('stage', `"${name}"`));
    },
  );

  it('does not give a namespace to a document without one', () => {
    expect(mapped(head('v1', 'ConfigMap'))).toBe(head('v1', 'ConfigMap'));
  });

  it('leaves namespaces that only start or end like a mapped one', () => {
    const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: stage-2\n  name: pre-stage\n';
    expect(mapped(text)).toBe(text);
  });

  it('maps all at once, so two namespaces can swap', () => {
    const text =
      '{"kind":"RoleBinding","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"namespace":"a"},"subjects":[{"namespace":"b"}]}';
    expect(mapNamespaces(text, namespaceMapOf({ a: 'b', b: 'a' })).text).toBe(
      '{"kind":"RoleBinding","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"namespace":"b"},"subjects":[{"namespace":"a"}]}',
    );
  });

  it.each([
    [
      'subjects of role bindings',
      `${head('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding')}subjects:
- kind: ServiceAccount
  name: stage
  namespace: stage
- { kind: User, name: "system:serviceaccount:stage:builder" }
- kind: Group
  name: system:serviceaccounts:infra
- kind: User
  name: stage
`,
      [
        'namespace: stage -> namespace: prod',
        '- { kind: User, name: "system:serviceaccount:stage:builder" } -> - { kind: User, name: "system:serviceaccount:prod:builder" }',
        'name: system:serviceaccounts:infra -> name: system:serviceaccounts:base',
      ],
    ],
    [
      'services of webhooks and their selectors',
      `${head('admissionregistration.k8s.io/v1', 'ValidatingWebhookConfiguration')}  annotations:
    cert-manager.io/inject-ca-from: stage/serving-cert
webhooks:
- name: stage.example.com
  clientConfig:
    service: { name: stage, namespace: stage, path: /stage }
  namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: infra
    matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values:
      - kube-system
      - stage
    - { key: tier, operator: In, values: [stage] }
`,
      [
        'cert-manager.io/inject-ca-from: stage/serving-cert -> cert-manager.io/inject-ca-from: prod/serving-cert',
        'service: { name: stage, namespace: stage, path: /stage } -> service: { name: stage, namespace: prod, path: /stage }',
        'kubernetes.io/metadata.name: infra -> kubernetes.io/metadata.name: base',
        '- stage -> - prod',
      ],
    ],
    [
      'the service of an API service',
      `${head('apiregistration.k8s.io/v1', 'APIService')}spec:\n  service:\n    name: stage\n    namespace: stage\n`,
      ['namespace: stage -> namespace: prod'],
    ],
    [
      'the conversion webhook of a CRD, and nothing of its schema',
      `${head('apiextensions.k8s.io/v1', 'CustomResourceDefinition')}spec:
  conversion:
    strategy: Webhook
    webhook:
      clientConfig:
        service:
          namespace: stage
  versions:
  - schema:
      default:
        stage: stage
`,
      ['namespace: stage -> namespace: prod'],
    ],
    [
      'a namespace itself',
      `apiVersion: v1\nkind: Namespace\nmetadata:\n  labels:\n    kubernetes.io/metadata.name: stage\n    tier: stage\n  name: stage\n`,
      ['kubernetes.io/metadata.name: stage -> kubernetes.io/metadata.name: prod', 'name: stage -> name: prod'],
    ],
    [
      'the claim and secrets of a volume, and nothing else of it',
      `${head('v1', 'PersistentVolume')}spec:
  claimRef:
    name: stage
    namespace: stage
  csi:
    driver: stage
    nodeStageSecretRef: { name: stage, namespace: infra }
`,
      [
        'namespace: stage -> namespace: prod',
        'nodeStageSecretRef: { name: stage, namespace: infra } -> nodeStageSecretRef: { name: stage, namespace: base }',
      ],
    ],
    [
      'secrets of a storage class',
      `${head('storage.k8s.io/v1', 'StorageClass')}parameters:\n  csi.storage.k8s.io/node-stage-secret-namespace: stage\n  pool: stage\n`,
      ['csi.storage.k8s.io/node-stage-secret-namespace: stage -> csi.storage.k8s.io/node-stage-secret-namespace: prod'],
    ],
    [
      'the peers of a network policy',
      `${head('networking.k8s.io/v1', 'NetworkPolicy')}spec:
  ingress:
  - from:
    - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: stage } }
      podSelector: { matchLabels: { app: stage } }
`,
      [
        '- namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: stage } } -> - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: prod } }',
      ],
    ],
    [
      'routes and grants of the Gateway API',
      `apiVersion: v1
kind: List
items:
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  spec:
    parentRefs: [{ name: gw, namespace: infra }]
    rules:
    - backendRefs: [{ name: stage, namespace: stage }]
- apiVersion: gateway.networking.k8s.io/v1beta1
  kind: ReferenceGrant
  metadata: { namespace: stage }
  spec:
    from: [{ kind: HTTPRoute, namespace: infra }]
`,
      [
        'parentRefs: [{ name: gw, namespace: infra }] -> parentRefs: [{ name: gw, namespace: base }]',
        '- backendRefs: [{ name: stage, namespace: stage }] -> - backendRefs: [{ name: stage, namespace: prod }]',
        'metadata: { namespace: stage } -> metadata: { namespace: prod }',
        'from: [{ kind: HTTPRoute, namespace: infra }] -> from: [{ kind: HTTPRoute, namespace: base }]',
      ],
    ],
    [
      'the namespaces of a service monitor and of pod affinity',
      `apiVersion: v1
kind: List
items:
- apiVersion: monitoring.coreos.com/v1
  kind: ServiceMonitor
  spec: { namespaceSelector: { matchNames: [stage, other] } }
- apiVersion: apps/v1
  kind: Deployment
  spec:
    template:
      metadata: { namespace: stage }
      spec:
        affinity:
          podAntiAffinity:
            preferredDuringSchedulingIgnoredDuringExecution:
            - podAffinityTerm:
                namespaces: [infra]
`,
      [
        'spec: { namespaceSelector: { matchNames: [stage, other] } } -> spec: { namespaceSelector: { matchNames: [prod, other] } }',
        'metadata: { namespace: stage } -> metadata: { namespace: prod }',
        'namespaces: [infra] -> namespaces: [base]',
      ],
    ],
    [
      'the items of a list that leave out their kind',
      `apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBindingList\nitems:\n- metadata: { name: x }\n  subjects:\n  - namespace: stage\n`,
      ['- namespace: stage -> - namespace: prod'],
    ],
  ])('rewrites %s', (_, text, expected) => {
    expect(changes(text)).toEqual(expected);
    const { warnings } = mapNamespaces(text, MAP);
    expect(warnings.filter(({ path }) => path !== 'webhooks[0].name')).toEqual([]);
  });

  it('follows aliases and merges, and changes an alias only where it names a namespace', () => {
    const text = `name: &n stage\nbase: &b { namespace: infra }\napiVersion: v1\nkind: X\nmetadata:\n  <<: *b\n  name: *n\nother: *n\nspec: { template: { metadata: { namespace: *n } } }\n`;
    expect(mapped(text)).toBe(
      text.replace('namespace: infra', 'namespace: base').replace('namespace: *n', 'namespace: prod'),
    );
  });

  it('takes the last of two equal keys, as Go does', () => {
    const text = 'apiVersion: v1\nkind: X\nmetadata: { namespace: other, namespace: stage }\n';
    expect(mapped(text)).toBe(text.replace('stage', 'prod'));
  });

  it('knows that a line of text is not a field', () => {
    const text =
      'apiVersion: v1\nkind: X\nmetadata:\n  annotations:\n    a: |\n      x\n  name: |\n    a\n    namespace: stage\n';
    expect(mapped(text)).toBe(text);
    const folded = 'apiVersion: v1\nkind: X\nmetadata:\n  name: "a\n  namespace: stage\n  b"\n';
    expect(mapped(folded)).toBe(folded);
  });

  it.each([
    ['args: [--watch-namespace=stage]', 'spec.args[0]: namespace=stage'],
    ['args: [--namespace, stage]', 'spec.args[1]: stage'],
    ['args: [-n, stage]', 'spec.args[1]: stage'],
    ['args: ["kubectl -n stage get pods"]', 'spec.args[0]: -n stage'],
    ['args: [--default-ssl-certificate=stage/tls]', 'spec.args[0]: stage/tls'],
    ['env: [{ name: WATCH_NAMESPACE, value: "a,stage" }]', 'spec.env[0].value: stage'],
    [
      'env: [{ name: URL, value: "postgres://u:secret@db.stage.svc.cluster.local:5432/x" }]',
      'spec.env[0].value: db.stage.svc.cluster.local',
    ],
    ['env: [{ name: URL, value: "http://api.stage/x" }]', 'spec.env[0].value: api.stage'],
    ['env: [{ name: URL, value: "api.stage:8080" }]', 'spec.env[0].value: api.stage:8080'],
    ['host: api.stage', 'spec.host: api.stage'],
    ['hosts: ["*.x.stage.svc"]', 'spec.hosts[0]: *.x.stage.svc'],
    ['targetNamespace: stage', 'spec.targetNamespace: stage'],
    ['query: sum(up{namespace=~"stage|x"})', 'spec.query: namespace=~"stage'],
    ['path: /api/v1/namespaces/stage/pods', 'spec.path: namespaces/stage'],
    ['user: system:serviceaccount:stage:x', 'spec.user: system:serviceaccount:stage'],
    ['"odd key": { a/b: { namespace: stage } }', 'spec["odd key"]["a/b"].namespace: stage'],
  ])('names in a warning, and leaves, %s', (line, expected) => {
    const text = `${head('example.com/v1', 'Thing')}spec:\n  ${line}\n`;
    expect(mapped(text)).toBe(text);
    expect(warned(text)).toEqual([`Thing x ${expected}`]);
  });

  it('names what a ConfigMap says in its texts', () => {
    const text = `${head('v1', 'ConfigMap')}data:\n  NAMESPACE: stage\n  app.yaml: |\n    namespace: stage\n    db: db.stage.svc\n`;
    expect(warned(text)).toEqual(['ConfigMap x data.NAMESPACE: stage', 'ConfigMap x data["app.yaml"]: db.stage.svc']);
  });

  it.each([
    'labels: { app.kubernetes.io/instance: stage, app: stage }',
    'containers: [{ name: stage, image: "stage/app:1" }]',
    'image: example.com/stage/app',
    'host: stage.example.com',
    'version: 1.stage',
    'serviceAccountName: stage',
    'command: [/bin/stage, stage, run-stage]',
    'description: the namespace stage',
    'path: /data/stage/x',
    'ports: [{ name: "stage", port: 80 }]',
  ])('says nothing of what only has the same name: %s', (line) => {
    expect(warned(`${head('example.com/v1', 'Thing')}spec:\n  ${line}\n`)).toEqual([]);
  });

  it('names objects without a namespace whose name has the old one in it', () => {
    const named = (kind: string): string =>
      `apiVersion: a.example.com/v1\nkind: ${kind}\nmetadata:\n  name: app-stage-reader\n`;
    expect(warned(named('ClusterRole'))).toEqual(['ClusterRole app-stage-reader metadata.name: app-stage-reader']);
    expect(warned(named('Tenant'))).toEqual([]);
    const scopeOf: ScopeOf = (apiVersion, kind) =>
      `${apiVersion} ${kind}` === 'a.example.com/v1 Tenant' ? 'Cluster' : 'Namespaced';
    expect(warned(named('Tenant'), scopeOf)).toEqual(['Tenant app-stage-reader metadata.name: app-stage-reader']);
  });

  it('leaves what is no YAML as it is and says so', () => {
    const text = 'kind: Deployment\nmetadata: {namespace: stage\n  name: [x\n';
    const { text: after, warnings } = mapNamespaces(text, MAP);
    expect(after).toBe(text);
    expect(warnings).toEqual([
      { object: 'Deployment', path: '', text: '', namespace: 'stage', unreadable: expect.stringMatching(/\S/) },
    ]);
    expect(warnings.map(describeNamespaceWarning)).toEqual([
      expect.stringMatching(/^Deployment names namespace stage and stayed as it is, for it can't be read as YAML: /),
    ]);
  });

  it('says a warning in one line', () => {
    const [warning] = mapNamespaces(`${head('example.com/v1', 'Thing')}spec: { host: db.stage.svc }\n`, MAP).warnings;
    expect(warning && describeNamespaceWarning(warning)).toBe(
      'Thing x still names namespace stage: spec.host has "db.stage.svc".',
    );
  });
});

describe('mapNamespaces on any document', () => {
  const name = fc.constantFrom('stage', 'infra', 'other', 'stage-x', 'x');
  const scalar = fc.oneof(
    name,
    name.map((text) => `http://${text}.stage.svc`),
    fc.constantFrom('namespace', '1', 'a: b', '# c', ' '),
  );
  const key = fc.constantFrom(
    'namespace',
    'name',
    'labels',
    'app',
    'subjects',
    'spec',
    'template',
    'metadata',
    'value',
    'ns',
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      scalar,
      fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
      fc.array(tie('tree'), { maxLength: 3 }),
    ),
  }));
  const object = fc.record({
    apiVersion: fc.constantFrom('v1', 'rbac.authorization.k8s.io/v1', 'apps/v1'),
    kind: fc.constantFrom('ConfigMap', 'RoleBinding', 'Deployment', 'Namespace', 'List'),
    metadata: fc.record({ name, namespace: name, labels: fc.dictionary(key, name) }, { requiredKeys: ['name'] }),
    spec: tree,
    subjects: fc.array(fc.record({ kind: fc.constant('ServiceAccount'), name, namespace: name })),
  });
  // Written by hand in three styles, since what is under test reads them with the library that would write them.
  const style = fc.constantFrom<(value: unknown) => string>(
    (value) => JSON.stringify(value),
    (value) => JSON.stringify(value, undefined, 2),
    (value) => `${toBlock(value, '')}\n`,
  );

  it('changes the same in a text as in an object, and warns of the same', () => {
    fc.assert(
      fc.property(object, style, (value, write) => {
        const inText = mapNamespaces(write(value), MAP);
        const inObject = mapObjectNamespaces(value, MAP);
        expect(parse(inText.text)).toEqual(parse(write(inObject.object)));
        expect(inText.warnings).toEqual(inObject.warnings);
      }),
    );
  });

  it('changes nothing but namespaces: mapping back gives the same bytes', () => {
    const there = namespaceMapOf({ stage: 'new-one', infra: 'new-two' });
    const back = namespaceMapOf({ 'new-one': 'stage', 'new-two': 'infra' });
    fc.assert(
      fc.property(object, style, (value, write) => {
        const text = write(value);
        expect(mapNamespaces(mapNamespaces(text, there).text, back).text).toBe(text);
      }),
    );
  });

  it('changes nothing when it is done again', () => {
    fc.assert(
      fc.property(object, style, (value, write) => {
        const once = mapped(write(value));
        expect(mapped(once)).toBe(once);
      }),
    );
  });
});

/** YAML in block style, scalars plain where that is a string for YAML. */
function toBlock(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    return value.length === 0 ? '[]' : value.map((item) => `\n${indent}- ${toBlock(item, `${indent}  `)}`).join('');
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    const lines = entries.map(([key, item]) => `\n${indent}${key}: ${toBlock(item, `${indent}  `)}`).join('');
    return entries.length === 0 ? '{}' : indent === '' ? lines.slice(1) : lines;
  }
  return /^[a-z][a-z-]*$/.test(String(value)) ? String(value) : JSON.stringify(value);
}

describe('mapObjectNamespaces', () => {
  it('returns a copy and leaves its input', () => {
    const before = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'x', namespace: 'stage' },
      data: { n: 1n },
    };
    const { object, warnings } = mapObjectNamespaces(before, MAP);
    expect(object).toEqual({ ...before, metadata: { name: 'x', namespace: 'prod' } });
    expect(before.metadata.namespace).toBe('stage');
    expect(warnings).toEqual([]);
  });

  it('maps what Helm noted on a live object', () => {
    const annotations = { 'meta.helm.sh/release-namespace': 'stage', 'meta.helm.sh/release-name': 'stage' };
    const { object } = mapObjectNamespaces({ kind: 'X', metadata: { annotations } }, MAP);
    expect(object.metadata.annotations).toEqual({ ...annotations, 'meta.helm.sh/release-namespace': 'prod' });
  });
});
