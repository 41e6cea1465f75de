import { describe, expect, it } from 'vitest';
import type { RunResult } from '../../../src/modes/run.ts';
import type { RemovedItem } from '../../../src/report/results.ts';
import { createPaint, renderText } from '../../../src/report/text.ts';
import { failureOf, viewOf } from '../../../src/report/view.ts';
import { formatAge } from '../../../src/report/view-clear.ts';
import { exported } from '../../helpers/results.ts';

const location = 's3://b/stage/backup/26-06-28_12-00-00/';
const removed: RemovedItem[] = [
  { what: 'snapshot', id: '26-06-28_12-00-00', cluster: 'stage', location, size: 1536, age: 172_800 },
  { what: 'unfinished', location: 's3://b/x', size: 512, age: 90_000 },
  { what: 'plan', location: 's3://b/plans/y.json' },
];

function cleared(changes: Partial<Extract<RunResult['summary'], { mode: 'clear' }>> = {}, items = removed): RunResult {
  const summary = { mode: 'clear', dryRun: false, declined: false, kept: 2, ...changes } as const;
  return { outputs: { removed: items }, summary, failed: summary.declined };
}

it.each<[string, RunResult]>([
  ['Deleted 1 snapshot, 1 unfinished snapshot and 1 saved plan (2.0 KiB); 2 snapshots stay', cleared()],
  [
    'Would delete 1 snapshot, 1 unfinished snapshot and 1 saved plan (2.0 KiB); 1 snapshot stays',
    cleared({ dryRun: true, kept: 1 }),
  ],
  ['Nothing to delete', cleared({ kept: 0 }, [])],
  ['Nothing to delete; 2 snapshots stay', cleared({}, [])],
  ['Nothing was deleted', cleared({ declined: true }, [])],
])('%s', (headline, result) => {
  expect(viewOf(result).headline).toBe(headline);
});

it('shows a row for each', () => {
  expect(renderText(cleared({ kept: 0 }), createPaint(false))).toBe(
    [
      'Deleted 1 snapshot, 1 unfinished snapshot and 1 saved plan (2.0 KiB)',
      '',
      'DELETED              SNAPSHOT           CLUSTER  AGE   SIZE     LOCATION',
      `snapshot             26-06-28_12-00-00  stage    2 d   1.5 KiB  ${location}`,
      'unfinished snapshot                              25 h  512 B    s3://b/x',
      'saved plan                                                      s3://b/plans/y.json',
      '',
    ].join('\n'),
  );
});

describe('the error of a run that failed', () => {
  const failures = [{ object: 's3://b/x', outcome: 'failed' as const, message: 'it is locked.' }];

  it('names what could not be deleted', () => {
    const result = { ...cleared(), outputs: { removed, failures }, failed: true };
    expect(failureOf(result)).toMatchObject({ code: 'BACKEND', message: 'Could not be deleted: s3://b/x.' });
    expect(viewOf(result).failures).toEqual([{ title: 's3://b/x failed', words: 'it is locked.', skipped: false }]);
  });

  it('says of an export that its snapshot is stored', () => {
    const result = { ...exported, outputs: { ...exported.outputs, removed: [], failures }, failed: true };
    expect(failureOf(result).message).toBe(
      'Snapshot 26-01-31_12-00-00 is stored, but old ones could not be deleted: s3://b/x.',
    );
  });

  it('says of a person who did not agree that it was that', () => {
    expect(failureOf(cleared({ declined: true }))).toMatchObject({
      code: 'CANCELLED',
      message: 'Nothing was deleted: the answer was not yes.',
    });
  });
});

it('tells of an export what it deleted', () => {
  const result = { ...exported, outputs: { ...exported.outputs, removed: removed.slice(0, 1) } };
  expect(viewOf(result).facts).toContainEqual(['Deleted', '1 snapshot (1.5 KiB)']);
});

it.each([
  [0, '0 s'],
  [59, '59 s'],
  [60, '1 min'],
  [7199, '119 min'],
  [7200, '2 h'],
  [172_799, '47 h'],
  [172_800, '2 d'],
])('an age of %d seconds is %s', (seconds, words) => {
  expect(formatAge(seconds)).toBe(words);
});
