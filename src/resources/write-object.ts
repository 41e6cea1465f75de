import { FIELD_MANAGER } from '../cluster/apply.ts';
import type { Clock } from '../cluster/clock.ts';
import { type Cluster, ClusterError, type KubeObject, type OwnerReference } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import { ENVIRONMENT_LABEL, type Environment, withEnvironment } from '../environment/environment.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { UndoLog } from '../undo.ts';
import { mapsIn } from '../values.ts';
import { adoptFields } from './adopt-fields.ts';
import { differingPaths } from './equality.ts';
import { waitUntilGone } from './gone.ts';
import type { Outage } from './outage.ts';
import { idOf, nameObject } from './resource.ts';
import { isEnding } from './target-namespaces.ts';
import { readRefusal, saidBy } from './write-refusals.ts';

/** One object to be written. */
export interface Write {
  /** Path of its collection. */
  readonly path: string;
  /** Owner references, with uids, count only for an object that is created. */
  readonly object: KubeObject;
  /** Whether the target has one that is to be changed. */
  readonly exists: boolean;
  /** What is there cannot be changed: it is deleted and created. */
  readonly recreate: boolean;
  /** Whether what it owns is brought in too, and so has to outlive it when it is deleted. */
  readonly ownsOthers: boolean;
  /** Whether the cluster, or a controller, may have made one meanwhile that nobody has put anything into yet. */
  readonly mayAppear: boolean;
  /** Owners that it had, with their uids, until this import deleted them to create them anew. */
  readonly lostOwners?: readonly OwnerReference[] | undefined;
}

export interface Written {
  readonly outcome: 'created' | 'updated' | 'unchanged';
  /** As it is now. */
  readonly live: KubeObject;
  /** Whether it was made just now, with the owner references that were sent. */
  readonly isNew: boolean;
  /** The uid of the one in whose place it was created. */
  readonly replaced?: string | undefined;
}

export interface WriterOptions {
  readonly cluster: Cluster;
  readonly outage: Outage;
  /** Milliseconds for an object to be gone that is being deleted. */
  readonly timeout: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  readonly reporter: Reporter;
  /** What is created is labelled with it. */
  readonly environment?: Environment | undefined;
  /** Told of everything that is done, so that it can be taken back. */
  readonly undo?: UndoLog | undefined;
}

/** Writes one object; whatever became of an earlier try, it may be tried again. */
export type WriteObject = (write: Write) => Promise<Written>;

/** What an earlier try may have done already. */
interface Past {
  /** A request to create it has had no answer. */
  mayBeCreated: boolean;
  isDeleted: boolean;
  /** The one that is changed is in the undo log. */
  isLogged: boolean;
}

const TRIES = 5;
const FIELDS_TOLD = 3;

