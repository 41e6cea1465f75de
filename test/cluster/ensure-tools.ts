/** Makes every tool of the test bed ready, as CI does before its tests, and prints where each is. */
import { TOOL_NAMES } from './tool-list.ts';
import { ensureTools } from './tools.ts';

const paths = await ensureTools(TOOL_NAMES);
for (const name of TOOL_NAMES) process.stdout.write(`${name}\t${paths[name]}\n`);
