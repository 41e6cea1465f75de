/** Puts a text between two markers, which stay. */
export function replaceBetween(text: string, start: string, end: string, content: string): string {
  const from = text.indexOf(start);
  const to = text.indexOf(end);
  if (from === -1 || to < from) throw new Error(`The markers "${start}" and "${end}" are missing.`);
  return `${text.slice(0, from + start.length)}\n${content}${text.slice(to)}`;
}
