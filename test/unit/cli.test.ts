import { EventEmitter } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CliHost, runCli } from '../../src/cli.ts';
import { TransshipError } from '../../src/errors.ts';
import type { Inputs } from '../../src/inputs.ts';
import type { RunContext } from '../../src/modes/run.ts';
import { nothingPlanned, promotion, stopped } from '../helpers/plans.ts';
import { exported, halfImported, planned } from '../helpers/results.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'cli-test-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

/** Runs a command line and collects all that can be seen of it. */
async function run(args: readonly string[], changes: Partial<CliHost> = {}) {
  const seen = { status: -1, stdout: '', stderr: '', runs: [] as Inputs[], contexts: [] as RunContext[] };
  const write = (stream: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      seen[stream] += text;
    },
  });
  const runMode = changes.runMode ?? (async () => exported);
  seen.status = await runCli({
    args,
    env: {},
    stdout: write('stdout'),
    stderr: write('stderr'),
    readStdin: async () => '',
    signals: new EventEmitter(),
    temporaryParent: parent,
    clock: () => 0,
    exit: () => {},
    ...changes,
    runMode: async (inputs, context) => {
      seen.runs.push(inputs);
      seen.contexts.push(context);
      return runMode(inputs, context);
    },
  });
  return seen;
}

describe('help', () => {
  it.each([[], ['--help'], ['-h'], ['help'], ['help', 'nothing']])(
    '%j shows the modes on standard output',
    async (...args) => {
      const { status, stdout, stderr } = await run(args);
      expect(stdout).toContain('Usage: transship MODE [flags]\n');
      expect([...stdout.matchAll(/^ {2}([a-z]+) +[A-Z]/gm)].map(([, mode]) => mode)).toEqual([
        'export',
        'plan',
        'import',
        'promote',
        'list',
        'verify',
        'clear',
        'teardown',
        'watch',
      ]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    },
  );

  it.each([
    ['export', '--help'],
    ['export', '--path', 'x', '-h'],
    ['help', 'export'],
  ])('%s %s shows the flags of the mode and no others', async (...args) => {
    const { status, stdout } = await run(args);
    expect(status).toBe(0);
    expect(stdout).toContain('Usage: transship export [flags]\n');
    expect(stdout).toMatch(/What:\n {2}-n, --namespace <list> /);
    expect(stdout).toMatch(/--concurrency <N> +How .*\(default: 8\)/s);
    expect(stdout).toContain('Examples:\n  transship export ');
    expect(stdout).not.toMatch(/--replace|--github-token|--summary|--mode/);
  });

  it('shows the flag no-hooks by its own name', async () => {
    expect((await run(['import', '--help'])).stdout).toMatch(/ {2}--no-hooks +Do not run the hooks/);
  });
});

describe('--log-format json', () => {
  const parse = (stderr: string) =>
    stderr
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line));

  it('makes every line of standard error an object, and leaves standard output as it is', async () => {
    const { status, stdout, stderr } = await run(['export', '--log-format', 'json', '--output', 'json'], {
      runMode: async (_, { reporter }) => {
        reporter.info('Stored.', { snapshot: '26-01-31_12-00-00' });
        return exported;
      },
    });
    expect(status).toBe(0);
    expect(parse(stderr)).toEqual([
      { time: expect.any(String), level: 'info', message: 'Stored.', snapshot: '26-01-31_12-00-00' },
      { time: expect.any(String), level: 'info', message: expect.stringMatching(/^Exported /) },
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ snapshot: expect.any(String) });
  });

  it('tells errors so too, of wrong input and of the work', async () => {
    const wrong = await run(['export', '--log-format=json', '--concurrency', 'many']);
    expect(wrong.status).toBe(2);
    expect(parse(wrong.stderr)[0]).toMatchObject({ level: 'error', message: expect.stringContaining('concurrency') });
    const failed = await run(['export', '--log-format=json'], {
      runMode: async () => {
        throw new TransshipError('BACKEND', 'The bucket is gone.', { hint: 'Make it.' });
      },
    });
    expect(failed.status).toBe(1);
    expect(parse(failed.stderr)).toMatchObject([{ level: 'error', message: 'The bucket is gone.\nMake it.' }]);
  });

  it('masks what is secret', async () => {
    const { stderr } = await run(['export', '--log-format', 'json'], {
      env: { GITHUB_TOKEN: 'ghs_secret' },
      runMode: async (_, { reporter }) => {
        reporter.info('It is ghs_secret.', { where: 'ghs_secret' });
        return exported;
      },
    });
    expect(stderr).not.toContain('ghs_secret');
  });

  it('of another format is refused', async () => {
    const { status, stderr } = await run(['export', '--log-format', 'xml']);
    expect(status).toBe(2);
    expect(stderr).toContain('log-format: "xml" is not allowed. Give text or json.');
  });
});

