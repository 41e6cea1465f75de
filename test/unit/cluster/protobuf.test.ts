// The .pb files are answers of a real API server (v1.35.4), as they came; the .json files are the same lists as JSON.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { DataObject } from '../../../src/cluster/cluster.ts';
import { readDataList } from '../../../src/cluster/data-objects.ts';
import { type DataList, decodeDataList, decodeStatus } from '../../../src/cluster/protobuf.ts';

const read = (name: string) => readFileSync(new URL(`../../fixtures/protobuf/${name}`, import.meta.url));

/** What JSON tells besides is nothing that a DataObject promises. */
function promised({ metadata, items }: DataList) {
  return {
    continue: metadata.continue ?? '',
    items: items.map(({ kind, metadata: { name, namespace, uid, labels, annotations }, data }: DataObject) => ({
      kind,
      metadata: { name, namespace, uid, labels, annotations },
      data: [...data].map(([key, value]) => [key, Buffer.from(value).toString('latin1')]).sort(),
    })),
  };
}

const ofJson = (name: string) =>
  promised(readDataList({ headers: { 'content-type': 'application/json' }, body: read(name) }));

describe('decodeDataList', () => {
  test('reads of a list of Secrets what its JSON says, down to the order of labels', () => {
    const list = promised(decodeDataList(read('secrets.pb')));
    expect(JSON.stringify(list)).toBe(JSON.stringify(ofJson('secrets.json')));
    expect(list.items.map(({ metadata, data }) => [metadata.name, data.length])).toEqual([
      ['a', 4],
      ['b', 0],
    ]);
    expect(list.items[0]?.metadata.annotations).toEqual({
      'example.com/empty': '',
      'example.com/note': 'ünï 😀 \u2028\ufeff',
    });
    expect(list.items[0]?.data).toContainEqual(['bytes', '\x00\xff\x80\n']);
  });

  test('reads of a list of ConfigMaps the texts and the bytes', () => {
    const list = promised(decodeDataList(read('configmaps.pb')));
    expect(JSON.stringify(list)).toBe(JSON.stringify(ofJson('configmaps.json')));
    expect(list.items[0]?.data.map(([key]) => key)).toEqual(['bytes', 'release', 'text']);
  });

  test('reads a list of nothing', () => {
    expect(promised(decodeDataList(read('none.pb')))).toEqual({ continue: '', items: [] });
  });

  test.each(['secrets.pb', 'configmaps.pb', 'none.pb'])('refuses %s wherever it is cut', (name) => {
    const whole = read(name);
    // The last four bytes are two empty fields around the object.
    for (let end = 0; end < whole.length - 4; end++) {
      expect(() => decodeDataList(whole.subarray(0, end)), `cut after ${end} bytes`).toThrow();
    }
  });

  test('refuses a value that reaches into the next object', () => {
    const whole = Buffer.from(read('secrets.pb'));
    const value = whole.indexOf('H4sIAAAA');
    // The two bytes before it have its length, 320; so they say 448.
    whole[value - 1] = 0x03;
    expect(value + 448).toBeLessThan(whole.length);
    expect(() => decodeDataList(whole)).toThrow('premature EOF');
  });

  test.each([
    ['nothing', Buffer.alloc(0), 'does not begin'],
    ['a page for people', Buffer.from('<html>Log in</html>'), 'does not begin'],
    ['a list of another kind', read('pods.pb'), 'it holds "PodList"'],
    ['a refusal', read('forbidden.pb'), 'it holds "Status"'],
    ['no object', Buffer.from('k8s\0\x0a\x0e\x0a\x02v1\x12\x08PodLists'), 'it holds no object'],
    ['an object without a name', Buffer.from('k8s\0\x0a\x0c\x12\x0aSecretList\x12\x04\x12\x02\x0a\0'), 'has no name'],
    ['an object in gzip', Buffer.from('k8s\0\x0a\x0c\x12\x0aSecretList\x12\0\x1a\x04gzip'), 'encoded as "gzip"'],
  ])('refuses %s', (_, body, message) => {
    expect(() => decodeDataList(body)).toThrow(message);
  });
});

describe('decodeStatus', () => {
  test('reads the reason and the message of a refusal', () => {
    expect(decodeStatus(read('forbidden.pb'))).toEqual({
      kind: 'Status',
      metadata: { continue: '' },
      reason: 'Forbidden',
      message:
        'secrets is forbidden: User "token" cannot list resource "secrets" in API group "" in the namespace "shop"',
    });
  });

  test('reads the token that goes on where an old one has expired', () => {
    const { reason, metadata } = decodeStatus(read('expired.pb'));
    expect(reason).toBe('Expired');
    expect(JSON.parse(Buffer.from(metadata.continue ?? '', 'base64').toString())).toMatchObject({ start: 'a\u0000' });
  });

  test('refuses what is no Status', () => {
    expect(() => decodeStatus(read('none.pb'))).toThrow('it holds "SecretList" and no Status');
  });
});
