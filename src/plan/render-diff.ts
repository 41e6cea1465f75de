import { visible } from './render-facts.ts';

/** Lines of a unified diff that belong together. */
export interface DiffRun {
  readonly kind: 'added' | 'removed' | 'hunk' | 'same';
  readonly lines: readonly string[];
}

/** The lines of a unified diff without the names of files, which it has none of, made printable. */
export function diffLines(diff: string): string[] {
  const lines = visible(diff).trimEnd().split('\n');
  const first = lines.findIndex((line) => line.startsWith('@@'));
  const header = lines.slice(0, Math.max(0, first));
  return header.every((line) => /^(---|\+\+\+|===|Index: )/.test(line)) ? lines.slice(header.length) : lines;
}

export function kindOfLine(line: string): DiffRun['kind'] {
  if (line.startsWith('+')) return 'added';
  if (line.startsWith('-')) return 'removed';
  return line.startsWith('@@') ? 'hunk' : 'same';
}

/** Neighbouring lines of one kind, together. */
export function diffRuns(diff: string): DiffRun[] {
  const runs: { kind: DiffRun['kind']; lines: string[] }[] = [];
  for (const line of diffLines(diff)) {
    const kind = kindOfLine(line);
    const last = runs.at(-1);
    if (last?.kind === kind) last.lines.push(line);
    else runs.push({ kind, lines: [line] });
  }
  return runs;
}
