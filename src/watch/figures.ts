import type { WatchStats } from './parts.ts';
import type { Metric } from './prometheus.ts';

/** What can fail. */
export const steps = ['lease', 'watch', 'export', 'push', 'retention'] as const;
export type Step = (typeof steps)[number];

/** What the daemon counts; it writes, and who serves metrics reads. Times of day in seconds, durations in milliseconds. */
export interface Figures {
  isManager: boolean;
  /** When what is stored was last known to be what the cluster had. */
  lastSuccess: number | undefined;
  /** Of the last snapshot that was stored. */
  lastStored: number | undefined;
  lastExportTook: number | undefined;
  lastPushTook: number | undefined;
  lastSize: number | undefined;
  lastChanged: number | undefined;
  sent: number;
  stored: number;
  unchanged: number;
  /** Never stored, for a newer one took its place. */
  superseded: number;
  readonly failures: Record<Step, number>;
}

export function createFigures(): Figures {
  return {
    isManager: false,
    lastSuccess: undefined,
    lastStored: undefined,
    lastExportTook: undefined,
    lastPushTook: undefined,
    lastSize: undefined,
    lastChanged: undefined,
    sent: 0,
    stored: 0,
    unchanged: 0,
    superseded: 0,
    failures: { lease: 0, watch: 0, export: 0, push: 0, retention: 0 },
  };
}

/** What is looked at when somebody asks. */
export interface Now {
  readonly version: string;
  /** Age of the oldest change that is not stored, in milliseconds. */
  readonly lag: number;
  readonly pending: number;
  readonly watch: WatchStats | undefined;
  readonly process: {
    /** Seconds of the day. */
    readonly started: number;
    /** Microseconds. */
    readonly cpu: { readonly user: number; readonly system: number };
    /** Bytes. */
    readonly memory: number;
  };
}

const SECOND = 1000;

/** All metrics of a daemon. */
export function metricsOf(figures: Figures, { version, lag, pending, watch, process }: Now): Metric[] {
  const seconds = (milliseconds: number | undefined) =>
    milliseconds === undefined ? undefined : Math.round(milliseconds) / SECOND;
  const gauge = (name: string, help: string, samples: Metric['samples']): Metric => ({
    name: `transship_${name}`,
    type: 'gauge',
    help,
    samples,
  });
  const counter = (name: string, help: string, samples: Metric['samples']): Metric => ({
    name: `transship_${name}`,
    type: 'counter',
    help,
    samples,
  });
  return [
    gauge('build_info', 'The version that runs.', [{ labels: { version }, value: 1 }]),
    gauge('is_manager', 'Whether this one may write to the path.', Number(figures.isManager)),
    gauge(
      'last_success_timestamp_seconds',
      'When the stored state was last known to be that of the cluster: a snapshot was stored, or there was nothing new.',
      figures.lastSuccess,
    ),
    gauge('last_stored_timestamp_seconds', 'When the last snapshot was stored.', figures.lastStored),
    gauge(
      'last_export_duration_seconds',
      'How long the export of the last stored snapshot took.',
      seconds(figures.lastExportTook),
    ),
    gauge('last_push_duration_seconds', 'How long storing the last snapshot took.', seconds(figures.lastPushTook)),
    gauge('last_size_bytes', 'Size of the last snapshot as it is stored.', figures.lastSize),
    gauge('last_changed_files', 'Files of the last snapshot that were not in the one before.', figures.lastChanged),
    gauge('lag_seconds', 'Age of the oldest change that is not stored; 0 when all is.', seconds(lag)),
    gauge('pending_snapshots', 'Snapshots that are made and not yet stored.', pending),
    counter('sent_bytes_total', 'Bytes of snapshots that were sent to the storage.', figures.sent),
    counter('snapshots_stored_total', 'Snapshots that were stored.', figures.stored),
    counter('snapshots_unchanged_total', 'Exports that held nothing new and were not stored.', figures.unchanged),
    counter(
      'snapshots_superseded_total',
      'Snapshots that were never stored, for a newer one took their place while too many waited.',
      figures.superseded,
    ),
    counter(
      'failures_total',
      'What failed and is tried again, by step.',
      steps.map((step) => ({ labels: { step }, value: figures.failures[step] })),
    ),
    gauge('watched_objects', 'Objects that are watched.', watch?.objects),
    gauge('broken_watches', 'Watches that are broken now.', watch?.broken),
    counter('watch_reconnects_total', 'Watches that broke and were opened again.', watch?.reconnects),
    counter('watch_relists_total', 'Lists that had to be read again after a watch broke.', watch?.relists),
    ...processMetrics(process),
  ];
}

/** Under the names that every client library of Prometheus gives them. */
function processMetrics({ started, cpu, memory }: Now['process']): Metric[] {
  return [
    {
      name: 'process_cpu_seconds_total',
      type: 'counter',
      help: 'Total user and system CPU time spent in seconds.',
      samples: (cpu.user + cpu.system) / 1e6,
    },
    {
      name: 'process_resident_memory_bytes',
      type: 'gauge',
      help: 'Resident memory size in bytes.',
      samples: memory,
    },
    {
      name: 'process_start_time_seconds',
      type: 'gauge',
      help: 'Start time of the process since unix epoch in seconds.',
      samples: started,
    },
  ];
}
