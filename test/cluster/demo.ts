// `npm run demo`: what the README promises, on two real clusters. A release with a subchart, a hook and three revisions
// goes from STAGE to PROD, planned first; `helm history` is printed on both sides, and Helm rolls back on PROD in the
// history that came.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startSandbox } from './sandbox.ts';

const root = resolve(import.meta.dirname, '../..');
const chart = resolve(root, 'examples/charts/shop');

process.stdout.write(
  'Starting two clusters, STAGE and PROD. The first time their parts are built, which takes minutes.\n',
);
const sandbox = await startSandbox();
const snapshots = await mkdtemp(join(tmpdir(), 'transship-demo-'));
try {
  say('On STAGE, install the shop and upgrade it twice');
  await quietly('helm', 'install', 'shop', chart, '--namespace', 'stage', '--create-namespace', ...on('stage'));
  for (const replicas of [2, 3]) {
    const set = ['--set', `replicas=${replicas}`];
    await quietly('helm', 'upgrade', 'shop', chart, '--namespace', 'stage', ...set, ...on('stage'));
  }
  await show('helm', 'history', 'shop', '--namespace', 'stage', ...on('stage'));

  say('Export STAGE');
  await show('transship', 'export', '--context', 'stage', '--namespace', 'stage', '--path', snapshots);
  say('Look at what there is, and check that it is whole');
  await show('transship', 'list', '--path', snapshots);
  await show('transship', 'verify', '--path', snapshots);

  say('See what an import to PROD would do, where the namespace is called prod');
  const map = ['--namespace-map', 'stage=prod'];
  await show('transship', 'plan', '--context', 'prod', '--path', snapshots, ...map);
  say('Import it');
  await show('transship', 'import', '--context', 'prod', '--path', snapshots, ...map, '--wait');
  await show('helm', 'history', 'shop', '--namespace', 'prod', ...on('prod'));

  say('The history is real: on PROD, roll back to revision 1');
  await show('helm', 'rollback', 'shop', '1', '--namespace', 'prod', '--wait', ...on('prod'));
  await show('helm', 'history', 'shop', '--namespace', 'prod', ...on('prod'));
  await show('kubectl', 'get', 'deployments', '--namespace', 'prod', '--context', 'prod');

  say('STAGE moves on; what would promoting that change on PROD?');
  await quietly(
    'helm',
    'upgrade',
    'shop',
    chart,
    '--namespace',
    'stage',
    '--set',
    'greeting=Hello again',
    ...on('stage'),
  );
  const promote = ['--context', 'stage', '--target-context', 'prod', '--namespace', 'stage', ...map, '--replace'];
  await show('transship', 'promote', ...promote, '--dry-run');
} finally {
  await sandbox.stop();
  await rm(snapshots, { recursive: true, force: true });
}

function on(context: string): string[] {
  return ['--kube-context', context];
}

function say(what: string): void {
  process.stdout.write(`\n--- ${what}\n`);
}

/** Prints a command as a person would type it, and lets it print. */
async function show(...command: string[]): Promise<void> {
  process.stdout.write(`\n$ ${command.join(' ')}\n`);
  await run(command, 'inherit');
}

async function quietly(...command: string[]): Promise<void> {
  await run(command, 'ignore');
}

function run([program = '', ...args]: string[], stdout: 'inherit' | 'ignore'): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...sandbox.env },
      stdio: ['ignore', stdout, 'inherit'],
    });
    child.once('error', fail);
    child.once('exit', (code) => {
      if (code === 0) done();
      else fail(new Error(`${program} ${args.join(' ')} ended with status ${code}`));
    });
  });
}
