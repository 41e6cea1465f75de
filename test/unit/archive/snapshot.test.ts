import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readBody } from '../../../src/archive/entry.ts';
import {
  parseSnapshot,
  parseSnapshotId,
  type Snapshot,
  snapshotEntry,
  snapshotId,
} from '../../../src/archive/snapshot.ts';
import { errorOf } from './helpers.ts';

const snapshot: Snapshot = {
  id: '26-01-31_12-00-00',
  created: new Date('2026-01-31T12:00:00.123Z'),
  tool: { name: 'transship', version: '0.1.0' },
  cluster: { uid: 'b1c7', version: 'v1.35.4', context: 'stage' },
  scope: { namespaces: ['shop', 'team-*'], include: ['releases'], selector: 'app=web', exclude: ['x'], history: 3 },
};

const failureOf = (text: string) => errorOf(Promise.resolve().then(() => parseSnapshot(text)));
const textOf = async (value: Snapshot) => (await readBody(snapshotEntry(value))).toString();

describe('_snapshot.json', () => {
  it('comes back as it was written', async () => {
    const entry = snapshotEntry(snapshot);
    expect(entry.path).toBe('_snapshot.json');
    expect(parseSnapshot(await readBody(entry))).toEqual(snapshot);
  });

  it('may leave out what is not known or was not asked for', async () => {
    const bare: Snapshot = {
      ...snapshot,
      cluster: { version: 'v1.35.4', context: 'in-cluster' },
      scope: { namespaces: ['*'], include: ['releases'], history: 'all' },
    };
    expect(parseSnapshot(await textOf(bare))).toEqual(bare);
  });

  it('may say more than this version knows', async () => {
    const text = (await textOf(snapshot)).replace('{', '{"added":"later",');
    expect(parseSnapshot(text)).toEqual(snapshot);
  });

  it('of a newer format is refused, with the version that can read it', async () => {
    const text = (await textOf(snapshot)).replace('"formatVersion": 1', '"formatVersion": 2').replace('0.1.0', '2.3.4');
    const { code, message, hint } = await failureOf(text.replace('"scope"', '"scopes"'));
    expect(code).toBe('ARCHIVE_UNSUPPORTED');
    expect(message).toBe('The archive has format version 2; this Transship reads version 1.');
    expect(hint).toBe('Use Transship 2.3.4, which wrote it, or a newer one.');
  });

  it('is refused, naming the field that is wrong', async () => {
    const text = await textOf(snapshot);
    for (const [from, to, problem] of [
      ['26-01-31_12-00-00', '26-02-31_12-00-00', 'id: is no id: YY-MM-DD_HH-MM-SS'],
      ['2026-01-31T12:00:00.123Z', 'yesterday', 'created: '],
      ['"history": 3', '"history": 0', 'scope.history: '],
      ['"context": "stage"', '"context": 7', 'cluster.context: '],
      ['"formatVersion": 1', '"formatVersion": 0', 'formatVersion: '],
    ] as const) {
      const { code, message } = await failureOf(text.replace(from, to));
      expect(code).toBe('ARCHIVE_DAMAGED');
      expect(message).toContain(`_snapshot.json is not as Transship writes it: ${problem}`);
    }
    expect((await failureOf('{')).message).toContain('_snapshot.json is no JSON');
  });
});

describe("a snapshot's id", () => {
  it('is the time in UTC', () => {
    expect(snapshotId(new Date('2026-01-31T23:05:09.999Z'))).toBe('26-01-31_23-05-09');
    expect(parseSnapshotId('26-01-31_23-05-09')).toEqual(new Date('2026-01-31T23:05:09Z'));
  });

  it('comes back as it was, and sorts by time', () => {
    const time = fc.date({ min: new Date('2000-01-01'), max: new Date('2099-12-31'), noInvalidDate: true });
    fc.assert(
      fc.property(time, time, (a, b) => {
        const [first, second] = [snapshotId(a), snapshotId(b)];
        expect(parseSnapshotId(first)?.getTime()).toBe(Math.floor(a.getTime() / 1000) * 1000);
        if (first < second) expect(a.getTime()).toBeLessThan(b.getTime());
      }),
    );
  });

  it.each([
    '',
    'latest',
    '26-02-30_00-00-00',
    '26-13-01_00-00-00',
    '26-01-01_24-00-00',
    '26-01-01_00-60-00',
    ' 26-01-31_12-00-00',
    '26-01-31T12-00-00',
    '2026-01-31_12-00-00',
  ])('is not %j', (text) => expect(parseSnapshotId(text)).toBeUndefined());
});
