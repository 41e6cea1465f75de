import { readFile } from 'node:fs/promises';
import { messageOf, TransshipError } from '../errors.ts';
import { isIdentityText } from '../inputs/secrets.ts';
import type { Reporter } from '../report/reporter.ts';

/**
 * The age identities that the input names: itself, or in the file of that path, with comments as age-keygen writes them.
 *
 * @throws TransshipError `INPUT` for a file that can't be read or has none
 */
export async function readIdentities(identity: string | undefined, reporter: Reporter): Promise<readonly string[]> {
  if (identity === undefined) return [];
  const isText = isIdentityText(identity);
  const text = isText ? identity : await readFile(identity, 'utf8').catch(failToRead(identity));
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (!isText) for (const line of lines) reporter.mask(line);
  const stranger = lines.findIndex((line) => !/^AGE-SECRET-KEY-[0-9A-Z-]+$/i.test(line));
  if (lines.length > 0 && stranger === -1) return lines;
  const where = isText ? 'the text' : JSON.stringify(identity);
  const what =
    lines.length === 0 ? 'has no identity' : `has something else in line ${stranger + 1} of what is no comment`;
  throw new TransshipError('INPUT', `identity: ${where} ${what}.`, {
    hint: 'Give lines that begin with AGE-SECRET-KEY-, as age-keygen writes them.',
  });
}

function failToRead(path: string) {
  return (error: unknown): never => {
    throw new TransshipError('INPUT', `identity: ${JSON.stringify(path)} can't be read: ${messageOf(error)}.`, {
      hint: 'Give the path of a file with age identities; in a workflow, the text of a secret.',
    });
  };
}
