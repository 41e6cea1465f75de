import { describe, expect, it } from 'vitest';
import {
  formatJournalFrame,
  formatJournalHead,
  type JournalFrame,
  type JournalHead,
  journalProblem,
  parseJournal,
  storedFiles,
} from '../../../src/archive/frame-journal.ts';

const head: JournalHead = { source: 'snapshot 7f0c', compression: 'xz', frameBytes: 1000, mtime: 1_767_323_045_000 };
const vm = { path: 'resources/vm.yaml', size: 9, header: 1, sha1: 'a'.repeat(40) };
const root = { path: 'volumes/root/disk.img', size: 5000, header: 2, holes: [[0, 4000]] as const };
const frames: JournalFrame[] = [
  { length: 120, raw: 1000, crc: 1, blocks: [[118, 1000]], files: [vm], open: root },
  { length: 68, raw: 1000, crc: 2, blocks: [[66, 1000]], zeros: true, open: root },
];
const text = formatJournalHead(head) + frames.map(formatJournalFrame).join('');

describe('a journal', () => {
  it('is read as it was written', () => {
    expect(parseJournal(text)).toEqual({ head, frames });
  });

  it('loses no more than its last line wherever it is cut', () => {
    const lines = text.split('\n');
    for (let cut = (lines[0]?.length ?? 0) + 1; cut < text.length; cut++) {
      const whole = text.slice(0, cut).split('\n').length - 2;
      expect(parseJournal(text.slice(0, cut))).toEqual({ head, frames: frames.slice(0, whole) });
    }
  });

  it('tells how much of which files is stored', () => {
    expect(storedFiles(frames)).toEqual({ raw: 2000, files: [vm], open: root });
    expect(storedFiles([])).toEqual({ raw: 0, files: [], open: undefined });
  });

  it('is of no use when its head is cut, a line is damaged, or a frame in the middle is short', () => {
    expect(parseJournal(text.slice(0, 20))).toEqual({ problem: 'The journal is empty.' });
    expect(parseJournal(`${text}{"raw":1}\n`)).toMatchObject({ problem: /^The journal is damaged: / });
    const short = formatJournalFrame({ length: 9, raw: 999, crc: 3 });
    expect(parseJournal(text + short)).toHaveProperty('frames');
    expect(parseJournal(text + short + short)).toEqual({ problem: 'Frame 3 of the journal is short.' });
  });

  it('is of no use for another source or another compression', () => {
    expect(journalProblem(head, head)).toBeUndefined();
    expect(journalProblem(head, { ...head, source: 'snapshot 8' })).toBe(
      'The source is not the one that was exported then.',
    );
    expect(journalProblem(head, { ...head, compression: 'zstd' })).toBe('It was begun with compression xz, not zstd.');
  });
});
