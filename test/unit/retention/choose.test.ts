import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { snapshotId } from '../../../src/archive/snapshot.ts';
import { chooseKept, type Dated, groupOf } from '../../../src/retention/choose.ts';
import { countRules, type RetentionPolicy } from '../../../src/retention/policy.ts';

const DAY = 24 * 60 * 60_000;
const NOW = new Date('2026-06-30T12:00:00Z');

function tree(id: string, changes: Partial<Dated> = {}): Dated {
  return {
    ...{ id, layout: 'tree', cluster: 'stage', state: 'complete' },
    location: `s3://b/stage/backup/${id}/`,
    ...changes,
  };
}

function keptIds(snapshots: readonly Dated[], policy: RetentionPolicy, now = NOW): string[] {
  return [...chooseKept(snapshots, policy, now).keep.keys()].map(({ id }) => id).sort();
}

const daily = ['26-06-25', '26-06-26', '26-06-27', '26-06-28', '26-06-29'].flatMap((day) => [
  tree(`${day}_06-00-00`),
  tree(`${day}_18-00-00`),
]);

describe('the rules', () => {
  it('last keeps the newest', () => {
    expect(keptIds(daily, { last: 3 })).toEqual(['26-06-28_18-00-00', '26-06-29_06-00-00', '26-06-29_18-00-00']);
  });

  it('daily keeps the newest of each of the last days that have some', () => {
    const withGap = daily.filter(({ id }) => !id.startsWith('26-06-28'));
    expect(keptIds(withGap, { daily: 3 })).toEqual(['26-06-26_18-00-00', '26-06-27_18-00-00', '26-06-29_18-00-00']);
  });

  it('hourly tells hours apart, monthly months, yearly years', () => {
    const times = ['25-12-31_23-59-59', '26-01-01_00-00-00', '26-01-01_00-30-00', '26-01-01_01-00-00'];
    const snapshots = times.map((id) => tree(id));
    expect(keptIds(snapshots, { hourly: 2 })).toEqual(['26-01-01_00-30-00', '26-01-01_01-00-00']);
    expect(keptIds(snapshots, { monthly: 5 })).toEqual(['25-12-31_23-59-59', '26-01-01_01-00-00']);
    expect(keptIds(snapshots, { yearly: 5 })).toEqual(['25-12-31_23-59-59', '26-01-01_01-00-00']);
  });

  it('weekly takes weeks from Monday to Sunday, also over the end of a year', () => {
    // 28 December 2026 is a Monday, 3 January 2027 a Sunday: https://www.iso.org/iso-8601-date-and-time-format.html
    const ids = ['26-12-27_12-00-00', '26-12-28_00-00-00', '27-01-03_23-59-59', '27-01-04_00-00-00'];
    const now = new Date('2027-01-05T00:00:00Z');
    const snapshots = ids.map((id) => tree(id));
    expect(keptIds(snapshots, { weekly: 3 }, now)).toEqual([
      '26-12-27_12-00-00',
      '27-01-03_23-59-59',
      '27-01-04_00-00-00',
    ]);
  });

  it('age keeps what is not older, by the time that it is given', () => {
    expect(keptIds(daily, { age: 3 * DAY })).toEqual([
      '26-06-27_18-00-00',
      '26-06-28_06-00-00',
      '26-06-28_18-00-00',
      '26-06-29_06-00-00',
      '26-06-29_18-00-00',
    ]);
  });

  it('says why each one stays', () => {
    const { keep } = chooseKept(daily, { last: 1, daily: 2, age: DAY }, NOW);
    expect([...keep].map(([{ id }, reasons]) => [id, reasons])).toEqual([
      ['26-06-29_18-00-00', ['newest', 'last', 'daily', 'age']],
      ['26-06-28_18-00-00', ['daily']],
    ]);
  });

  it('removes the oldest first', () => {
    const { remove } = chooseKept(daily, { last: 8 }, NOW);
    expect(remove.map(({ id }) => id)).toEqual(['26-06-25_06-00-00', '26-06-25_18-00-00']);
  });

  it('without any rule removes nothing', () => {
    expect(chooseKept(daily, {}, NOW).remove).toEqual([]);
  });
});

describe('groups', () => {
  it('counts trees of each cluster on their own, and archives of each name', () => {
    const snapshots = [
      tree('26-06-01_00-00-00'),
      tree('26-06-02_00-00-00'),
      tree('26-06-03_00-00-00', { cluster: 'prod', location: 's3://b/prod/backup/26-06-03_00-00-00/' }),
      ...[
        'transship-26-06-04_00-00-00.tar.zst',
        'transship-26-06-05_00-00-00.tar.gz',
        'db-26-06-06_00-00-00.tar.xz',
      ].map((file) => ({
        ...{ id: file.replace(/^.*?-(?=26)|\.tar.*$/g, ''), layout: 'archive' as const, state: 'complete' as const },
        location: `/backups/${file}`,
      })),
    ];
    expect(keptIds(snapshots, { last: 1 })).toEqual([
      '26-06-02_00-00-00',
      '26-06-03_00-00-00',
      '26-06-05_00-00-00',
      '26-06-06_00-00-00',
    ]);
  });

  it('takes artifacts, whose address does not name them, for one group', () => {
    const artifact = { id: '26-06-01_00-00-00', layout: 'archive' } as const;
    const url = 'https://github.com/octo-org/shop/actions/runs/1/artifacts';
    expect(groupOf({ ...artifact, location: `${url}/1` })).toBe(groupOf({ ...artifact, location: `${url}/2` }));
  });
});

