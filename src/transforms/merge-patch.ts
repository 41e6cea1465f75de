import { cloneJson } from '../json.ts';
import { isMap } from '../values.ts';
import type { JsonMap } from './spec.ts';

/** Applies a merge patch in place: https://www.rfc-editor.org/rfc/rfc7386 */
export function applyMergePatch(target: Record<string, unknown>, patch: JsonMap): void {
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete target[key];
    else if (!isMap(value)) target[key] = cloneJson(value);
    else {
      const before = target[key];
      const after: Record<string, unknown> = isMap(before) && !JSON.isRawJSON(before) ? before : {};
      applyMergePatch(after, value);
      target[key] = after;
    }
  }
}
