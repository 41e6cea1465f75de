import { TransshipError } from '../errors.ts';
import { isMap } from '../values.ts';
import { frozenMetadata, stubMetadata, toYaml } from './frozen-metadata.ts';
import { joinPieces, type Piece, writeTemplate } from './frozen-template.ts';
import type { HelmHook, HelmRelease } from './helm-release.ts';
import { parseTolerantly, splitManifest } from './manifest.ts';

/** A chart that renders what a record stored. */
export interface FrozenChart {
  /** Content by path inside the chart. Install it packed (packChart): some names Helm reads from an archive only. */
  readonly files: ReadonlyMap<string, string>;
  /** The stored `config`, for `--values`; undefined when the release has none. */
  readonly values: string | undefined;
  /**
   * Where the rendering differs in bytes, never in objects, from what is stored; for the debug log. Empty for a record
   * that the same major version of Helm made without a post-renderer.
   */
  readonly differences: readonly string[];
}

/** Where in the chart a template belongs: the subcharts it is under, and its path inside the last one. */
interface Place {
  readonly subcharts: readonly string[];
  readonly file: string;
}

/** How a chart is frozen. */
export interface FreezeOptions {
  /** Added to the chart's own, in its `Chart.yaml`. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /**
   * Puts every template into a subchart. Helm stores no subcharts, so the record it writes of this chart is no larger than
   * the original, which has the templates or values that the same manifest was made of; without it, a large record would
   * not fit. Only `# Source:` lines come out differently.
   */
  readonly nested?: boolean | undefined;
}

/** Named as no chart's values are. */
const NEST = 'transship-frozen';

/** What is known of a subchart: its name and those under it. */
interface Stub {
  readonly name: string;
  readonly children: Set<string>;
}

/**
 * Writes the chart whose rendering is the stored manifest, hooks and notes of a release. A record has no subcharts, so
 * the real chart can't be rebuilt from it; and rendering that one again would change what it generates (`randAlphaNum`,
 * `lookup`, certificates). Nothing in this one is computed.
 *
 * @param helmMajor - the Helm that will render it
 * @throws TransshipError `RECORD_INVALID` when Helm would not take a stored document for what it was
 */
export function freezeChart(
  release: HelmRelease,
  helmMajor: 3 | 4,
  { annotations = {}, nested = false }: FreezeOptions = {},
): FrozenChart {
  const root = chartName(release);
  const config = isMap(release.config) ? release.config : {};
  const differences: string[] = [];
  const templates = new Map<string, Piece[]>();
  const stubs = new Map<string, Stub>();

  const pieces = [...manifestPieces(release), ...hookPieces(release)];
  for (const [index, { source, ...piece }] of pieces.entries()) {
    let place = source === undefined ? undefined : placeOf(release, source, root);
    if (place === undefined || !isFree(config, place.subcharts)) {
      differences.push(`${source ?? 'a document without a source'} has another path`);
      place = { subcharts: [], file: `templates/frozen-${String(index).padStart(5, '0')}.yaml` };
    }
    const subcharts = nested ? [NEST, ...place.subcharts] : place.subcharts;
    const path = `${addStubs(stubs, subcharts)}${place.file}`;
    const others = templates.get(path);
    if (others === undefined) templates.set(path, [piece]);
    else others.push(piece);
  }

  const files = new Map([
    ['Chart.yaml', toYaml(frozenMetadata(release, root, annotations))],
    ['values.yaml', toYaml(chartValues(release, stubs))],
  ]);
  for (const [path, { name, children }] of stubs) {
    files.set(`${path}Chart.yaml`, toYaml(stubMetadata(name)));
    // With a default to take away, Helm takes a null in the stored values for that, and not for a wrong type.
    files.set(`${path}values.yaml`, toYaml(Object.fromEntries(Array.from(children, (child) => [child, {}]))));
  }
  for (const [path, documents] of templates) {
    const { text, inexact } = joinPieces(documents, helmMajor);
    if (inexact > 0) differences.push(`${inexact} of ${path} end in other white space`);
    writeTemplate(files, root, path, text);
  }
  // With --render-subchart-notes these are several charts' notes; they were put together when they were stored.
  const notes = release.info.notes ?? '';
  if (notes !== '') writeTemplate(files, root, 'templates/NOTES.txt', notes);
  return { files, values: Object.keys(config).length === 0 ? undefined : toYaml(config), differences };
}

/** The name that Helm puts first in every path. */
function chartName(release: HelmRelease): string {
  const name = release.chart?.metadata?.name;
  return typeof name === 'string' && /^(?!\.{1,2}$)[^/\\]+$/.test(name) ? name : release.name;
}

type SourcedPiece = Piece & { readonly source: string | undefined };

