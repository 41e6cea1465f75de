import { expect } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { FixtureRelease } from './fixtures.ts';
import { type ParsedRecord, parseRecord, type Records, recordsOf, type StoredRecord } from './helm-state.ts';
import { asList, asMap } from './live-object.ts';

/** Namespaces by their new names. */
export type NamespaceMap = Readonly<Record<string, string>>;

/**
 * What an import makes of a status: one release has one `deployed` record, and nothing is left pending that nobody
 * works on any more.
 */
const settledStatus = (status: string): string => (status.startsWith('pending-') ? 'failed' : status);

/** The record that a faithful import leaves, where no namespace changes its name. */
export function settledRecord(record: StoredRecord): StoredRecord {
  const { info } = parseRecord(record);
  const status = settledStatus(info.status);
  const json = record.json.replace(`"status":"${info.status}"`, `"status":"${status}"`);
  return { ...record, labels: { ...record.labels, status }, json };
}

/** Every revision of a release is the source's: object, name, type, labels and JSON, byte for byte. */
export function expectSameRecords(source: Records, target: Records, release: FixtureRelease): void {
  const expected = recordsOf(source, release.namespace, release.name);
  const actual = recordsOf(target, release.namespace, release.name);
  expect([...actual.keys()], 'revisions').toEqual([...expected.keys()]);
  for (const [revision, record] of expected) {
    const wanted = settledRecord(record);
    const found = actual.get(revision);
    const what = `revision ${revision} of ${release.name}`;
    expect({ ...found, json: undefined }, what).toEqual({ ...wanted, json: undefined });
    expectSameText(found?.json ?? '', wanted.json, what);
  }
}

/** Every revision of a release equals the source's but for the namespaces. */
export function expectMappedRecords(
  source: Records,
  target: Records,
  release: FixtureRelease,
  map: NamespaceMap,
): void {
  const expected = recordsOf(source, release.namespace, release.name);
  const actual = recordsOf(target, map[release.namespace] ?? release.namespace, release.name);
  expect([...actual.keys()], 'revisions').toEqual([...expected.keys()]);
  for (const [revision, record] of expected) {
    const wanted = settledRecord(record);
    const found = actual.get(revision);
    const what = `revision ${revision} of ${release.name}`;
    expect({ ...found, json: undefined }, what).toEqual({ ...wanted, json: undefined });
    if (found !== undefined) expectMapped(parseRecord(wanted), parseRecord(found), map, what);
  }
}

function expectMapped(source: ParsedRecord, target: ParsedRecord, map: NamespaceMap, what: string): void {
  expect(target.namespace, `${what}: namespace`).toBe(map[source.namespace] ?? source.namespace);
  expectMappedManifest(source.manifest, target.manifest, map, `${what}: manifest`);
  const hooks = source.hooks ?? [];
  expect(target.hooks?.length ?? 0, `${what}: hooks`).toBe(hooks.length);
  for (const [index, hook] of hooks.entries()) {
    const mapped = target.hooks?.[index];
    expect({ ...mapped, manifest: '' }, `${what}: hook ${hook.name}`).toEqual({ ...hook, manifest: '' });
    expectMappedManifest(hook.manifest, mapped?.manifest ?? '', map, `${what}: hook ${hook.name}`);
  }
  const rest = (record: ParsedRecord) => ({ ...record, namespace: '', manifest: '', hooks: [] });
  // Compared as text, so that the order of the fields counts too.
  expectSameText(JSON.stringify(rest(target)), JSON.stringify(rest(source)), what);
}

/** Nothing but namespaces differs, neither in what the text means nor in how it is written. */
function expectMappedManifest(source: string, target: string, map: NamespaceMap, what: string): void {
  expect(documentsOf(target), what).toEqual(documentsOf(source).map((document) => mapDocument(document, map)));
  const blank = withoutNamespaces(map);
  expectSameText(blank(target), blank(source), `${what}: text`);
}

/** Text in which the names of the map, old and new, are all the same word. */
export function withoutNamespaces(map: NamespaceMap): (text: string) => string {
  const names = [...Object.keys(map), ...Object.values(map)].sort((a, b) => b.length - a.length);
  const word = new RegExp(`(?<![\\w-])(${names.join('|')})(?![\\w-])`, 'g');
  return (text) => text.replace(word, '<namespace>');
}

function documentsOf(manifest: string): unknown[] {
  return parseAllDocuments(manifest).map((document) => {
    // A document that the comparison cannot read would compare as empty.
    if (document.errors.length > 0) throw new Error(`Not YAML: ${document.errors[0]?.message}`);
    return document.toJS();
  });
}

/** The references to a namespace that an import rewrites; everything else stays as it is. */
function mapDocument(document: unknown, map: NamespaceMap): unknown {
  const object = asMap(structuredClone(document));
  if (object === undefined) return document;
  const rename = (holder: unknown) => {
    const fields = asMap(holder);
    const name = fields?.namespace;
    if (fields !== undefined && typeof name === 'string') fields.namespace = map[name] ?? name;
  };
  rename(object.metadata);
  for (const subject of asList(object.subjects)) rename(subject);
  for (const webhook of asList(object.webhooks)) rename(asMap(asMap(webhook)?.clientConfig)?.service);
  if (object.kind === 'APIService') rename(asMap(object.spec)?.service);
  return object;
}

/** Two long texts are equal; the failure shows where they part and not all of them. */
export function expectSameText(actual: string, expected: string, what: string): void {
  if (actual === expected) return;
  let at = 0;
  while (actual[at] === expected[at]) at += 1;
  const near = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 80), at + 120));
  expect.fail(`${what}: differs at character ${at}.\nexpected: ${near(expected)}\nfound:    ${near(actual)}`);
}
