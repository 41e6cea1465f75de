import { describe, expect, it } from 'vitest';
import { parseInputs, type RawInputs } from '../../../src/inputs.ts';
import { refusal } from './refusal.ts';

const DAY = 86_400_000;

describe('mode watch', () => {
  it('looks once a day for releases when nothing but the path is given', () => {
    expect(parseInputs({ mode: 'watch', path: 's3://backups/prod' }, 'cli')).toEqual({
      mode: 'watch',
      include: ['releases'],
      history: 'all',
      'cluster-resources': 'needed',
      strict: false,
      layout: 'archive',
      'take-over': false,
      interval: DAY,
      'on-change': false,
      settle: 30_000,
      'push-retry': 60_000,
      concurrency: 8,
      summary: true,
      backend: 's3',
      path: 's3://backups/prod',
    });
  });

  it('takes intervals that are longer than a timer of Node can be', () => {
    expect(parseInputs({ mode: 'watch', path: './x', interval: '30d' }, 'cli')).toMatchObject({ interval: 30 * DAY });
  });

  it('takes rules of a retention', () => {
    const retention = 'last=7,daily=7, weekly=4\nmonthly=12,age=90d';
    expect(parseInputs({ mode: 'watch', path: './x', retention }, 'cli')).toMatchObject({
      retention: { last: 7, daily: 7, weekly: 4, monthly: 12, age: 90 * DAY },
    });
  });

  it.each<[string, RawInputs, string]>([
    ['a path that is missing', { mode: 'watch' }, 'path: is missing. Mode watch takes no default: name the place.'],
    [
      'virtual machines',
      { mode: 'watch', path: './x', include: 'releases,vms' },
      'include: "vms" is not for mode watch: changes of disks cannot be watched. Export virtual machines on a schedule, with mode export.',
    ],
    [
      'artifacts',
      { mode: 'watch', path: 'x', backend: 'artifact' },
      'backend: "artifact" is not for mode watch. Give s3 or local, and a path there.',
    ],
    [
      'settle without on-change',
      { mode: 'watch', path: './x', settle: '10s' },
      'settle: "10s" needs on-change too. Set on-change to true.',
    ],
    [
      'a place to listen that is none',
      { mode: 'watch', path: './x', listen: '8080' },
      'listen: "8080" is no place to listen. Give host:port, such as 127.0.0.1:8080, or :8080.',
    ],
    [
      'a manager without a namespace',
      { mode: 'watch', path: './x', manager: 'transship' },
      'manager: "transship" is not a manager. Give namespace/release, such as transship/transship.',
    ],
    [
      'rules of a retention that are none',
      { mode: 'watch', path: './x', retention: 'last=0,dayly=3,age=soon,last=2' },
      [
        'retention: last: "0" is not allowed. Give a whole number from 1 to 10000.',
        '"dayly=3" is no rule. Give last, hourly, daily, weekly, monthly, yearly or age with a value, such as last=7,daily=7,age=90d.',
        'age: "soon" is not a duration. Give numbers with a unit, such as 90m, 72h or 7d.',
      ].join(' '),
    ],
    [
      'a rule that is given twice',
      { mode: 'watch', path: './x', retention: 'last=1,last=2' },
      'retention: last is given twice. Give it once.',
    ],
  ])('refuses %s', (_, raw, message) => {
    expect(refusal(raw)).toBe(message);
  });

  it('is not for workflows', () => {
    expect(refusal({ mode: 'watch', path: './x' }, 'action')).toBe(
      'mode: "watch" runs until it is stopped, and a workflow ends. Use mode export on a schedule, or the chart transship.',
    );
    expect(refusal({ mode: 'wacht' }, 'action')).toBe(
      'mode: "wacht" is not a mode. Give export, plan, import, promote, list, verify, clear or teardown.',
    );
  });
});

describe('mode clear', () => {
  it('has to be told what to clear', () => {
    expect(refusal({ mode: 'clear' })).toBe('path: is missing. Mode clear takes no default: name the place.');
    expect(refusal({ mode: 'clear', backend: 'artifact' }, 'action')).toBe(
      'path: is missing. Mode clear takes no default: name the place.',
    );
  });

  it('needs no cluster, and takes none', () => {
    expect(refusal({ mode: 'clear', path: './x', context: 'prod' })).toContain(
      'context: "prod" does not belong to mode clear.',
    );
  });
});

describe('exports that are managed', () => {
  it.each<[string, RawInputs, string]>([
    [
      'to take over as nobody',
      { mode: 'export', 'take-over': 'true' },
      'take-over: "true" needs manager too. Say who takes over, as namespace/release.',
    ],
    [
      'a manager of artifacts',
      { mode: 'export', backend: 'artifact', manager: 'ops/transship' },
      'manager: "ops/transship" is only for backend s3 and local, and here it is artifact. Remove it.',
    ],
    [
      'a retention of artifacts',
      { mode: 'export', backend: 'artifact', retention: 'last=3' },
      'retention: "last=3" is not for artifacts, which GitHub deletes by itself. Set retention-days instead.',
    ],
  ])('refuse %s', (_, raw, message) => {
    expect(refusal(raw)).toBe(message);
  });
});

describe('the format helm-export', () => {
  it.each<[string, RawInputs, string]>([
    [
      'resources',
      { mode: 'export', format: 'helm-export', include: 'releases,resources' },
      'format: "helm-export" holds Helm releases only, and include has resources. Remove resources from include, or set format to archive.',
    ],
    [
      'a compression',
      { mode: 'export', format: 'helm-export', compression: 'xz' },
      'compression: "xz" does not go with format helm-export, which is one gzip. Remove it.',
    ],
    [
      'the layout tree',
      { mode: 'export', format: 'helm-export', layout: 'tree' },
      'layout: "tree" does not go with format helm-export, which is one gzip. Remove it.',
    ],
  ])('does not go with %s', (_, raw, message) => {
    expect(refusal(raw)).toBe(message);
  });
});
