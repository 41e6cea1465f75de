import { describe, expect, it } from 'vitest';
import { TransshipError } from '../../../src/errors.ts';
import { readTransformFile } from '../../../src/transforms/read-file.ts';

function problemsOf(text: string): string[] {
  try {
    readTransformFile('t.yaml', text);
  } catch (error) {
    if (error instanceof TransshipError && error.code === 'INPUT') return error.message.split('\n');
    throw error;
  }
  return [];
}

const item = (text: string): string[] => problemsOf(`version: 1\ntransforms:\n  - ${text}\n`);

describe('a file of transforms', () => {
  it('is read in YAML and in JSON', () => {
    const text = '{"version":1,"transforms":[{"name":"r","storageClasses":{"a":"b"}}]}';
    expect(readTransformFile('t.json', text)).toEqual([
      {
        title: 'r',
        place: 't.json:1:28',
        select: {},
        action: { type: 'storageClasses', pairs: [{ from: 'a', to: 'b', place: 't.json:1:58' }] },
      },
    ]);
  });

  it('may use anchors', () => {
    const text =
      'version: 1\ntransforms:\n  - select: &web { names: [web] }\n    mergePatch: { a: 1 }\n  - select: *web\n    mergePatch: { b: 1 }\n';
    expect(readTransformFile('t', text).map(({ select }) => select.names)).toEqual([['web'], ['web']]);
  });

  it('says all that is wrong at once, each with line and column', () => {
    const text = `version: 2
transform: []
transforms:
  - imges: {}
  - images: { a: 5 }
    name: ''
`;
    expect(problemsOf(text)).toEqual([
      't.yaml:2:1: a file of transforms has no "transform". Did you mean transforms?',
      't.yaml:1:10: version must be 1.',
      't.yaml:4:5: a transform has no "imges". Did you mean images?',
      't.yaml:4:5: transforms[0] does nothing. Give it one of namespaces, storageClasses, images, replace, labels, annotations, jsonPatch, mergePatch, strategicPatch.',
      't.yaml:6:11: name is empty.',
      't.yaml:5:18: images: what "a" becomes must be a text. Put it in quotes.',
    ]);
  });

  it.each([
    ['that is no YAML', 'version: 1\ntransforms: [', /^t\.yaml:2:14: /],
    ['with a key twice', 'version: 1\nversion: 1\n', /^t\.yaml:2:1: map keys must be unique\.$/],
    ['of two documents', 'version: 1\n---\nversion: 1\n', /^t\.yaml:\d:\d: a file of transforms has one document\.$/],
    ['that is empty', '', /^t\.yaml:1:1: a file of transforms must be a map\.$/],
    ['without a version', 'transforms: [{ mergePatch: { a: 1 } }]', /^t\.yaml:1:1: version is missing/],
    ['without transforms', 'version: 1', /^t\.yaml:1:1: transforms is missing/],
  ])('%s is refused', (_, text, message) => {
    expect(problemsOf(text)).toEqual([expect.stringMatching(message)]);
  });

  it.each([
    [
      'two actions',
      '{ images: { a: b }, mergePatch: { a: 1 } }',
      '3:25: transforms[0] has images and mergePatch. Make two transforms of them.',
    ],
    [
      'namespaces of some',
      '{ select: { names: [a] }, namespaces: { a: b } }',
      '3:7: namespaces are mapped for all objects: a transform of them has no select.',
    ],
    ['a name that is no namespace', 'namespaces: { a: B_ }', '3:19: namespaces: "B_" is no name of a namespace.'],
    [
      'an empty select',
      '{ select: {}, mergePatch: { a: 1 } }',
      '3:15: select selects nothing. Leave it out to change all objects.',
    ],
    [
      'an unknown selection',
      '{ select: { kind: [A] }, mergePatch: { a: 1 } }',
      '3:17: select has no "kind". Did you mean kinds?',
    ],
    [
      'a label selector that is none',
      "{ select: { labels: 'a=b=c' }, mergePatch: { a: 1 } }",
      '3:25: selector is "a=b=c", of which "a=b=c" is no label requirement.',
    ],
    ['nothing to replace', 'replace: { with: x }', '3:14: replace has neither text nor regex.'],
    ['text and regex', 'replace: { text: a, regex: b, with: x }', '3:25: replace has text and regex. Leave one.'],
    [
      'nothing to replace it with',
      'replace: { text: a }',
      "3:14: replace has no with. Write with: '' to take the text away.",
    ],
    [
      'a broken regex',
      "replace: { regex: 'ab(c', with: x }",
      '3:26: regex: it is no regular expression: Unterminated group.',
    ],
    [
      'a flag that is none',
      'replace: { regex: a, flags: gx, with: x }',
      '3:33: "g" is no flag here. Give any of i, m, s and u.',
    ],
    [
      'a path that is none',
      'replace: { text: a, with: b, in: [spec..host] }',
      '3:44: "spec..host" is no path of a field: there is no key at ".host".',
    ],
    [
      'a path of what is never changed',
      'replace: { text: a, with: b, in: [metadata.name] }',
      '3:39: metadata.name is never changed: it says which object it is.',
    ],
    [
      'an image with a scheme',
      'images: { "https://a.b": c.d }',
      '3:15: images: "https://a.b" has a scheme. Leave https:// away.',
    ],
    [
      'a tag for many images',
      'images: { registry.example: a.b/c:1 }',
      '3:15: images: "a.b/c:1" has a tag, and "registry.example" is more than one image.',
    ],
    [
      'a label that is none',
      'labels: { set: { a: "b c" } }',
      '3:25: the value of a is no value of a label: at most 63 letters, digits, -, _ and dots.',
    ],
    ['labels of nothing', 'labels: { templates: true }', '3:13: labels has neither set nor remove.'],
    [
      'templates that is no boolean',
      'labels: { remove: [a], templates: sure }',
      '3:39: templates must be true or false.',
    ],
    [
      'an operation that is none',
      'jsonPatch: [{ op: set, path: /a }]',
      '3:23: op must be one of add, remove, replace, move, copy, test.',
    ],
    ['an operation without a value', 'jsonPatch: [{ op: add, path: /a }]', '3:17: add needs value.'],
    ['an operation with too much', 'jsonPatch: [{ op: remove, path: /a, value: 1 }]', '3:41: remove takes no value.'],
    [
      'a pointer that is none',
      'jsonPatch: [{ op: remove, path: spec.a }]',
      '3:37: path must begin with a slash, such as /spec/replicas.',
    ],
    [
      'a pointer to what no object has',
      'jsonPatch: [{ op: remove, path: /__proto__/a }]',
      '3:37: path names what no object has.',
    ],
    ['a patch that is no map', 'mergePatch: [a]', '3:17: mergePatch must be a map: a part of an object.'],
    [
      'a directive that is not supported',
      'strategicPatch: { spec: { $retainKeys: [a] } }',
      '3:31: $retainKeys is not supported. Write null for what has to go, or a mergePatch or jsonPatch.',
    ],
    [
      'a directive that is none',
      'strategicPatch: { spec: { $patch: remove } }',
      '3:31: $patch must be delete, replace or merge.',
    ],
    [
      'a directive for all of an object',
      'strategicPatch: { $patch: delete }',
      '3:21: $patch would replace or delete all of an object.',
    ],
  ])('refuses %s', (_, text, problem) => {
    expect(item(text)).toEqual([`t.yaml:${problem}`]);
  });
});
