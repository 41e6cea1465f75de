import type { Snapshot } from '../archive/snapshot.ts';
import type { KubeObject } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import { isSamePath, nameManager } from '../manager/identity.ts';
import type { ManagerGuard } from '../releases/manager-guard.ts';
import { isOfManager } from '../releases/manager-objects.ts';
import { countOf } from '../report/format.ts';
import type { Reporter } from '../report/reporter.ts';
import type { BringInputs } from './importing.ts';

/** Keeps an import from making a second manager of the path that a snapshot was written to. */
export interface Guarding {
  readonly releases: ManagerGuard;
  /** Whether a plain object belongs to the manager. Told are all it has said yes to. */
  leavesOut(object: KubeObject): boolean;
  tell(reporter: Reporter): void;
}

/**
 * Reads whom an import must not bring in as it is.
 *
 * @throws TransshipError `INPUT` for a `manager-path` that is none, or that the manager has already
 */
export function createGuarding({ manager }: Pick<Snapshot, 'manager'>, inputs: BringInputs): Guarding {
  const newPath = inputs['manager-path'];
  if (newPath !== undefined) checkNewPath(newPath, manager?.path);
  const objects = new Set<string>();
  return {
    releases: { manager, place: placeOf(inputs), newPath },
    leavesOut: (object) => {
      if (manager === undefined || !isOfManager(object, manager)) return false;
      const { name, namespace = '' } = object.metadata;
      objects.add(`${object.apiVersion}/${object.kind}/${namespace}/${name}`);
      return true;
    },
    tell: (reporter) => {
      if (manager === undefined || objects.size === 0) return;
      reporter.warn(
        `Left out: ${countOf(objects.size, 'object')} of ${nameManager(manager)}, for it is the manager that wrote this snapshot, and two would keep ${manager.path} up to date.`,
        'Manager left out',
      );
    },
  };
}

/** Where the snapshot is read from, where a manager could write to. */
function placeOf(inputs: BringInputs): string | undefined {
  const storage = inputs.mode === 'promote' ? inputs.storage : inputs;
  return storage === undefined || storage.backend === 'artifact' ? undefined : storage.path;
}

/** It comes to stand in manifests, with and without quotes. */
const PATH = /^(s3:\/\/[a-z0-9][a-z0-9.-]+|\/)[^\s"'`\\,#[\]{}]*(?<!:)$/;

function checkNewPath(path: string, old: string | undefined): void {
  if (!PATH.test(path)) {
    throw new TransshipError(
      'INPUT',
      `manager-path: ${JSON.stringify(path)} is not a path for a manager. Give s3://bucket/prefix, or a folder such as /data.`,
    );
  }
  if (old === undefined || !isSamePath(path, old)) return;
  throw new TransshipError(
    'INPUT',
    `manager-path: ${JSON.stringify(path)} is where the manager that wrote the snapshot writes already.`,
    { hint: 'Give another path, or leave it out: then that manager is left out.' },
  );
}
