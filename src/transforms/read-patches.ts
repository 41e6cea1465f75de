import { isMap as isMapNode, isScalar, isSeq, type Node, visit } from 'yaml';
import { isMap } from '../values.ts';
import { type FileNodes, readFields, readList, readText } from './file-nodes.ts';
import type { ActionSpec, JsonMap, PatchOperation } from './spec.ts';
import { isKnownDirective } from './strategic-patch.ts';

const OPERATIONS = ['add', 'remove', 'replace', 'move', 'copy', 'test'] as const;

export function readJsonPatch(file: FileNodes, node: Node | null): ActionSpec | undefined {
  const items = readList(file, node, 'jsonPatch');
  const operations = items?.flatMap((item) => readOperation(file, item) ?? []);
  return operations && { type: 'jsonPatch', operations };
}

function readOperation(file: FileNodes, node: Node | null): PatchOperation | undefined {
  const fields = readFields(file, node, 'an operation', ['op', 'path', 'from', 'value']);
  if (fields === undefined) return undefined;
  const name = fields.get('op');
  if (name === undefined) return file.refuse(node, `an operation has no op. Give one of ${OPERATIONS.join(', ')}.`);
  const op = OPERATIONS.find((one) => one === file.valueOf(name.value));
  if (op === undefined) return file.refuse(name.value, `op must be one of ${OPERATIONS.join(', ')}.`);
  const pointerOf = (key: 'path' | 'from'): string | undefined => {
    const field = fields.get(key);
    if (field === undefined) return file.refuse(node, `${op} needs ${key}.`);
    const pointer = readText(file, field.value, key);
    const problem = pointer === undefined ? undefined : checkPointer(pointer);
    return problem === undefined ? pointer : file.refuse(field.value, `${key} ${problem}`);
  };
  const path = pointerOf('path');
  const isMove = op === 'move' || op === 'copy';
  const from = isMove ? pointerOf('from') : undefined;
  const value = fields.get('value');
  const hasValue = op === 'add' || op === 'replace' || op === 'test';
  if (hasValue && value === undefined) return file.refuse(node, `${op} needs value.`);
  if (!hasValue && value !== undefined) return file.refuse(value.key, `${op} takes no value.`);
  if (!isMove && fields.has('from')) return file.refuse(fields.get('from')?.key, `${op} takes no from.`);
  if (path === undefined || (isMove && from === undefined)) return undefined;
  return {
    op,
    path,
    ...(from === undefined ? {} : { from }),
    ...(value === undefined ? {} : { value: file.valueOf(value.value) }),
  };
}

/** https://www.rfc-editor.org/rfc/rfc6901 */
function checkPointer(pointer: string): string | undefined {
  if (!pointer.startsWith('/')) return 'must begin with a slash, such as /spec/replicas.';
  if (/~(?![01])/.test(pointer)) return 'has a ~ that is neither ~0 (a ~) nor ~1 (a /).';
  if (/\/(?:__proto__|constructor|prototype)(?=\/|$)/.test(pointer)) return 'names what no object has.';
  return undefined;
}

export function readMergePatch(file: FileNodes, node: Node | null): ActionSpec | undefined {
  const patch = readPatch(file, node, 'mergePatch');
  return patch && { type: 'mergePatch', patch };
}

export function readStrategicPatch(file: FileNodes, node: Node | null): ActionSpec | undefined {
  const patch = readPatch(file, node, 'strategicPatch');
  if (patch === undefined || node === null) return undefined;
  visit(node, {
    Pair: (_, { key, value }) => {
      if (!isScalar(key) || typeof key.value !== 'string' || !key.value.startsWith('$')) return;
      const name = key.value;
      if (!isKnownDirective(name)) {
        file.refuse(key, `${name} is not supported. Write null for what has to go, or a mergePatch or jsonPatch.`);
      } else if (name === '$patch') {
        const directive = isScalar(value) ? value.value : undefined;
        if (directive !== 'delete' && directive !== 'replace' && directive !== 'merge') {
          file.refuse(key, '$patch must be delete, replace or merge.');
        }
      } else if (!isSeq(value)) file.refuse(key, `${name} must be a list.`);
    },
  });
  if (Object.hasOwn(patch, '$patch')) file.refuse(node, '$patch would replace or delete all of an object.');
  return { type: 'strategicPatch', patch };
}

function readPatch(file: FileNodes, node: Node | null, what: string): JsonMap | undefined {
  if (!isMapNode(node)) return file.refuse(node, `${what} must be a map: a part of an object.`);
  if (node.items.length === 0) return file.refuse(node, `${what} is empty.`);
  const patch = file.valueOf(node);
  return isMap(patch) ? patch : file.refuse(node, `${what} must be a map: a part of an object.`);
}
