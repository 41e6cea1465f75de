import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';

/** A text of a workflow, and what is to stand there instead. */
export type Edit = readonly [from: string, to: string];

export const WORKFLOWS = '.github/workflows';
export const ACTIONS = '.github/actions';

/**
 * Lays out an example in a repository as its README says: workflows in `.github/workflows`, folders with an action in
 * `.github/actions`.
 *
 * @throws Error when the text of an edit is in none of the workflows: the example has changed
 */
export async function layOutExample(example: string, repository: string, edits: readonly Edit[] = []): Promise<void> {
  await mkdir(join(repository, WORKFLOWS), { recursive: true });
  const pending = new Set(edits.map(([from]) => from));
  const entries = await readdir(example, { withFileTypes: true });
  for (const entry of entries) {
    const from = join(example, entry.name);
    if (entry.isDirectory()) await cp(from, join(repository, ACTIONS, entry.name), { recursive: true });
    else if (extname(entry.name) === '.yml') {
      let text = await readFile(from, 'utf8');
      for (const [wanted, instead] of edits) {
        if (text.includes(wanted)) pending.delete(wanted);
        text = text.replaceAll(wanted, instead);
      }
      await writeFile(join(repository, WORKFLOWS, entry.name), text);
    }
  }
  if (pending.size > 0) throw new Error(`${basename(example)} does not have ${[...pending].join(', ')}.`);
}
