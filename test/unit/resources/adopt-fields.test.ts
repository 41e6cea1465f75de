import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { adoptFields } from '../../../src/resources/adopt-fields.ts';

function entry(manager: string, operation: string, fieldsV1: object, more: object = {}) {
  return {
    manager,
    operation,
    apiVersion: 'v1',
    time: '2026-01-31T12:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1,
    ...more,
  };
}

function live(...managedFields: object[]): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', resourceVersion: '7', managedFields } };
}

const DATA = { 'f:data': { '.': {}, 'f:a': {} } };

/** What the patch makes of the managers. */
function adopted(object: KubeObject): unknown {
  return adoptFields(object, 'transship')?.[0]?.value;
}

describe('fields of an object that was created', () => {
  test('become fields that were applied, unless the object has changed meanwhile', () => {
    const theirs = entry('kubelet', 'Update', { 'f:spec': {} });
    expect(adoptFields(live(entry('transship', 'Update', DATA), theirs), 'transship')).toEqual([
      { op: 'replace', path: '/metadata/managedFields', value: [entry('transship', 'Apply', DATA), theirs] },
      { op: 'replace', path: '/metadata/resourceVersion', value: '7' },
    ]);
  });

  test('join those that were applied before', () => {
    const applied = entry('transship', 'Apply', {
      'f:data': { 'f:b': {} },
      'f:metadata': { 'f:labels': { 'f:x': {} } },
    });
    expect(adopted(live(entry('transship', 'Update', DATA), applied))).toEqual([
      entry('transship', 'Apply', {
        'f:data': { '.': {}, 'f:a': {}, 'f:b': {} },
        'f:metadata': { 'f:labels': { 'f:x': {} } },
      }),
    ]);
  });

  test('of another version are given up: their paths may not exist in this one', () => {
    const applied = entry('transship', 'Apply', { 'f:spec': { 'f:b': {} } }, { apiVersion: 'v2' });
    expect(adopted(live(applied, entry('transship', 'Update', DATA)))).toEqual([applied]);
  });

  test('that are never applied, owners and status, are left to nobody', () => {
    const update = entry('transship', 'Update', {
      ...DATA,
      'f:metadata': { 'f:ownerReferences': { '.': {}, 'k:{"uid":"1"}': {} } },
      'f:status': { 'f:phase': {} },
    });
    expect(adopted(live(update))).toEqual([entry('transship', 'Apply', DATA)]);
  });

  test('of subresources and of other managers stay as they are', () => {
    const status = entry('transship', 'Update', { 'f:status': {} }, { subresource: 'status' });
    expect(adoptFields(live(status, entry('helm', 'Update', DATA)), 'transship')).toBeUndefined();
  });
});

test('there is nothing to adopt of an object that was only applied, or only given an owner', () => {
  expect(adoptFields(live(entry('transship', 'Apply', DATA)), 'transship')).toBeUndefined();
  const linked = entry('transship', 'Update', { 'f:metadata': { 'f:ownerReferences': {} } });
  expect(adoptFields(live(entry('transship', 'Apply', DATA), linked), 'transship')).toBeUndefined();
  expect(adoptFields(live(), 'transship')).toBeUndefined();
});
