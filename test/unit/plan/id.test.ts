import { describe, expect, test } from 'vitest';
import { TransshipError } from '../../../src/errors.ts';
import { explainChanges, type PlanBinding, parsePlanId, planIdOf, savePlan } from '../../../src/plan/id.ts';
import { ABSENT } from '../../../src/plan/states.ts';

const KEY = Buffer.from('a part of the snapshot');
const CREATED = new Date('2026-01-31T12:05:09.123Z');
const binding: PlanBinding = {
  digest: 'sha256:aa',
  inputs: { replace: 'true', 'namespace-map': 'a=b' },
  cluster: 'https://prod:6443',
  states: new Map([
    ['object apps/Deployment/shop/web', 'fingerprint-1'],
    ['object /Service/shop/web', ABSENT],
    ['object example.com/Widget//big', 'fingerprint-2'],
    ['release shop/web', '3 revisions'],
  ]),
};
const idOf = (change: Partial<PlanBinding> = {}, key = KEY) => planIdOf(CREATED, { ...binding, ...change }, key);
const explain = (change: Partial<PlanBinding>, key = KEY) =>
  explainChanges(savePlan(binding, KEY), { ...binding, ...change }, key);
const statesWith = (...entries: [string, string][]) => new Map([...binding.states, ...entries]);

describe('the id of a plan', () => {
  test('is the time it was made and 32 hex digits', () => {
    expect(idOf()).toMatch(/^26-01-31_12-05-09-[0-9a-f]{32}$/);
  });

  test('does not depend on the order in which things were read', () => {
    const inputs = Object.fromEntries(Object.entries(binding.inputs).reverse());
    expect(idOf({ inputs, states: new Map([...binding.states].reverse()) })).toBe(idOf());
  });

  test('is the same when it is made again with the time of the first', () => {
    expect(planIdOf(idOf(), binding, KEY)).toBe(idOf());
  });

  test.each<[string, Partial<PlanBinding>]>([
    ['archive', { digest: 'sha256:ab' }],
    ['cluster', { cluster: 'https://other:6443' }],
    ['value of an input', { inputs: { ...binding.inputs, replace: 'false' } }],
    ['input that is set', { inputs: { ...binding.inputs, prune: 'true' } }],
    ['object', { states: statesWith(['object apps/Deployment/shop/web', 'fingerprint-9']) }],
    ['object that appeared', { states: statesWith(['object /Service/shop/web', 'fingerprint-9']) }],
    ['text that moved from one place to the next', { digest: 'sha256:aahttps://', cluster: 'prod:6443' }],
  ])('changes with the %s', (_what, change) => {
    expect(idOf(change)).not.toBe(idOf());
  });

  test('changes with the key and the time', () => {
    expect(idOf({}, Buffer.from('another'))).not.toBe(idOf());
    expect(planIdOf(new Date(0), binding, KEY).slice(-32)).not.toBe(idOf().slice(-32));
  });

  test('does not depend on things that were looked for in vain', () => {
    expect(idOf({ states: statesWith(['object /Secret/shop/x', ABSENT]) })).toBe(idOf());
  });
});

describe('a plan-id that is given', () => {
  test('is read', () => {
    expect(parsePlanId(` ${idOf()}\n`)).toEqual({ id: idOf(), created: new Date('2026-01-31T12:05:09Z') });
  });

  test.each([
    '',
    'latest',
    '26-01-31_12-05-09',
    `26-02-31_12-05-09-${'0'.repeat(32)}`,
    `26-01-31_12-05-09-${'g'.repeat(32)}`,
  ])('%j is none, and it is said what is', (text) => {
    const error = new TransshipError('INPUT', `plan-id is "${text}", which is no id of a plan.`, {
      hint: 'Give the output plan-id of mode plan: YY-MM-DD_HH-MM-SS, a dash and 32 hex digits.',
    });
    expect(() => parsePlanId(text)).toThrow(error);
  });
});

describe('a saved plan', () => {
  test('holds no state as it is', () => {
    const saved = savePlan(binding, KEY).toString();
    expect(saved).not.toContain('fingerprint');
    expect(JSON.parse(saved)).toMatchObject({
      format: 1,
      digest: 'sha256:aa',
      cluster: 'https://prod:6443',
      inputs: binding.inputs,
    });
    expect(JSON.parse(saved).states['object apps/Deployment/shop/web']).toMatch(/^[0-9a-f]{16}$/);
  });

  test('that still holds has nothing to say', () => {
    expect(explain({})).toEqual([]);
  });

  test('names what differs besides the states', () => {
    const inputs = { replace: 'false', prune: 'true' };
    expect(explain({ digest: 'sha256:bb', cluster: 'https://other:6443', inputs })).toEqual([
      'The archive is another one: the plan was made of sha256:aa, this is sha256:bb',
      'The input namespace-map was "a=b" and is not set',
      'The input prune was not set and is "true"',
      'The input replace was "true" and is "false"',
      'The cluster is another one: the plan was made for https://prod:6443, this is https://other:6443',
    ]);
  });

  test('names objects and releases as people do', () => {
    const states = statesWith(
      ['object apps/Deployment/shop/web', ABSENT],
      ['object /Service/shop/web', 'fingerprint-3'],
      ['object example.com/Widget//big', 'fingerprint-4'],
      ['release shop/web', '4 revisions'],
    );
    expect(explain({ states })).toEqual([
      'Service shop/web has appeared',
      'Deployment shop/web is gone',
      'Widget.example.com big was changed',
      'release shop/web was changed',
    ]);
  });

  test('names fifty changes and counts the rest', () => {
    const many = Array.from({ length: 60 }, (_, at): [string, string] => [`object /ConfigMap/shop/c${at}`, 'x']);
    const changes = explain({ states: statesWith(...many) });
    expect(changes).toHaveLength(51);
    expect(changes.at(-1)).toBe('and 10 more');
  });

  test('of another snapshot does not take all states for changed', () => {
    expect(explain({ digest: 'sha256:bb' }, Buffer.from('another'))).toEqual([
      'The archive is another one: the plan was made of sha256:aa, this is sha256:bb',
    ]);
  });

  test.each([
    '',
    '{"format":1',
    '[]',
    '{"format":1,"key":"é","digest":"","cluster":"","inputs":{},"states":{"a":1}}',
    '\xff',
  ])('that is damaged is told so: %j', (text) => {
    expect(explainChanges(Buffer.from(text, 'latin1'), binding, KEY)).toEqual([
      "What has changed can't be told: the saved plan is damaged",
    ]);
  });

  test('of a newer format is told so', () => {
    expect(explainChanges(Buffer.from('{"format":2}'), binding, KEY)).toEqual([
      "What has changed can't be told: the saved plan has format 2, and this Transship reads format 1. Use the one that made the plan, or a newer one",
    ]);
  });
});
