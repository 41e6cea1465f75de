import { isMap, type Node } from 'yaml';
import { messageOf } from '../errors.ts';
import { parseLabelSelector } from '../selection/label-selector.ts';
import { checkRegex, findWrongFlag } from './check-regex.ts';
import { type FieldPath, parseFieldPath } from './field-paths.ts';
import {
  type Field,
  type FileNodes,
  openFile,
  readBoolean,
  readFields,
  readList,
  readMap,
  readPairs,
  readText,
  readTexts,
} from './file-nodes.ts';
import { checkImagePair } from './map-images.ts';
import { readJsonPatch, readMergePatch, readStrategicPatch } from './read-patches.ts';
import { PROTECTED_METADATA } from './replace-text.ts';
import type { ActionSpec, MetadataSpec, SelectionSpec, TransformSpec } from './spec.ts';

const ACTIONS: Readonly<Record<string, (file: FileNodes, node: Node | null) => ActionSpec | undefined>> = {
  namespaces: readNamespaces,
  storageClasses: readStorageClasses,
  images: readImages,
  replace: readReplace,
  labels: (file, node) => readMetadata(file, node, 'labels'),
  annotations: (file, node) => readMetadata(file, node, 'annotations'),
  jsonPatch: readJsonPatch,
  mergePatch: readMergePatch,
  strategicPatch: readStrategicPatch,
};
const ACTION_NAMES = Object.keys(ACTIONS);

/**
 * Reads a file of transforms.
 *
 * @throws TransshipError `INPUT` with all that is wrong, each with its line and column
 */
export function readTransformFile(path: string, text: string): TransformSpec[] {
  const file = openFile(path, text);
  const specs = readRoot(file);
  file.finish();
  return specs;
}

function readRoot(file: FileNodes): TransformSpec[] {
  const fields = readFields(file, file.root, 'a file of transforms', ['version', 'transforms']);
  if (fields === undefined) return [];
  const version = fields.get('version');
  if (version === undefined) file.refuse(file.root, 'version is missing. Write version: 1.');
  else if (file.valueOf(version.value) !== 1) file.refuse(version.value, 'version must be 1.');
  const list = fields.get('transforms');
  if (list === undefined) {
    file.refuse(file.root, 'transforms is missing: the list of what to change.');
    return [];
  }
  const items = readList(file, list.value, 'transforms') ?? [];
  return items.flatMap((item, index) => readTransform(file, item, `transforms[${index}]`) ?? []);
}

function readTransform(file: FileNodes, node: Node | null, title: string): TransformSpec | undefined {
  const fields = readFields(file, node, 'a transform', ['name', 'select', ...ACTION_NAMES]);
  if (fields === undefined) return undefined;
  const name = fields.get('name');
  const given = name === undefined ? undefined : readText(file, name.value, 'name');
  const select = fields.get('select');
  const selection = select === undefined ? {} : readSelection(file, select.value);
  const actions = [...fields.values()].filter(({ name: key }) => ACTION_NAMES.includes(key));
  const [field, second] = actions;
  if (field === undefined) {
    return file.refuse(node, `${given ?? title} does nothing. Give it one of ${ACTION_NAMES.join(', ')}.`);
  }
  if (second !== undefined) {
    file.refuse(second.key, `${given ?? title} has ${field.name} and ${second.name}. Make two transforms of them.`);
  }
  if (field.name === 'namespaces' && select !== undefined) {
    file.refuse(select.key, 'namespaces are mapped for all objects: a transform of them has no select.');
  }
  const action = ACTIONS[field.name]?.(file, field.value);
  if (action === undefined || selection === undefined) return undefined;
  return { title: given ?? title, place: file.placeOf(node), select: selection, action };
}

function readSelection(file: FileNodes, node: Node | null): SelectionSpec | undefined {
  const fields = readFields(file, node, 'select', ['kinds', 'names', 'namespaces', 'labels']);
  if (fields === undefined) return undefined;
  if (isMap(node) && node.items.length === 0)
    return file.refuse(node, 'select selects nothing. Leave it out to change all objects.');
  const textsOf = (name: string): string[] | undefined => {
    const field = fields.get(name);
    return field && readTexts(file, field.value, name)?.map(({ text }) => text);
  };
  const labels = fields.get('labels');
  const selector = labels && readText(file, labels.value, 'labels');
  if (selector !== undefined) {
    try {
      parseLabelSelector(selector);
    } catch (error) {
      file.refuse(labels?.value, messageOf(error));
    }
  }
  return { kinds: textsOf('kinds'), names: textsOf('names'), namespaces: textsOf('namespaces'), labels: selector };
}

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names */
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const CLASS = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;

function readNamespaces(file: FileNodes, node: Node | null): ActionSpec | undefined {
  const pairs = readPairs(file, node, 'namespaces', (...names) => misnamed(names, NAMESPACE, 'namespace'));
  return pairs && { type: 'namespaces', pairs };
}

function readStorageClasses(file: FileNodes, node: Node | null): ActionSpec | undefined {
  const pairs = readPairs(file, node, 'storageClasses', (...names) => misnamed(names, CLASS, 'storage class'));
  return pairs && { type: 'storageClasses', pairs };
}

