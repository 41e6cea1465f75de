import { EventEmitter } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ActionHost, readInputs, runAction, type Toolkit } from '../../src/action.ts';
import { TransshipError } from '../../src/errors.ts';
import type { Inputs } from '../../src/inputs.ts';
import type { RunContext } from '../../src/modes/run.ts';
import { exported, halfImported } from '../helpers/results.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'action-test-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

/** Writes down every call a step makes to the runner, in order. */
function recordingToolkit() {
  const calls: string[][] = [];
  const note =
    (name: string) =>
    (...args: unknown[]) => {
      calls.push([name, ...args.map((arg) => (typeof arg === 'string' ? arg : JSON.stringify(arg)))]);
    };
  const toolkit: Toolkit = {
    info: note('info'),
    debug: note('debug'),
    warning: note('warning'),
    error: note('error'),
    setSecret: note('setSecret'),
    startGroup: note('startGroup'),
    endGroup: note('endGroup'),
    setOutput: note('setOutput'),
    saveState: note('saveState'),
    setFailed: note('setFailed'),
    writeSummary: async (markdown) => note('writeSummary')(markdown),
  };
  return { calls, toolkit };
}

async function run(env: Record<string, string>, changes: Partial<ActionHost> = {}) {
  const { calls, toolkit } = recordingToolkit();
  const runs: Inputs[] = [];
  const contexts: RunContext[] = [];
  const runMode = changes.runMode ?? (async () => exported);
  await runAction({
    env,
    signals: new EventEmitter(),
    temporaryParent: parent,
    clock: () => 0,
    ...changes,
    toolkit: { ...toolkit, ...changes.toolkit },
    runMode: async (inputs, context) => {
      runs.push(inputs);
      contexts.push(context);
      return runMode(inputs, context);
    },
  });
  const of = (name: string) => calls.filter(([called]) => called === name).map(([, ...args]) => args);
  return { calls, runs, contexts, of, names: calls.map(([name]) => name) };
}

describe('the inputs of a step', () => {
  it('are read as the runner passes them, trimmed, empty ones left out', () => {
    const env = { INPUT_MODE: ' import ', 'INPUT_NO-HOOKS': 'true', INPUT_CONTEXT: '', PATH: '/bin' };
    expect(readInputs(env)).toEqual({ mode: 'import', 'no-hooks': 'true' });
  });

  it('with a typing error are kept, to be refused; variables of others are not', () => {
    const env = { INPUT_MODE: 'import', 'INPUT_NO-HOOK': 'true', INPUT_WHO_TO_GREET: 'world' };
    expect(readInputs(env)).toEqual({ mode: 'import', 'no-hook': 'true' });
  });

  it('fail the step when wrong, all named in one annotation, and nothing runs', async () => {
    const { of, runs } = await run({ INPUT_MODE: 'import', INPUT_REPLACE: 'yes', 'INPUT_NO-HOOK': 'true' });
    expect(runs).toEqual([]);
    expect(of('setFailed')).toEqual([
      [
        '2 inputs are wrong:\n- replace: "yes" is neither true nor false.\n- no-hook: is not an input. Did you mean no-hooks?',
      ],
    ]);
  });

  it('reach the mode', async () => {
    const { runs } = await run({ INPUT_MODE: 'export', INPUT_NAMESPACE: 'shop\nteam-*' });
    expect(runs).toEqual([
      expect.objectContaining({
        mode: 'export',
        namespace: ['shop', 'team-*'],
        backend: 'artifact',
        path: 'transship',
      }),
    ]);
  });

  it('are kept from the programs a mode starts', async () => {
    const { contexts } = await run({ INPUT_MODE: 'export', 'INPUT_GITHUB-TOKEN': 'hunter2', HOME: '/home/me' });
    expect(contexts[0]?.env).toEqual({ HOME: '/home/me' });
  });
});

describe('secrets', () => {
  const kubeconfig = 'apiVersion: v1\nusers:\n- user:\n    token: hunter2\n';

  it('are masked before anything else can show them', async () => {
    const env = { INPUT_MODE: 'export', INPUT_KUBECONFIG: kubeconfig, 'INPUT_GITHUB-TOKEN': 'ghs_x' };
    const { calls } = await run(env);
    expect(calls.slice(0, 3)).toEqual([
      ['saveState', 'isPost', 'true'],
      ['setSecret', 'hunter2'],
      ['setSecret', 'ghs_x'],
    ]);
  });

  it('are masked also when the inputs are wrong, and not in the error', async () => {
    const { of } = await run({ INPUT_MODE: 'list', INPUT_KUBECONFIG: kubeconfig });
    expect(of('setSecret')).toEqual([['hunter2']]);
    expect(of('setFailed')).toEqual([
      [
        'kubeconfig: was given, but does not belong to mode list. Remove it: it is for mode export, plan, import, promote or teardown.',
      ],
    ]);
  });
});

