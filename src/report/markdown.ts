import { oneLine, printable } from './printable.ts';

const MOST_BYTES_A_BLOCK = 32 * 1024;

/** Renders the first items that fit together into so many bytes, and no more of them. */
export function takeWithin<T>(most: number, items: readonly T[], render: (item: T) => string): string[] {
  const taken: string[] = [];
  let left = most;
  for (const item of items) {
    const part = render(item);
    // A blank line follows each.
    left -= Buffer.byteLength(part) + 1;
    if (left < 0) break;
    taken.push(part);
  }
  return taken;
}

/** What {@link takeWithin} counted for these. */
export function bytesOf(parts: readonly string[]): number {
  return parts.reduce((sum, part) => sum + Buffer.byteLength(part) + 1, 0);
}

/** A row of a table. */
export function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => inline(cell)).join(' | ')} |\n`;
}

/** A block in which nothing is Markdown: text in `<pre>` needs only HTML's escapes, whatever its lines are. */
export function pre(text: string, most = MOST_BYTES_A_BLOCK): string {
  return `<pre>${html(printable(cut(text, most)))}</pre>\n`;
}

/** A fenced block: nothing in it acts, for its fence is longer than any in the text. */
export function fenced(language: string, text: string): string {
  const longest = text.match(/`{3,}/g)?.reduce((most, run) => Math.max(most, run.length), 0) ?? 2;
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text}${text.endsWith('\n') ? '' : '\n'}${fence}\n`;
}

/** Text on one line as code. `<code>` alone lets Markdown act in it, so what could is written as HTML's references. */
export function code(text: string): string {
  const words = html(oneLine(text)).replace(
    // An underscore within a word never acts.
    /[\\`*[\]~|$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g,
    (character) => `&#${character.charCodeAt(0)};`,
  );
  return `<code>${words}</code>`;
}

/** Text inside a line or a table's cell: nothing in it acts as Markdown or HTML. */
export function inline(text: string): string {
  return html(oneLine(text).replace(/[\\`*_[\]#~]/g, '\\$&')).replaceAll('|', '\\|');
}

/** Text as HTML, also within a quoted attribute. */
export function html(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** The first bytes of a text, and how many more there were. */
export function cut(text: string, most: number): string {
  const bytes = Buffer.byteLength(text);
  if (bytes <= most) return text;
  // A character cut in two decodes to a replacement character.
  const start = Buffer.from(text.slice(0, most))
    .subarray(0, most)
    .toString('utf8')
    .replace(/\uFFFD$/, '');
  return `${start}\n… (${bytes - Buffer.byteLength(start)} bytes more)`;
}
