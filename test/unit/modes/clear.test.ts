import { describe, expect, it } from 'vitest';
import type { ClearInputs } from '../../../src/inputs.ts';
import { formatLease } from '../../../src/manager/lease-text.ts';
import { clearBackend, run } from '../../../src/modes/clear.ts';
import type { RunContext } from '../../../src/modes/run.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { leftover, type Stored, stored, storedBed } from '../retention/stored.ts';

const [old, young] = [stored('26-06-28_12-00-00'), stored('26-06-30_11-00-00')];
const abandoned = leftover('abandoned', '2026-06-28T12:00:00Z');
const running = leftover('running', '2026-06-30T11:59:00Z', { what: 'snapshot', size: 2048 });
const everything: Stored = { snapshots: [young, old], leftovers: [abandoned, running], plans: ['plan'] };

async function clear(
  what: Stored,
  inputs: Partial<ClearInputs> = {},
  answer?: boolean,
): Promise<{ result: Awaited<ReturnType<typeof run>>; deleted: string[]; asked: string[]; infos: string[] }> {
  const backend = storedBed(what);
  const asked: string[] = [];
  const infos: string[] = [];
  const confirm = async (question: string) => {
    asked.push(question);
    return answer === true;
  };
  const context = {
    reporter: { ...silentReporter, info: (line: string) => infos.push(line) },
    signal: new AbortController().signal,
    ...(answer === undefined ? {} : { confirm }),
  };
  const all = { path: 's3://b/p', 'dry-run': false, yes: answer === undefined, ...inputs };
  const result = await clearBackend(backend, all, context);
  return { result, deleted: backend.deleted, asked, infos };
}

describe('without a retention', () => {
  it('deletes all snapshots, what is abandoned and saved plans, oldest snapshot first', async () => {
    const { result, deleted } = await clear(everything);
    expect(deleted).toEqual([old.location, young.location, 'abandoned', 'plan']);
    expect(result).toMatchObject({
      outputs: {
        removed: [
          { what: 'snapshot', id: old.id, size: 1024, age: 2 * 86_400 },
          { what: 'snapshot', id: young.id, size: 1024, age: 3600 },
          { what: 'upload', location: 'abandoned', size: 10 },
          { what: 'plan', location: 'plan' },
        ],
      },
      summary: { mode: 'clear', dryRun: false, declined: false, kept: 0 },
      failed: false,
    });
  });

  it('leaves what may belong to an export that runs, and names it', async () => {
    const { deleted, infos } = await clear({ leftovers: [running] });
    expect(deleted).toEqual([]);
    expect(infos).toEqual([
      '1 unfinished thing of less than a day stays, for an export may be running:\n  running (2.0 KiB, last written 1 min ago)',
    ]);
  });

  it('deletes a lease that has run out', async () => {
    const lease = { text: leaseText(), version: '1', age: 60_001 };
    expect((await clear({ snapshots: [old], lease })).deleted).toEqual([old.location, 'lease']);
  });

  it('refuses where a manager is at work, and names it', async () => {
    const lease = { text: leaseText(), version: '1', age: 59_000 };
    await expect(clear({ snapshots: [old], lease }, { 'dry-run': true })).rejects.toMatchObject({
      code: 'MANAGED',
      message:
        's3://b/p is kept up to date by release transship in namespace ops, on pod, since 2026-01-31 12:00:00 UTC. Nothing was deleted.',
      hint: 'Stop that manager first. To delete only what is old, give retention.',
    });
  });
});

describe('with a retention', () => {
  it('deletes what it does not keep and what is abandoned; saved plans stay', async () => {
    const { result, deleted } = await clear(everything, { retention: { last: 1 } });
    expect(deleted).toEqual([old.location, 'abandoned']);
    expect(result.summary).toMatchObject({ kept: 1 });
  });

  it('minds no manager', async () => {
    const lease = { text: leaseText(), version: '1', age: 1000 };
    expect((await clear({ snapshots: [old, young], lease }, { retention: { last: 1 } })).deleted).toEqual([
      old.location,
    ]);
  });
});

describe('a path that holds something else', () => {
  it.each([undefined, { last: 1 }])('is left alone, and what it is is named (retention %j)', async (retention) => {
    const foreign = Array.from({ length: 12 }, (_, index) => `photo-${index}.jpg`);
    await expect(clear({ ...everything, foreign }, { retention })).rejects.toMatchObject({
      code: 'NOT_EMPTY',
      message: expect.stringMatching(
        /^s3:\/\/b\/p holds what Transship did not write: photo-0\.jpg, .*, photo-9\.jpg and at least 2 more\. Nothing was deleted\.$/,
      ),
    });
  });
});

describe('a person', () => {
  it('is shown what would be deleted, and asked', async () => {
    const { asked, infos, deleted } = await clear({ snapshots: [old] }, {}, true);
    expect(infos).toEqual([
      [
        'To be deleted:',
        'DELETED   SNAPSHOT           AGE  SIZE     LOCATION',
        'snapshot  26-06-28_12-00-00  2 d  1.0 KiB  s3://b/p/transship-26-06-28_12-00-00.tar.zst',
      ].join('\n'),
    ]);
    expect(asked).toEqual(['Delete 1 snapshot (1.0 KiB) from s3://b/p?']);
    expect(deleted).toEqual([old.location]);
  });

  it('who says no has nothing deleted, and a run that failed', async () => {
    const { result, deleted } = await clear(everything, {}, false);
    expect(deleted).toEqual([]);
    expect(result).toEqual({
      outputs: { removed: [] },
      summary: { mode: 'clear', dryRun: false, declined: true, kept: 2 },
      failed: true,
    });
  });

  it('is not asked about nothing, nor of a dry run, nor with yes', async () => {
    expect((await clear({}, {}, true)).asked).toEqual([]);
    const dry = await clear(everything, { 'dry-run': true }, true);
    expect({ asked: dry.asked, deleted: dry.deleted }).toEqual({ asked: [], deleted: [] });
    expect(dry.result.outputs.removed).toHaveLength(4);
    expect((await clear(everything, { yes: true }, true)).asked).toEqual([]);
  });

  it('who is not there is not taken for one who agrees: yes must be given, before anything is looked at', async () => {
    const inputs = { mode: 'clear', backend: 'local', path: '/nowhere', 'dry-run': false, yes: false, summary: true };
    const context: RunContext = {
      ...{ reporter: silentReporter, signal: new AbortController().signal, env: {}, temporaryDirectory: '' },
      ...{ run: '', version: '' },
    };
    await expect(run(inputs as ClearInputs, context)).rejects.toMatchObject({
      code: 'INPUT',
      message: 'yes: is missing, and there is nobody to ask whether to delete.',
    });
  });
});

it('one that can not be deleted fails the run; the others are gone, and a lease stays', async () => {
  const lease = { text: leaseText(), version: '1', age: 90_000 };
  const { result, deleted } = await clear({ snapshots: [old, young], stuck: [old.location], lease });
  expect(deleted).toEqual([young.location]);
  expect(result).toMatchObject({
    failed: true,
    outputs: { failures: [{ object: old.location, outcome: 'failed', message: `${old.location} is locked.` }] },
    summary: { kept: 1 },
  });
});

function leaseText(): string {
  const acquired = new Date('2026-01-31T12:00:00Z');
  return formatLease({
    manager: { namespace: 'ops', release: 'transship', path: 's3://b/p' },
    holder: { id: '0', host: 'pod', pid: 1 },
    ...{ acquired, renewed: acquired, renewals: 0, duration: 60_000 },
  });
}
