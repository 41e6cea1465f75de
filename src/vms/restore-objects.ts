import pLimit from 'p-limit';
import { collectionPath } from '../cluster/apply.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { type Environment, withEnvironmentOfVm } from '../environment/environment.ts';
import { TransshipError } from '../errors.ts';
import type { UndoLog } from '../undo.ts';
import { isSame } from './plan-objects.ts';
import { objectKey } from './plan-states.ts';
import type { PreparedVm } from './prepare-vms.ts';
import { type RemoveOptions, removeObject } from './restore-remove.ts';
import { createOnce } from './restore-write.ts';

export interface ObjectsOptions extends RemoveOptions {
  readonly environment?: Environment | undefined;
  readonly undo?: UndoLog | undefined;
}

/** The objects that machines need, of which several may need the same. */
export interface NeededObjects {
  /**
   * Makes what a machine needs, unless it is there.
   *
   * @returns the uids of those that are new, by path
   * @throws TransshipError `RESOURCE_EXISTS` for one that is there since the import was prepared, and differs
   */
  make(machine: PreparedVm): Promise<Record<string, string>>;
  /** Takes over what an earlier run has made for a machine. */
  adopt(machine: PreparedVm, made: Readonly<Record<string, string>>): void;
  /** Deletes what was made for a machine, but for what others need. @returns what could not be deleted, and why */
  giveUp(machine: PreparedVm): Promise<string[]>;
}

export function createNeededObjects(cluster: Cluster, discovery: Discovery, options: ObjectsOptions): NeededObjects {
  const { environment, undo } = options;
  const known = new Map<string, { readonly uid: string; readonly users: Set<PreparedVm> }>();
  // One machine must not delete what another has just found.
  const inTurn = pLimit(1);

  async function makeOne(machine: PreparedVm, object: KubeObject): Promise<string | undefined> {
    const kind = discovery.findKind(object.apiVersion, object.kind);
    if (kind === undefined) throw new TransshipError('NOT_SERVED', `The target serves no ${object.kind} any more.`);
    const { namespace, name } = object.metadata;
    const collection = collectionPath(kind, namespace);
    const path = `${collection}/${encodeURIComponent(name)}`;
    const body = withEnvironmentOfVm(object, environment?.name);
    const { live, isNew } = await createOnce(cluster, collection, body, { clock: options.clock });
    const uid = live.metadata.uid ?? '';
    if (isNew) {
      known.set(path, { uid, users: new Set([machine]) });
      await undo?.created(path, live);
      return path;
    }
    const ours = known.get(path);
    if (ours?.uid === uid) {
      ours.users.add(machine);
      return path;
    }
    // The name of a revision is made up: one that is there is of an earlier try.
    const isOurs = object.kind === 'ControllerRevision';
    const isBrought = machine.isBrought(objectKey({ group: kind.group, kind: kind.kind, namespace, name }));
    if (isOurs || isBrought || isSame(live, object)) return undefined;
    throw new TransshipError(
      'RESOURCE_EXISTS',
      `The ${object.kind} ${namespace === undefined ? '' : `${namespace}/`}${name} was made at the target meanwhile, and differs from the one the machine needs.`,
    );
  }

  return {
    make: (machine) =>
      inTurn(async () => {
        const made: Record<string, string> = {};
        for (const object of machine.plan.objects) {
          // Those were made before all machines.
          if (object.kind === 'Namespace' && object.apiVersion === 'v1') continue;
          const path = await makeOne(machine, object);
          if (path !== undefined) made[path] = known.get(path)?.uid ?? '';
        }
        return made;
      }),
    adopt(machine, made) {
      for (const [path, uid] of Object.entries(made)) {
        const one = known.get(path) ?? { uid, users: new Set() };
        one.users.add(machine);
        known.set(path, one);
      }
    },
    giveUp: (machine) =>
      inTurn(async () => {
        const left: string[] = [];
        for (const [path, { uid, users }] of [...known].reverse()) {
          if (!users.delete(machine) || users.size > 0) continue;
          known.delete(path);
          const why = await removeObject(cluster, path, uid, options);
          if (why !== undefined) left.push(`${path} (${why})`);
        }
        return left;
      }),
  };
}
