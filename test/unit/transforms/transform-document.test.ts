import { describe, expect, it } from 'vitest';
import { transformDocument } from '../../../src/transforms/transform-document.ts';
import { transformsOf, transformsOfFile } from './transform-objects.ts';

async function transformed(items: string, text: string): Promise<string> {
  return transformDocument(text, await transformsOfFile(items), 'stage').text;
}

const ODD = `# Source: web/templates/odd.yaml
# written by hand

apiVersion: v1
kind: ConfigMap # the kind
metadata:
    name: "odd"
    labels: {a: b, 'c': "yes"}
data:
  # a comment
  "on": |
    hello
      x
  folded: >-
    one
    two

    three
  n: 0777
  big: 12345678901234567890
  f: 1.10
  yes: no
  empty:
  quoted: "stage"
  single: 'it''s stage'
  plain: stage
list:
- a
- {b: c}
`;

describe('a document of a manifest', () => {
  it('keeps every byte when nothing in it changes', async () => {
    expect(await transformed('  - replace: { text: nowhere, with: x }\n', ODD)).toBe(ODD);
    expect(await transformed('  - labels: { set: { a: b } }\n', ODD)).toBe(ODD);
  });

  it('keeps its comments, its quotes and what Go would read otherwise when something does', async () => {
    expect(await transformed("  - replace: { text: stage, with: 'prod: 1' }\n", ODD)).toBe(
      ODD.replace('    name: "odd"\n    labels', '  name: "odd"\n  labels')
        .replace('    one\n    two\n', '    one two\n')
        .replace('quoted: "stage"', 'quoted: "prod: 1"')
        .replace("it''s stage", "it''s prod: 1")
        .replace('plain: stage', 'plain: "prod: 1"')
        .replace('- a\n- {b: c}', '  - a\n  - {b: c}'),
    );
  });

  it('has texts in quotes that Go would take for something else', async () => {
    const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  a: text\n';
    const patch = `  - mergePatch: { data: { a: 'on', b: '0x1F', c: "two\\nlines\\n", d: null, e: '', f: 5, g: [], "1": x } }\n`;
    expect(await transformed(patch, text)).toBe(
      `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  a: "on"\n  "1": x\n  b: "0x1F"\n  c: |\n    two\n    lines\n  e: ""\n  f: 5\n  g: []\n`,
    );
  });

  it('sees numbers and booleans as Go does', async () => {
    const patch = `  - jsonPatch:
      - { op: test, path: /num, value: 511 }
      - { op: test, path: /b, value: true }
      - { op: test, path: /s, value: '5' }
      - { op: test, path: /e, value: null }
      - { op: replace, path: /num, value: 8 }
`;
    const text = 'apiVersion: v1\nkind: X\nmetadata: { name: a }\nnum: 0777\nb: yes\ns: "5"\ne: ~\n';
    expect(await transformed(patch, text)).toBe(
      'apiVersion: v1\nkind: X\nmetadata: {name: a}\nnum: 8\nb: yes\ns: "5"\ne: ~\n',
    );
  });

  it('gives up its anchors, so that only what is meant changes', async () => {
    const text = 'apiVersion: v1\nkind: X\nmetadata: { name: a }\na: &x { k: "1" }\nb: *x\nc:\n  <<: *x\n  l: m\n';
    expect(await transformed('  - mergePatch: { b: { k: "2" } }\n', text)).toBe(
      'apiVersion: v1\nkind: X\nmetadata:\n  name: a\na:\n  k: "1"\nb:\n  k: "2"\nc:\n  k: "1"\n  l: m\n',
    );
  });

  it('escapes characters that Go can not read as they are', async () => {
    const text = 'apiVersion: v1\nkind: X\nmetadata: { name: a }\na: "\\x7f\\u2028"\n';
    expect(await transformed('  - mergePatch: { b: c }\n', text)).toBe(
      '"apiVersion": "v1"\n"kind": "X"\n"metadata":\n  "name": "a"\n"a": "\\u007f\\u2028"\n"b": "c"\n',
    );
  });

  it('keeps the comments of the items that stay in a list', async () => {
    const text =
      'apiVersion: v1\nkind: X\nmetadata: { name: a }\nspec:\n  items:\n    # first\n    - name: a\n    # second\n    - name: b\n      x: y # why\n';
    expect(await transformed('  - jsonPatch: [{ op: remove, path: /spec/items/0 }]\n', text)).toBe(
      'apiVersion: v1\nkind: X\nmetadata: {name: a}\nspec:\n  items:\n    # second\n    - name: b\n      x: y # why\n',
    );
  });

  it('has each object of a list transformed, also where the list says of what kind they are', async () => {
    const list =
      'apiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: Secret\n    metadata:\n      name: a\n  - apiVersion: v1\n    kind: ConfigMap\n    metadata:\n      name: b\n';
    const select = '  - select: { kinds: [ConfigMap] }\n    labels: { set: { x: zz } }\n';
    expect(await transformed(select, list)).toBe(`${list}      labels:\n        x: zz\n`);
    const typed = 'apiVersion: v1\nkind: ConfigMapList\nitems:\n  - metadata:\n      name: b\n';
    expect(await transformed(select, typed)).toBe(`${typed}      labels:\n        x: zz\n`);
  });

  it('is of the release’s namespace where it names none, unless its kind has none', async () => {
    const select = '  - select: { namespaces: [stage] }\n    labels: { set: { x: zz } }\n';
    const config = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n';
    const role = 'apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: b\n';
    expect(await transformed(select, config)).toBe(`${config}  labels:\n    x: zz\n`);
    expect(await transformed(select, role)).toBe(role);
  });

  it('with a name that is yet to be made is one like any other', async () => {
    const job = 'apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: b-\n';
    expect(await transformed('  - labels: { set: { x: zz } }\n', job)).toBe(`${job}  labels:\n    x: zz\n`);
  });

  it('of comments only, or of no object, stays', async () => {
    const transforms = '  - labels: { set: { x: zz } }\n';
    for (const text of ['# nothing\n', 'just: data\n', 'text\n', 'kind: X\napiVersion: v1\n']) {
      expect(await transformed(transforms, text)).toBe(text);
    }
  });

  it('that no parser reads stays, with the reason', async () => {
    const text = 'kind: X\nmetadata: { name: stage\n';
    const transforms = await transformsOfFile('  - labels: { set: { x: zz } }\n');
    expect(transformDocument(text, transforms, 'stage')).toEqual({ text, unreadable: expect.any(String) });
  });

  it.each([
    ['a text that it has not', { replaceText: { 'stage.example': 'x' } }, 'kind: ConfigMap\napiVersion: v1\n'],
    ['images', { imageMap: { 'a.b': 'c.d' } }, 'kind: ConfigMap\napiVersion: v1\n'],
    ['a storage class that it has not', { storageClassMap: { gold: 'x' } }, 'kind: Deployment\nimage: x\n'],
  ])('is not even parsed for %s', async (_, inputs, text) => {
    expect((await transformsOf(inputs)).mayChange(text)).toBe(false);
  });

  it.each([
    ['a Secret', { replaceText: { 'stage.example': 'x' } }, 'kind: Secret\ndata: { a: c3RhZ2U= }\n'],
    ['escapes', { replaceText: { 'stage.example': 'x' } }, 'kind: ConfigMap\ndata: { a: "st\\x61ge" }\n'],
    [
      'a text that YAML may write otherwise',
      { replaceText: { 'a b': 'x' } },
      'kind: ConfigMap\ndata: { a: "a\n b" }\n',
    ],
  ])('is parsed when it may hide the text: %s', async (_, inputs, text) => {
    expect((await transformsOf(inputs)).mayChange(text)).toBe(true);
  });
});
