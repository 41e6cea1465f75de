import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TransshipError } from '../../../src/errors.ts';
import type { RunProgram } from '../../../src/releases/helm.ts';
import { type HelmContext, runFrozen } from '../../../src/releases/install-release.ts';
import { decodeRecord, type ReleaseRecord } from '../../../src/releases/record.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { makeObject } from './make-record.ts';
import { memoryCluster } from './memory-cluster.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-install-'));
});
afterEach(() => rm(folder, { recursive: true }));

function contextOf(runProgram: RunProgram, more: Partial<HelmContext> = {}): HelmContext {
  return {
    helm: { path: '/bin/helm', version: 'v4.3.1', major: 4 },
    runProgram,
    cluster: memoryCluster(),
    env: { PATH: '/bin', HELM_DRIVER: 'sql' },
    temporaryDirectory: folder,
    timeout: '1m0s',
    wait: false,
    noHooks: false,
    reporter: silentReporter,
    ...more,
  };
}

async function recordOf(fields: object = {}): Promise<ReleaseRecord> {
  const record = await decodeRecord(makeObject());
  return { ...record, json: JSON.stringify({ ...JSON.parse(record.json), ...fields }) };
}

const succeed = { exitCode: 0, stdout: '', stderr: '' };

describe('runFrozen', () => {
  test('gives helm the marked chart and the stored values, for this user alone, and takes them away again', async () => {
    let files: string[] = [];
    const run: RunProgram = async (command, args, { env }) => {
      files = args.filter((word) => word.startsWith(folder));
      const [chart = '', values = ''] = files;
      expect([command, ...args.slice(0, 2)]).toEqual(['/bin/helm', 'install', 'web']);
      expect(gunzipSync(await readFile(chart)).toString()).toContain('"transship.dev/frozen":"install:abc"');
      expect(JSON.parse(await readFile(values, 'utf8'))).toEqual({ secret: 'value' });
      for (const file of files) expect((await stat(file)).mode & 0o077).toBe(0);
      expect(env).toMatchObject({ HELM_DRIVER: 'configmap', PATH: '/bin' });
      return succeed;
    };
    const record = await recordOf({ config: { secret: 'value' } });
    await runFrozen(contextOf(run), record, 'configmap', 'install', 'install:abc');
    expect(files).toHaveLength(2);
    expect(files.map(existsSync)).toEqual([false, false]);
  });

  test.each([
    ['install', ['install']],
    ['reuse', ['install', '--replace']],
    ['upgrade', ['upgrade', '--reset-values']],
  ] as const)('runs helm for %s with %j', async (way, words) => {
    let seen: readonly string[] = [];
    const run: RunProgram = async (_, args) => {
      seen = args;
      return succeed;
    };
    await runFrozen(contextOf(run), await recordOf(), 'secret', way, 'x');
    expect(seen).toEqual(expect.arrayContaining([...words]));
    expect(seen.includes('--replace')).toBe(way === 'reuse');
  });

  test('leaves out hooks that have run, and has Helm label its records', async () => {
    const hook = (name: string) => ({
      ...{ name, kind: 'Job', path: `app/templates/${name}.yaml` },
      manifest: `metadata: { name: ${name}, annotations: { helm.sh/hook: pre-install } }`,
    });
    let tar = '';
    let words: readonly string[] = [];
    const run: RunProgram = async (_, args) => {
      words = args;
      tar = gunzipSync(await readFile(args[2] ?? '')).toString();
      return succeed;
    };
    const record = await recordOf({ hooks: [hook('first'), hook('second')] });
    const options = { hooks: [hook('second')], labels: { 'transship.dev/environment': 'pr-1' } };
    await runFrozen(contextOf(run), record, 'secret', 'install', 'x', options);
    expect([tar.includes('templates/first.yaml'), tar.includes('templates/second.yaml')]).toEqual([false, true]);
    expect(words.slice(words.indexOf('--labels'))).toEqual(['--labels', 'transship.dev/environment=pr-1']);
  });

  test('keeps the manifest of a large record out of what Helm will store of the chart', async () => {
    let tar = '';
    const run: RunProgram = async (_, args) => {
      tar = gunzipSync(await readFile(args[2] ?? '')).toString();
      return succeed;
    };
    const config = '---\n# Source: app/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n';
    const template = /frozen\/(\S*)templates\/a\.yaml\0/;
    await runFrozen(contextOf(run), await recordOf({ manifest: config }), 'secret', 'install', 'x');
    expect(template.exec(tar)?.[1]).toBe('');
    const large = `${config}# ${'x'.repeat(800_000)}\n`;
    await runFrozen(contextOf(run), await recordOf({ manifest: large }), 'secret', 'install', 'x');
    expect(template.exec(tar)?.[1]).toMatch(/^charts\//);
  });

  test('fails in the words of helm, and leaves no file behind', async () => {
    const run: RunProgram = async () => ({ exitCode: 1, stdout: '', stderr: 'level=INFO x\nError: it is full\n' });
    const failed = runFrozen(contextOf(run), await recordOf(), 'secret', 'install', 'x');
    await expect(failed).rejects.toMatchObject({ code: 'HELM', message: 'it is full' });
    expect(await readdir(folder)).toEqual([]);
  });

  test('passes on why it was cancelled, not what helm said about it', async () => {
    const cancel = new AbortController();
    const reason = new TransshipError('CANCELLED', 'The run was cancelled.');
    const run: RunProgram = async (_, __, { signal }) => {
      expect(signal).toBe(cancel.signal);
      cancel.abort(reason);
      return { exitCode: 1, stdout: '', stderr: 'Error: context canceled' };
    };
    const context = contextOf(run, { signal: cancel.signal });
    await expect(runFrozen(context, await recordOf(), 'secret', 'install', 'x')).rejects.toBe(reason);
    expect(await readdir(folder)).toEqual([]);
  });

  test('leaves no file behind when helm cannot be started', async () => {
    const run: RunProgram = () => Promise.reject(new Error('no such file'));
    await expect(runFrozen(contextOf(run), await recordOf(), 'secret', 'install', 'x')).rejects.toThrow('no such file');
    expect(await readdir(folder)).toEqual([]);
  });
});
