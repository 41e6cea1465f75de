import type { KubeObject } from '../src/cluster/cluster.ts';
import type { Creation } from './objects.ts';
import { createRandom, writeProse } from './prose.ts';

/** One application of many. */
export interface AppContext {
  readonly index: number;
  readonly app: string;
  readonly namespace: string;
}

/** Bytes of the texts in ConfigMaps and custom resources; with them, an object has 3.5 KB on the wire. */
const CONFIG_BYTES = [6000, 2800, 1300, 4400, 1300, 2600] as const;
const NOTES_BYTES = 900;
/** Bytes of what is secret, and does not compress. */
const CERTIFICATE_BYTES = 1900;
const KEY_BYTES = 1700;
const TOKEN_BYTES = [48, 900, 300] as const;

/**
 * The objects of one application, in an order in which they can be created. What not every application has depends on
 * its number. Kinds that controllers answer with more objects (Services, Deployments) are rarer than in life: they are
 * what a cluster of two cores is slow at, not what is to be measured.
 */
export function kindsOfApp(context: AppContext): Creation[] {
  const every = (applications: number, make: (context: AppContext) => Creation[]) =>
    context.index % applications === 0 ? make(context) : [];
  return [
    ...every(8, volumeAndClaim),
    ...every(10, clusterRole),
    ...every(16, limits),
    ...every(100, priorityClass),
    ...configMaps(context),
    ...secrets(context),
    ...access(context),
    ...every(3, service),
    ...workload(context),
    ...every(8, outsideService),
    ...every(3, ingress),
    ...networkPolicy(context),
    ...every(4, disruptionBudget),
    ...every(3, cronJob),
    ...customResources(context),
  ];
}

function configMaps({ index, app, namespace }: AppContext): Creation[] {
  return CONFIG_BYTES.map((bytes, number) => {
    const text = (part: number, share: number) => writeProse(index * 32 + number * 4 + part, bytes * share).toString();
    const data = { 'application.yaml': text(1, 0.6), 'logging.properties': text(2, 0.25), README: text(3, 0.15) };
    return creation('v1', 'ConfigMap', { name: `${app}-config-${number}`, namespace }, { data });
  });
}

function secrets({ index, app, namespace }: AppContext): Creation[] {
  const random = createRandom(index);
  const secret = (bytes: number) => Buffer.from(Array.from({ length: bytes }, () => random() * 256)).toString('base64');
  const opaque = TOKEN_BYTES.map((bytes, number) => {
    const data = { username: base64(`${app}-${number}`), password: secret(24), token: secret(bytes) };
    return creation('v1', 'Secret', { name: `${app}-secret-${number}`, namespace }, { type: 'Opaque', data });
  });
  const registry = { auths: { 'registry.example.com': { username: app, password: secret(36), auth: secret(60) } } };
  return [
    ...opaque,
    creation(
      'v1',
      'Secret',
      { name: tlsName(app), namespace, annotations: { 'bench.example.com/issuer': 'internal-authority' } },
      { type: 'kubernetes.io/tls', data: { 'tls.crt': secret(CERTIFICATE_BYTES), 'tls.key': secret(KEY_BYTES) } },
    ),
    creation(
      'v1',
      'Secret',
      { name: `${app}-registry`, namespace },
      {
        type: 'kubernetes.io/dockerconfigjson',
        data: { '.dockerconfigjson': base64(JSON.stringify(registry)) },
      },
    ),
  ];
}

function access({ app, namespace }: AppContext): Creation[] {
  const rules = [
    { apiGroups: [''], resources: ['configmaps', 'secrets'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: [''], resources: ['pods', 'pods/log'], verbs: ['get', 'list'] },
    { apiGroups: ['apps'], resources: ['deployments'], resourceNames: [app], verbs: ['get', 'patch'] },
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create', 'get', 'update'] },
  ];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: app };
  const subjects = [
    { kind: 'ServiceAccount', name: app, namespace },
    { kind: 'Group', name: `${namespace}-operators`, apiGroup: 'rbac.authorization.k8s.io' },
  ];
  const metadata = () => ({ name: app, namespace });
  return [
    creation('v1', 'ServiceAccount', metadata(), { imagePullSecrets: [{ name: `${app}-registry` }] }),
    creation('rbac.authorization.k8s.io/v1', 'Role', metadata(), { rules }),
    creation('rbac.authorization.k8s.io/v1', 'RoleBinding', metadata(), { roleRef, subjects }),
  ];
}

