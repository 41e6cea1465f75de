import { describe, expect, test } from 'vitest';
import { keepNewest, pickRunning } from '../../../src/releases/history.ts';

const history = (...statuses: string[]) => statuses.map((status, index) => ({ revision: index + 1, status }));

describe('the record that stands for what runs', () => {
  test.each([
    ['the deployed one', history('superseded', 'deployed', 'failed', 'pending-upgrade'), 2],
    ['the newest of several deployed ones', history('deployed', 'deployed', 'superseded'), 2],
    [
      'the newest superseded or failed one where none is deployed',
      history('superseded', 'failed', 'pending-rollback'),
      2,
    ],
    ['a failed install', history('failed'), 1],
    ['none while the first install is pending', history('pending-install'), undefined],
    ['none after an uninstall that kept the history', history('superseded', 'uninstalled'), undefined],
    ['none in the middle of an uninstall', history('superseded', 'uninstalling'), undefined],
    ['the deployed one of a release that was installed again', history('uninstalled', 'deployed'), 2],
    ['none without records', [], undefined],
  ])('is %s', (_, records, expected) => {
    expect(pickRunning(records.toReversed())?.revision).toBe(expected);
  });
});

describe('a shortened history', () => {
  const revisions = (records: readonly { revision: number }[]) => records.map(({ revision }) => revision);

  test('is the newest revisions by number, oldest first', () => {
    const records = [1, 10, 11, 2, 9].map((revision) => ({
      revision,
      status: revision === 11 ? 'deployed' : 'superseded',
    }));
    expect(revisions(keepNewest(records, 3))).toEqual([9, 10, 11]);
  });

  test('always has the one that runs', () => {
    expect(revisions(keepNewest(history('deployed', 'failed', 'failed', 'failed'), 2))).toEqual([1, 3, 4]);
  });

  test('is whole when it is not longer than asked for', () => {
    expect(revisions(keepNewest(history('superseded', 'deployed'), 5))).toEqual([1, 2]);
  });
});
