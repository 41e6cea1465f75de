import { stubMetadata, toYaml } from './frozen-metadata.ts';

/** A document on its way into a template of a frozen chart. */
export interface Piece {
  readonly content: string;
  readonly isHook: boolean;
}

/** Go's unicode.IsSpace, which strings.TrimSpace takes away. */
const TRAILING_SPACE = /[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/;
/**
 * What may end in white space that counts: a block scalar that keeps the line breaks after it (`|+`), or any with more
 * than line breaks at its end.
 */
const ENDS_IN_VALUE = /[|>]\d?\+\d?[ \t]*(?:#.*)?\r?$|[^\S\r\n][\r\n]*(?![\s\S])/m;
/** A document whose first line is indented; Helm would remove that, which only a post-renderer's output still has. */
const STARTS_INDENTED = /^(?:[ \t]*\r?\n)*[ \t]+\S/;

/**
 * Puts the documents of one template back into one file, so that Helm splits it into the same ones again.
 *
 * @param helmMajor - Helm 3 trims the end of every document; Helm 4 keeps it, and so the line break before each `---`
 * @returns the file's text, not escaped yet, and how many documents end in other white space than they did
 */
export function joinPieces(pieces: readonly Piece[], helmMajor: 3 | 4): { text: string; inexact: number } {
  // Only the last document of a file can end without a line break for Helm 4. Moving it there keeps the stored order:
  // among documents of its kind it is the last already, and Helm sorts by kind.
  const ordered = pieces.toSorted((a, b) => Number(!endsLine(a.content)) - Number(!endsLine(b.content)));
  let inexact = 0;
  // A document of Helm 3 can start with a separator, if one more stands before it.
  let text = ordered[0]?.content.startsWith('---') === true ? '---\n' : '';
  for (const [index, piece] of ordered.entries()) {
    const { content } = piece;
    const isLast = index === ordered.length - 1;
    const keepsEnd = helmMajor === 3 ? !TRAILING_SPACE.test(content) : isLast || endsLine(content);
    if (!keepsEnd || (helmMajor === 4 && content.startsWith('---'))) inexact += 1;
    text += STARTS_INDENTED.test(content) ? `#\n${content}` : content;
    if (!keepsEnd && ENDS_IN_VALUE.test(content)) text += closingComment(piece);
    if (!isLast) text += endsLine(text) ? '---\n' : '\n---\n';
  }
  return { text, inexact };
}

/**
 * Ends a document with a comment, so that its line breaks are counted up to there and what Helm trims or adds after it
 * changes nothing. In a manifest, unlike in a hook, Helm had put one line break after the document.
 */
function closingComment({ content, isHook }: Piece): string {
  return isHook && endsLine(content) ? '#' : '\n#';
}

function endsLine(content: string): boolean {
  return content.endsWith('\n');
}

/** Helm 3 reads files up to 5 MiB; at its worst a character takes four bytes once it is escaped. */
const MAX_TEMPLATE_LENGTH = 1_000_000;
/** Where the parts of templates are kept: of a subchart, Helm stores nothing in the release. */
const PARTS_CHART = 'transship-frozen-parts';

/**
 * Writes a text as a template that renders to it; a large one as parts that the template calls.
 *
 * @param chart - the name of the root chart, in whose subchart the parts go
 */
export function writeTemplate(files: Map<string, string>, chart: string, path: string, text: string): void {
  if (text.length <= MAX_TEMPLATE_LENGTH) {
    files.set(path, escapeTemplate(text));
    return;
  }
  const calls: string[] = [];
  files.set(`charts/${PARTS_CHART}/Chart.yaml`, toYaml(stubMetadata(PARTS_CHART)));
  for (let from = 0, to = 0; from < text.length; from = to) {
    to = Math.min(from + MAX_TEMPLATE_LENGTH, text.length);
    if (/[\ud800-\udbff]/.test(text.charAt(to - 1))) to -= 1;
    // Helm doesn't render files whose name starts with _, but others may call them, a chart those of its subcharts too.
    const part = `charts/${PARTS_CHART}/templates/_frozen-${String(files.size).padStart(5, '0')}.tpl`;
    files.set(part, escapeTemplate(text.slice(from, to)));
    calls.push(`{{template ${JSON.stringify(`${chart}/${part}`)}}}`);
  }
  files.set(path, calls.join(''));
}

function escapeTemplate(text: string): string {
  // Helm removes one byte order mark from the start of a file.
  return text.startsWith('\ufeff') ? `\ufeff${escapeActions(text)}` : escapeActions(text);
}

function escapeActions(text: string): string {
  return (
    text
      .replaceAll('{{', '{{"{{"}}')
      // Helm deletes what text/template prints for a missing value, wherever it comes from, but looks only once.
      .replaceAll('<no value>', '<no <no value>value>')
  );
}
