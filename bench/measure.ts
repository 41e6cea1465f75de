/** What a figure must be: its ratio, or how much more of the unit ours may take than theirs. */
export type Target = { readonly atMost: number } | { readonly atLeast: number } | { readonly atMostMore: number };

/** One row of the table. */
export interface BenchRow {
  readonly name: string;
  readonly ours: number;
  /** What ours is held against: another program's figure, or a limit. */
  readonly theirs: number;
  readonly unit: string;
  /** Ours divided by theirs; of several pairs the median of theirs, not the ratio of two medians. */
  readonly ratio: number;
  /** Absent for a row that only explains another. */
  readonly target?: Target;
}

/** Both sides, measured one right after the other. */
export interface Pair {
  readonly ours: number;
  readonly theirs: number;
}

/** The middle one; of an even number the upper of the two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Measures both sides `count` times, each time the other one first, so that neither profits from its place. */
export async function measurePairs(
  count: number,
  ours: () => Promise<number>,
  theirs: () => Promise<number>,
  onPair: (pair: Pair) => void,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let pair = 0; pair < count; pair++) {
    const first = pair % 2 === 0 ? await ours() : undefined;
    const other = await theirs();
    const measured = { ours: first ?? (await ours()), theirs: other };
    pairs.push(measured);
    onPair(measured);
  }
  return pairs;
}

/** Runs several sides one right after the other, round by round, each time another one first. */
export async function measureRounds<Name extends string>(
  rounds: number,
  runs: Readonly<Record<Name, () => Promise<number>>>,
  onRound: (measured: Readonly<Record<Name, number>>) => void,
): Promise<Record<Name, number>[]> {
  const names = Object.keys(runs) as Name[];
  const all: Record<Name, number>[] = [];
  for (let round = 0; round < rounds; round++) {
    const first = round % names.length;
    const times: [Name, number][] = [];
    for (const name of [...names.slice(first), ...names.slice(0, first)]) times.push([name, await runs[name]()]);
    const measured = Object.fromEntries(times) as Record<Name, number>;
    all.push(measured);
    onRound(measured);
  }
  return all;
}

/** A row of medians. */
export function rowOfPairs(name: string, unit: string, pairs: readonly Pair[], target?: Target): BenchRow {
  return {
    name,
    ours: median(pairs.map(({ ours }) => ours)),
    theirs: median(pairs.map(({ theirs }) => theirs)),
    unit,
    ratio: median(pairs.map(({ ours, theirs }) => ours / theirs)),
    ...(target !== undefined && { target }),
  };
}

/** A row of a figure that must not pass a limit. */
export function rowOfLimit(name: string, unit: string, value: number, limit: number): BenchRow {
  return { name, ours: value, theirs: limit, unit, ratio: value / limit, target: { atMost: 1 } };
}

/** Whether the figure is as it should be; a row without a target is. */
export function holds({ ratio, ours, theirs, target }: BenchRow): boolean {
  if (target === undefined) return true;
  if ('atMost' in target) return ratio <= target.atMost;
  return 'atLeast' in target ? ratio >= target.atLeast : ours - theirs <= target.atMostMore;
}

/** The rows as a Markdown table. */
export function formatTable(rows: readonly BenchRow[]): string {
  const cells = rows.map((row) => [
    row.name,
    `${formatNumber(row.ours)} ${row.unit}`.trim(),
    `${formatNumber(row.theirs)} ${row.unit}`.trim(),
    row.ratio.toFixed(2),
    formatTarget(row),
    verdictOf(row),
  ]);
  const table = [['figure', 'ours', 'theirs or limit', 'ratio', 'target', 'holds'], ...cells];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0))) ?? [];
  const [head = '', ...body] = table.map(
    (line) => `| ${line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`,
  );
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return `${[head, rule, ...body].join('\n')}\n`;
}

function verdictOf(row: BenchRow): string {
  if (row.target === undefined) return '';
  return holds(row) ? 'yes' : 'NO';
}

function formatTarget({ target, unit }: BenchRow): string {
  if (target === undefined) return '';
  if ('atMost' in target) return `<= ${formatRatio(target.atMost)}`;
  return 'atLeast' in target ? `>= ${formatRatio(target.atLeast)}` : `<= ${target.atMostMore} ${unit} more`;
}

function formatRatio(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(2).replace(/0$/, '');
}

function formatNumber(value: number): string {
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}
