import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, extname } from 'node:path';
import { messageOf, TransshipError } from '../errors.ts';
import type { Plan } from '../plan/plan.ts';
import { createPaint } from '../report/text.ts';

/**
 * Writes a plan to files, in the form that their endings name.
 *
 * @throws TransshipError `INPUT` naming a file that can't be written
 */
export async function writePlanFiles(plan: Plan, files: readonly string[]): Promise<void> {
  for (const file of files) {
    const text = await renderFor(extname(file), plan);
    try {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
    } catch (error) {
      throw new TransshipError('INPUT', `plan-files: ${JSON.stringify(file)} can't be written: ${messageOf(error)}.`, {
        hint: 'Give a path in a folder that this user may write to.',
      });
    }
  }
}

/** What GitHub takes as the text of a comment, in characters, with some to spare for what is put around it. */
const COMMENT_BYTES = 60_000;

async function renderFor(ending: string, plan: Plan): Promise<string> {
  switch (ending) {
    case '.html':
      return (await import('../plan/render-html.ts')).renderPlanHtml(plan);
    case '.json':
      return (await import('../plan/render-json.ts')).renderPlanJson(plan);
    case '.md':
      return (await import('../plan/render-markdown.ts')).renderPlanMarkdown(plan, COMMENT_BYTES);
    default:
      return (await import('../plan/render-text.ts')).renderPlanText(plan, createPaint(false), { full: true });
  }
}
