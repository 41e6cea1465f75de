import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bringFrozen, type Start } from '../../../src/releases/bring-frozen.ts';
import type { RunProgram } from '../../../src/releases/helm.ts';
import { decodeRecord } from '../../../src/releases/record.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { makeObject } from './make-record.ts';
import { memoryCluster } from './memory-cluster.ts';

const PLACE = { driver: 'secret', namespace: 'shop', name: 'web' } as const;
const FIRST: Start = { way: 'install', left: { isDone: false, ran: [] } };
const NEXT: Start = { way: 'reuse', left: { isDone: false, ran: [] } };
const DONE: Start = { way: 'reuse', left: { isDone: true, ran: [] } };
const EARLY = 'Error: INSTALLATION FAILED: resource Job/shop/a not ready. status: InProgress, message: Job in progress';
const LATE = `${EARLY}\ncontext deadline exceeded`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-bring-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Has a Helm that says these things, in turn, bring a release in; nothing means success. */
async function bring(said: readonly string[], found: Start = NEXT) {
  const ways: string[] = [];
  const runProgram: RunProgram = async (_, args) => {
    const stderr = said[ways.length] ?? '';
    ways.push(args.includes('--replace') ? 'reuse' : String(args[0]));
    return { exitCode: stderr === '' ? 0 : 1, stdout: '', stderr };
  };
  const context = {
    helm: { path: 'helm', version: 'v4.3.1', major: 4 },
    ...{ runProgram, cluster: memoryCluster(), env: {}, temporaryDirectory: folder, timeout: '1m' },
    ...{ wait: false, noHooks: false, reporter: silentReporter },
  } as const;
  const record = await decodeRecord(makeObject());
  const result = await bringFrozen(context, record, PLACE, 'x', FIRST, async () => found).catch((error) => error);
  return { ways, result };
}

describe('a Helm that stops waiting early', () => {
  test('goes on from what it has left', async () => {
    expect(await bring([EARLY])).toEqual({ ways: ['install', 'reuse'], result: NEXT.left });
  });

  test('is not run again when it is found to have come to its end', async () => {
    expect(await bring([EARLY], DONE)).toEqual({ ways: ['install'], result: DONE.left });
  });

  test('each time is run three times, and then fails in its own words', async () => {
    const { ways, result } = await bring([EARLY, EARLY, EARLY, EARLY]);
    expect(ways).toEqual(['install', 'reuse', 'reuse']);
    expect(result).toMatchObject({
      code: 'HELM',
      message: expect.stringMatching(/^INSTALLATION FAILED: .* in progress$/),
    });
  });
});

test('a Helm that fails otherwise is not run again', async () => {
  const { ways, result } = await bring([LATE]);
  expect(ways).toEqual(['install']);
  expect(result).toMatchObject({ code: 'HELM', message: expect.stringContaining('context deadline exceeded') });
});
