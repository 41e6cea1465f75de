import { expect, it } from 'vitest';
import { createTerminalReporter } from '../../../src/report/terminal-reporter.ts';
import { createPaint } from '../../../src/report/text.ts';

function create(options: { isTTY?: boolean; columns?: number; verbose?: boolean } = {}) {
  const seen = { text: '' };
  const clock = { now: 0 };
  const reporter = createTerminalReporter(
    { isTTY: options.isTTY ?? false, columns: options.columns, write: (text: string) => (seen.text += text) },
    createPaint(false),
    { verbose: options.verbose ?? false, clock: () => clock.now },
  );
  return { seen, clock, reporter };
}

it('writes a line for each message', () => {
  const { seen, reporter } = create({ verbose: true });
  reporter.info('a');
  reporter.warn('b', 'shop/web');
  reporter.error('c');
  reporter.debug('d');
  expect(seen.text).toBe('a\nwarning: shop/web: b\nerror: c\ndebug: d\n');
});

it('keeps one line of progress on a terminal, below all others, and takes it away at the end', () => {
  const { seen, clock, reporter } = create({ isTTY: true });
  reporter.progress('1 of 2');
  clock.now = 1000;
  reporter.progress('2 of 2');
  reporter.info('done');
  clock.now = 2000;
  reporter.progress('more');
  reporter.end();
  reporter.end();
  expect(seen.text).toBe('\r\x1b[2K1 of 2\r\x1b[2K2 of 2\r\x1b[2Kdone\n\r\x1b[2Kmore\r\x1b[2K');
});

it('writes no progress where it is redirected', () => {
  const { seen, reporter } = create();
  reporter.progress('1 of 2');
  reporter.end();
  expect(seen.text).toBe('');
});

it('does not write progress more often than an eye can follow', () => {
  const { seen, clock, reporter } = create({ isTTY: true });
  for (clock.now = 0; clock.now < 100; clock.now++) reporter.progress('x');
  expect(seen.text).toBe('\r\x1b[2Kx\r\x1b[2Kx');
});

it('cuts progress to the width, for a folded line could not be taken away', () => {
  const { seen, reporter } = create({ isTTY: true, columns: 10 });
  reporter.progress('0123456789abc\nd');
  expect(seen.text).toBe('\r\x1b[2K012345678');
});

it('hides what is masked, in every kind of line and title', () => {
  const { seen, reporter } = create({ isTTY: true, verbose: true });
  reporter.mask('hunter2\nsecond');
  reporter.info('a hunter2');
  reporter.error('b', 'second');
  reporter.progress('c hunter2');
  expect(seen.text).toBe('a ***\nerror: ***: b\n\r\x1b[2Kc ***');
});