it('a mode that ends well after a signal is no failure', async () => {
  const signals = new EventEmitter();
  const { status } = await run(['watch', '--path', 'x'], {
    signals,
    runMode: async (_, { signal }) => {
      signals.emit('SIGTERM');
      expect(signal.aborted).toBe(true);
      return { outputs: {}, summary: { mode: 'watch', cluster: 'stage', stored: 3 }, failed: false };
    },
  });
  expect(status).toBe(0);
});

it('--version prints the version alone', async () => {
  expect(await run(['--version'])).toMatchObject({ status: 0, stdout: '0.1.0\n', stderr: '' });
});

describe('flags', () => {
  it('become inputs of the same names', async () => {
    const { runs } = await run([
      'import',
      '--path',
      './snapshots',
      '--namespace-map=a:b',
      '--timeout',
      '10m',
      '--replace',
    ]);
    expect(runs).toEqual([
      expect.objectContaining({
        mode: 'import',
        path: './snapshots',
        backend: 'local',
        'namespace-map': { a: 'b' },
        timeout: 600_000,
        replace: true,
        'no-hooks': false,
        wait: false,
      }),
    ]);
  });

  it('--no-hooks is an input of its own and no negation', async () => {
    const { runs } = await run(['import', '--no-hooks', '--wait=false']);
    expect(runs[0]).toMatchObject({ 'no-hooks': true, wait: false });
  });

  it('of lists may be repeated', async () => {
    const { runs } = await run(['export', '-n', 'a,b', '--namespace', 'c-*']);
    expect(runs[0]).toMatchObject({ namespace: ['a', 'b', 'c-*'] });
  });

  it('read a kubeconfig from standard input for -', async () => {
    const { runs } = await run(['export', '--kubeconfig', '-'], {
      readStdin: async () => 'apiVersion: v1\nkind: Config\n',
    });
    expect(runs[0]).toMatchObject({ kubeconfig: 'apiVersion: v1\nkind: Config' });
  });
});

describe('wrong command lines end with status 2, say why on standard error, and run nothing', () => {
  it.each<[string, string[], string]>([
    [
      'an unknown mode',
      ['exprot'],
      'error: mode: "exprot" is not a mode. Give export, plan, import, promote, list, verify, clear, teardown or watch. Did you mean export?\nSee transship --help.\n',
    ],
    [
      'a flag before the mode',
      ['--verbose', 'export'],
      'error: mode: is missing. Give export, plan, import, promote, list, verify, clear, teardown or watch.\nSee transship --help.\n',
    ],
    [
      'a mistyped flag, whose value is not blamed too',
      ['export', '--namespcae', 'shop'],
      'error: --namespcae: is not a flag. Did you mean --namespace?\nSee transship export --help.\n',
    ],
    [
      'a flag like none',
      ['export', '--zzz=1'],
      'error: --zzz: is not a flag. See transship export --help.\nSee transship export --help.\n',
    ],
    [
      'a word too many',
      ['export', 'shop'],
      'error: arguments: "shop" is one too many. After the mode come only flags.\nSee transship export --help.\n',
    ],
    [
      'a flag of another mode',
      ['export', '--replace'],
      'error: replace: "true" does not belong to mode export. Remove it: it is for mode plan, import or promote.\nSee transship export --help.\n',
    ],
    [
      'a flag without its value',
      ['list', '--path'],
      'error: path: has no value. Give it one, or leave it out.\nSee transship list --help.\n',
    ],
    [
      'an empty value',
      ['export', '--namespace', ''],
      'error: namespace: has no value. Give it one, or leave it out.\nSee transship export --help.\n',
    ],
    [
      'a flag given twice',
      ['list', '--path', 'a', '--path', 'b'],
      'error: path: is given twice. Give it once.\nSee transship list --help.\n',
    ],
    [
      'a boolean with something else',
      ['import', '--wait', 'please'],
      'error: wait: "please" is neither true nor false.\nSee transship import --help.\n',
    ],
    [
      'an unknown output',
      ['list', '--output', 'yaml'],
      'error: output: "yaml" is not allowed. Give text or json.\nSee transship list --help.\n',
    ],
    [
      'a token where other processes can read it, which is not shown',
      ['list', '--github-token', 'hunter2'],
      'error: github-token: is not taken from the command line. Set the environment variable GITHUB_TOKEN: other processes can read a command line.\nSee transship list --help.\n',
    ],
    [
      'a kubeconfig as text, which is not shown',
      ['export', '--kubeconfig', 'users: [{ user: { token: hunter2 } }]'],
      'error: kubeconfig: was given as text. Give a file, or - to read it from standard input: other processes can read a command line.\nSee transship export --help.\n',
    ],
    [
      'the kubeconfig of a target as text, which is not shown',
      ['promote', '--target-kubeconfig', 'users: [{ user: { token: hunter2 } }]'],
      'error: target-kubeconfig: was given as text. Give a file: other processes can read a command line.\nSee transship promote --help.\n',
    ],
    [
      'an identity as text, which is not shown',
      ['verify', '--identity', `AGE-SECRET-KEY-1${'Q'.repeat(58)}`],
      'error: identity: was given as text. Give a file: other processes can read a command line.\nSee transship verify --help.\n',
    ],
    [
      'several at once',
      ['import', '--wiat', '--timeout', '5'],
      'error: 2 inputs are wrong:\n- --wiat: is not a flag. Did you mean --wait?\n- timeout: "5" is not a duration. Give numbers with a unit (ms, s, m, h), such as 5m or 1h30m.\nSee transship import --help.\n',
    ],
  ])('%s', async (_, args, stderr) => {
    expect(await run(args)).toMatchObject({ status: 2, stdout: '', stderr, runs: [] });
  });
});