function service({ app, namespace }: AppContext): Creation[] {
  const ports = [
    { name: 'http', port: 80, targetPort: 'http' },
    { name: 'metrics', port: 9090, targetPort: 'metrics' },
  ];
  const spec = { selector: { 'app.kubernetes.io/name': app }, ports };
  return [creation('v1', 'Service', { name: app, namespace }, { spec })];
}

/** A Service without selector, and where it leads to. */
function outsideService({ index, app, namespace }: AppContext): Creation[] {
  const name = `${app}-database`;
  const port = { name: 'postgres', port: 5432, protocol: 'TCP' };
  const addresses = [{ ip: `198.51.100.${index % 250}` }, { ip: `203.0.113.${index % 250}` }];
  return [
    creation('v1', 'Service', { name, namespace }, { spec: { clusterIP: 'None', ports: [port] } }),
    creation('v1', 'Endpoints', { name, namespace }, { subsets: [{ addresses, ports: [port] }] }),
  ];
}

function workload({ index, app, namespace }: AppContext): Creation[] {
  const labels = { 'app.kubernetes.io/name': app };
  const template = { metadata: { labels }, spec: podSpec(app) };
  const spec = { replicas: 0, selector: { matchLabels: labels }, template };
  const metadata = { name: app, namespace };
  if (index % 20 === 7) {
    const nowhere = { ...template, spec: { ...template.spec, nodeSelector: { 'bench.example.com/none': 'true' } } };
    return [creation('apps/v1', 'DaemonSet', metadata, { spec: { selector: spec.selector, template: nowhere } })];
  }
  if (index % 4 === 3) return [creation('apps/v1', 'StatefulSet', metadata, { spec: { ...spec, serviceName: app } })];
  return index % 2 === 0 ? [creation('apps/v1', 'Deployment', metadata, { spec })] : [];
}

function podSpec(app: string) {
  const probe = (path: string) => ({ httpGet: { path, port: 'http' }, periodSeconds: 10, failureThreshold: 3 });
  const env = ['DATABASE_URL', 'CACHE_URL', 'QUEUE_URL', 'SIGNING_KEY', 'SMTP_PASSWORD'].map((name, index) => ({
    name,
    valueFrom: { secretKeyRef: { name: `${app}-secret-${index % 2}`, key: index < 3 ? 'token' : 'password' } },
  }));
  return {
    serviceAccountName: app,
    securityContext: { runAsNonRoot: true, fsGroup: 1000 },
    containers: [
      {
        name: 'server',
        image: `registry.example.com/storefront/${app}:1.14.2`,
        args: ['serve', '--config=/etc/app/application.yaml', '--listen=:8080', '--metrics=:9090'],
        env: [...env, { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } }],
        ports: [
          { name: 'http', containerPort: 8080 },
          { name: 'metrics', containerPort: 9090 },
        ],
        resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
        livenessProbe: probe('/healthz'),
        readinessProbe: probe('/readyz'),
        volumeMounts: [
          { name: 'config', mountPath: '/etc/app', readOnly: true },
          { name: 'tls', mountPath: '/etc/tls', readOnly: true },
        ],
      },
    ],
    volumes: [
      { name: 'config', configMap: { name: `${app}-config-0` } },
      { name: 'tls', secret: { secretName: tlsName(app) } },
    ],
  };
}

function cronJob({ index, app, namespace }: AppContext): Creation[] {
  const template = { spec: { ...podSpec(app), restartPolicy: 'OnFailure' } };
  const spec = {
    schedule: `${index % 60} 3 * * *`,
    suspend: true,
    concurrencyPolicy: 'Forbid',
    jobTemplate: { spec: { template } },
  };
  return [creation('batch/v1', 'CronJob', { name: `${app}-report`, namespace }, { spec })];
}

function ingress({ app, namespace }: AppContext): Creation[] {
  const host = `${app}.shop.example.com`;
  const backend = { service: { name: app, port: { name: 'http' } } };
  const paths = ['/', '/api', '/static'].map((path) => ({ path, pathType: 'Prefix', backend }));
  const spec = { tls: [{ hosts: [host], secretName: tlsName(app) }], rules: [{ host, http: { paths } }] };
  return [creation('networking.k8s.io/v1', 'Ingress', { name: app, namespace }, { spec })];
}

