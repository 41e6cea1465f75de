import { expect, test } from 'vitest';
import { decodeRecord } from '../../../src/releases/record.ts';
import { withManifests, withNamespace, withoutApplyMethod, withStatus } from '../../../src/releases/record-edits.ts';
import { makeObject } from './make-record.ts';

const JSON_TEXT =
  '{"name":"web","info":{"description":"Upgrade \\u0026 wait","status":"pending-upgrade"},"config":{"n":-0},"manifest":"a","hooks":[{"path":"p","manifest":"h0"},{"path":"q","manifest":"h1"}],"version":1,"namespace":"shop","apply_method":"ssa"}';
const record = await decodeRecord(makeObject({ json: JSON_TEXT, status: 'pending-upgrade', labels: { team: 'a' } }));

test('withStatus changes the label and the payload together', () => {
  const failed = withStatus(record, 'failed', 'was pending');
  expect(failed.status).toBe('failed');
  expect(failed.labels).toEqual({ ...record.labels, status: 'failed' });
  expect(failed.json).toBe(
    JSON_TEXT.replace('pending-upgrade', 'failed').replace('Upgrade \\u0026 wait', 'was pending'),
  );
});

test('withStatus keeps the description unless it is given another', () => {
  expect(withStatus(record, 'failed').json).toBe(JSON_TEXT.replace('pending-upgrade', 'failed'));
});

test('withNamespace moves the object and what the payload says of itself', () => {
  const moved = withNamespace(record, 'other');
  expect([moved.namespace, moved.json]).toEqual(['other', JSON_TEXT.replace('"shop"', '"other"')]);
});

test('withManifests replaces the manifest and single hooks', () => {
  const edited = withManifests(record, { manifest: 'b: <x>\n', hooks: new Map([[1, 'new']]) });
  expect(edited.json).toBe(
    JSON_TEXT.replace('"manifest":"a"', '"manifest":"b: \\u003cx\\u003e\\n"').replace('"h1"', '"new"'),
  );
  expect(withManifests(record, {})).toBe(record);
});

test('withoutApplyMethod drops what only Helm 4 understands', () => {
  expect(withoutApplyMethod(record).json).toBe(JSON_TEXT.replace(',"apply_method":"ssa"', ''));
});