describe('a run', () => {
  it('prints what happened on standard error and nothing on standard output', async () => {
    expect(await run(['export'])).toMatchObject({
      status: 0,
      stdout: '',
      stderr: [
        'Exported 2 releases from stage',
        '  Snapshot  26-01-31_12-00-00',
        '  Location  ./snapshots/26-01-31_12-00-00.tar.zst',
        '  Size      1.5 KiB',
        '  Digest    sha256:abc',
        '',
        'RELEASE  NAMESPACE  CHART  VERSION  APP VERSION  REVISION  RESULT',
        'db       shop       web    1.2.3    2.0          1         exported',
        'web      shop       web    1.2.3    2.0          3 (of 3)  exported',
        '',
      ].join('\n'),
    });
  });

  it('prints the outputs as JSON on standard output with --output json', async () => {
    const { stdout, status } = await run(['export', '-o', 'json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual(exported.outputs);
  });

  it('that failed in part prints the outputs first, then fails with status 1', async () => {
    const { status, stdout, stderr } = await run(['import', '--output', 'json'], { runMode: async () => halfImported });
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toEqual(halfImported.outputs);
    expect(stderr).toMatch(
      /Imported 1 of 3 releases into prod[\s\S]*failed pre-install:[\s\S]*error: 1 of 3 releases failed: shop\/db\. Skipped because of it: 1\.\n/,
    );
  });

  it('that planned changes has status 0, and 3 only where that was asked for', async () => {
    const planning = (exitCode: boolean) => async () => planned(promotion, exitCode);
    expect((await run(['plan'], { runMode: planning(false) })).status).toBe(0);
    expect((await run(['plan', '--exit-code'], { runMode: planning(true) })).status).toBe(3);
  });

  it('that planned no changes has status 0 whatever was asked for', async () => {
    const runMode = async () => planned(nothingPlanned, true);
    expect((await run(['plan', '--exit-code'], { runMode })).status).toBe(0);
  });

  it('whose plan has problems has status 1, and prints the whole plan before that', async () => {
    const { status, stdout, stderr } = await run(['plan', '--exit-code', '-o', 'json'], {
      runMode: async () => planned(stopped, true),
    });
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ 'plan-id': stopped.id, plan: { problems: stopped.problems } });
    expect(stderr).toMatch(/error: An import would fail: the plan has \d+ problems?\. Nothing was changed\.\n/);
  });

  it('that throws prints message, hint and causes, and has status 1', async () => {
    const cause = new Error('connect ECONNREFUSED 10.0.0.1:6443');
    const runMode = async () => {
      throw new TransshipError('CLUSTER', 'The cluster prod does not answer.', { hint: 'Is the VPN up?', cause });
    };
    expect(await run(['export'], { runMode })).toMatchObject({
      status: 1,
      stdout: '',
      stderr:
        'error: The cluster prod does not answer.\nIs the VPN up?\nCaused by: connect ECONNREFUSED 10.0.0.1:6443\n',
    });
  });

  it('in which a mode finds an input wrong has status 2', async () => {
    const runMode = async () => {
      throw new TransshipError('INPUT', 'context: "prd" is not in the kubeconfig.');
    };
    expect(await run(['export'], { runMode })).toMatchObject({
      status: 2,
      stderr: 'error: context: "prd" is not in the kubeconfig.\nSee transship export --help.\n',
    });
  });

  it('that breaks by a bug asks for a report, with the stack', async () => {
    const runMode = async () => {
      throw new TypeError('x is undefined');
    };
    const { status, stderr } = await run(['export'], { runMode });
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^error: This is a bug in Transship, please report it.*\nTypeError: x is undefined\n {4}at /,
    );
  });

  it('shows debug lines only with --verbose', async () => {
    const runMode: CliHost['runMode'] = async (_, { reporter }) => {
      reporter.debug('GET /api');
      return exported;
    };
    expect((await run(['export'], { runMode })).stderr).not.toContain('GET /api');
    expect((await run(['export', '--verbose'], { runMode })).stderr).toContain('debug: GET /api\n');
  });

  it('never shows the token of the environment', async () => {
    const runMode: CliHost['runMode'] = async (inputs, { reporter }) => {
      reporter.info(`sent ${inputs['github-token']}`);
      return exported;
    };
    const { stderr } = await run(['list'], { runMode, env: { GITHUB_TOKEN: 'hunter2' } });
    expect(stderr).toContain('sent ***\n');
    expect(stderr).not.toContain('hunter2');
  });

  it('takes the key of S3 from the environment, where S3 is asked, and hides it', async () => {
    const env = { TRANSSHIP_S3_SSE_CUSTOMER_KEY: Buffer.alloc(32, 7).toString('base64') };
    const runMode = async (_: Inputs, { reporter }: RunContext) => {
      reporter.warn(`key ${env.TRANSSHIP_S3_SSE_CUSTOMER_KEY}`);
      return exported;
    };
    const { runs, stderr } = await run(['list', '--path', 's3://backups'], { runMode, env });
    expect(runs).toEqual([expect.objectContaining({ 's3-sse-customer-key': env.TRANSSHIP_S3_SSE_CUSTOMER_KEY })]);
    expect(stderr).toContain('warning: key ***\n');
    expect((await run(['list', '--path', './snapshots'], { env })).status).toBe(0);
  });

  it('never shows the credentials of a kubeconfig read from standard input', async () => {
    const runMode: CliHost['runMode'] = async (_, { reporter }) => {
      reporter.warn('Bearer hunter2 was refused');
      return exported;
    };
    const readStdin = async () => 'users:\n- user:\n    token: hunter2\n';
    const { stderr } = await run(['export', '--kubeconfig', '-'], { runMode, readStdin });
    expect(stderr).toContain('warning: Bearer *** was refused\n');
  });

  it('has a folder of its own that nobody else can read, gone afterwards', async () => {
    const runMode: CliHost['runMode'] = async (_, { temporaryDirectory }) => {
      expect(statSync(temporaryDirectory).mode & 0o777).toBe(0o700);
      expect(readdirSync(temporaryDirectory)).toEqual([]);
      throw new TransshipError('HELM', 'broken');
    };
    const { contexts, stderr } = await run(['export'], { runMode });
    expect(stderr).toBe('error: broken\n');
    expect(contexts[0]?.temporaryDirectory.startsWith(parent)).toBe(true);
    expect(readdirSync(parent)).toEqual([]);
  });
});

