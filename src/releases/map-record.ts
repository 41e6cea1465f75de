import { TransshipError } from '../errors.ts';
import {
  describeUnreadable,
  findNamespaceReferences,
  mapNamespaces,
  type NamespaceMap,
  type NamespaceWarning,
  type ScopeOf,
} from '../transforms/namespace-map.ts';
import { transformDocument } from '../transforms/transform-document.ts';
import type { Transforms } from '../transforms/transforms.ts';
import { type JsonEdit, spliceJson } from './json-splice.ts';
import { splitManifest } from './manifest.ts';
import { parseRelease, type ReleaseRecord } from './record.ts';

/** A namespace map and transforms on their way through many records: what they have met, and could not change. */
export interface RecordMapper {
  readonly map: NamespaceMap;
  readonly scopeOf: ScopeOf | undefined;
  readonly transforms?: Transforms | undefined;
  /**
   * What may still name a mapped namespace, and what could not be transformed, by `namespace/release` at the source; each
   * once, in however many revisions.
   */
  readonly warnings: Map<string, NamespaceWarning[]>;
  /** The documents of the release at hand, by their text. */
  readonly known: { release: string; texts: Map<string, string> };
}

/**
 * Makes a mapper for {@link mapRecord}.
 *
 * @param scopeOf - which kinds have no namespace, as a cluster knows them; by default the built-in ones
 */
export function createRecordMapper(map: NamespaceMap, scopeOf?: ScopeOf, transforms?: Transforms): RecordMapper {
  return { map, scopeOf, transforms, warnings: new Map(), known: { release: '', texts: new Map() } };
}

/**
 * The record with its namespaces mapped, the one it is in and those in its manifest and hooks, and with the objects of its
 * manifest and hooks transformed. Its chart, values and notes stay as they are. Give it the revisions of a release in a
 * row: a document that several have is changed once.
 *
 * @throws TransshipError `RECORD_INVALID` when the record's JSON is no release; `INPUT` when a transform can't be applied
 */
export function mapRecord(record: ReleaseRecord, mapper: RecordMapper): ReleaseRecord {
  const { map, known, transforms } = mapper;
  transforms?.see(record.namespace);
  const mentions = (name: string) => record.namespace === name || record.json.includes(name);
  if (transforms?.isEmpty !== false && ![...map.keys()].some(mentions)) return record;
  const id = `${record.namespace}/${record.release}`;
  if (known.release !== id) {
    known.release = id;
    known.texts = new Map();
  }
  const release = parseRelease(record);
  const edits: JsonEdit[] = [];
  const namespace = map.get(record.namespace) ?? record.namespace;
  if (release.namespace !== namespace) edits.push({ path: ['namespace'], value: namespace });
  const change = (text: string): string => {
    try {
      return mapDocuments(text, record.namespace, id, mapper);
    } catch (error) {
      throw inRevision(record, error);
    }
  };
  const manifest = release.manifest ?? '';
  const mapped = change(manifest);
  if (mapped !== manifest) edits.push({ path: ['manifest'], value: mapped });
  for (const [index, hook] of (release.hooks ?? []).entries()) {
    const text = change(hook.manifest);
    if (text !== hook.manifest) edits.push({ path: ['hooks', index, 'manifest'], value: text });
  }
  if (map.size > 0) addWarnings(mapper, id, findNamespaceReferences(release.config, 'Values', map));
  if (edits.length === 0 && namespace === record.namespace) return record;
  return { ...record, namespace, json: spliceJson(record.json, edits) };
}

/** Old revisions are transformed too, and may lack what a patch needs. */
function inRevision({ namespace, release, revision }: ReleaseRecord, error: unknown): unknown {
  if (!(error instanceof TransshipError)) return error;
  return new TransshipError(error.code, `Revision ${revision} of release ${namespace}/${release}: ${error.message}`, {
    hint: 'Change the transform, give it a select that leaves this object out, or travel with a shorter history.',
    cause: error,
  });
}

/** Changes the documents of a manifest or hook; what is between them stays. */
function mapDocuments(texts: string, namespace: string, id: string, mapper: RecordMapper): string {
  let result = '';
  let from = 0;
  for (const { text, start, end } of splitManifest(texts)) {
    result += texts.slice(from, start) + mapText(text, namespace, id, mapper);
    from = end;
  }
  return result + texts.slice(from);
}

function mapText(text: string, namespace: string, id: string, mapper: RecordMapper): string {
  const { map, known, scopeOf, transforms } = mapper;
  const before = known.texts.get(text);
  if (before !== undefined) return before;
  const transformed = transforms === undefined ? { text } : transformDocument(text, transforms, namespace, scopeOf);
  if (transformed.unreadable !== undefined) {
    addWarnings(mapper, id, [describeUnreadable(text, transformed.unreadable)]);
  }
  const mapped = mapNamespaces(transformed.text, map, scopeOf);
  if (mapped.text !== transformed.text) {
    for (const name of map.keys()) if (transformed.text.includes(name)) transforms?.see(name);
  }
  const release = id.slice(id.indexOf('/') + 1);
  // A release is often called like its namespace; the names that charts make of the release's don't change.
  const isOfRelease = ({ path, text: name, namespace: from }: NamespaceWarning) =>
    path === 'metadata.name' && !name.replaceAll(release, '').includes(from);
  addWarnings(
    mapper,
    id,
    mapped.warnings.filter((warning) => !isOfRelease(warning)),
  );
  known.texts.set(text, mapped.text);
  return mapped.text;
}

function addWarnings({ warnings }: RecordMapper, id: string, found: readonly NamespaceWarning[]): void {
  if (found.length === 0) return;
  const others = warnings.get(id) ?? [];
  const isKnown = (warning: NamespaceWarning) =>
    others.some(
      (other) => other.object === warning.object && other.path === warning.path && other.text === warning.text,
    );
  others.push(...found.filter((warning) => !isKnown(warning)));
  warnings.set(id, others);
}
