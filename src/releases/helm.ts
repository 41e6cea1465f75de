import type { ClusterAccess } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import type { Driver } from './record.ts';

/** How this room starts another program; the doors pass in the one that really does. */
export type RunProgram = (
  command: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly signal?: AbortSignal | undefined },
) => Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>;

/** A helm executable that is new enough. */
export interface Helm {
  readonly path: string;
  /** Such as `v4.3.1`. */
  readonly version: string;
  readonly major: 3 | 4;
}

/** Older ones lack flags the frozen install needs, or delete hooks differently when one fails. */
const OLDEST = { major: 3, minor: 18 } as const;
const SUPPORTED = 'Helm 3.18 or newer, or 4';

/**
 * Finds the helm to use: the one on PATH; where `wanted` names another version, or PATH has none, the downloaded one.
 *
 * @param wanted - the input `helm-version`
 * @param download - puts a version into the tool cache, checksum verified, and returns the executable's path
 * @throws TransshipError `HELM_MISSING` naming both ways out
 * @throws TransshipError `INPUT` when `wanted` is no version Transship can use
 */
export async function findHelm(
  runProgram: RunProgram,
  wanted: string | undefined,
  download: (version: string) => Promise<string>,
): Promise<Helm> {
  const version = wanted === undefined ? undefined : parseWanted(wanted);
  const onPath = await probe(runProgram, 'helm');
  if (version === undefined) {
    if (onPath === undefined) throw missing('There is no helm on PATH.');
    const helm = supported('helm', onPath);
    if (helm === undefined) throw missing(`The helm on PATH is ${onPath}, and Transship needs ${SUPPORTED}.`);
    return helm;
  }
  if (onPath === version) return { path: 'helm', version, major: majorOf(version) };
  return { path: await download(version), version, major: majorOf(version) };
}

function missing(what: string): TransshipError {
  return new TransshipError('HELM_MISSING', what, {
    hint: `Install ${SUPPORTED} before this step (in a workflow: azure/setup-helm), or set helm-version (such as v4.3.1) to have it downloaded.`,
  });
}

async function probe(runProgram: RunProgram, command: string): Promise<string | undefined> {
  try {
    const result = await runProgram(command, ['version', '--template', '{{.Version}}'], {});
    return result.exitCode === 0 ? result.stdout.trim() : undefined;
  } catch {
    // Not on PATH, or not executable: the caller says so.
    return undefined;
  }
}

function parseWanted(text: string): string {
  const version = text.startsWith('v') ? text : `v${text}`;
  if (supported('', version) === undefined) {
    throw new TransshipError('INPUT', `helm-version: "${text}" is not a version Transship can use.`, {
      hint: `Give the full version of ${SUPPORTED}, such as v3.22.0 or v4.3.1.`,
    });
  }
  return version;
}

function supported(path: string, version: string): Helm | undefined {
  const parts = /^v(\d+)\.(\d+)(?:\.\d+)?(?:[-+].*)?$/.exec(version);
  if (parts === null) return undefined;
  const major = Number(parts[1]);
  const minor = Number(parts[2]);
  if (major === 4) return { path, version, major };
  if (major === OLDEST.major && minor >= OLDEST.minor) return { path, version, major: OLDEST.major };
  return undefined;
}

function majorOf(version: string): 3 | 4 {
  return version.startsWith('v4.') ? 4 : 3;
}

