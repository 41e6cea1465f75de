// Checks every workflow of the project, those in examples/ too, and action.yml, with the pinned actionlint. Exits 1 when
// there is something to say.
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { ensureTools } from '../test/cluster/tools.ts';

const root = resolve(import.meta.dirname, '..');
// The same findings everywhere, whatever else is installed.
const ALONE = ['-shellcheck=', '-pyflakes='];

const { actionlint } = await ensureTools(['actionlint']);
const workflows = globSync('.github/workflows/*.{yml,yaml}', { cwd: root }).sort();
// A chart's templates are no YAML before they are rendered.
const examples = globSync('examples/**/*.{yml,yaml}', { cwd: root, exclude: ['examples/charts'] })
  .filter(isWorkflow)
  .sort();
const failed = [
  ...faultsOf('action.yml'),
  ...workflows.filter((file) => !passes(actionlint, file, read(file))),
  ...examples.filter((file) => !passes(actionlint, file, usingThisAction(read(file)))),
];
if (failed.length > 0) process.exitCode = 1;
else console.log(`actionlint has nothing to say about ${[...workflows, ...examples].join(', ')}.`);

/** Whatever has jobs; and what cannot be read, for actionlint to say why. */
function isWorkflow(file: string): boolean {
  const document = parseDocument(read(file), { logLevel: 'error' });
  return document.errors.length > 0 || document.has('jobs');
}

/** Examples name the released action; read as this checkout's, its inputs and outputs are checked as well. */
function usingThisAction(text: string): string {
  return text.replaceAll(/uses: transship\/transship@\S+/g, 'uses: ./');
}

function passes(program: string, file: string, text: string): boolean {
  const { status, error } = spawnSync(program, [...ALONE, '-stdin-filename', file, '-'], {
    cwd: root,
    input: text,
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  if (error !== undefined) throw error;
  return status === 0;
}

/** actionlint looks at an action only where a workflow uses it, and then not at its syntax. */
function faultsOf(file: string): string[] {
  const { errors } = parseDocument(read(file), { strict: true, uniqueKeys: true });
  for (const { message } of errors) console.error(`${file}: ${message}`);
  return errors.length > 0 ? [file] : [];
}

function read(file: string): string {
  return readFileSync(resolve(root, file), 'utf8');
}
