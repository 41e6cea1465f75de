import { describe, expect, it } from 'vitest';
import { createActionReporter, withoutCommands } from '../../../src/report/action-reporter.ts';

function create() {
  const lines: string[] = [];
  const clock = { now: 0 };
  const annotate = (kind: string) => (message: string, properties?: { title?: string }) =>
    lines.push(`${kind}(${properties?.title ?? ''}) ${message}`);
  const reporter = createActionReporter(
    {
      info: (message) => lines.push(message),
      debug: (message) => lines.push(`debug ${message}`),
      setSecret: (secret) => lines.push(`mask ${secret}`),
      warning: annotate('warning'),
      error: annotate('error'),
    },
    () => clock.now,
  );
  return { lines, clock, reporter };
}

it('makes annotations of warnings and errors, with their titles', () => {
  const { lines, reporter } = create();
  reporter.warn('careful', 'shop/web');
  reporter.error('broken');
  expect(lines).toEqual(['warning(shop/web) careful', 'error() broken']);
});

it('leaves one of the ten errors for the one that ends the step; what is folded is in the log at once', () => {
  const { lines, reporter } = create();
  for (let number = 1; number <= 20; number++) reporter.error(`e${number}`, 't');
  const before = lines.length;
  expect(lines.slice(7, 10)).toEqual(['error(t) e8', 'Error: t: e9', 'Error: t: e10']);
  reporter.end();
  expect(lines.slice(before)).toEqual([expect.stringMatching(/^error\(12 more\) - t: e9\n[\s\S]*- t: e20$/)]);
  expect(lines.filter((line) => line.startsWith('error('))).toHaveLength(9);
});

it('shows progress every ten seconds, for a log keeps every line', () => {
  const { lines, clock, reporter } = create();
  for (const now of [0, 9_999, 10_000, 15_000, 20_000]) {
    clock.now = now;
    reporter.progress(`at ${now}`);
  }
  expect(lines).toEqual(['at 10000', 'at 20000']);
});

it('masks a secret as a whole and by line, and no blank', () => {
  const { lines, reporter } = create();
  reporter.mask('one\r\ntwo\n');
  reporter.mask(' ');
  expect(lines).toEqual(['mask one\r\ntwo\n', 'mask one', 'mask two']);
});

describe('text of others in the log', () => {
  it.each([
    ['::add-mask::x', ': :add-mask::x'],
    ['  ::error::x', '  : :error::x'],
    ['fine\r::stop-commands::x', 'fine\n: :stop-commands::x'],
    ['see ##[group]x', 'see # #[group]x'],
    ['std::vector', 'std::vector'],
    ['a ::b', 'a ::b'],
  ])('%j is no command to the runner', (text, shown) => {
    expect(withoutCommands(text)).toBe(shown);
  });
});
