import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { createConfirm } from '../../../src/cli/confirm.ts';
import { TransshipError } from '../../../src/errors.ts';

function bed(isTTY = { stdin: true, stderr: true }) {
  const stdin = new PassThrough();
  const seen = { stderr: '', cleared: 0 };
  const cancel = new AbortController();
  const terminal = {
    isTTY: isTTY.stderr,
    write: (text: string) => {
      seen.stderr += text;
    },
  };
  const confirm = createConfirm({ isTTY: isTTY.stdin, open: () => stdin }, terminal, cancel.signal, () => {
    seen.cleared += 1;
  });
  return { stdin, seen, cancel, confirm };
}

it.each([
  ['y\n', true],
  ['YES\n', true],
  [' yes \r\n', true],
  ['n\n', false],
  ['\n', false],
  ['yesterday\n', false],
  ['maybe\ny\n', false],
])('takes %j for %s', async (typed, answer) => {
  const { stdin, seen, confirm } = bed();
  const asked = confirm?.('Delete all?');
  stdin.write(typed);
  expect(await asked).toBe(answer);
  expect(seen).toEqual({ stderr: 'Delete all? [y/N] ', cleared: 1 });
});

it('takes the end of the input for no', async () => {
  const { stdin, confirm } = bed();
  const asked = confirm?.('Delete all?');
  stdin.end();
  expect(await asked).toBe(false);
});

it('ends with a cancel', async () => {
  const { cancel, confirm } = bed();
  const asked = confirm?.('Delete all?');
  cancel.abort(new TransshipError('CANCELLED', 'Cancelled by SIGINT.'));
  await expect(asked).rejects.toThrow();
});

it.each([
  { stdin: false, stderr: true },
  { stdin: true, stderr: false },
])('asks nobody where not both are a terminal: %j', (isTTY) => {
  expect(bed(isTTY).confirm).toBeUndefined();
});
