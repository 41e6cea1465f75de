import { expect, it } from 'vitest';
import { createQuietReporter } from '../../../src/modes/watch-parts.ts';
import { silentReporter } from '../../../src/report/reporter.ts';

function listen() {
  const warnings: string[] = [];
  const details: string[] = [];
  const quiet = createQuietReporter({
    ...silentReporter,
    warn: (message) => void warnings.push(message),
    debug: (message) => void details.push(message),
  });
  return { quiet, warnings, details };
}

it('a warning that the export before gave too is told in the details only', () => {
  const { quiet, warnings, details } = listen();
  for (const given of [['a', 'b'], ['a'], ['a', 'c']]) {
    quiet.begin();
    for (const message of given) quiet.warn(message);
  }
  expect(warnings).toEqual(['a', 'b', 'c']);
  expect(details).toEqual(['a', 'a']);
});

it('a warning that comes back after it had gone is told again', () => {
  const { quiet, warnings } = listen();
  for (const given of [['a'], [], ['a']]) {
    quiet.begin();
    for (const message of given) quiet.warn(message);
  }
  expect(warnings).toEqual(['a', 'a']);
});

it('what each export says on its way is told in the details', () => {
  const { quiet, details } = listen();
  quiet.info('Reading.');
  expect(details).toEqual(['Reading.']);
});
