import { type Clock, systemClock } from '../cluster/clock.ts';
import { type Cluster, ClusterError, type KubeObject } from '../cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../cluster/discovery.ts';
import { waitForCrd } from '../cluster/wait.ts';
import type { Environment } from '../environment/environment.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ObjectFailure, ResourceResult } from '../report/results.ts';
import { inTurn } from '../streams.ts';
import type { UndoLog } from '../undo.ts';
import { createBringer } from './bring-object.ts';
import { DEFINITIONS, FIRST_WAVE_AFTER_RELEASES, NAMESPACES, WAVES } from './order.ts';
import { createOutage } from './outage.ts';
import { createOwnerLinks } from './owner-links.ts';
import { forEachAtOnce } from './pool.ts';
import { idOf, keyOf, nameObject } from './resource.ts';
import { createTally } from './tally.ts';
import { createWaitingRoom, markOf, type Waiting } from './waiting-room.ts';
import type { ImportWork, WorkFile, WorkObject } from './work.ts';
import { createWriter, type Written } from './write-object.ts';
import { readRefusal, saidBy } from './write-refusals.ts';
import { createStatusWriter } from './write-status.ts';

export interface RestoreOptions {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  /** Whether the status of a kind is brought in too. */
  readonly restoreStatus: (kind: string, group: string) => boolean;
  /** Milliseconds: for CRDs, namespaces on their way out, webhooks that are not ready, an API server that is away. */
  readonly timeout: number;
  /** Objects under way at once. */
  readonly concurrency: number;
  readonly reporter: Reporter;
  /** Once aborted, nothing more is written, and what is left is listed as skipped. */
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  /** Everything that is created gets its label, but for what appears by itself. */
  readonly environment?: Environment | undefined;
  /** Told of everything that is done, so that it can be taken back. */
  readonly undo?: UndoLog | undefined;
}

/**
 * An import of resources at work. What goes wrong with objects is in the result; its functions reject only when the
 * snapshot can't be read.
 */
export interface ResourceRestore {
  /** Brings in what Helm releases may need. */
  before(): Promise<void>;
  /** Brings in the rest, and tries again what was refused. To be called in any case: it lists what was not done. */
  after(): Promise<void>;
  result(): { readonly resources: readonly ResourceResult[]; readonly failures: readonly ObjectFailure[] };
}

interface Item {
  readonly file: WorkFile;
  readonly one: WorkObject;
}

/** Files whose first object is read ahead: most are small. */
const FILES_AHEAD = 4;

