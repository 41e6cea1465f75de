import { collectionPath } from '../cluster/apply.ts';
import type { Clock } from '../cluster/clock.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { mapsIn } from '../values.ts';
import { needVmKind } from './kinds.ts';
import { mapIn } from './vm-references.ts';
import { stateOf } from './wait-volume.ts';

/** A volume that CDI fills by itself. */
export interface FilledVolume {
  /** Of the DataVolume and its claim. */
  readonly name: string;
  /** Of the claim at the source. */
  readonly source: string;
  /** Where CDI reads it. */
  readonly url: string;
}

export interface FillOptions {
  readonly namespace: string;
  /** To begin a line with, such as `VM shop/web`. */
  readonly what: string;
  /** Milliseconds without progress; also that a failing import is tried again by CDI. */
  readonly timeout: number;
  /** Milliseconds without progress while CDI's importer runs, which ends by itself when it gets no bytes. */
  readonly longest: number;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called while an import fails: brings what CDI reads with up to date. What it throws ends the wait. */
  readonly refresh: () => Promise<void>;
}

/** How far CDI is with one volume. */
interface ImportState {
  readonly claim: KubeObject | undefined;
  readonly isDone: boolean;
  readonly isFinal: boolean;
  /** CDI's pod is at work. */
  readonly isRunning: boolean;
  readonly restarts: number;
  /** Of 100; undefined where CDI does not tell. */
  readonly percent: number | undefined;
  readonly phase: string;
  /** What CDI last said went wrong. */
  readonly trouble: string;
  readonly words: string;
}

/** What was seen of a volume so far. */
interface Track {
  readonly volume: FilledVolume;
  best: number;
  phase: number;
  restarts: number;
  /** When it last came nearer to its end. */
  since: number;
  trouble: string;
}

/** In the order that an import goes through them. */
const PHASES = [
  '',
  'Pending',
  'PVCBound',
  'WaitForFirstConsumer',
  'PendingPopulation',
  'ImportScheduled',
  'ImportInProgress',
];
/** Milliseconds. */
const GAP = 2_000;
const FIRST_GAP = 250;
const REFRESH_GAP = 10_000;

/**
 * Waits until CDI has filled all volumes, showing how far it is. CDI itself tries again what breaks, from the start.
 *
 * @returns the claims, by the claim at the source
 * @throws TransshipError `IMPORT_FAILED` when CDI gives up, or tries in vain for `timeout`, with what it last said;
 * whatever `refresh` throws
 */
export async function waitUntilImported(
  cluster: Cluster,
  discovery: Discovery,
  volumes: readonly FilledVolume[],
  options: FillOptions,
): Promise<Map<string, KubeObject>> {
  const { namespace, what, reporter, clock, signal, refresh } = options;
  const done = new Map<string, KubeObject>();
  let open: Track[] = volumes.map((volume) => {
    return { volume, best: 0, phase: 0, restarts: 0, since: clock.now(), trouble: '' };
  });
  let refreshing: Promise<void> | undefined;
  let refusal: { readonly error: unknown } | undefined;
  let refreshed = Number.NEGATIVE_INFINITY;
  let shown = '';

  for (let gap = FIRST_GAP; ; gap = Math.min(gap * 1.5, GAP)) {
    const states = await Promise.all(
      open.map(async (track) => {
        return { track, state: await readState(cluster, discovery, namespace, track.volume.name, signal) };
      }),
    );
    for (const { track, state } of states) {
      if (state.isDone && state.claim !== undefined) done.set(track.volume.source, state.claim);
    }
    const left = states.filter(({ track }) => !done.has(track.volume.source));
    if (left.length === 0) return done;
    for (const { track, state } of left) follow(track, state, options);
    open = left.map(({ track }) => track);

    if (refusal !== undefined) throw refusal.error;
    const isFailing = left.some(({ track, state }) => track.restarts > 0 || (!state.isRunning && state.trouble !== ''));
    if (isFailing && refreshing === undefined && clock.now() - refreshed >= REFRESH_GAP) {
      refreshed = clock.now();
      // Not awaited: an export may take long to be ready again, and what runs may come to its end meanwhile.
      refreshing = refresh().then(
        () => {
          refreshing = undefined;
        },
        (error) => {
          refusal = { error };
        },
      );
    }
    const line = `${what}: ${left.map(({ track, state }) => `${track.volume.source} ${brief(state)}`).join(', ')}`;
    if (line !== shown) reporter.progress(line);
    shown = line;
    await clock.sleep(gap, signal);
  }
}

