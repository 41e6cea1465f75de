import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PLAN_FIELDS, renderPlanJson } from '../../../src/plan/render-json.ts';
import { isSchema, resolveRef, type Schema, schemaErrors } from '../../helpers/json-schema.ts';
import { largePlan, nothingPlanned, plan, stopped } from '../../helpers/plans.ts';

const schema = parseSchema(readFileSync(new URL('../../../docs/plan.schema.json', import.meta.url), 'utf8'));

it('writes a plan that parses to the same plan', () => {
  const parsed: unknown = JSON.parse(renderPlanJson(stopped));
  // toEqual takes a field that is undefined for one that is absent, as JSON does.
  expect(parsed).toEqual(stopped);
});

it('writes the same bytes whatever the order of the fields in memory', () => {
  expect(renderPlanJson(reversed(stopped))).toBe(renderPlanJson(stopped));
  expect(renderPlanJson(stopped)).toMatch(/^\{\n {2}"format": 1,\n {2}"id": "26-01-31/);
  expect(renderPlanJson(stopped)).toMatch(/\}\n$/);
});

describe('docs/plan.schema.json', () => {
  it.each([
    ['an empty plan', plan()],
    ['a plan without changes', nothingPlanned],
    ['a plan with something of everything', stopped],
    ['a plan of a target that hides its uid', plan({ target: { context: 'prod', server: 'https://prod' } })],
    ['a large plan', largePlan(300)],
  ])('describes %s', (_, given) => {
    expect(schemaErrors(JSON.parse(renderPlanJson(given)), schema)).toEqual([]);
  });

  it('refuses what is no plan', () => {
    const wrong = { ...plan(), format: 2, changed: 'yes', extra: 1, problems: [{ kind: 'bad' }], edges: [{}] };
    expect(schemaErrors(wrong, schema)).toEqual([
      '/format: is not 1',
      '/edges/0: lacks from',
      '/edges/0: lacks to',
      '/edges/0: lacks reason',
      '/problems/0: lacks message',
      expect.stringMatching(/^\/problems\/0\/kind: is none of not-served, /),
      '/changed: is no boolean',
      '/: has extra, which is not described',
    ]);
  });

  it('has every field of a plan and no other, each with a description', () => {
    expect(described(schema)).toEqual(fields(PLAN_FIELDS));
  });
});

function reversed<T>(value: T): T;
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => reversed(item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, inner]: [string, unknown]) => [name, reversed(inner)]),
  );
}

/** `/releases/name` and so on, of the table that TypeScript checks to be complete. */
function fields(table: object, path = ''): string[] {
  return Object.entries(table)
    .flatMap(([name, inner]: [string, object | null]) => [
      `${path}/${name}`,
      ...(inner === null ? [] : fields(inner, `${path}/${name}`)),
    ])
    .sort();
}

/** The same, of what the schema describes. */
function described(of: Schema, path = ''): string[] {
  const resolved = typeof of.$ref === 'string' ? resolveRef(of.$ref, schema) : of;
  if (isSchema(resolved.items)) return described(resolved.items, path);
  if (!isSchema(resolved.properties)) return [];
  return Object.entries(resolved.properties)
    .flatMap(([name, inner]) => {
      if (!isSchema(inner)) return [];
      expect(inner, `${path}/${name}`).toHaveProperty('description', expect.stringMatching(/\S.*\.$/));
      return [`${path}/${name}`, ...described(inner, `${path}/${name}`)];
    })
    .sort();
}

function parseSchema(text: string): Schema {
  const parsed: unknown = JSON.parse(text);
  if (!isSchema(parsed)) throw new Error('The schema is no object');
  return parsed;
}
