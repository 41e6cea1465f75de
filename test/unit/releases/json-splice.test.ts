import { describe, expect, test } from 'vitest';
import { quoteLikeGo, spliceJson } from '../../../src/releases/json-splice.ts';

describe('quoteLikeGo', () => {
  // The right-hand sides are what Go 1.26 json.Marshal printed for the same strings.
  test.each([
    ['a"b\\c/d', '"a\\"b\\\\c/d"'],
    ['<a href="x">&</a>', '"\\u003ca href=\\"x\\"\\u003e\\u0026\\u003c/a\\u003e"'],
    ['\b\f\n\r\t', '"\\b\\f\\n\\r\\t"'],
    ['\u0000\u0001\u000b\u001f\u007f', '"\\u0000\\u0001\\u000b\\u001f\u007f"'],
    ['\u2027\u2028\u2029\u202a', '"\u2027\\u2028\\u2029\u202a"'],
    ['é 😀 \ufeff \ufffd', '"é 😀 \ufeff \ufffd"'],
    ['', '""'],
  ])('writes %j as Go does', (value, quoted) => {
    expect(quoteLikeGo(value)).toBe(quoted);
    expect(JSON.parse(quoteLikeGo(value))).toBe(value);
  });

  test('writes half a surrogate pair as U+FFFD, for there are none in UTF-8', () => {
    expect(quoteLikeGo('a\ud800b')).toBe('"a\ufffdb"');
  });
});

describe('spliceJson', () => {
  const text =
    '{ "a" : -0 ,"big":12345678901234567890, "info":{"status":"deployed","x":1e2},"list":[{"m":"\\u003c"},{"m":"é"}],"end":null}\n';

  test('replaces strings and leaves every other byte as it is', () => {
    const edits = [
      { path: ['list', 1, 'm'], value: 'new & <b>' },
      { path: ['info', 'status'], value: 'failed' },
    ];
    expect(spliceJson(text, edits)).toBe(
      text.replace('"deployed"', '"failed"').replace('"é"', '"new \\u0026 \\u003cb\\u003e"'),
    );
  });

  test('gives back the same text when nothing changes', () => {
    expect(spliceJson(text, [])).toBe(text);
    expect(spliceJson(text, [{ path: ['list', 0, 'm'], value: '<' }])).toBe(text);
  });

  test('adds a key that is missing in an object that exists', () => {
    expect(
      spliceJson('{"a":{"b":1}, "c":{ }}', [
        { path: ['a', 'x'], value: '<' },
        { path: ['c', 'y'], value: 'z' },
      ]),
    ).toBe('{"a":{"b":1,"x":"\\u003c"}, "c":{"y":"z" }}');
  });

  test.each([
    ['first', 'a', '{"b":2 , "c":3}'],
    ['middle', 'b', '{"a":1,"c":3}'],
    ['last', 'c', '{"a":1,"b":2}'],
  ])('removes the %s key with its comma', (_, key, expected) => {
    expect(spliceJson('{"a":1,"b":2 , "c":3}', [{ path: [key], remove: true }])).toBe(expected);
  });

  test('removes an only key, and nothing where there is none', () => {
    expect(spliceJson('{"a":{"b":2}}', [{ path: ['a', 'b'], remove: true }])).toBe('{"a":{}}');
    expect(spliceJson('{"a":1}', [{ path: ['apply_method'], remove: true }])).toBe('{"a":1}');
  });

  test.each([
    ['text that is not JSON', '{"a":', [{ path: ['a'], value: 'x' }]],
    ['comments', '{"a":"b" /* c */}', [{ path: ['a'], value: 'x' }]],
    ['nothing', '', [{ path: ['a'], value: 'x' }]],
    ['a number where a string goes', '{"a":1}', [{ path: ['a'], value: 'x' }]],
    ['a place without a parent', '{"a":{}}', [{ path: ['b', 'c'], value: 'x' }]],
    ['an item beyond the end of a list', '{"a":[]}', [{ path: ['a', 0], value: 'x' }]],
    [
      'edits that overlap',
      '{"a":{"b":"c"}}',
      [
        { path: ['a'], remove: true as const },
        { path: ['a', 'b'], value: 'x' },
      ],
    ],
  ])('refuses %s', (_, json, edits) => {
    expect(() => spliceJson(json, edits)).toThrow(/^The JSON of a release record can't be edited: /);
  });
});
