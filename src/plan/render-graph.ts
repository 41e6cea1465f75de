import { html } from '../report/markdown.ts';
import type { Plan, PlannedEdge } from './plan.ts';
import { nameOf, SYMBOLS, visibleLine } from './render-facts.ts';

/** Beyond it a picture says less than the list. */
const MOST_NODES = 120;
const MOST_LABEL = 34;
const WIDTH = 270;
const HEIGHT = 30;
const GAP_X = 70;
const GAP_Y = 14;
const EDGE = 8;

interface Place {
  readonly x: number;
  readonly y: number;
}

/**
 * The releases that others wait for as an SVG: a column for each step, what goes first at the left.
 *
 * @returns undefined where there is none, or too many to be read
 */
export function renderGraph({ releases, edges }: Pick<Plan, 'releases' | 'edges'>): string | undefined {
  const names = [...new Set(edges.flatMap(({ from, to }) => [from, to]))];
  if (names.length === 0 || names.length > MOST_NODES) return undefined;
  const changes = new Map(releases.map((release) => [nameOf(release), release.change]));
  const places = placesOf(names, edges);
  const nodes = names.map((name) => {
    const change = changes.get(name) ?? 'unchanged';
    const { x, y } = places.get(name) ?? ORIGIN;
    const label = html(shorten(`${SYMBOLS[change]} ${visibleLine(name)}`));
    return `<g class="c-${change}"><title>${html(visibleLine(name))}: ${change}</title><rect x="${x}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="6"/><text x="${x + 10}" y="${y + 19}">${label}</text></g>`;
  });
  const lines = edges.map(({ from, to, reason }) => {
    const path = pathOf(places.get(from) ?? ORIGIN, places.get(to) ?? ORIGIN);
    return `<path d="${path}" marker-end="url(#head)"><title>${html(visibleLine(reason))}</title></path>`;
  });
  const all = [...places.values()];
  const width = Math.max(...all.map(({ x }) => x)) + WIDTH + EDGE;
  const height = Math.max(...all.map(({ y }) => y)) + HEIGHT + EDGE;
  const head =
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>';
  return `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Releases and what they wait for"><defs>${head}</defs>${lines.join('')}${nodes.join('')}</svg>`;
}

const ORIGIN: Place = { x: EDGE, y: EDGE };

function placesOf(names: readonly string[], edges: readonly PlannedEdge[]): Map<string, Place> {
  const columns = columnsOf(names, edges);
  const filled = new Map<number, number>();
  return new Map(
    names.map((name) => {
      const column = columns.get(name) ?? 0;
      const row = filled.get(column) ?? 0;
      filled.set(column, row + 1);
      return [name, { x: EDGE + column * (WIDTH + GAP_X), y: EDGE + row * (HEIGHT + GAP_Y) }];
    }),
  );
}

/** The longest way to each from what waits for nothing. In a cycle, which has no such way, it ends after as many steps as there are names. */
function columnsOf(names: readonly string[], edges: readonly PlannedEdge[]): Map<string, number> {
  const columns = new Map(names.map((name) => [name, 0]));
  for (let step = 1; step < names.length; step++) {
    let moved = false;
    for (const { from, to } of edges) {
      const least = Math.min((columns.get(from) ?? 0) + 1, names.length - 1);
      if (from === to || (columns.get(to) ?? 0) >= least) continue;
      columns.set(to, least);
      moved = true;
    }
    if (!moved) break;
  }
  return compact(columns);
}

/** Without columns that hold nothing, as a cycle leaves them. */
function compact(columns: ReadonlyMap<string, number>): Map<string, number> {
  const used = [...new Set(columns.values())].sort((a, b) => a - b);
  return new Map([...columns].map(([name, column]) => [name, used.indexOf(column)]));
}

function pathOf(from: Place, to: Place): string {
  const [startX, startY] = [from.x + WIDTH, from.y + HEIGHT / 2];
  const [endX, endY] = [to.x, to.y + HEIGHT / 2];
  const bend = Math.max(GAP_X / 2, Math.abs(endX - startX) / 3);
  return `M${startX} ${startY}C${startX + bend} ${startY} ${endX - bend} ${endY} ${endX} ${endY}`;
}

function shorten(text: string): string {
  return text.length > MOST_LABEL ? `${text.slice(0, MOST_LABEL - 1)}…` : text;
}
