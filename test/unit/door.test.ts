import { describe, expect, it } from 'vitest';
import { describeError, formatError, reasonOf } from '../../src/door.ts';
import { TransshipError } from '../../src/errors.ts';

describe('an error as a door prints it', () => {
  it('has message, hint and the chain of causes, a line each', () => {
    const root = new Error('read ECONNRESET');
    const error = new TransshipError('BACKEND', 'The upload broke.', {
      hint: 'Try again.',
      cause: new Error('PUT part 3', { cause: root }),
    });
    expect(formatError(describeError(error))).toBe(
      'The upload broke.\nTry again.\nCaused by: PUT part 3\nCaused by: read ECONNRESET',
    );
  });

  it('does not repeat a cause that the message already holds', () => {
    const error = new TransshipError('CLUSTER', 'Cannot read x: ENOENT.', { cause: new Error('ENOENT') });
    expect(formatError(describeError(error))).toBe('Cannot read x: ENOENT.');
  });

  it('ends at a chain of causes that bites its own tail', () => {
    const first = new Error('first');
    first.cause = new Error('second', { cause: first });
    expect(describeError(new TransshipError('HELM', 'broken', { cause: first })).causes).toEqual(['first', 'second']);
  });

  it('of a value that is no error still says what it is', () => {
    expect(describeError('oops')).toMatchObject({ bug: true, message: expect.stringMatching(/\noops$/) });
  });
});

describe('after a cancel', () => {
  const cancelled = new TransshipError('CANCELLED', 'Cancelled by SIGINT.');

  it('what broke because of it gives way to the cancel', () => {
    expect(reasonOf(new Error('aborted'), AbortSignal.abort(cancelled))).toBe(cancelled);
  });

  it('an error that was meant for the user stays', () => {
    const error = new TransshipError('IMPORT_FAILED', 'shop/db is half installed.');
    expect(reasonOf(error, AbortSignal.abort(cancelled))).toBe(error);
  });

  it('nothing changes for a run that was not cancelled', () => {
    const error = new Error('broken');
    expect(reasonOf(error, new AbortController().signal)).toBe(error);
  });
});