function manifestPieces(release: HelmRelease): SourcedPiece[] {
  const manifest = release.manifest ?? '';
  const documents = splitManifest(manifest);
  const pieces: SourcedPiece[] = [];
  for (let index = 0; index < documents.length; index++) {
    const { text, source, start, end } = documents[index] ?? NOTHING;
    // Helm wrote "# Source: %s\n%s\n"; the document is what stood for the second %s.
    let body = source === undefined ? `${indentBefore(manifest, start)}${text}` : text.slice(text.indexOf('\n') + 1);
    if (source !== undefined && body === '') {
      // Of two separators without a document between them, Helm 3 takes the second for the next document's first line.
      const next = documents[index + 1];
      const isOne = next !== undefined && next.source === undefined;
      body = isOne ? manifest.slice(end, next.end) : '---\n';
      if (isOne) index += 1;
    }
    const content = body.endsWith('\n') ? body.slice(0, -1) : body;
    if (isHook(content)) {
      throw refuse(release, `${source ?? 'a document'} in its manifest has a hook's annotation, so Helm would run it`);
    }
    pieces.push({ content, isHook: false, source });
  }
  return pieces;
}

const NOTHING = { text: '', source: undefined, start: 0, end: 0 };

function hookPieces(release: HelmRelease): SourcedPiece[] {
  return (release.hooks ?? []).map(({ manifest, path }: HelmHook) => {
    if (!isHook(manifest)) throw refuse(release, `its hook ${path} has no helm.sh/hook annotation`);
    return { content: manifest, isHook: true, source: path };
  });
}

function indentBefore(manifest: string, start: number): string {
  const before = manifest.slice(manifest.lastIndexOf('\n', start - 1) + 1, start);
  return /^[ \t]*$/.test(before) ? before : '';
}

/** Whether Helm takes a document for a hook: the annotation must be its own, not one in a text or of a list's item. */
function isHook(content: string): boolean {
  if (!content.includes('helm.sh/hook')) return false;
  const object = parseTolerantly(content);
  const metadata = isMap(object) && isMap(object.metadata) ? object.metadata : {};
  return isMap(metadata.annotations) && metadata.annotations['helm.sh/hook'] !== undefined;
}

/**
 * Finds the place that makes Helm print a path after `# Source:`. Undefined for one that no template can have, such as
 * the `generated-by-postrender-0.yaml` of Helm 4.
 */
function placeOf(release: HelmRelease, source: string, root: string): Place | undefined {
  const segments = source.split('/');
  if (source.includes('\0') || segments.some((segment) => segment === '' || segment === '.' || segment === '..')) {
    throw refuse(release, `it names the template ${JSON.stringify(source)}, which is no path inside a chart`);
  }
  // In an archive Helm takes a backslash for a separator.
  if (source.includes('\\') || segments.shift() !== root) return undefined;
  const subcharts: string[] = [];
  while (segments[0] === 'charts' && segments[1] !== undefined) subcharts.push(...segments.splice(0, 2).slice(1));
  const base = segments.at(-1) ?? '';
  const isTemplate = segments.length > 1 && segments[0] === 'templates' && !base.startsWith('_');
  // Helm takes these for notes, for a signature, and for a folder or an archive that is no chart.
  if (!isTemplate || base.endsWith('NOTES.txt') || (subcharts.length > 0 && base.endsWith('.prov'))) return undefined;
  if (subcharts.some((name) => /^[._]|\.tgz$/.test(name))) return undefined;
  return { subcharts, file: segments.join('/') };
}

/** Helm refuses a value where a subchart's table has to be, even if its subchart is a stub. */
function isFree(config: Readonly<Record<string, unknown>>, subcharts: readonly string[]): boolean {
  let table: unknown = config;
  for (const name of subcharts) {
    table = isMap(table) ? table[name] : undefined;
    if (table === undefined || table === null) return true;
    if (!isMap(table)) return false;
  }
  return true;
}

/** Adds the stubs on the way to a subchart and returns its path in the chart: empty, or ending in `/`. */
function addStubs(stubs: Map<string, Stub>, subcharts: readonly string[]): string {
  let path = '';
  for (const name of subcharts) {
    stubs.get(path)?.children.add(name);
    path += `charts/${name}/`;
    if (!stubs.has(path)) stubs.set(path, { name, children: new Set() });
  }
  return path;
}

/** The chart's values, with a table for each subchart that has a stub. */
function chartValues(release: HelmRelease, stubs: ReadonlyMap<string, Stub>): Record<string, unknown> {
  const values: Record<string, unknown> = isMap(release.chart?.values) ? structuredClone(release.chart.values) : {};
  for (const path of stubs.keys()) {
    let table = values;
    for (const name of path.split('/').filter((_, index) => index % 2 === 1)) {
      const value = table[name];
      const next = isMap(value) ? value : {};
      table[name] = next;
      table = next;
    }
  }
  return values;
}

function refuse(release: HelmRelease, problem: string): TransshipError {
  const name = `${release.namespace ?? ''}/${release.name}`;
  return new TransshipError(
    'RECORD_INVALID',
    `Revision ${release.version} of release ${name} can't be installed as it is stored: ${problem}.`,
    { hint: 'Exclude the release, or upgrade it at the source so that Helm stores it anew.' },
  );
}