describe('what is unfinished', () => {
  it('neither counts nor goes, whatever its age', () => {
    const unfinished = tree('26-06-30_00-00-00', { state: 'unfinished' });
    const { keep, remove } = chooseKept([...daily, unfinished], { last: 1 }, NOW);
    expect([...keep.keys()].map(({ id }) => id)).toEqual(['26-06-29_18-00-00']);
    expect(remove).not.toContain(unfinished);
  });
});

describe('clocks that were wrong', () => {
  const future = [tree('31-01-01_00-00-00'), tree('31-01-02_00-00-00')];

  it('keeps snapshots of a time to come, and lets them push out nothing', () => {
    const { keep, remove } = chooseKept([...future, ...daily], { last: 2 }, NOW);
    expect([...keep].filter(([, reasons]) => reasons.includes('future')).map(([{ id }]) => id)).toEqual([
      '31-01-02_00-00-00',
      '31-01-01_00-00-00',
    ]);
    expect(keptIds([...future, ...daily], { last: 2 })).toEqual([
      '26-06-29_06-00-00',
      '26-06-29_18-00-00',
      '31-01-01_00-00-00',
      '31-01-02_00-00-00',
    ]);
    expect(remove).toHaveLength(8);
  });

  it('removes nothing when the storage believes that it is long ago', () => {
    expect(chooseKept(daily, { last: 1, age: DAY }, new Date('2020-01-01T00:00:00Z')).remove).toEqual([]);
  });

  it('takes a few minutes of difference for no wrong clock', () => {
    const ahead = tree('26-06-30_12-10-00');
    expect(keptIds([...daily, ahead], { last: 1 })).toEqual(['26-06-30_12-10-00']);
  });
});

describe('for all snapshots and policies', () => {
  const snapshot = fc
    .record({
      time: fc.integer({ min: Date.UTC(2024, 0, 1), max: NOW.getTime() + 3 * DAY }),
      cluster: fc.constantFrom('a', 'b'),
      state: fc.constantFrom('complete' as const, 'complete' as const, 'unfinished' as const),
    })
    .map(({ time, cluster, state }) => {
      const id = snapshotId(new Date(time));
      return tree(id, { cluster, state, location: `s3://b/${cluster}/backup/${id}/` });
    });
  const snapshots = fc.uniqueArray(snapshot, { maxLength: 60, selector: ({ location }) => location });
  const count = fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined });
  const policy = fc.record({
    ...Object.fromEntries(countRules.map((rule) => [rule, count])),
    age: fc.option(fc.integer({ min: 0, max: 900 * DAY }), { nil: undefined }),
  }) as fc.Arbitrary<RetentionPolicy>;
  const locations = (some: Iterable<Dated>) => new Set([...some].map(({ location }) => location));

  it('the newest complete one of each cluster stays', () => {
    fc.assert(
      fc.property(snapshots, policy, (all, rules) => {
        const { remove } = chooseKept(all, rules, NOW);
        for (const cluster of ['a', 'b']) {
          const ids = all.filter((one) => one.cluster === cluster && one.state === 'complete').map(({ id }) => id);
          const newest = ids.sort().at(-1);
          expect(remove.some((one) => one.cluster === cluster && one.id === newest)).toBe(false);
        }
      }),
    );
  });

  it('each complete one is kept or removed, and no other is either', () => {
    fc.assert(
      fc.property(snapshots, policy, (all, rules) => {
        const { keep, remove } = chooseKept(all, rules, NOW);
        const complete = all.filter(({ state }) => state === 'complete');
        expect([...keep.keys(), ...remove].map(({ location }) => location).sort()).toEqual(
          complete.map(({ location }) => location).sort(),
        );
      }),
    );
  });

  it('several rules keep what each of them keeps, and nothing else', () => {
    fc.assert(
      fc.property(snapshots, policy, (all, rules) => {
        const given = Object.entries(rules).filter(([, value]) => value !== undefined);
        fc.pre(given.length > 0);
        const each = given.map(([rule, value]) => chooseKept(all, { [rule]: value }, NOW).keep.keys());
        const union = locations(each.flatMap((keys) => [...keys]));
        expect(locations(chooseKept(all, rules, NOW).keep.keys())).toEqual(union);
      }),
    );
  });

  it('a rule that keeps more takes nothing away', () => {
    fc.assert(
      fc.property(snapshots, policy, fc.constantFrom(...countRules), (all, rules, rule) => {
        fc.pre(rules[rule] !== undefined);
        const more = { ...rules, [rule]: (rules[rule] ?? 0) + 1 };
        const kept = locations(chooseKept(all, more, NOW).keep.keys());
        for (const location of locations(chooseKept(all, rules, NOW).keep.keys())) expect(kept).toContain(location);
      }),
    );
  });

  it('choosing again among what was kept removes nothing', () => {
    fc.assert(
      fc.property(snapshots, policy, (all, rules) => {
        const kept = [...chooseKept(all, rules, NOW).keep.keys()];
        expect(chooseKept(kept, rules, NOW).remove).toEqual([]);
      }),
    );
  });
});
