import type { Change, Plan } from './plan.ts';
import { CHANGES, nameOf, SYMBOLS, visibleLine } from './render-facts.ts';

const MOST_NODES = 50;
const MOST_EDGES = 200;
const MOST_LABEL = 80;

/** Fills and lines that are read on light and on dark ground, as GitHub shows both. */
const STYLES: Readonly<Record<Change, string>> = {
  create: 'fill:#dafbe1,stroke:#1a7f37,color:#0b3d1a',
  update: 'fill:#fff8c5,stroke:#9a6700,color:#3b2300',
  recreate: 'fill:#ffe3d1,stroke:#bc4c00,color:#471700',
  delete: 'fill:#ffebe9,stroke:#cf222e,color:#4c0711',
  keep: 'fill:#fff8c5,stroke:#9a6700,color:#3b2300,stroke-dasharray:4',
  unchanged: 'fill:#eaeef2,stroke:#57606a,color:#24292f',
};

/**
 * The releases that others wait for as a Mermaid flowchart, from what goes first to what waits for it.
 *
 * @returns undefined where none waits for another; a note where there are more than can be read
 */
export function renderMermaid(plan: Pick<Plan, 'releases' | 'edges'>): { chart?: string; note?: string } {
  if (plan.edges.length === 0) return {};
  const changes = new Map(plan.releases.map((release) => [nameOf(release), release.change]));
  const names = [...new Set(plan.edges.flatMap(({ from, to }) => [from, to]))];
  if (names.length > MOST_NODES || plan.edges.length > MOST_EDGES) {
    return { note: `${names.length} releases depend on each other: too many for a picture here.` };
  }
  const ids = new Map(names.map((name, index) => [name, `n${index}`]));
  const nodes = names.map((name) => {
    const change = changes.get(name) ?? 'unchanged';
    return `  ${ids.get(name)}["${SYMBOLS[change]} ${label(name)}"]:::${change}`;
  });
  const edges = plan.edges.map(({ from, to, reason }) => `  ${ids.get(from)} -->|"${label(reason)}"| ${ids.get(to)}`);
  const styles = CHANGES.map((change) => `  classDef ${change} ${STYLES[change]}`);
  return { chart: ['flowchart LR', ...nodes, ...edges, ...styles].join('\n') };
}

/** Text between quotes: whatever could act is written as a Mermaid entity, `#35;` for `#`. */
function label(text: string): string {
  const line = visibleLine(text);
  const shown = line.length > MOST_LABEL ? `${line.slice(0, MOST_LABEL - 1)}…` : line;
  return shown.replace(/[^\p{L}\p{N} .,/()…-]/gu, (character) => `#${character.codePointAt(0)};`);
}
