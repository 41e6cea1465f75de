import pLimit from 'p-limit';
import { damaged } from '../archive/damage.ts';
import { collectionPath } from '../cluster/apply.ts';
import type { KubeObject } from '../cluster/cluster.ts';
import { findObject } from '../cluster/find.ts';
import { type Environment, withEnvironmentOfVm } from '../environment/environment.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import type { UndoLog } from '../undo.ts';
import { isMap, mapsIn } from '../values.ts';
import { needVmKind } from './kinds.ts';
import { ownedBy } from './plan-vm-import.ts';
import type { PreparedVm } from './prepare-vms.ts';
import { IMPORTING, type ImportNote, noteOn, withNote } from './restore-note.ts';
import type { NeededObjects } from './restore-objects.ts';
import { removeMachine } from './restore-remove.ts';
import { isNoted, restoreVolume, type VolumeContext } from './restore-volume.ts';
import { createOnce, mergeFields } from './restore-write.ts';
import { readVolume } from './wait-volume.ts';

export interface MachineContext extends VolumeContext {
  readonly environment?: Environment | undefined;
  readonly undo?: UndoLog | undefined;
  readonly objects: NeededObjects;
}

/** A machine, or a claim alone, whose import is under way. */
export interface BegunMachine {
  /**
   * Fills all volumes, side by side, verifies them, and lets it run as it should.
   *
   * @param failed - is aborted when one volume fails; all have ended when this has
   */
  finish(failed: AbortController): Promise<void>;
  /** Takes away all that was made for it. It takes no signal. @returns what could not be deleted, and why */
  remove(): Promise<string[]>;
}

/**
 * Makes a machine, off, and its volumes, empty; or takes over what an earlier run has left of the very same import. When it
 * fails, nothing of it stays but what the error names.
 *
 * @param onMade - called as soon as there may be something to take away
 */
export async function beginMachine(
  machine: PreparedVm,
  context: MachineContext,
  onMade: (begun: Pick<BegunMachine, 'remove'>) => void,
): Promise<BegunMachine> {
  const { cluster, discovery, environment, undo, objects } = context;
  const { plan, namespace } = machine;
  const main = plan.vm ?? plan.dataVolumes[0]?.dataVolume;
  if (main === undefined) throw new TransshipError('ARCHIVE_UNSUPPORTED', 'The archive has nothing to import.');
  const collection = collectionPath(
    needVmKind(discovery, plan.vm === undefined ? 'DataVolume' : 'VirtualMachine', cluster.context),
    namespace,
  );
  const path = `${collection}/${encodeURIComponent(main.metadata.name)}`;
  const names = plan.dataVolumes.map(({ name }) => name);
  const { clock, signal } = context;
  let live: KubeObject | undefined;
  let note: ImportNote | undefined;
  const remove = async () => {
    // When the answer was lost, only a look tells whether it was made.
    if (live === undefined && note !== undefined) live = await findNoted(cluster, path, note);
    const left = live === undefined ? [] : await removeMachine(cluster, discovery, path, live, names, context);
    return [...left, ...(await objects.giveUp(machine))];
  };
  onMade({ remove });

  const half = await findHalf(machine, path, context);
  if (half === undefined) {
    const made = await objects.make(machine);
    if (signal?.aborted) throw cancelledBy(signal);
    note = { seed: plan.seed, plan: machine.digest, volumes: {}, made };
    const body = withEnvironmentOfVm(withNote(main, note), environment?.name);
    // Without the signal: to create is short, and what came of it must be known.
    const created = await createOnce(cluster, collection, body, { clock });
    if (!isNotedAs(created.live, note)) {
      throw new TransshipError(
        'RESOURCE_EXISTS',
        `The ${main.kind} ${namespace}/${main.metadata.name} was made meanwhile.`,
        { hint: 'Delete it, or import under another name with `name`.' },
      );
    }
    live = created.live;
  } else {
    live = half;
    objects.adopt(machine, noteOn(half)?.made ?? {});
    // What is missing was deleted since.
    await objects.make(machine);
  }
  await undo?.created(path, live);
  if (plan.vm !== undefined) await makeOthers(machine, live, context);
  const notes = createNotes(path, live, context);
  /** The first of all: the others are only told to stop. */
  let failure: { readonly error: unknown } | undefined;

  return {
    remove,
    async finish(failed) {
      await Promise.allSettled(
        plan.dataVolumes.map(async (volume) => {
          try {
            const content = machine.contents.get(volume.source);
            if (content === undefined) throw damaged(`The archive has no content of the claim ${volume.source}.`);
            await restoreVolume(volume, namespace, content, notes, context);
          } catch (error) {
            failure ??= { error };
            failed.abort();
            throw error;
          }
        }),
      );
      if (failure !== undefined) throw failure.error;
      if (signal?.aborted) throw cancelledBy(signal);
      const strategy = plan.vm === undefined ? undefined : (plan.runStrategy ?? 'Halted');
      await mergeFields(
        cluster,
        path,
        {
          metadata: { annotations: { [IMPORTING]: null } },
          ...(strategy !== undefined && strategy !== 'Halted' && { spec: { runStrategy: strategy } }),
        },
        { clock },
      );
    },
  };
}

