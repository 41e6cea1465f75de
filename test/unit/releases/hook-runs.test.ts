import { describe, expect, test } from 'vitest';
import type { HelmHook } from '../../../src/releases/helm-release.ts';
import { findFrozenHook, orderRuns, readProgress, withoutRuns } from '../../../src/releases/hook-runs.ts';

/** A hook of some events; `ran` is the second it began at. */
function hook(name: string, events: string, ran?: number, phase = 'Succeeded', more: Partial<HelmHook> = {}): HelmHook {
  const manifest = `kind: Job\nmetadata: { name: ${name}, annotations: { helm.sh/hook: "${events}", note: kept } }\n`;
  return {
    ...{ name, kind: 'Job', path: `app/templates/${name}.yaml`, manifest, events: events.split(',') },
    last_run: ran === undefined ? { phase: '' } : { started_at: `2026-01-02T03:04:0${ran}.5+02:00`, phase },
    ...more,
  };
}

const progress = (...hooks: HelmHook[]) =>
  readProgress(hooks, 'install').map((run) => `${run.event} ${run.hook.name} ${run.progress}`);

describe('orderRuns', () => {
  test('is by weight, then by name, those before the manifest first; other events are left out', () => {
    const hooks = [
      hook('z', 'post-install'),
      hook('late', 'pre-install', undefined, '', { weight: 5 }),
      hook('b', 'pre-install,post-install,pre-delete'),
      hook('a', 'pre-install'),
      hook('first', 'pre-install', undefined, '', { weight: -1 }),
      hook('upgrade', 'pre-upgrade,test'),
    ];
    expect(orderRuns(hooks, 'install').map(({ event, hook: { name } }) => `${event} ${name}`)).toEqual([
      'pre-install first',
      'pre-install a',
      'pre-install b',
      'pre-install late',
      'post-install b',
      'post-install z',
    ]);
    expect(orderRuns(hooks, 'upgrade')).toHaveLength(1);
  });
});

describe('readProgress', () => {
  test('tells what ran, what Helm was at, and what it did not get to', () => {
    const hooks = [hook('a', 'pre-install', 1), hook('b', 'pre-install', 2, 'Running'), hook('c', 'post-install')];
    expect(progress(...hooks)).toEqual(['pre-install a succeeded', 'pre-install b begun', 'post-install c none']);
  });

  test('takes what a cancelled Helm does not know for begun, and a failure for one', () => {
    expect(progress(hook('a', 'pre-install', 1, 'Unknown'))).toEqual(['pre-install a begun']);
    expect(progress(hook('a', 'pre-install', 1, 'Failed'))).toEqual(['pre-install a failed']);
  });

  test('knows no run where Helm 3 has stored an empty time, or none', () => {
    const times = ['', '0001-01-01T00:00:00Z', undefined];
    for (const started_at of times) {
      expect(progress({ ...hook('a', 'pre-install'), last_run: { started_at, phase: 'Unknown' } })).toEqual([
        'pre-install a none',
      ]);
    }
    expect(progress({ ...hook('a', 'pre-install'), last_run: null })).toEqual(['pre-install a none']);
  });

  test('takes the run of a hook before and after the manifest for the second only after all between', () => {
    const both = (ran: number, phase?: string) => hook('both', 'pre-install,post-install', ran, phase);
    expect(progress(both(1), hook('c', 'pre-install', 2, 'Running'))).toEqual([
      'pre-install both succeeded',
      'pre-install c begun',
      'post-install both none',
    ]);
    expect(progress(both(3, 'Running'), hook('c', 'pre-install', 2))).toEqual([
      'pre-install both succeeded',
      'pre-install c succeeded',
      'post-install both begun',
    ]);
    expect(progress(both(1))).toEqual(['pre-install both succeeded', 'post-install both none']);
  });
});

describe('withoutRuns', () => {
  const hooks = [
    hook('a', 'pre-install,pre-delete'),
    hook('both', 'pre-install,post-install'),
    hook('c', 'post-install'),
    hook('test', 'test'),
  ];

  test('leaves out what is done, and keeps for the rest what is done in part', () => {
    const left = withoutRuns(hooks, 'install', ({ event }) => event === 'pre-install');
    expect(left.map(({ name, events }) => `${name} ${events?.join()}`)).toEqual([
      'both post-install',
      'c post-install',
      'test test',
    ]);
    expect(JSON.parse(left[0]?.manifest ?? '')).toEqual({
      kind: 'Job',
      metadata: { name: 'both', annotations: { 'helm.sh/hook': 'post-install', note: 'kept' } },
    });
    expect(left.slice(1)).toEqual(hooks.slice(2));
  });

  test('keeps all of them where nothing is done', () => {
    expect(withoutRuns(hooks, 'install', () => false)).toEqual(hooks);
  });
});

test('a hook of a frozen chart is told by its kind, name and events, of which some may be gone', () => {
  const frozen = [hook('a', 'post-install'), hook('b', 'pre-install')];
  expect(findFrozenHook(hook('a', 'pre-install,post-install'), frozen)).toBe(frozen[0]);
  expect(findFrozenHook(hook('a', 'pre-install'), frozen)).toBeUndefined();
  expect(findFrozenHook({ ...hook('b', 'pre-install'), kind: 'Pod' }, frozen)).toBeUndefined();
});
