import { cp, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join, relative, resolve } from 'node:path';
import { stringify } from 'yaml';
import { ensureTools } from '../cluster/tools.ts';
import { type LogEntry, type LoggedAnnotation, parseActLog } from './act-log.ts';
import { type Edit, layOutExample } from './example-repository.ts';
import { runCommand } from './run-command.ts';

const root = resolve(import.meta.dirname, '../..');
const bundle = dirname(resolve(root, process.env.TRANSSHIP_ENTRY ?? 'dist/index.js'));
/** That of the artifact service's stand-in. */
export const REPOSITORY = 'octo-org/shop';
const COMMIT = { GITHUB_REF: 'refs/heads/main', SHA_REF: 'f00dfeed'.repeat(5) };
const LONGEST_MS = 150_000;

export interface WorkflowOptions {
  /** Path of an example's folder, laid out as its README says into the repository that the workflow is of. */
  readonly example: string;
  /** The name of the workflow's file in it; the folder's own by default. */
  readonly workflow?: string;
  /** Texts of its files to replace, each wherever it stands; without any it runs as it is. */
  readonly edits?: readonly Edit[];
  readonly event: string;
  /** The event's payload, what the workflow sees as `github.event`. Its repository is private where it does not say. */
  readonly payload?: object;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly vars?: Readonly<Record<string, string>>;
  /** What the runner gives to every step, beside what it sets by itself. */
  readonly env?: Readonly<Record<string, string>>;
  /** Programs that the runner has, by name. Of the machine's own there are only those of /usr/bin and /bin. */
  readonly programs?: Readonly<Record<string, string>>;
}

/** How a run of a workflow went. */
export interface WorkflowRun {
  readonly succeeded: boolean;
  /** `success` or `failure`, by the job's id, of a matrix `id (value)`; a job that was skipped has none. */
  readonly jobs: Readonly<Record<string, string>>;
  /** What act printed, as a person would see it: for the message of a test that fails. */
  readonly log: string;
  /** What a job's steps set, by name. */
  outputs(job: string): Readonly<Record<string, string>>;
  /** What a job's steps wrote for its summary. */
  summary(job: string): string;
  errors(job: string): LoggedAnnotation[];
  /** What was said in a stage of the job's steps, their own words and act's. */
  said(job: string, stage: 'Main' | 'Post'): string;
  /** The values that the steps asked to be masked. */
  readonly masks: readonly string[];
  /** Everything printed but the requests to mask. act runs without its own masking: what is in here was said. */
  readonly unmasked: string;
  /** Files and folders that steps left under RUNNER_TEMP of jobs that failed, or in the system's temporary folder. */
  readonly leftovers: readonly string[];
}

/**
 * Runs a workflow with the real act, its jobs on this machine; `transship/transship@v0` is this checkout's action.yml
 * and dist/. Nothing stays behind, and nothing of this process's environment goes in.
 */
