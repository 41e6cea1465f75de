import type { KubeObject } from '../cluster/cluster.ts';
import { messageOf } from '../errors.ts';
import { cloneJson } from '../json.ts';
import type { applyPatch, Operation } from './lazy/json-patch.ts';
import type { PatchOperation } from './spec.ts';

/**
 * Makes what applies a JSON patch (RFC 6902) in place.
 *
 * @param library - loaded by the caller, and only when there is such a patch
 */
export function createJsonPatcher(
  operations: readonly PatchOperation[],
  library: { applyPatch: typeof applyPatch },
): (object: KubeObject) => void {
  return (object) => {
    for (const [index, operation] of operations.entries()) {
      const [error] = library.applyPatch(object, [operationOf(operation)]);
      // The library's own message may have what was found.
      if (error !== null) throw new Error(`operation ${index + 1} (${describe(operation, error)}`);
    }
  };
}

function describe({ op, path, from }: PatchOperation, error: unknown): string {
  const isTest = error instanceof Error && error.name === 'TestError';
  if (isTest) return `${op} ${path}) finds another value`;
  const missing = error instanceof Error && error.name === 'MissingError' ? messageOf(error) : '';
  const where = from !== undefined && missing.includes(from) && from !== path ? from : path;
  return `${op} ${path}) finds nothing at ${where}`;
}

/** As the library has it; each object gets values of its own. */
function operationOf({ op, path, from = '', value }: PatchOperation): Operation {
  if (op === 'move' || op === 'copy') return { op, path, from };
  return op === 'remove' ? { op, path } : { op, path, value: cloneJson(value) };
}
