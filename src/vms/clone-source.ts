import type { Clock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { messageOf } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { describeVm } from './describe-vm.ts';
import type { VmDescription } from './description.ts';
import { type OpenedExport, openExport } from './export-object.ts';
import { inUse, nameSource, type VmSource } from './export-state.ts';
import { takeSnapshot } from './snapshot-object.ts';
import { isVmRunning, stopVm } from './stop-vm.ts';

/** One of the clusters. */
export interface CloneSide {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
}

export interface OpenSourceOptions {
  /** What to do about a machine that runs. */
  readonly running: 'error' | 'snapshot' | 'stop';
  /** Which links the target can reach. */
  readonly links: 'internal' | 'external';
  /** Milliseconds: {@link openExport}. */
  readonly ttl: number;
  /** Milliseconds for each step. */
  readonly timeout: number;
  readonly run: string;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** An export, and the claims that are read through it. */
export interface SourceExport {
  readonly vmExport: OpenedExport;
  readonly claims: readonly string[];
}

/** A machine, or a claim alone, that can be read. */
export interface OpenSource {
  readonly description: VmDescription;
  readonly exports: readonly SourceExport[];
  /**
   * Deletes the exports with their tokens and the snapshot, and starts a machine that was stopped. Takes no signal. May be
   * called again.
   *
   * @returns what could not be done, as sentences
   */
  close(): Promise<string[]>;
}

const LINK_HINT =
  'The target reads the disks itself and needs a link it can reach: give the service virt-exportproxy of KubeVirt at the source an Ingress or Route. Without one, use `export` and then `import` (or `promote` with a storage), which can read through the API server.';

/**
 * Makes what is to be cloned readable: describes it, takes a snapshot or stops it if it runs, exports it. Nothing is left
 * when it fails.
 *
 * @throws TransshipError as {@link describeVm}, {@link takeSnapshot}, {@link stopVm} and {@link openExport} do
 */
export async function openSource(
  { cluster, discovery }: CloneSide,
  source: VmSource,
  options: OpenSourceOptions,
): Promise<OpenSource> {
  const { running, reporter, signal } = options;
  const undoing: (() => Promise<void>)[] = [];
  let closing: Promise<string[]> | undefined;
  const close = () => {
    closing ??= closeAll(undoing, reporter);
    return closing;
  };
  const open = async (one: VmSource, claims: readonly string[]): Promise<SourceExport> => {
    const vmExport = await openExport(cluster, discovery, one, { ...options, linkHint: LINK_HINT });
    undoing.push(() => vmExport.close());
    return { vmExport, claims };
  };
  try {
    let from = source;
    // The addresses of its interfaces are known only while it runs.
    let description = await describeVm(cluster, discovery, source, { reporter, signal });
    if (source.kind === 'vm') {
      const isRunning = await isVmRunning(cluster, discovery, source, signal);
      if (isRunning && running === 'error') throw inUse(source);
      if (isRunning && running === 'snapshot') {
        const snapshot = await takeSnapshot(cluster, discovery, source, options);
        undoing.push(() => snapshot.close());
        from = { kind: 'snapshot', namespace: snapshot.namespace, name: snapshot.name };
        description = await describeVm(cluster, discovery, from, { reporter, signal });
      }
      if (running === 'stop') {
        const stopped = await stopVm(cluster, discovery, source, options);
        if (stopped !== undefined) undoing.push(() => stopped.putBack());
      }
    }
    const [together, alone] = [false, true].map((isAlone) =>
      description.volumes.filter((volume) => (volume.alone === true) === isAlone).map(({ pvc }) => pvc),
    );
    const exports: SourceExport[] = [];
    if (together !== undefined && together.length > 0) exports.push(await open(from, together));
    for (const pvc of alone ?? []) {
      exports.push(await open({ kind: 'pvc', namespace: source.namespace, name: pvc }, [pvc]));
    }
    return { description, exports, close };
  } catch (error) {
    const left = await close();
    for (const problem of left) reporter.error(`The ${nameSource(source)}: ${problem}`, 'Left behind');
    throw error;
  }
}

/** The last first: a machine can't start while its export holds the claims. */
async function closeAll(undoing: readonly (() => Promise<void>)[], reporter: Reporter): Promise<string[]> {
  const problems: string[] = [];
  for (const undo of undoing.toReversed()) {
    try {
      await undo();
    } catch (error) {
      reporter.debug(messageOf(error));
      problems.push(messageOf(error));
    }
  }
  return problems;
}