export async function runWorkflow(options: WorkflowOptions): Promise<WorkflowRun> {
  const { act } = await ensureTools(['act']);
  const sandbox = await realpath(await mkdtemp(join(tmpdir(), 'transship-act-')));
  const inside = (...parts: string[]) => join(sandbox, ...parts);
  try {
    await Promise.all(['home', 'cache', 'tmp', 'bin', 'checkout', 'action'].map((name) => mkdir(inside(name))));
    // What GitHub downloads for a `uses:`, without what only developing needs: act reads all of it into memory.
    await cp(join(root, 'action.yml'), inside('action/action.yml'));
    await cp(bundle, inside('action/dist'), { recursive: true });
    // act asks the first node on PATH where it is, and runs actions of any version with it.
    const programs = { node: join(root, 'node_modules/.bin/node'), ...options.programs };
    for (const [name, path] of Object.entries(programs)) await symlink(await realpath(path), inside('bin', name));
    await writeFile(inside('secrets.yml'), stringify({ GITHUB_TOKEN: 'ghs_unused', ...options.secrets }), {
      mode: 0o600,
    });
    const payload = { repository: { full_name: REPOSITORY, private: true }, ...options.payload };
    await writeFile(inside('event.json'), JSON.stringify(payload));
    await layOutExample(options.example, inside('checkout'), options.edits);
    const workflow = options.workflow ?? `${basename(options.example)}.yml`;

    const args = [
      options.event,
      ...['--workflows', inside('checkout/.github/workflows', workflow), '--directory', inside('checkout')],
      ...[
        '--platform',
        'ubuntu-latest=-self-hosted',
        '--local-repository',
        `transship/transship@v0=${inside('action')}`,
      ],
      ...['--action-cache-path', inside('cache'), '--no-cache-server', '--pull=false'],
      ...['--eventpath', inside('event.json'), '--secret-file', inside('secrets.yml')],
      ...Object.entries(options.vars ?? {}).flatMap(([name, value]) => ['--var', `${name}=${value}`]),
      // Only variables given so reach the context `github`. A ref and a commit of its own keep act from looking for a
      // git repository.
      ...Object.entries({ GITHUB_REPOSITORY: REPOSITORY, ...COMMIT, ...options.env }).flatMap(([name, value]) => [
        '--env',
        `${name}=${value}`,
      ]),
      ...['--json', '--insecure-secrets'],
    ];
    const result = await runCommand(act, args, {
      env: {
        ...Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined])),
        PATH: [inside('bin'), '/usr/bin', '/bin'].join(delimiter),
        HOME: inside('home'),
        TMPDIR: inside('tmp'),
        ACT_DISABLE_VERSION_CHECK: '1',
      },
      cwd: inside('checkout'),
      onStart: (child) => {
        const timer = setTimeout(() => child.kill('SIGTERM'), LONGEST_MS);
        child.once('close', () => clearTimeout(timer));
      },
    });
    const leftovers = await findLeftovers(sandbox);
    return describeRun(result.exitCode === 0, parseActLog(`${result.stdout}${result.stderr}`), leftovers);
  } finally {
    await rm(sandbox, { recursive: true, force: true });
  }
}

/** act keeps a job's folders when it failed: `cache/<random>/tmp` is its RUNNER_TEMP. */
async function findLeftovers(sandbox: string): Promise<string[]> {
  const jobs = await readdir(join(sandbox, 'cache'));
  const folders = [join(sandbox, 'tmp'), ...jobs.map((job) => join(sandbox, 'cache', job, 'tmp'))];
  const found = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(folder, { recursive: true }).catch(() => [])).map((name) => join(relative(sandbox, folder), name)),
    ),
  );
  return found.flat();
}

function describeRun(succeeded: boolean, entries: readonly LogEntry[], leftovers: readonly string[]): WorkflowRun {
  const of = (job: string, command: string) =>
    entries.filter((entry) => entry.job === job && entry.command === command);
  const isMask = (entry: LogEntry) => entry.command === 'add-mask';
  return {
    succeeded,
    log: entries.map(({ job, message }) => `${job}| ${message.trimEnd()}`).join('\n'),
    leftovers,
    jobs: Object.fromEntries(entries.flatMap(({ job, jobResult }) => (jobResult === '' ? [] : [[job, jobResult]]))),
    outputs: (job) => Object.fromEntries(of(job, 'set-output').map(({ name, argument }) => [name, argument])),
    summary: (job) =>
      of(job, 'summary')
        .map(({ summary }) => summary)
        .join(''),
    errors: (job) => of(job, 'error').map(({ title, argument }) => ({ title, message: argument })),
    said: (job, stage) =>
      entries
        .filter((entry) => entry.job === job && entry.stage === stage)
        .map(({ message }) => message)
        .join('\n'),
    masks: entries.filter(isMask).map(({ argument }) => argument),
    unmasked: entries
      .filter((entry) => !isMask(entry))
      .map(({ raw }) => raw)
      .join('\n'),
  };
}
