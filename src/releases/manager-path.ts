import { type JsonEdit, quoteLikeGo, spliceJson } from './json-splice.ts';
import { parseRelease, type ReleaseRecord } from './record.ts';

/** How the path that a manager writes to becomes another one. */
export interface PathChange {
  /** How it may be written. */
  readonly from: readonly string[];
  readonly to: string;
  /** The name it goes by, `namespace/release`, before and after. */
  readonly manager: readonly [string, string];
}

/**
 * The record with another path in its values, so that later upgrades have it too, and in its manifest and hooks, wherever
 * the old one stands as a whole argument or value.
 *
 * @returns also how often it stood in the manifest
 */
export function changePath(record: ReleaseRecord, change: PathChange): { record: ReleaseRecord; count: number } {
  const release = parseRelease(record);
  const edits: JsonEdit[] = [];
  let count = 0;
  const changeText = (text: string): string => {
    let changed = text;
    for (const from of new Set(change.from.map((one) => one.replace(/\/+$/, '')))) {
      changed = changed.replace(wholeOf(from, '/*'), () => {
        count += 1;
        return change.to;
      });
    }
    const [before, after] = change.manager;
    return changed.replace(wholeOf(`--manager=${before}`), () => `--manager=${after}`);
  };
  const manifest = release.manifest ?? '';
  const changed = changeText(manifest);
  if (changed !== manifest) edits.push({ path: ['manifest'], value: changed });
  for (const [index, hook] of (release.hooks ?? []).entries()) {
    const text = changeText(hook.manifest);
    if (text !== hook.manifest) edits.push({ path: ['hooks', index, 'manifest'], value: text });
  }
  const path = quoteLikeGo(change.to);
  edits.push(
    release.config === undefined || release.config === null
      ? { path: ['config'], json: `{"path":${path}}` }
      : { path: ['config', 'path'], json: path },
  );
  return { record: { ...record, json: spliceJson(record.json, edits) }, count };
}

/** A text where nothing else is part of the same value: after a quote, a space, `=` or a bracket, and so at its end. */
function wholeOf(text: string, more = ''): RegExp {
  const plain = text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(?<=^|[\\s"'=,[])${plain}${more}(?=$|[\\s"',\\]\\\\])`, 'g');
}
