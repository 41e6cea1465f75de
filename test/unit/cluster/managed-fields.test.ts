import { expect, test } from 'vitest';
import { cutManagedFields } from '../../../src/cluster/managed-fields.ts';

function cut(value: unknown): unknown {
  return JSON.parse(cutManagedFields(Buffer.from(JSON.stringify(value))).toString());
}

const FIELDS = [
  {
    manager: 'kubectl',
    operation: 'Apply',
    fieldsV1: { 'f:spec': { 'k:{"port":80,"protocol":"TCP"}': { '.': {} }, 'v:"]}]"': {}, 'v:"\\\\"': {} } },
  },
  { manager: 'b', operation: 'Update', fieldsV1: {} },
];

test('empties the managed fields of every object and leaves the rest', () => {
  const page = (managedFields: unknown) => ({
    items: [
      { metadata: { name: 'ä', managedFields }, data: { a: ']}' } },
      { metadata: { name: 'b', managedFields }, spec: { list: [1, [2]] } },
      { metadata: { name: 'c' } },
    ],
  });
  expect(cut(page(FIELDS))).toEqual(page([]));
});

test('leaves a text alone that only looks like managed fields', () => {
  const page = { items: [{ metadata: { name: 'a' }, data: { dump: JSON.stringify({ managedFields: FIELDS }) } }] };
  expect(cut(page)).toEqual(page);
});

test('leaves an answer as it is that is cut inside of them, for the parser to complain', () => {
  const text = JSON.stringify({ metadata: { managedFields: FIELDS } });
  for (const end of [text.length - 3, text.indexOf('fieldsV1') + 3, text.indexOf('"b"') + 2]) {
    expect(cutManagedFields(Buffer.from(text.slice(0, end))).toString()).toBe(text.slice(0, end));
  }
});
