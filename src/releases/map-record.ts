import {
  findNamespaceReferences,
  mapNamespaces,
  type NamespaceMap,
  type NamespaceWarning,
  type ScopeOf,
} from '../transforms/namespace-map.ts';
import { type JsonEdit, spliceJson } from './json-splice.ts';
import { splitManifest } from './manifest.ts';
import { parseRelease, type ReleaseRecord } from './record.ts';

/** A namespace map on its way through many records: what it has met, and what it could not map. */
export interface RecordMapper {
  readonly map: NamespaceMap;
  readonly scopeOf: ScopeOf | undefined;
  /** What may still name a mapped namespace, by `namespace/release` at the source; each once, in however many revisions. */
  readonly warnings: Map<string, NamespaceWarning[]>;
  /** The documents of the release at hand, by their text. */
  readonly known: { release: string; texts: Map<string, string> };
}

/**
 * Makes a mapper for {@link mapRecord}.
 *
 * @param scopeOf - which kinds have no namespace, as a cluster knows them; by default the built-in ones
 */
export function createRecordMapper(map: NamespaceMap, scopeOf?: ScopeOf): RecordMapper {
  return { map, scopeOf, warnings: new Map(), known: { release: '', texts: new Map() } };
}

/**
 * The record with its namespaces mapped: the one it is in, and those in its manifest and hooks. Its chart, values and
 * notes stay as they are. Give it the revisions of a release in a row: a document that several have is mapped once.
 *
 * @throws TransshipError `RECORD_INVALID` when the record's JSON is no release
 */
export function mapRecord(record: ReleaseRecord, mapper: RecordMapper): ReleaseRecord {
  const { map, known } = mapper;
  const mentions = (name: string) => record.namespace === name || record.json.includes(name);
  if (![...map.keys()].some(mentions)) return record;
  const id = `${record.namespace}/${record.release}`;
  if (known.release !== id) {
    known.release = id;
    known.texts = new Map();
  }
  const release = parseRelease(record);
  const edits: JsonEdit[] = [];
  const namespace = map.get(record.namespace) ?? record.namespace;
  if (release.namespace !== namespace) edits.push({ path: ['namespace'], value: namespace });
  const manifest = release.manifest ?? '';
  const mapped = mapManifest(manifest, id, mapper);
  if (mapped !== manifest) edits.push({ path: ['manifest'], value: mapped });
  for (const [index, hook] of (release.hooks ?? []).entries()) {
    const text = mapText(hook.manifest, id, mapper);
    if (text !== hook.manifest) edits.push({ path: ['hooks', index, 'manifest'], value: text });
  }
  addWarnings(mapper, id, findNamespaceReferences(release.config, 'Values', map));
  return { ...record, namespace, json: spliceJson(record.json, edits) };
}

/** Maps the documents of a manifest; what is between them stays. */
function mapManifest(manifest: string, id: string, mapper: RecordMapper): string {
  let result = '';
  let from = 0;
  for (const { text, start, end } of splitManifest(manifest)) {
    result += manifest.slice(from, start) + mapText(text, id, mapper);
    from = end;
  }
  return result + manifest.slice(from);
}

function mapText(text: string, id: string, mapper: RecordMapper): string {
  const { texts } = mapper.known;
  const before = texts.get(text);
  if (before !== undefined) return before;
  const mapped = mapNamespaces(text, mapper.map, mapper.scopeOf);
  const release = id.slice(id.indexOf('/') + 1);
  // A release is often called like its namespace; the names that charts make of the release's don't change.
  const isOfRelease = ({ path, text: name, namespace }: NamespaceWarning) =>
    path === 'metadata.name' && !name.replaceAll(release, '').includes(namespace);
  addWarnings(
    mapper,
    id,
    mapped.warnings.filter((warning) => !isOfRelease(warning)),
  );
  texts.set(text, mapped.text);
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