async function findNoted(
  cluster: MachineContext['cluster'],
  path: string,
  note: ImportNote,
): Promise<KubeObject | undefined> {
  const there = await findObject(cluster, path).catch(() => undefined);
  return there !== undefined && isNotedAs(there, note) ? there : undefined;
}

function isNotedAs(object: KubeObject, { seed, plan }: ImportNote): boolean {
  const there = noteOn(object);
  return there?.plan === plan && there.seed === seed;
}

/** What an earlier run has left of this very import. What it has left of another one is deleted. */
async function findHalf(machine: PreparedVm, path: string, context: MachineContext): Promise<KubeObject | undefined> {
  const { plan, namespace, digest } = machine;
  const { cluster, discovery, signal, reporter, objects } = context;
  if (plan.half === undefined) return undefined;
  const live = await findObject(cluster, path, signal);
  if (live === undefined || live.metadata.uid !== plan.half.metadata.uid) return undefined;
  const note = noteOn(live);
  const names = plan.dataVolumes.map(({ name }) => name);
  if (note?.plan === digest && live.metadata.deletionTimestamp === undefined) {
    const states = await Promise.all(
      names.map(async (pvc) => ({ pvc, ...(await readVolume(cluster, discovery, { namespace, pvc }, signal)) })),
    );
    const get = (name: string) => note.volumes[name];
    const strange = states.find(({ pvc, claim, isFilled }) => isFilled && !isNoted({ get }, pvc, claim?.metadata.uid));
    if (strange === undefined) return live;
    reporter.info(`${namespace}/${strange.pvc} was filled, and it is not known with what: it is begun again.`);
  }
  objects.adopt(machine, note?.made ?? {});
  const left = [
    ...(await removeMachine(cluster, discovery, path, live, volumesOf(live, names), context)),
    ...(await objects.giveUp(machine)),
  ];
  if (left.length > 0) {
    throw new TransshipError(
      'IMPORT_FAILED',
      `What an interrupted import has left can't be deleted: ${left.join('; ')}.`,
      {
        hint: 'Delete it, and import again.',
      },
    );
  }
  return undefined;
}

/** Names of the DataVolumes of a machine, by its templates and its notes; it may be of another plan. */
function volumesOf(live: KubeObject, names: readonly string[]): string[] {
  const { spec } = live;
  const templates = mapsIn(isMap(spec) ? spec.dataVolumeTemplates : undefined);
  const found = templates.flatMap(({ metadata }) => (isMap(metadata) ? String(metadata.name) : []));
  return [...new Set([...names, ...found, ...Object.keys(noteOn(live)?.volumes ?? {})])];
}

/** What belongs to a machine without being a template: other DataVolumes, and its copies of instancetypes. */
async function makeOthers({ plan, namespace }: PreparedVm, vm: KubeObject, context: MachineContext): Promise<void> {
  const { cluster, discovery, undo, clock } = context;
  const ownerReferences = [ownedBy({ ...vm, ...kindOf(plan.vm) })];
  const dataVolumes = collectionPath(needVmKind(discovery, 'DataVolume', cluster.context), namespace);
  for (const { isTemplate, dataVolume } of plan.dataVolumes) {
    if (isTemplate) continue;
    const body = { ...dataVolume, metadata: { ...dataVolume.metadata, ownerReferences } };
    const { live, isNew } = await createOnce(cluster, dataVolumes, body, { clock });
    if (isNew) await undo?.created(`${dataVolumes}/${encodeURIComponent(body.metadata.name)}`, live);
  }
  for (const { apiVersion, kind, metadata } of plan.objects) {
    if (kind !== 'ControllerRevision') continue;
    const revision = discovery.findKind(apiVersion, kind);
    if (revision === undefined) continue;
    const path = `${collectionPath(revision, metadata.namespace)}/${encodeURIComponent(metadata.name)}`;
    await mergeFields(cluster, path, { metadata: { ownerReferences } }, context);
  }
}

/** The server's answer has both; a stand-in's need not. */
function kindOf(vm: KubeObject | undefined): Pick<KubeObject, 'apiVersion' | 'kind'> {
  return { apiVersion: vm?.apiVersion ?? '', kind: vm?.kind ?? '' };
}

/** Keeps the note on a machine up to date; changes are made one after the other. */
function createNotes(path: string, live: KubeObject, context: MachineContext) {
  let note: ImportNote = noteOn(live) ?? { seed: '', plan: '', volumes: {}, made: {} };
  const inTurn = pLimit(1);
  return {
    get: (name: string) => note.volumes[name],
    set: (name: string, uid: string) =>
      inTurn(async () => {
        if (note.volumes[name] === uid) return;
        note = { ...note, volumes: { ...note.volumes, [name]: uid } };
        const annotations = { [IMPORTING]: JSON.stringify(note) };
        await mergeFields(context.cluster, path, { metadata: { annotations } }, context);
      }),
  };
}
