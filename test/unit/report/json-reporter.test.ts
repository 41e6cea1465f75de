import { beforeEach, expect, it } from 'vitest';
import { createJsonReporter } from '../../../src/report/json-reporter.ts';

let written: string;
beforeEach(() => {
  written = '';
});

function reporter(verbose = false) {
  const terminal = {
    write: (text: string) => {
      written += text;
    },
  };
  return createJsonReporter(terminal, { verbose, now: () => new Date('2026-01-31T12:00:00.5Z') });
}

const lines = () => written.split('\n').slice(0, -1);

it('writes an object a line, with time, level and message first', () => {
  const { info, warn, error } = reporter();
  info('Stored.');
  warn('Slow.', 'Storage');
  error('Gone.');
  expect(lines()).toEqual([
    '{"time":"2026-01-31T12:00:00.500Z","level":"info","message":"Stored."}',
    '{"time":"2026-01-31T12:00:00.500Z","level":"warn","message":"Slow.","title":"Storage"}',
    '{"time":"2026-01-31T12:00:00.500Z","level":"error","message":"Gone."}',
  ]);
});

it('adds the fields of a message, which replace none of its own', () => {
  const { info } = reporter();
  info('Stored.', { snapshot: '26-01-31_12-00-00', changed: 3, level: 'fake', time: 'never', none: undefined });
  expect(lines()).toEqual([
    '{"time":"2026-01-31T12:00:00.500Z","level":"info","message":"Stored.","snapshot":"26-01-31_12-00-00","changed":3}',
  ]);
});

it('keeps a message of many lines on one', () => {
  reporter().error('first\nsecond\u001b[31m\r\n{"level":"info"}');
  expect(lines()).toHaveLength(1);
  expect(JSON.parse(written).message).toBe('first\nsecond\u001b[31m\r\n{"level":"info"}');
  expect(written).not.toContain('\u001b');
});

it('shows what was masked as ***, also in titles, fields and where JSON writes it otherwise', () => {
  const { info, warn, mask } = reporter();
  mask('pass"word\nand more');
  info('with pass"word', { where: 'at and more' });
  warn('fine', 'pass"word\nand more');
  expect(lines().map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ message: 'with ***', where: 'at ***' }),
    expect.objectContaining({ title: '***' }),
  ]);
});

it('shows debug messages only when asked for, and never progress', () => {
  reporter().debug('detail');
  reporter().progress('1 of 2');
  expect(written).toBe('');
  reporter(true).debug('detail');
  expect(JSON.parse(written)).toMatchObject({ level: 'debug', message: 'detail' });
});