/** Makes the function that brings objects to the target. It throws ClusterError or TransshipError. */
export function createWriter(options: WriterOptions): WriteObject {
  const { cluster, outage, reporter, signal, environment, undo } = options;
  const query = { fieldManager: FIELD_MANAGER };
  // By default the server drops fields that it does not know, and says so only in a header.
  const creating = { ...query, fieldValidation: 'Strict' };
  /** Those that were deleted to be created anew, by their paths. */
  const deleted = new Map<string, { readonly uid: string | undefined; readonly environment: string | undefined }>();

  async function write(job: Write): Promise<Written> {
    const past: Past = { mayBeCreated: false, isDeleted: false, isLogged: false };
    try {
      return await outage.guard(() => attempt(job, past));
    } catch (error) {
      // It may be there all the same; its uid is not known.
      if (past.mayBeCreated) await undo?.created(pathOf(job), job.object);
      throw error;
    }
  }

  async function attempt(job: Write, past: Past): Promise<Written> {
    if (job.recreate) {
      if (!past.isDeleted) await remove(job);
      past.isDeleted = true;
      const written = await create(job, past).catch(sayDeleted);
      const replaced = deleted.get(pathOf(job))?.uid;
      return { ...written, outcome: written.outcome === 'created' ? 'updated' : written.outcome, replaced };
    }
    return job.exists ? change(job, past) : create(job, past);
  }

  async function create(job: Write, past: Past): Promise<Written> {
    const { path } = job;
    const body = withEnvironment(job.object, environmentOf(job));
    for (let tries = 1; ; tries += 1) {
      try {
        return await made(job, await cluster.json({ method: 'POST', path, query: creating, body, signal }));
      } catch (error) {
        const { is } = readRefusal(error);
        past.mayBeCreated ||= is === 'lost';
        if ((is !== 'exists' && is !== 'ending') || tries === TRIES) throw error;
        const live = await find(job);
        if (live !== undefined && !isEnding(live)) return take(job, live, past);
        if (live !== undefined) await untilGone(job, live);
      }
    }
  }

  async function made(job: Write, live: KubeObject): Promise<Written> {
    await undo?.created(pathOf(job), live);
    return { outcome: 'created', live, isNew: true };
  }

  /** What replaces another is of the environment that that one was of. */
  function environmentOf(job: Write): string | undefined {
    const before = job.recreate ? deleted.get(pathOf(job)) : undefined;
    if (before !== undefined) return before.environment;
    return job.mayAppear ? undefined : environment?.name;
  }

  /** What to do about an object that was not there when the import was prepared. */
  async function take(job: Write, live: KubeObject, past: Past): Promise<Written> {
    if (isMadeByUs(live, past)) return made(job, live);
    if (job.recreate || job.mayAppear) return change(job, past);
    const fields = differingPaths(live, await apply(job, live, true).catch(unlessRefused), FIELDS_TOLD);
    if (fields.length === 0) return { outcome: 'unchanged', live, isNew: false };
    throw appeared(`differs in ${fields.join(', ')}.`);
  }

  async function change(job: Write, past: Past): Promise<Written> {
    for (let tries = 1; ; tries += 1) {
      let live = await find(job);
      if (live !== undefined && isEnding(live)) {
        await untilGone(job, live);
        live = undefined;
      }
      if (live === undefined) return create(job, past);
      try {
        await log(job, live, past);
        const before = await adopt(job, live);
        const after = await apply(job, live, false);
        const isSame = after.metadata.resourceVersion === before.metadata.resourceVersion;
        return { outcome: isSame ? 'unchanged' : 'updated', live: after, isNew: false };
      } catch (error) {
        // It was changed by someone else in between.
        if (readRefusal(error).is !== 'soon' || tries === TRIES) throw error;
      }
    }
  }

  async function log(job: Write, live: KubeObject, past: Past): Promise<void> {
    if (undo === undefined || past.isLogged) return;
    await undo.changing(pathOf(job), withOwners(live, job.lostOwners));
    past.isLogged = true;
  }

  async function adopt(job: Write, live: KubeObject): Promise<KubeObject> {
    const patch = adoptFields(live, FIELD_MANAGER);
    if (patch === undefined) return live;
    const contentType = 'application/json-patch+json';
    return cluster.json<KubeObject>({ method: 'PATCH', path: pathOf(job), query, contentType, body: patch, signal });
  }

  function apply(job: Write, live: KubeObject, dryRun: boolean): Promise<KubeObject> {
    // The label was ours from the start: left out, it would be removed.
    const object = withEnvironment(job.object, live.metadata.labels?.[ENVIRONMENT_LABEL]);
    // Owner references go by uid: one that was applied and is not named any more would be removed.
    const { ownerReferences: _owners, ...metadata } = object.metadata;
    return cluster.json<KubeObject>({
      method: 'PATCH',
      path: pathOf(job),
      query: { ...query, force: true, dryRun: dryRun ? 'All' : undefined },
      contentType: 'application/apply-patch+yaml',
      body: { ...object, metadata },
      signal,
    });
  }

  async function remove(job: Write): Promise<void> {
    const live = await find(job);
    if (live === undefined) return;
    if (!isEnding(live)) {
      const path = pathOf(job);
      await undo?.changing(path, withOwners(live, job.lostOwners));
      if (!deleted.has(path)) {
        deleted.set(path, { uid: live.metadata.uid, environment: live.metadata.labels?.[ENVIRONMENT_LABEL] });
      }
      await cluster
        .json({
          method: 'DELETE',
          path,
          body: {
            apiVersion: 'v1',
            kind: 'DeleteOptions',
            preconditions: { uid: live.metadata.uid },
            propagationPolicy: job.ownsOthers ? 'Orphan' : 'Background',
          },
          signal,
        })
        .catch(unlessGone);
    }
    await untilGone(job, live);
  }

  async function untilGone(job: Write, live: KubeObject): Promise<void> {
    const name = nameObject(idOf(job.object));
    reporter.info(`Waiting for ${name}, which is being deleted, to be gone.`);
    await waitUntilGone(options, pathOf(job), name, live.metadata.uid);
  }

  function find(job: Write): Promise<KubeObject | undefined> {
    return findObject(cluster, pathOf(job), signal);
  }

  return write;
}

/** The path of the object that is written. */
export function pathOf({ path, object }: Pick<Write, 'path' | 'object'>): string {
  return `${path}/${encodeURIComponent(object.metadata.name)}`;
}

/** An object with owners beside those it names. */
export function withOwners(object: KubeObject, more: readonly OwnerReference[] = []): KubeObject {
  if (more.length === 0) return object;
  const { ownerReferences = [] } = object.metadata;
  const added = more.filter(({ uid }) => ownerReferences.every((one) => one.uid !== uid));
  return { ...object, metadata: { ...object.metadata, ownerReferences: [...ownerReferences, ...added] } };
}

function unlessGone(error: unknown): void {
  if (error instanceof ClusterError && error.status === 404) return;
  throw error;
}

function appeared(how: string, cause?: unknown): TransshipError {
  return new TransshipError('IMPORT_FAILED', `It appeared at the target during the import, and ${how}`, {
    hint: 'Run the import again; with replace, if it is to become as it is in the snapshot.',
    cause,
  });
}

function unlessRefused(error: unknown): never {
  if (!(error instanceof ClusterError) || error.status !== 422) throw error;
  throw appeared(`can't become as it is in the snapshot: ${saidBy(error)}`, error);
}

function sayDeleted(error: unknown): never {
  if (!(error instanceof ClusterError) || readRefusal(error).is !== 'final') throw error;
  throw new TransshipError('IMPORT_FAILED', `It was deleted to be created anew, and is refused: ${saidBy(error)}`, {
    hint: error.hint ?? 'It is no more at the target. Put right what is refused, and run the import again.',
    cause: error,
  });
}

/**
 * Whether an earlier request that had no answer was carried out after all. Nothing was there before, so what bears our
 * name is of this import. Large objects and some extension servers keep no names.
 */
function isMadeByUs({ metadata: { managedFields } }: KubeObject, { mayBeCreated }: Past): boolean {
  const entries = mapsIn(managedFields);
  if (entries.length === 0) return mayBeCreated;
  return entries.some(({ manager, operation }) => manager === FIELD_MANAGER && operation === 'Update');
}
