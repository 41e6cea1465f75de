// Checks every workflow of the project, those in examples/ too, and action.yml, with the pinned actionlint. Exits 1 when
// there is something to say.
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parse, parseDocument, stringify } from 'yaml';
import { ensureTools } from '../test/cluster/tools.ts';
import { ACTIONS, layOutExample, WORKFLOWS } from '../test/e2e/example-repository.ts';

const root = resolve(import.meta.dirname, '..');
// The same findings everywhere, whatever else is installed.
const ALONE = ['-shellcheck=', '-pyflakes='];

const { actionlint } = await ensureTools(['actionlint']);
const own = globSync(`${WORKFLOWS}/*.{yml,yaml}`, { cwd: root }).sort();
// A chart's templates are no YAML before they are rendered.
const examples = globSync('examples/*/*.yml', { cwd: root }).sort();
const failed = [
  ...faultsOf('action.yml'),
  ...(passes(root, own, (output) => output) ? [] : own),
  ...(await faultsOfExamples()),
];
if (failed.length > 0) process.exitCode = 1;
else console.log(`actionlint has nothing to say about ${[...own, ...examples].join(', ')}.`);

/** Examples call each other by where they lie in a user's repository, and the action by its released name: both are laid out so. */
async function faultsOfExamples(): Promise<string[]> {
  const repository = mkdtempSync(join(tmpdir(), 'transship-actionlint-'));
  const inside = (path: string) => join(repository, path);
  try {
    mkdirSync(inside('.git')); // What actionlint knows a repository by.
    for (const name of ['action.yml', 'dist']) symlinkSync(join(root, name), inside(name));
    for (const folder of new Set(examples.map((file) => dirname(file)))) {
      await layOutExample(join(root, folder), repository);
    }
    const sources = new Map(examples.map((file) => [join(WORKFLOWS, basename(file)), file]));
    for (const action of globSync(`${ACTIONS}/*/action.yml`, { cwd: repository })) {
      const workflow = join(WORKFLOWS, `${basename(dirname(action))}.steps.yml`);
      writeFileSync(inside(workflow), asWorkflow(readFileSync(inside(action), 'utf8')));
      sources.set(workflow, `the steps of ${action}`);
    }
    const files = [...sources.keys()];
    for (const file of files) writeFileSync(inside(file), usingThisAction(readFileSync(inside(file), 'utf8')));
    const named = (output: string) =>
      files.reduce((text, file) => text.replaceAll(file, sources.get(file) ?? file), output);
    return passes(repository, files, named) ? [] : examples;
  } finally {
    rmSync(repository, { recursive: true });
  }
}

/** Read as this checkout's, its inputs and outputs are checked as well. */
function usingThisAction(text: string): string {
  return text.replaceAll(/uses: transship\/transship@\S+/g, 'uses: ./');
}

/** actionlint does not look at the steps of an action: as those of a workflow with the same inputs and outputs it does. */
function asWorkflow(action: string): string {
  const { inputs = {}, outputs = {}, runs } = parse(action);
  const typed = Object.entries(inputs).map(([name, input]) => [name, { ...Object(input), type: 'string' }]);
  const values = Object.entries(outputs).map(([name, output]) => [name, Object(output).value]);
  return stringify({
    on: { workflow_call: { inputs: Object.fromEntries(typed) } },
    jobs: { steps: { 'runs-on': 'ubuntu-latest', outputs: Object.fromEntries(values), steps: runs.steps } },
  });
}

function passes(cwd: string, files: readonly string[], named: (output: string) => string): boolean {
  const { status, error, stdout, stderr } = spawnSync(actionlint, [...ALONE, ...files], { cwd, encoding: 'utf8' });
  if (error !== undefined) throw error;
  process.stderr.write(named(`${stdout}${stderr}`));
  return status === 0;
}

/** actionlint looks at an action only where a workflow uses it, and then not at its syntax. */
function faultsOf(file: string): string[] {
  const { errors } = parseDocument(readFileSync(join(root, file), 'utf8'), { strict: true, uniqueKeys: true });
  for (const { message } of errors) console.error(`${file}: ${message}`);
  return errors.length > 0 ? [file] : [];
}