describe('on a terminal', () => {
  it.each([
    ['colours', {}, '\x1b[1mExported 2 releases from stage\x1b[22m\n'],
    ['no colours with NO_COLOR', { NO_COLOR: '1' }, 'Exported 2 releases from stage\n'],
    ['no colours on a dumb one', { TERM: 'dumb' }, 'Exported 2 releases from stage\n'],
  ])('there are %s', async (_, env, first) => {
    let shown = '';
    const stderr = { isTTY: true, write: (text: string) => (shown += text) };
    await run(['export'], { env, stderr });
    expect(shown.startsWith(first)).toBe(true);
  });
});

describe('a cancelled run', () => {
  it.each(['SIGINT', 'SIGTERM'])(
    'by %s aborts the mode, says so and nothing of what broke, and cleans up',
    async (name) => {
      const signals = new EventEmitter();
      const runMode: CliHost['runMode'] = (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('socket hang up')));
          signals.emit(name);
        });
      expect(await run(['export'], { signals, runMode })).toMatchObject({
        status: 1,
        stderr: `error: Cancelled by ${name}.\n`,
      });
      expect(readdirSync(parent)).toEqual([]);
      expect(signals.listenerCount(name)).toBe(0);
    },
  );

  it('ends at once at the second signal, its folder removed first', async () => {
    const signals = new EventEmitter();
    const exits: number[] = [];
    const runMode: CliHost['runMode'] = async (_, { temporaryDirectory }) => {
      signals.emit('SIGINT');
      signals.emit('SIGINT');
      expect(existsSync(temporaryDirectory)).toBe(false);
      return exported;
    };
    await run(['export'], { signals, runMode, exit: (status) => exits.push(status) });
    expect(exits).toEqual([1]);
  });
});