function misnamed(names: readonly string[], form: RegExp, what: string): string | undefined {
  const wrong = names.find((name) => !form.test(name));
  return wrong === undefined ? undefined : `${JSON.stringify(wrong)} is no name of a ${what}.`;
}

function readImages(file: FileNodes, node: Node | null): ActionSpec | undefined {
  const pairs = readPairs(file, node, 'images', checkImagePair);
  return pairs && { type: 'images', pairs };
}

function readReplace(file: FileNodes, node: Node | null): ActionSpec | undefined {
  const fields = readFields(file, node, 'replace', ['text', 'regex', 'flags', 'with', 'in']);
  if (fields === undefined) return undefined;
  const replace = readWhat(file, node, fields);
  const to = fields.get('with');
  if (to === undefined) file.refuse(node, "replace has no with. Write with: '' to take the text away.");
  const text = to && readText(file, to.value, 'with', { mayBeEmpty: true });
  const paths = fields.get('in');
  const chosen = paths && readTexts(file, paths.value, 'in')?.flatMap((path) => readPath(file, path));
  if (replace === undefined || text === undefined) return undefined;
  return { type: 'replace', replace: { ...replace, with: text, in: chosen } };
}

type What = { text: string } | { regex: string; flags: string };

function readWhat(file: FileNodes, node: Node | null, fields: ReadonlyMap<string, Field>): What | undefined {
  const text = fields.get('text');
  const regex = fields.get('regex');
  const flags = fields.get('flags');
  if (text !== undefined && regex !== undefined)
    return file.refuse(regex.key, 'replace has text and regex. Leave one.');
  if (regex === undefined) {
    if (flags !== undefined) file.refuse(flags.key, 'flags belong to a regex.');
    if (text === undefined) return file.refuse(node, 'replace has neither text nor regex.');
    const found = readText(file, text.value, 'text');
    return found === undefined ? undefined : { text: found };
  }
  const source = readText(file, regex.value, 'regex');
  const given = flags === undefined ? '' : readText(file, flags.value, 'flags');
  if (source === undefined || given === undefined) return undefined;
  const flag = findWrongFlag(given);
  if (flag !== undefined)
    return file.refuse(flags?.value, `${JSON.stringify(flag)} is no flag here. Give any of i, m, s and u.`);
  const wrong = checkRegex(source, given);
  if (wrong !== undefined) return file.refuse(regex.value, `regex: ${wrong.problem}.`, wrong.at);
  return { regex: source, flags: given };
}

function readPath(file: FileNodes, { text, node }: { text: string; node: Node | null }): FieldPath[] {
  const parsed = parseFieldPath(text);
  if ('problem' in parsed) {
    file.refuse(node, `${JSON.stringify(text)} is no path of a field: ${parsed.problem}.`, parsed.at);
    return [];
  }
  const [first, second] = parsed.path;
  const isIdentity = first?.type === 'key' && (first.key === 'apiVersion' || first.key === 'kind');
  const isMetadata = first?.type === 'key' && first.key === 'metadata' && second?.type === 'key';
  if (isIdentity || (isMetadata && PROTECTED_METADATA.has(second.key))) {
    file.refuse(node, `${text} is never changed: it says which object it is.`);
    return [];
  }
  return [parsed.path];
}

function readMetadata(file: FileNodes, node: Node | null, type: 'labels' | 'annotations'): ActionSpec | undefined {
  const fields = readFields(file, node, type, ['set', 'remove', 'templates']);
  if (fields === undefined) return undefined;
  const set = fields.get('set');
  const remove = fields.get('remove');
  const templates = fields.get('templates');
  if (set === undefined && remove === undefined) return file.refuse(node, `${type} has neither set nor remove.`);
  const metadata: MetadataSpec = {
    set: set === undefined ? {} : readSet(file, set.value, type),
    remove: remove === undefined ? [] : (readTexts(file, remove.value, 'remove') ?? []).map(({ text }) => text),
    templates: templates === undefined ? false : (readBoolean(file, templates.value, 'templates') ?? false),
  };
  return { type, metadata };
}

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set */
const KEY = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[a-z0-9](?:[\w.-]{0,61}[a-z0-9])?$/i;
const LABEL = /^(?:[a-z0-9](?:[\w.-]{0,61}[a-z0-9])?)?$/i;

function readSet(file: FileNodes, node: Node | null, type: 'labels' | 'annotations'): Record<string, string> {
  const entries = (readMap(file, node, 'set') ?? []).flatMap(({ name, key, value }): [string, string][] => {
    if (!KEY.test(name)) file.refuse(key, `${JSON.stringify(name)} is no key of ${type}.`);
    const text = readText(file, value, name, { mayBeEmpty: true });
    if (text === undefined) return [];
    if (type === 'labels' && !LABEL.test(text)) {
      file.refuse(value, `the value of ${name} is no value of a label: at most 63 letters, digits, -, _ and dots.`);
    }
    return [[name, text]];
  });
  return Object.fromEntries(entries);
}