function networkPolicy({ app, namespace }: AppContext): Creation[] {
  const peer = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } };
  const spec = {
    podSelector: { matchLabels: { 'app.kubernetes.io/name': app } },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [{ from: [peer], ports: [{ protocol: 'TCP', port: 8080 }] }],
    egress: [{ to: [{ ipBlock: { cidr: '198.51.100.0/24' } }], ports: [{ protocol: 'TCP', port: 5432 }] }],
  };
  return [creation('networking.k8s.io/v1', 'NetworkPolicy', { name: app, namespace }, { spec })];
}

function disruptionBudget({ app, namespace }: AppContext): Creation[] {
  const spec = { maxUnavailable: 1, selector: { matchLabels: { 'app.kubernetes.io/name': app } } };
  return [creation('policy/v1', 'PodDisruptionBudget', { name: app, namespace }, { spec })];
}

/** Bound to each other by name: claims that wait for a volume make an event every 15 seconds. */
function volumeAndClaim({ app, namespace }: AppContext): Creation[] {
  const name = `${app}-data`;
  const shared = { accessModes: ['ReadWriteMany'], storageClassName: '' };
  const volume = {
    ...shared,
    capacity: { storage: '10Gi' },
    persistentVolumeReclaimPolicy: 'Retain',
    nfs: { server: 'files.example.com', path: `/${namespace}/${name}` },
    claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace },
  };
  const claim = { ...shared, volumeName: name, resources: { requests: { storage: '10Gi' } } };
  return [
    creation('v1', 'PersistentVolume', { name }, { spec: volume }),
    creation('v1', 'PersistentVolumeClaim', { name, namespace }, { spec: claim }),
  ];
}

function clusterRole({ app, namespace }: AppContext): Creation[] {
  const group = 'rbac.authorization.k8s.io';
  const name = `${app}-reader`;
  const rules = [{ apiGroups: ['bench.example.com'], resources: ['backends'], verbs: ['get', 'list', 'watch'] }];
  const roleRef = { apiGroup: group, kind: 'ClusterRole', name };
  const subjects = [{ kind: 'ServiceAccount', name: app, namespace }];
  return [
    creation(`${group}/v1`, 'ClusterRole', { name }, { rules }),
    creation(`${group}/v1`, 'ClusterRoleBinding', { name }, { roleRef, subjects }),
  ];
}

/** A quota of pods alone: one of other kinds would be counted at each of their creations, and slow them all down. */
function limits({ app, namespace }: AppContext): Creation[] {
  const limit = { type: 'Container', default: { memory: '256Mi' }, defaultRequest: { cpu: '50m', memory: '64Mi' } };
  return [
    creation('v1', 'LimitRange', { name: app, namespace }, { spec: { limits: [limit] } }),
    creation('v1', 'ResourceQuota', { name: app, namespace }, { spec: { hard: { pods: '500' } } }),
  ];
}

function priorityClass({ index, app }: AppContext): Creation[] {
  const fields = { value: 1000 + index, description: `For ${app}` };
  return [creation('scheduling.k8s.io/v1', 'PriorityClass', { name: app }, fields)];
}

function customResources({ index, app, namespace }: AppContext): Creation[] {
  const group = 'bench.example.com/v1';
  const routes = ['/', '/cart', '/orders', '/search', '/account'].map((path, number) => ({
    path,
    target: `${app}-${number}.${namespace}.svc`,
    methods: ['GET', 'POST'],
  }));
  const notes = writeProse(index * 32, NOTES_BYTES).toString();
  return [
    creation(
      group,
      'Certificate',
      { name: app, namespace },
      {
        spec: {
          secretName: tlsName(app),
          dnsNames: [`${app}.shop.example.com`, `${app}.${namespace}.svc`],
          issuer: 'internal-authority',
          duration: '2160h',
          usages: ['server auth', 'client auth'],
        },
      },
    ),
    creation(
      group,
      'Backend',
      { name: app, namespace },
      { spec: { upstream: `http://${app}`, retries: 3, notes, routes } },
    ),
  ];
}

/** The name of the Secret that an application's Certificate stands for. */
export function tlsName(app: string): string {
  return `${app}-tls`;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function creation(
  apiVersion: string,
  kind: string,
  metadata: KubeObject['metadata'],
  fields: Readonly<Record<string, unknown>>,
): Creation {
  const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  const scope = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  return { path: `${root}${scope}/${pluralOf(kind)}`, object: { apiVersion, kind, metadata, ...fields } };
}

function pluralOf(kind: string): string {
  const lower = kind.toLowerCase();
  if (lower.endsWith('endpoints')) return lower;
  if (lower.endsWith('y')) return `${lower.slice(0, -1)}ies`;
  return lower.endsWith('s') ? `${lower}es` : `${lower}s`;
}
