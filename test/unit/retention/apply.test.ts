import { describe, expect, it } from 'vitest';
import { TransshipError } from '../../../src/errors.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { applyRetention } from '../../../src/retention/apply.ts';
import { keepWarnings } from '../releases/make-record.ts';
import { leftover, stored, storedBed } from './stored.ts';

const options = { dryRun: false, reporter: silentReporter };
const [first, second, third] = ['26-06-28_12-00-00', '26-06-29_12-00-00', '26-06-30_11-59-00'].map((id) => stored(id));
const three = [third, second, first].flatMap((one) => one ?? []);

describe('applyRetention', () => {
  it('deletes what is not kept, oldest first, and says what it was', async () => {
    const backend = storedBed({ snapshots: three });
    const { removed, failures, kept } = await applyRetention(backend, { last: 1 }, options);
    expect(backend.deleted).toEqual([first?.location, second?.location]);
    expect(removed).toEqual([
      { what: 'snapshot', id: first?.id, location: first?.location, size: 1024, age: 2 * 86_400 },
      { what: 'snapshot', id: second?.id, location: second?.location, size: 1024, age: 86_400 },
    ]);
    expect({ failures, kept }).toEqual({ failures: [], kept: 1 });
  });

  it('in a dry run says the same and deletes nothing', async () => {
    const backend = storedBed({ snapshots: three });
    const { removed, kept } = await applyRetention(backend, { last: 1 }, { ...options, dryRun: true });
    expect(removed.map(({ id }) => id)).toEqual([first?.id, second?.id]);
    expect({ deleted: backend.deleted, kept }).toEqual({ deleted: [], kept: 1 });
  });

  it('deletes what exports have left more than a day ago, and nothing younger', async () => {
    const backend = storedBed({
      snapshots: three,
      leftovers: [
        leftover('old', '2026-06-29T11:59:59Z', { what: 'snapshot' }),
        leftover('young', '2026-06-29T12:00:01Z'),
        leftover('of tomorrow', '2026-07-01T12:00:00Z', { what: 'parts' }),
      ],
      plans: ['plan'],
    });
    const { removed } = await applyRetention(backend, { last: 9 }, options);
    expect(backend.deleted).toEqual(['old']);
    expect(removed).toEqual([{ what: 'unfinished', location: 'old', size: 10, age: 86_401 }]);
  });

  it('deletes the others when one can not be, and tells that one', async () => {
    const backend = storedBed({ snapshots: three, stuck: [first?.location ?? ''] });
    const { removed, failures, kept } = await applyRetention(backend, { last: 1 }, options);
    expect(removed.map(({ id }) => id)).toEqual([second?.id]);
    expect(failures).toEqual([
      { object: first?.location, outcome: 'failed', message: `${first?.location} is locked.` },
    ]);
    expect(kept).toBe(2);
  });

  it('keeps the snapshot that was just stored, whatever the clocks say', async () => {
    const wrong = stored('26-06-30_12-14-00');
    const backend = storedBed({ snapshots: [wrong, ...three] });
    if (third === undefined) throw new Error('There is one.');
    await applyRetention(backend, { last: 1 }, { ...options, of: third });
    expect(backend.deleted).toEqual([first?.location, second?.location]);
  });

  it('looks only at the like of that one', async () => {
    const tree = (cluster: string, id: string) =>
      stored(id, { layout: 'tree', cluster, location: `s3://b/p/${cluster}/backup/${id}/` });
    const [mine, older] = [tree('stage', '26-06-30_11-00-00'), tree('stage', '26-06-29_11-00-00')];
    const others = [tree('prod', '26-06-30_11-00-00'), tree('prod', '26-06-29_11-00-00')];
    const backend = storedBed({ snapshots: [mine, older, ...others] });
    const { kept } = await applyRetention(backend, { last: 1 }, { ...options, of: mine });
    expect({ deleted: backend.deleted, kept }).toEqual({ deleted: [older.location], kept: 1 });
  });

  it('warns of snapshots of a time to come', async () => {
    const reporter = keepWarnings();
    const backend = storedBed({ snapshots: [stored('31-01-01_00-00-00'), ...three] });
    await applyRetention(backend, { last: 1 }, { ...options, reporter });
    expect(reporter.warnings).toEqual([
      '31-01-01_00-00-00: of a time that is yet to come, so some clock was wrong. They stay, and are not counted.',
    ]);
  });

  it('stops between two when it is cancelled', async () => {
    const cancel = new AbortController();
    const backend = storedBed({ snapshots: three });
    const { remove } = backend;
    backend.remove = async (snapshot) => {
      await remove(snapshot);
      cancel.abort(new TransshipError('CANCELLED', 'Cancelled by SIGTERM.'));
    };
    const work = applyRetention(backend, { last: 1 }, { ...options, signal: cancel.signal });
    await expect(work).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(backend.deleted).toEqual([first?.location]);
  });
});
