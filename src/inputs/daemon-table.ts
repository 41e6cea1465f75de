/** The inputs that are about stored state over time: who writes it, when, and how long it is kept; part of `inputTable`. */
export const daemonInputTable = {
  interval: {
    description: 'How often to look for changes, whether or not any was seen.',
    group: 'Run',
    placeholder: 'duration',
    default: '24h',
  },
  'on-change': {
    description: 'Watch the cluster, and write a snapshot as soon as what changed has settled.',
    group: 'Run',
    default: 'false',
  },
  settle: {
    description:
      'With on-change: how long nothing may change before a snapshot is made; no longer than ten times that.',
    group: 'Run',
    placeholder: 'duration',
    default: '30s',
  },
  'push-retry': {
    description: 'How long to wait after a snapshot could not be stored; twice as long each time, an hour at most.',
    group: 'Run',
    placeholder: 'duration',
    default: '1m',
  },
  listen: {
    description: 'Where to serve /healthz, /readyz and /metrics, as host:port or :port.',
    group: 'Run',
    placeholder: 'host:port',
    defaultNote: 'nowhere',
  },
  retention: {
    description:
      'Which snapshots to keep: last=N, hourly=N, daily=N, weekly=N, monthly=N, yearly=N and age=DURATION, what any of these keeps; older ones are deleted, never the newest.',
    group: 'Storage',
    placeholder: 'list',
    list: true,
    defaultNote: { export: 'all', watch: 'all', clear: 'none: all are deleted' },
  },
  manager: {
    description:
      'Who keeps this path up to date, as namespace/release: no other one may write there, and an import of its snapshots leaves it out.',
    group: 'Storage',
    placeholder: 'namespace/name',
    defaultNote: { export: 'nobody', watch: 'transship in the namespace of the kubeconfig or the pod' },
  },
  'take-over': {
    description: 'Write to this path although another manager does, which then stops.',
    group: 'Storage',
    default: 'false',
  },
  'manager-path': {
    description:
      'Where the manager that comes with the snapshot is to write to; without it, it is left out when it would write to where the snapshot comes from.',
    group: 'Import',
    placeholder: 'path',
    defaultNote: 'the manager is left out',
  },
  format: {
    description: 'archive, or helm-export: the file helm-releases-<id>.gz, which holds Helm releases only.',
    group: 'Storage',
    placeholder: 'archive|helm-export',
    default: 'archive',
  },
  yes: {
    description: 'Delete without asking.',
    group: 'Run',
    default: 'false',
  },
} as const;
