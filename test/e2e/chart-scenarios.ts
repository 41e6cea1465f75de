import type { Values } from './chart-bed.ts';

export const S3_PATH = { path: 's3://snapshots/prod' };
export const LOCAL_PATH = { path: '/snapshots/prod', persistence: { existingClaim: 'snapshots' } };
/** All that can be watched. */
export const ALL = { include: ['releases', 'resources'], namespace: ['*'] };

/** Values that differ as installations do. */
export const SCENARIOS: Readonly<Record<string, Values>> = {
  'releases of its own namespace': S3_PATH,
  'a whole cluster as it changes': {
    ...{ ...S3_PATH, ...ALL, 'on-change': true, settle: '10s', layout: 'tree', retention: 'last=7,daily=7,age=90d' },
    ...{ 's3-endpoint': 'http://minio.minio:9000', 's3-path-style': false, concurrency: 4, existingSecret: 's3' },
    serviceAccount: { annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/transship' } },
    networkPolicy: {
      enabled: true,
      ingressFrom: [{ namespaceSelector: {} }],
      extraEgress: [{ ports: [{ port: 80 }] }],
    },
    podMonitor: { enabled: true, interval: '30s', labels: { release: 'prometheus' } },
  },
  'some namespaces': {
    ...S3_PATH,
    include: 'releases,resources',
    namespace: 'shop, billing',
    'cluster-resources': 'all',
  },
  'a volume': { ...LOCAL_PATH, interval: '1h', history: 10, 'take-over': true },
  'a CronJob': { ...S3_PATH, schedule: '17 3 * * *', cronJob: { timeZone: 'Europe/Berlin' }, ...ALL, strict: true },
  'virtual machines': {
    ...{ ...LOCAL_PATH, schedule: '@daily', include: ['vms'], namespace: ['machines'], vms: 'db,web-*' },
    ...{ 'running-vms': 'snapshot', 'vm-links': 'internal', timeout: '15m' },
  },
  'what else a pod may be given': {
    ...{ ...S3_PATH, verbose: true, 'log-format': 'text', helmDriver: 'configmap', fullnameOverride: 'saver' },
    ...{ image: { tag: '1.2.3' }, imagePullSecrets: [{ name: 'registry' }], priorityClassName: 'high' },
    ...{ podLabels: { team: 'sre' }, podAnnotations: { a: 'b' }, nodeSelector: { 'kubernetes.io/os': 'linux' } },
    tolerations: [{ operator: 'Exists' }],
    affinity: { nodeAffinity: {} },
    extraEnv: [{ name: 'HTTPS_PROXY', value: 'http://proxy:3128' }],
    extraEnvFrom: [{ configMapRef: { name: 'more' } }],
    extraVolumes: [{ name: 'ca', configMap: { name: 'ca' } }],
    extraVolumeMounts: [{ name: 'ca', mountPath: '/etc/ssl/own', readOnly: true }],
  },
};