describe('a run', () => {
  it('logs the mode in a group, then gives outputs and the summary, and does not fail', async () => {
    const { calls, names } = await run({ INPUT_MODE: 'export' });
    expect(names).toEqual([
      'saveState',
      'saveState',
      'startGroup',
      'endGroup',
      ...Array(5).fill('setOutput'),
      'info',
      'writeSummary',
    ]);
    expect(calls.filter(([name]) => name === 'setOutput').slice(0, 2)).toEqual([
      ['setOutput', 'snapshot', '26-01-31_12-00-00'],
      ['setOutput', 'location', './snapshots/26-01-31_12-00-00.tar.zst'],
    ]);
  });

  it('that failed in part gives outputs and summary first, then fails', async () => {
    const { names, of } = await run({ INPUT_MODE: 'import' }, { runMode: async () => halfImported });
    expect(names.slice(names.indexOf('setOutput')).filter((name) => name !== 'setOutput')).toEqual([
      'info',
      'error',
      'writeSummary',
      'setFailed',
    ]);
    expect(of('error')).toEqual([['failed pre-install:\n1 error | <timeout>', '{"title":"shop/db failed"}']]);
    expect(of('setFailed')).toEqual([
      [
        '1 of 3 releases failed: shop/db. Skipped because of it: 1.\nThe summary says why, for each. Those not named there are done.',
      ],
    ]);
  });

  it('that throws says why in the summary and in the annotation that fails the step', async () => {
    const runMode = async () => {
      throw new TransshipError('CLUSTER', 'No answer.', { hint: 'Is the VPN up?', cause: new Error('ECONNREFUSED') });
    };
    const { names, of } = await run({ INPUT_MODE: 'export' }, { runMode });
    expect(names.slice(2)).toEqual(['startGroup', 'endGroup', 'writeSummary', 'setFailed']);
    expect(of('writeSummary')[0]?.[0]).toBe(
      '### ❌ export failed\n\n<pre>No answer.\nIs the VPN up?\nCaused by: ECONNREFUSED</pre>\n',
    );
    expect(of('setFailed')).toEqual([['No answer.\nIs the VPN up?\nCaused by: ECONNREFUSED']]);
  });

  it('that breaks by a bug shows the stack', async () => {
    const runMode = async () => {
      throw new TypeError('x is undefined');
    };
    const { of } = await run({ INPUT_MODE: 'export' }, { runMode });
    expect(of('setFailed')[0]?.[0]).toMatch(/^This is a bug in Transship.*\nTypeError: x is undefined\n {4}at /);
  });

  it('writes no summary when it is not wanted', async () => {
    expect((await run({ INPUT_MODE: 'export', INPUT_SUMMARY: 'false' })).of('writeSummary')).toEqual([]);
  });

  it('stays good when only its summary cannot be written', async () => {
    const { calls, toolkit } = recordingToolkit();
    const writeSummary = () => Promise.reject(new Error('ENOSPC: no space left on device'));
    await runAction({
      env: { INPUT_MODE: 'export' },
      signals: new EventEmitter(),
      temporaryParent: parent,
      clock: () => 0,
      toolkit: { ...toolkit, writeSummary },
      runMode: async () => exported,
    });
    expect(calls.filter(([name]) => name === 'setFailed')).toEqual([]);
    expect(calls.at(-1)).toEqual([
      'warning',
      'The job summary could not be written: ENOSPC: no space left on device',
      '{}',
    ]);
  });

  it('repeats its warnings in the summary', async () => {
    const runMode: ActionHost['runMode'] = async (_, { reporter }) => {
      reporter.warn('Its webhook names another namespace.', 'shop/web');
      return exported;
    };
    const { of } = await run({ INPUT_MODE: 'export' }, { runMode });
    expect(of('warning')).toEqual([['Its webhook names another namespace.', '{"title":"shop/web"}']]);
    expect(of('writeSummary')[0]?.[0]).toContain('- **shop/web:** Its webhook names another namespace.\n');
  });

  it('saves what it labels things with before it makes any in a cluster, and takes it back once all are gone', async () => {
    const { of, contexts } = await run({ INPUT_MODE: 'export', INPUT_INCLUDE: 'vms' });
    const label = contexts[0]?.run;
    expect(label).toMatch(/^[0-9a-f]{16}$/);
    expect(of('saveState').filter(([name]) => name === 'run')).toEqual([
      ['run', label],
      ['run', ''],
    ]);
  });

  it('saves where its folder is before using it, and removes it at the end', async () => {
    const runMode: ActionHost['runMode'] = async (_, { temporaryDirectory }) => {
      expect(existsSync(temporaryDirectory)).toBe(true);
      return exported;
    };
    const { of, contexts, names } = await run({ INPUT_MODE: 'export' }, { runMode });
    expect(of('saveState')).toEqual([
      ['isPost', 'true'],
      ['temporaryDirectory', contexts[0]?.temporaryDirectory],
    ]);
    expect(names).not.toContain('setFailed');
    expect(readdirSync(parent)).toEqual([]);
  });

  it('whose folder cannot be made fails', async () => {
    const { of, runs } = await run({ INPUT_MODE: 'export' }, { temporaryParent: join(parent, 'missing') });
    expect(runs).toEqual([]);
    expect(of('setFailed')[0]?.[0]).toContain('ENOENT');
  });

  it('that is cancelled fails with that alone, and cleans up', async () => {
    const signals = new EventEmitter();
    const runMode: ActionHost['runMode'] = (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('socket hang up')));
        signals.emit('SIGINT');
        // The runner sends this some seconds later; the run is ending already.
        signals.emit('SIGTERM');
      });
    const { of } = await run({ INPUT_MODE: 'export' }, { signals, runMode });
    expect(of('setFailed')).toEqual([['Cancelled by SIGINT.']]);
    expect(readdirSync(parent)).toEqual([]);
  });
});
