import { expect, it } from 'vitest';
import { planFileName } from '../../../src/backends/plans.ts';

it('the file of a plan is called by its id', () => {
  const id = `26-01-31_12-00-00-${'0a'.repeat(16)}`;
  expect(planFileName(id)).toBe(`${id}.json`);
});

it.each(['../../etc/passwd', '26-01-31_12-00-00', `26-01-31_12-00-00-${'0A'.repeat(16)}`, ''])(
  'what is no id is not made a path: %j',
  (id) => {
    expect(() => planFileName(id)).toThrow(
      expect.objectContaining({ code: 'INPUT', message: `plan-id: ${JSON.stringify(id)} is not the id of a plan.` }),
    );
  },
);
