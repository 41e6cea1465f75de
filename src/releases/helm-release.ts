import { isMap } from '../values.ts';

/** The parts of a release's JSON that this program reads. Helm 3 and 4 write the same shape. */
export interface HelmRelease {
  readonly name: string;
  readonly namespace?: string;
  readonly version: number;
  readonly info: {
    readonly first_deployed?: string;
    readonly last_deployed?: string;
    readonly deleted?: string;
    readonly description?: string;
    readonly status?: string;
    readonly notes?: string;
  };
  readonly chart?: HelmChart | null;
  readonly config?: Readonly<Record<string, unknown>> | null;
  readonly manifest?: string;
  readonly hooks?: readonly HelmHook[] | null;
  /** Written by Helm 4 only; absent means client-side apply. */
  readonly apply_method?: string;
}

/** What results say of a release's chart; empty where Helm has stored nothing. */
export function describeChart({ chart }: Pick<HelmRelease, 'chart'>) {
  const { name = '', version = '', appVersion = '' } = chart?.metadata ?? {};
  return { chart: name, chartVersion: version, appVersion };
}

/** A chart as Helm stores it: without its subcharts. */
export interface HelmChart {
  readonly metadata?: {
    readonly name?: string;
    readonly version?: string;
    readonly appVersion?: string;
    readonly [field: string]: unknown;
  } | null;
  readonly templates?: readonly HelmFile[] | null;
  readonly values?: Readonly<Record<string, unknown>> | null;
  /** Base64 of the chart's values.schema.json. */
  readonly schema?: string | null;
  readonly files?: readonly HelmFile[] | null;
}

/** One file of a stored chart; `data` is base64. */
export interface HelmFile {
  readonly name: string;
  readonly data?: string | null;
}

/** One hook of a release, with its rendered manifest. */
export interface HelmHook {
  readonly name: string;
  readonly kind?: string;
  readonly path: string;
  readonly manifest: string;
  readonly events?: readonly string[] | null;
  readonly weight?: number;
  readonly delete_policies?: readonly string[] | null;
  readonly output_log_policies?: readonly string[] | null;
  /** When and how it last ran: `{started_at, completed_at, phase}`; without a start it has not. */
  readonly last_run?: unknown;
}

/** Whether parsed JSON has the shape of a release in everything this program reads without looking. */
export function isRelease(value: unknown): value is HelmRelease {
  if (!isMap(value) || !isMap(value.info)) return false;
  const { name, version, manifest, hooks, chart } = value;
  return (
    typeof name === 'string' &&
    typeof version === 'number' &&
    (manifest === undefined || typeof manifest === 'string') &&
    (isAbsent(hooks) || (Array.isArray(hooks) && hooks.every(isHook))) &&
    (isAbsent(chart) || isMap(chart))
  );
}

function isHook(value: unknown): boolean {
  return isMap(value) && typeof value.manifest === 'string' && typeof value.path === 'string';
}

function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}