/** What one run of helm needs to know besides the chart. */
export interface HelmRun {
  readonly release: string;
  readonly namespace: string;
  /** A packed chart. */
  readonly chart: string;
  readonly valuesFile: string | undefined;
  readonly access: ClusterAccess;
  /** Go duration, such as `5m0s`; Helm applies it to each wait on its own. */
  readonly timeout: string;
  readonly wait: boolean;
  readonly noHooks: boolean;
  /** Whether the stored record was made by server-side apply; Helm 4 is told to do the same. */
  readonly serverSide: boolean;
  /** Added to those of the release, for its records. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/**
 * Arguments of `helm install` for a frozen chart.
 *
 * @param replace - reuse the name of a release that failed or was uninstalled; Helm goes on counting its revisions
 */
export function installArguments(helm: Helm, run: HelmRun, replace: boolean): string[] {
  return ['install', ...commonArguments(helm, run), ...(replace ? ['--replace'] : [])];
}

/** Arguments of `helm upgrade` in place: the stored values are the release's only ones, and no revision is pruned. */
export function upgradeArguments(helm: Helm, run: HelmRun): string[] {
  return ['upgrade', ...commonArguments(helm, run), '--reset-values', '--history-max', '0'];
}

/** What one run of `helm uninstall` needs to know. */
export type UninstallRun = Pick<HelmRun, 'release' | 'namespace' | 'access' | 'timeout' | 'noHooks'>;

/**
 * Arguments of `helm uninstall`: it ends when the objects are gone, and a release that is gone is no error.
 *
 * @param keepHistory - leave the records
 */
export function uninstallArguments(_helm: Helm, run: UninstallRun, keepHistory = false): string[] {
  return [
    'uninstall',
    run.release,
    '--namespace',
    run.namespace,
    ...(run.access.context === undefined ? [] : ['--kube-context', run.access.context]),
    '--timeout',
    run.timeout,
    '--wait',
    '--ignore-not-found',
    ...(run.noHooks ? ['--no-hooks'] : []),
    ...(keepHistory ? ['--keep-history'] : []),
  ];
}

/** Arguments of `helm rollback`: it ends when the objects are ready, and no revision is pruned. */
export function rollbackArguments(_helm: Helm, run: UninstallRun, revision: number): string[] {
  return [
    'rollback',
    run.release,
    String(revision),
    '--namespace',
    run.namespace,
    ...(run.access.context === undefined ? [] : ['--kube-context', run.access.context]),
    '--timeout',
    run.timeout,
    '--wait',
    '--history-max',
    '0',
    ...(run.noHooks ? ['--no-hooks'] : []),
  ];
}

function commonArguments(helm: Helm, run: HelmRun): string[] {
  return [
    run.release,
    run.chart,
    '--namespace',
    run.namespace,
    ...(run.access.context === undefined ? [] : ['--kube-context', run.access.context]),
    ...(run.valuesFile === undefined ? [] : ['--values', run.valuesFile]),
    '--timeout',
    run.timeout,
    // CRDs were applied before; Helm 4 would patch those that exist.
    '--skip-crds',
    // The source accepted this manifest once; the target's API server still validates every object.
    '--disable-openapi-validation',
    '--hide-notes',
    ...(run.wait ? ['--wait'] : []),
    ...(run.noHooks ? ['--no-hooks'] : []),
    ...(helm.major === 4 ? [`--server-side=${run.serverSide}`] : []),
    ...Object.entries(run.labels ?? {}).flatMap(([name, value]) => ['--labels', `${name}=${value}`]),
  ];
}

/**
 * The environment of one run of helm: the caller's without what would point Helm elsewhere, with the cluster's
 * kubeconfig and a discovery cache of its own (one shared between clusters changes what Helm sees).
 */
export function helmEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  access: ClusterAccess,
  driver: Driver,
  cacheDirectory: string,
): Record<string, string> {
  const kept = Object.entries(env).filter(
    (pair): pair is [string, string] =>
      pair[1] !== undefined && !/^HELM_(KUBE|NAMESPACE|DRIVER|MAX_HISTORY|DEBUG)/.test(pair[0]),
  );
  return {
    ...Object.fromEntries(kept),
    ...(access.kubeconfig === undefined ? {} : { KUBECONFIG: access.kubeconfig }),
    HELM_DRIVER: driver,
    KUBECACHEDIR: cacheDirectory,
  };
}

/**
 * What Helm itself said when it failed: its `Error:` lines, else all of stderr, without its log noise.
 *
 * @param exitCode - above 128 for a helm that a signal has ended, such as the out-of-memory killer's
 */
export function helmWords(stderr: string, exitCode: number): string {
  const lines = stderr
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^(WARNING:|level=|time=|[IWE]\d{4} )/.test(line));
  const first = lines.findIndex((line) => line.startsWith('Error:'));
  const words = (first === -1 ? lines : lines.slice(first)).join('\n').replace(/^Error: /, '');
  const end = exitCode > 128 ? `helm was ended by signal ${exitCode - 128}.` : `helm failed with status ${exitCode}.`;
  if (words === '') return end;
  return exitCode > 128 ? `${end}\n${words.trim()}` : words.trim();
}

/**
 * Whether Helm 4 has failed because it stopped waiting for something that was under way, although its time was not up. What
 * it waits for is looked at by several workers at once, and the older of two states that come together may be told last.
 * https://github.com/fluxcd/cli-utils/blob/v1.2.2/pkg/kstatus/watcher/object_status_reporter.go `asyncEventHandler`
 * Where something else has failed indeed, that is why it failed.
 *
 * @param words - what it said, or the description in its record
 */
export function gaveUpEarly(words: string): boolean {
  const states = [...words.matchAll(/ not ready\. status: (\w+)/g)].map(([, status]) => status);
  const isAllUnderWay = states.length > 0 && states.every((status) => status === 'InProgress');
  return isAllUnderWay && !/context (deadline exceeded|canceled)/.test(words);
}
