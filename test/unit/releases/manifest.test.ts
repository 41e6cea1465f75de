import { describe, expect, test } from 'vitest';
import { readHeads, readKinds, splitManifest } from '../../../src/releases/manifest.ts';

describe('splitManifest', () => {
  test('gives each document of a manifest as Helm writes it, with its template', () => {
    const manifest =
      '---\n# Source: app/templates/a.yaml\napiVersion: v1\nkind: A\n---\n# Source: app/charts/sub/templates/b b.yaml\nkind: B\n';
    expect(splitManifest(manifest)).toEqual([
      {
        text: '# Source: app/templates/a.yaml\napiVersion: v1\nkind: A\n',
        source: 'app/templates/a.yaml',
        start: 4,
        end: 58,
      },
      {
        text: '# Source: app/charts/sub/templates/b b.yaml\nkind: B\n',
        source: 'app/charts/sub/templates/b b.yaml',
        start: 62,
        end: 114,
      },
    ]);
  });

  test('says where each document stands, so that one can be replaced in place', () => {
    const manifest = '\n \n---   \n\n  a: 1\n--- # note\nb: 2\n---\n\n---\t\nc: 3';
    for (const { text, start, end } of splitManifest(manifest)) expect(manifest.slice(start, end)).toBe(text);
    expect(splitManifest(manifest).map(({ text }) => text)).toEqual(['a: 1\n', '# note\nb: 2\n', 'c: 3']);
  });

  test('takes every line that starts with three dashes for a separator, as Helm did when it rendered', () => {
    expect(splitManifest('---apiVersion: v1\n---kind: X').map(({ text }) => text)).toEqual([
      'apiVersion: v1\n',
      'kind: X',
    ]);
    expect(splitManifest('-----BEGIN').map(({ text }) => text)).toEqual(['--BEGIN']);
  });

  test('leaves dashes alone that do not start a line', () => {
    const manifest = 'data:\n  x: |\n    ---\n    y\n  z: a---b\n  w: c\r---d\u2028---\n';
    expect(splitManifest(manifest).map(({ text }) => text)).toEqual([manifest]);
  });

  test('finds nothing in white space and separators', () => {
    for (const manifest of ['', ' \n\t', '---', '---\n---\n', '\n---\n \n---   \n']) {
      expect(splitManifest(manifest)).toEqual([]);
    }
  });

  test('has no source for a document that a post-renderer wrote', () => {
    expect(splitManifest('a: 1\n# Source: late\n')[0]?.source).toBeUndefined();
  });
});

describe('readHeads', () => {
  const head = (apiVersion: string, kind: string, name: string, namespace?: string) => ({
    apiVersion,
    kind,
    name,
    namespace,
  });

  test.each([
    ['the usual order', 'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\nspec: {}\n'],
    [
      'metadata last',
      '# Source: x\n\nkind: Deployment\napiVersion: apps/v1\nspec:\n  a: 1\nmetadata:\n    namespace: shop\n    name: web',
    ],
    [
      'quotes and comments',
      'apiVersion: "apps/v1" # c\nkind: \'Deployment\'   # d\nmetadata: # e\n\n  # f\n  name: "web"\n  namespace: shop # g\n',
    ],
    [
      'carriage returns',
      'apiVersion: apps/v1\r\nkind: Deployment\r\nmetadata:\r\n  name: web\r\n  namespace: shop\r\nspec:\r\n',
    ],
    ['JSON', '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"}}'],
    ['quoted keys', '"apiVersion": apps/v1\n"kind": Deployment\n"metadata":\n  "name": web\n  "namespace": shop\n'],
    [
      'quoted keys in metadata',
      'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  "name": web\n  "namespace": shop\n',
    ],
    ['inline metadata', 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n'],
    ['a folded name', 'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: >-\n    web\n  namespace: shop\n'],
    [
      'an anchor',
      'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  labels: {app: &a web}\n  name: *a\n  namespace: shop\n',
    ],
  ])('reads a document with %s', (_, text) => {
    expect(readHeads(text)).toEqual([head('apps/v1', 'Deployment', 'web', 'shop')]);
    expect(readKinds(text)).toMatchObject([{ apiVersion: 'apps/v1', kind: 'Deployment' }]);
  });

  test('looks at the keys of the object itself only', () => {
    const text = `apiVersion: v1
kind: ConfigMap
metadata:
  labels:
    name: not-this
    namespace: nor-this
  ownerReferences:
  - name: nor-that
  name: it
data:
  doc: |
    kind: Secret
    metadata:
      name: other
`;
    expect(readHeads(text)).toEqual([head('v1', 'ConfigMap', 'it')]);
    expect(readKinds(text)).toEqual([{ apiVersion: 'v1', kind: 'ConfigMap' }]);
  });

  test('lets the items of a list stand as far left as its key', () => {
    const text = 'webhooks:\n- name: a\n  rules: []\napiVersion: v1\nkind: Hook\nmetadata:\n  name: b\n';
    expect(readHeads(text)).toEqual([head('v1', 'Hook', 'b')]);
  });

  test('has no name where the server makes one', () => {
    expect(readHeads('apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: x-\n')).toEqual([
      head('batch/v1', 'Job', ''),
    ]);
  });

  test('looks into lists, also typed ones whose items leave out what the list says', () => {
    const list = `apiVersion: v1
kind: List
items:
- apiVersion: example.com/v1
  kind: Widget
  metadata: {name: w}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleList
  items:
  - metadata: {name: r, namespace: n}
`;
    expect(readHeads(list)).toEqual([
      head('example.com/v1', 'Widget', 'w'),
      head('rbac.authorization.k8s.io/v1', 'Role', 'r', 'n'),
    ]);
  });

  test('takes a kind that only ends like a list for an object', () => {
    expect(readHeads('apiVersion: a.b/v1\nkind: AllowList\nmetadata:\n  name: x\nspec: {}\n')).toEqual([
      head('a.b/v1', 'AllowList', 'x'),
    ]);
  });

  test.each([
    ['comments only', '# Source: a\n# nothing\n\n'],
    ['no object', 'just text'],
    ['no kind', 'apiVersion: v1\nmetadata:\n  name: x\n'],
    ['broken YAML', '{{ oops'],
    ['null', 'null'],
  ])('finds nothing in a document with %s', (_, text) => {
    expect(readHeads(text)).toEqual([]);
    expect(readKinds(text)).toEqual([]);
  });
});