/** Brings prepared work into a cluster, wave by wave; nothing is kept of an object that went well. */
export function restoreResources(work: ImportWork, options: RestoreOptions): ResourceRestore {
  const {
    cluster,
    discovery,
    timeout,
    concurrency,
    reporter,
    signal,
    clock = systemClock,
    environment,
    undo,
  } = options;
  const total = work.files.reduce((sum, { count }) => sum + count, work.namespaces.length);
  const tally = createTally({ total, reporter, clock });
  const outage = createOutage({ cluster, timeout, reporter, clock, signal });
  const waiting = createWaitingRoom({ objects: objectsOf, concurrency, clock });
  const links = createOwnerLinks(work, {
    cluster,
    discovery,
    outage,
    reporter,
    concurrency,
    signal,
    stopped,
    onFailure,
    undo,
  });
  const bring = createBringer(work, {
    write: createWriter({ cluster, outage, timeout, reporter, clock, signal, environment, undo }),
    writeStatus: createStatusWriter({ cluster, outage, reporter, signal }),
    links,
    restoreStatus: options.restoreStatus,
    clock,
    signal,
  });
  /** Namespaces that the snapshot does not bring: of them, no more is known than the name. */
  const bare: WorkFile = {
    path: '',
    kind: discovery.findKind('v1', 'Namespace') ?? NAMESPACE_KIND,
    isCustom: false,
    namespace: undefined,
    wave: NAMESPACES,
    count: work.namespaces.length,
  };
  /** Namespaces and CRDs that are not there for what needs them, and why. */
  const broken = new Map<string, string>();
  const definitions: (Omit<Waiting, 'error'> & { readonly outcome: Written['outcome'] })[] = [];
  /** Why the server takes no more requests of ours. */
  let closed: string | undefined;
  let isLastTry = false;

  function stopped(): string | undefined {
    if (signal?.aborted === true) return 'The run was cancelled before it.';
    return closed ?? outage.lost();
  }

  async function handle({ file, one }: Item): Promise<void> {
    const { kind } = file;
    if (one.standing === 'equal' || one.standing === 'kept') {
      if (one.object.metadata.ownerReferences !== undefined) links.leave(file);
      tally.count(kind, 'unchanged');
      return;
    }
    const obstacle = stopped() ?? brokenBelow(file);
    if (obstacle !== undefined) {
      tally.fail(kind, nameOf(one), 'skipped', obstacle);
      return;
    }
    try {
      const outcome = await bring(file, one, !waiting.has(file));
      if (file.wave === DEFINITIONS) definitions.push({ ...markOf(file, one), outcome });
      else tally.count(kind, outcome);
    } catch (error) {
      refuse({ file, one }, error);
    }
  }

  const retry = (file: WorkFile, one: WorkObject) => handle({ file, one });

  function refuse({ file, one }: Item, error: unknown): void {
    if (!(error instanceof TransshipError)) throw error;
    const { is, hint } = readRefusal(error);
    if (signal?.aborted === true) {
      tally.fail(file.kind, nameOf(one), 'skipped', 'The run was cancelled while it was brought in.');
    } else if (
      outage.lost() === undefined &&
      !isLastTry &&
      ((is === 'denied' && file.wave > NAMESPACES) || isPassing(is))
    ) {
      waiting.add(file, one, error, is === 'denied');
    } else {
      if (is === 'closed') closed = error.message;
      fail(markOf(file, one), sayWhy(error, hint));
    }
  }

  function fail({ file, id, standing }: Omit<Waiting, 'error'>, why: string): void {
    const name = nameObject(id);
    tally.fail(file.kind, name, 'failed', why);
    if (standing === 'new' && file.wave <= NAMESPACES) broken.set(id.name, `${name} could not be created: ${why}`);
  }

  function onFailure(file: WorkFile, object: string, outcome: Written['outcome'], error: unknown): void {
    if (!(error instanceof TransshipError)) throw error;
    const { hint } = readRefusal(error);
    tally.revoke(file.kind, outcome, object, `It has no owner references: ${sayWhy(error, hint)}`);
  }

  function brokenBelow({ kind, namespace, isCustom }: WorkFile): string | undefined {
    if (broken.size === 0) return undefined;
    return (
      (namespace === undefined ? undefined : broken.get(namespace)) ??
      (isCustom ? broken.get(`${kind.plural}.${kind.group}`) : undefined)
    );
  }

  async function bringWave(wave: number): Promise<void> {
    const files = work.files.filter((file) => file.wave === wave);
    const sources = files.map((file) => () => itemsOf(file));
    if (wave === NAMESPACES) sources.unshift(() => itemsOf(bare));
    await forEachAtOnce(inTurn(sources, FILES_AHEAD), concurrency, handle);
    await waiting.retry(retry);
    // All that follows is in a namespace, or of a kind that has to be served.
    if (wave <= NAMESPACES) await retryUntil(clock.now() + timeout);
    if (wave === DEFINITIONS) await establish();
    await links.settle();
  }

  async function* itemsOf(file: WorkFile): AsyncGenerator<Item> {
    for await (const one of objectsOf(file)) yield { file, one };
  }

  function objectsOf(file: WorkFile): AsyncIterable<WorkObject> {
    return file === bare ? bareNamespaces() : work.objects(file);
  }

  async function* bareNamespaces(): AsyncGenerator<WorkObject> {
    for (const name of work.namespaces) {
      const object: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      yield { object, key: keyOf(idOf(object)), standing: 'new', recreate: false };
    }
  }

  async function establish(): Promise<void> {
    await forEachAtOnce(definitions.splice(0), concurrency, async ({ outcome, ...one }) => {
      try {
        await outage.guard(() => waitForCrd(cluster, one.id.name, { timeout, signal, clock }));
        tally.count(one.file.kind, outcome);
      } catch (error) {
        if (!(error instanceof TransshipError)) throw error;
        if (signal?.aborted === true) tally.count(one.file.kind, outcome);
        else fail(one, sayWhy(error));
      }
    });
  }

  /** Tries again what waits until all is done, or it is too late. */
  async function retryUntil(deadline: number): Promise<void> {
    const first = waiting.first();
    if (first === undefined) return;
    reporter.info(
      `${first.count === 1 ? 'One object is' : `${first.count} objects are`} tried again for up to ${timeout / 1000} s: ${sayWhy(first.error)}`,
    );
    for (let due = waiting.due(); due !== undefined && stopped() === undefined; due = waiting.due()) {
      const now = clock.now();
      if (now >= deadline) break;
      reporter.progress(`Waiting to try ${waiting.first()?.count ?? 0} objects again`);
      // An abort wakes it: the loop ends, and what waits is listed.
      if (due > now) await clock.sleep(Math.min(due, deadline) - now, signal).catch(unlessAborted);
      await waiting.retry(retry);
    }
    if (stopped() !== undefined) return;
    for (const { error, ...one } of waiting.giveUp()) {
      const gone = one.recreate ? ' It may have been deleted already, to be created anew.' : '';
      fail(one, `${sayWhy(error, readRefusal(error).hint)} It was tried again for ${timeout / 1000} s.${gone}`);
    }
  }

  function unlessAborted(error: unknown): void {
    if (signal?.aborted !== true) throw error;
  }

  return {
    async before() {
      for (let wave = 0; wave < FIRST_WAVE_AFTER_RELEASES; wave += 1) await bringWave(wave);
    },
    async after() {
      for (let wave = FIRST_WAVE_AFTER_RELEASES; wave < WAVES.length; wave += 1) await bringWave(wave);
      await retryUntil(clock.now() + timeout);
      isLastTry = true;
      await waiting.empty(retry);
      await links.finish();
    },
    result: tally.result,
  };
}

function isPassing(is: string): boolean {
  return is === 'soon' || is === 'later' || is === 'lost';
}

function nameOf({ object }: WorkObject): string {
  return nameObject(idOf(object));
}

function sayWhy(error: unknown, hint?: string): string {
  const said = error instanceof ClusterError ? saidBy(error) : error instanceof Error ? error.message : String(error);
  const advice = hint ?? (error instanceof TransshipError ? error.hint : undefined);
  const sentence = /[.!?]$/.test(said) ? said : `${said}.`;
  return advice === undefined ? sentence : `${sentence} ${advice}`;
}

/** For servers that hide what a user may not list. */
const NAMESPACE_KIND: ResourceKind = {
  group: '',
  version: 'v1',
  apiVersion: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  namespaced: false,
  verbs: ['create', 'get', 'patch'],
  versions: ['v1'],
};