/** Takes note of what came nearer to its end. @throws TransshipError when it does not any more */
function follow(track: Track, state: ImportState, { what, timeout, longest, clock, reporter }: FillOptions): void {
  const { volume } = track;
  const phase = PHASES.indexOf(state.phase);
  const percent = state.percent ?? 0;
  if (phase > track.phase || percent > track.best) track.since = clock.now();
  track.phase = Math.max(track.phase, phase);
  track.best = Math.max(track.best, percent);
  if (state.restarts > track.restarts) {
    reporter.info(`${what}: the import of ${volume.source} broke, CDI tries again${said(state.trouble)}`);
  }
  const isSteady = state.isRunning && state.restarts === track.restarts;
  track.restarts = state.restarts;
  if (state.trouble !== '') track.trouble = state.trouble;
  if (state.isFinal) throw failed(what, volume, `CDI gave up${said(state.trouble || state.words)}`, state.trouble);
  const idle = clock.now() - track.since;
  if (idle < (isSteady ? Math.max(timeout, longest) : timeout)) return;
  const tried = state.restarts === 0 ? '' : `, after ${state.restarts + 1} tries`;
  const why = track.trouble === '' ? ` (${state.words}).` : said(track.trouble);
  throw failed(what, volume, `nothing has come for ${Math.round(idle / 1000)} s${tried}${why}`, track.trouble);
}

async function readState(
  cluster: Cluster,
  discovery: Discovery,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<ImportState> {
  const kind = needVmKind(discovery, 'DataVolume', cluster.context);
  const [claim, dataVolume] = await Promise.all([
    findObject(cluster, `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}`, signal),
    findObject(cluster, `${collectionPath(kind, namespace)}/${name}`, signal),
  ]);
  const { isFilled, words } = stateOf(claim, dataVolume);
  const status = mapIn(dataVolume?.status);
  const running = mapsIn(status.conditions).find(({ type }) => type === 'Running');
  const percent = typeof status.progress === 'string' ? Number.parseFloat(status.progress) : Number.NaN;
  return {
    claim,
    // With populators the volume is handed over to the claim last.
    isDone: isFilled && mapIn(claim?.status).phase === 'Bound',
    isFinal: status.phase === 'Failed',
    isRunning: running?.status === 'True',
    restarts: typeof status.restartCount === 'number' ? status.restartCount : 0,
    percent: Number.isNaN(percent) ? undefined : percent,
    phase: typeof status.phase === 'string' ? status.phase : '',
    trouble: troubleOf(running),
    words,
  };
}

/** CDI keeps the end of the last try in the condition. Its other messages are of pods that come and go as they should. */
function troubleOf(running: Record<string, unknown> | undefined): string {
  const { message, reason } = running ?? {};
  if (typeof message !== 'string' || message === '' || reason === 'Completed') return '';
  return /\b(Error|error|failed|unable|Unable|expected|mismatch|refused|not found|certificate|larger)\b/.test(
    `${reason} ${message}`,
  )
    ? message.trim()
    : '';
}

function brief({ percent, phase, restarts }: ImportState): string {
  const far = percent === undefined ? phase || 'is awaited' : `${percent.toFixed(1)} %`;
  return restarts === 0 ? far : `${far} (try ${restarts + 1})`;
}

function said(text: string): string {
  return text === '' ? '.' : `: ${text.replace(/\.?$/, '.')}`;
}

function failed(what: string, { source, name, url }: FilledVolume, why: string, trouble: string): TransshipError {
  const { host } = new URL(url);
  return new TransshipError('IMPORT_FAILED', `${what}: the volume ${source} could not be copied into ${name}; ${why}`, {
    hint: hintFor(trouble, host),
  });
}

function hintFor(trouble: string, host: string): string {
  if (/\b401\b|\b403\b/.test(trouble)) {
    return `Whatever answers as ${host} does not take the token of the export: does a gateway in front of it drop the header x-kubevirt-export-token?`;
  }
  if (/\b404\b/.test(trouble))
    return `Whatever answers as ${host} does not know the export: is it the virt-exportproxy of the source?`;
  if (/\b50[234]\b/.test(trouble)) {
    return `The source's export at ${host} does not answer in time: is its exporter pod ready, and has the way to it a time limit that a whole disk exceeds?`;
  }
  if (/x509|certificate|tls:/i.test(trouble)) {
    return `CDI does not trust ${host}: the \`cert\` of the export's link must be of who signed its certificate, or, where that is empty, CDI's image or its trusted CA (CDIConfig, importProxy.trustedCAProxy) must know it.`;
  }
  if (/larger|space/i.test(trouble)) {
    return "The target volume or CDI's scratch space is too small: CDI needs room for the disk twice while it imports.";
  }
  return `CDI's importer pods at the target must reach ${host}: look at \`kubectl logs\` of the pod importer-… there. Where there is no way, use \`export\` and then \`import\`.`;
}
