import { isHarmlessKey, isSecretKey } from './secret-keys.ts';
import type { SecretSpan } from './secret-text.ts';

/** A line of a configuration file: dashes of a list, or what comments it out; a key; what follows. */
const LINE =
  /^(?<lead>[ \t]*(?:- +)*(?:[#;]+[ \t]*|\/\/[ \t]*)?(?:export +|set +|ENV +|ARG +)?["']?)(?<key>[A-Za-z_.][\w.-]{0,100})["']?(?<gap>[ \t]*(?:=>|:=|[=:])[ \t]*|[ \t]+(?=\S+[ \t]*$))(?<value>.*)$/d;
/** Begins what goes on in the lines below. */
const BLOCK = /^(?:[|>][-+\d]*\s*(?:#.*)?|(?:!\S+|&\S+)\s*|[{[(]*\s*)$/;
/** Ends before the line does, as in a shell. */
const QUOTED = /^(?:"[^"\\]*(?:\\.[^"\\]*)*"|'(?:[^']|'')*')(?=[\s,;&|)\]}]|$)/;
const SECRET_MANIFEST = /(?:^|\n)[ \t]*(?:- +)?["']?kind["']?[ \t]*:[ \t]*["']?Secret["']?\s*(?:[,\n#]|$)/;

/**
 * Finds what is secret in a text of several lines, such as a file of a ConfigMap: properties, YAML, JSON, INI, .env. A
 * value goes to the end of its line, and on through lines that are indented more than its key.
 */
export function findInLines(text: string): SecretSpan[] {
  const several = text.includes('\n');
  const hidesData = several && SECRET_MANIFEST.test(text);
  const spans: SecretSpan[] = [];
  /** The secret key whose value goes on. */
  let open: { column: number; label: string; isList: boolean; isData: boolean; isContinued: boolean } | undefined;
  /** That of a `name:` right above. */
  let named: string | undefined;
  for (let start = 0; start <= text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(start, end).replace(/\r$/, '');
    const column = line.search(/[^ \t]/);
    const found = LINE.exec(line);
    const { lead = '', key = '', gap = '', value = '' } = found?.groups ?? {};
    const at = start + (found?.indices?.groups?.value?.[0] ?? 0);
    const isWithin =
      open !== undefined &&
      (column === -1 ||
        column > open.column ||
        open.isContinued ||
        (open.isList && column === open.column && /^-(?: |$)/.test(line.slice(column))));
    if (open !== undefined && isWithin) {
      if (column !== -1) {
        const shown = found !== null && !open.isData && isHarmlessKey(key);
        const isPair = found !== null && /[=:]/.test(gap) && !open.isContinued;
        const from = isPair ? at : start + column + (/^(?:- +)+/.exec(line.slice(column))?.[0].length ?? 0);
        const label = isPair ? `${open.label}.${key}` : open.label;
        if (!shown) spans.push({ start: from, end: start + line.length, label });
        open.isContinued = line.endsWith('\\');
      }
    } else {
      open = undefined;
      const isData = hidesData && /^(?:data|stringData)$/.test(key);
      const isNamed = named !== undefined && key === 'value';
      // Without a space behind it, a colon may be that of an image; in a file it is a separator.
      const isKey = found !== null && (several || gap.includes('=') || /:[ \t]+$/.test(gap));
      if (isKey && (isData || isNamed || isSecretKey(key))) {
        const label = isNamed ? `${named}` : key;
        const isBlock = BLOCK.test(value);
        const whole = QUOTED.exec(value)?.[0] ?? value;
        if (!isBlock) spans.push({ start: at, end: at + whole.length, label });
        const isContinued = line.endsWith('\\');
        open = { column: lead.replace(/["']$/, '').length, label, isList: value.trim() === '', isData, isContinued };
      }
    }
    const variable = /^(?:name|key)$/.test(key) ? value.replace(/["',\s]/g, '') : undefined;
    named = variable !== undefined && isSecretKey(variable) ? variable : undefined;
    start = end + 1;
  }
  return spans;
}
