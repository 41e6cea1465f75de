import { expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { withoutUnwanted } from '../../../src/resources/unwanted-fields.ts';

/** An object with fields owned as given: manager, operation, fields. */
function live(body: object, ...owners: [manager: string, operation: string, fields: object][]): KubeObject {
  const managedFields = owners.map(([manager, operation, fieldsV1]) => ({ manager, operation, fieldsV1 }));
  return { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', managedFields }, ...body };
}

function wanted(body: object): KubeObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' }, ...body };
}

const DATA = { 'f:data': { '.': {}, 'f:a': {}, 'f:b': {} } };

it('takes out a field that only the creator owns and wants no more', () => {
  const left = withoutUnwanted(
    live({ data: { a: '1', b: '2' } }, ['us', 'Update', DATA]),
    wanted({ data: { a: '1' } }),
    'us',
  );
  expect(left?.data).toEqual({ a: '1' });
});

it('finds nothing to take out where all that is owned is wanted', () => {
  const object = live({ data: { a: '1', b: '2' } }, ['us', 'Update', DATA]);
  expect(withoutUnwanted(object, wanted({ data: { a: '9', b: '9', c: '9' } }), 'us')).toBeUndefined();
});

it('leaves a field that another manager owns too', () => {
  const object = live(
    { data: { a: '1', b: '2' } },
    ['us', 'Update', DATA],
    ['kubectl', 'Update', { 'f:data': { 'f:b': {} } }],
  );
  expect(withoutUnwanted(object, wanted({ data: { a: '1' } }), 'us')).toBeUndefined();
});

it('leaves to the server what was applied before: it knows by itself', () => {
  const object = live({ data: { a: '1', b: '2' } }, ['us', 'Apply', DATA]);
  expect(withoutUnwanted(object, wanted({ data: { a: '1' } }), 'us')).toBeUndefined();
});

it('finds items of lists by their keys, and by their values', () => {
  const body = {
    spec: {
      ports: [
        { port: 80, protocol: 'TCP' },
        { port: 90, protocol: 'TCP' },
      ],
      names: ['x', 'y'],
    },
  };
  const ports = { 'k:{"port":80,"protocol":"TCP"}': { '.': {} }, 'k:{"port":90,"protocol":"TCP"}': { '.': {} } };
  const fields = { 'f:spec': { 'f:ports': ports, 'f:names': { 'v:"x"': {}, 'v:"y"': {} } } };
  const left = withoutUnwanted(
    live(body, ['us', 'Update', fields]),
    wanted({ spec: { ports: [{ port: 90 }], names: ['x'] } }),
    'us',
  );
  expect(left?.spec).toEqual({ ports: [{ port: 90, protocol: 'TCP' }], names: ['x'] });
});

it('touches neither status nor owner references', () => {
  const object = live({ status: { a: 1 } }, [
    'us',
    'Update',
    { 'f:status': { 'f:a': {} }, 'f:metadata': { 'f:ownerReferences': {} } },
  ]);
  object.metadata.ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'a', uid: '1' }];
  expect(withoutUnwanted(object, wanted({}), 'us')).toBeUndefined();
});

it('does not change the object it is given', () => {
  const object = live({ data: { a: '1', b: '2' } }, ['us', 'Update', DATA]);
  withoutUnwanted(object, wanted({}), 'us');
  expect(object.data).toEqual({ a: '1', b: '2' });
});
