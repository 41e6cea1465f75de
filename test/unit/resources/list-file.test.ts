import { describe, expect, test } from 'vitest';
import type { Body } from '../../../src/archive/entry.ts';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { isResourcePath, LIST_HEAD, LIST_TAIL, readListFile, resourcePath } from '../../../src/resources/list-file.ts';

const PATH = 'shop/configmaps.json';

const configMap = (name: string, text = '') => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'shop' },
  data: { text },
});

const OBJECTS = [configMap('a', 'äöü\n€ 😀'), configMap('b', '"]}\\n'), configMap('c', '\u2028')];
const TEXT = `${LIST_HEAD}${OBJECTS.map((object) => JSON.stringify(object)).join(',\n')}${LIST_TAIL}`;

async function read(body: Body | string): Promise<KubeObject[]> {
  const objects: KubeObject[] = [];
  for await (const object of readListFile(PATH, typeof body === 'string' ? Buffer.from(body) : body)) {
    objects.push(object);
  }
  return objects;
}

async function* cutAt(bytes: Uint8Array, ...places: readonly number[]): AsyncGenerator<Uint8Array> {
  const borders = [0, ...places, bytes.byteLength];
  for (let at = 1; at < borders.length; at += 1) yield bytes.subarray(borders[at - 1], borders[at]);
}

describe('a List, an object a line', () => {
  test('is read wherever its pieces are cut, also inside a character', async () => {
    const bytes = Buffer.from(TEXT);
    for (let at = 0; at <= bytes.byteLength; at += 1) expect(await read(cutAt(bytes, at))).toEqual(OBJECTS);
    expect(await read(cutAt(bytes, ...bytes.keys()))).toEqual(OBJECTS);
  });

  test('is a stream: objects come before the rest has been read', async () => {
    async function* endless() {
      yield Buffer.from(TEXT.slice(0, TEXT.indexOf('\n{"', 100) + 1));
      throw new Error('read on');
    }
    const objects = readListFile(PATH, endless())[Symbol.asyncIterator]();
    expect((await objects.next()).value).toEqual(OBJECTS[0]);
    await expect(objects.next()).rejects.toThrow('read on');
  });

  test('may be empty, and may lack the last line break', async () => {
    expect(await read(LIST_HEAD + LIST_TAIL.slice(1))).toEqual([]);
    expect(await read(TEXT.trimEnd())).toEqual(OBJECTS);
  });

  test('closes its body when the reader stops', async () => {
    let closed = false;
    async function* body() {
      try {
        yield Buffer.from(TEXT);
      } finally {
        closed = true;
      }
    }
    for await (const object of readListFile(PATH, body())) {
      expect(object.metadata.name).toBe('a');
      break;
    }
    expect(closed).toBe(true);
  });
});

describe('a List that someone has edited', () => {
  test.each([
    ['pretty-printed', (list: object) => JSON.stringify(list, undefined, 2)],
    ['in one line', (list: object) => `${JSON.stringify(list)}\n`],
    ['with the line breaks of Windows', () => TEXT.replaceAll('\n', '\r\n')],
    ['with a byte order mark', () => `\uFEFF${TEXT}`],
    ['with other fields first', (list: object) => JSON.stringify({ metadata: { a: 1 }, ...list })],
  ])('is read too: %s', async (_, write) => {
    expect(await read(write({ apiVersion: 'v1', kind: 'List', items: OBJECTS }))).toEqual(OBJECTS);
  });

  test('is refused when it is too large to be read whole', async () => {
    async function* large() {
      yield Buffer.from('{"kind":"List","apiVersion":"v1","items":[ ');
      for (let piece = 0; piece < 65; piece += 1) yield Buffer.alloc(1024 * 1024, ' ');
    }
    await expect(read(large())).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: expect.stringMatching(/^shop\/configmaps\.json is too large for a List /),
    });
  });
});

describe('anything else is damage, told with its place:', () => {
  const [first = '', second = '', third = ''] = TEXT.split('\n').slice(1);
  const lines = (...texts: readonly string[]) => `${LIST_HEAD}${texts.join('\n')}\n`;
  test.each([
    ['a cut list', lines(first, second), 'shop/configmaps.json is cut after line 3.'],
    ['a cut line', LIST_HEAD + first.slice(0, 20), /^Line 2 of shop\/configmaps\.json is no JSON: /],
    ['a line that is no JSON', lines(first, '{"apiVersion":}', ']}'), /^Line 3 of shop\/configmaps\.json is no JSON: /],
    [
      'a line that is no object',
      lines('{"kind":"ConfigMap"}', ']}'),
      'Line 2 of shop/configmaps.json is no object with an apiVersion, a kind and a name.',
    ],
    [
      'a missing comma',
      lines(third, first, ']}'),
      'Line 3 of shop/configmaps.json should be the end of the List: the object before it has no comma.',
    ],
    [
      'a comma too many',
      lines(first, ']}'),
      'Line 2 of shop/configmaps.json ends with a comma, but no object follows.',
    ],
    ['a line too many', lines(third, ']}', ''), 'Line 4 of shop/configmaps.json comes after the end of the List.'],
    ['an empty file', '', /^shop\/configmaps\.json is no JSON: /],
    ['one object', JSON.stringify(OBJECTS[0]), 'shop/configmaps.json is no List of objects.'],
    [
      'a List of something else',
      JSON.stringify({ kind: 'List', items: [OBJECTS[0], 7] }),
      'Item 2 of shop/configmaps.json is no object with an apiVersion, a kind and a name.',
    ],
  ])('%s', async (_, text, message) => {
    await expect(read(text)).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    });
  });

  test('bytes that are no text', async () => {
    const bytes = Buffer.from(TEXT);
    bytes[bytes.lastIndexOf('"b"') + 1] = 0xff;
    await expect(read(bytes)).rejects.toMatchObject({ message: 'Line 3 of shop/configmaps.json is not valid UTF-8.' });
    await expect(read(Buffer.from([0x7b, 0xff]))).rejects.toMatchObject({
      message: 'shop/configmaps.json is not valid UTF-8.',
    });
  });
});

describe('paths', () => {
  const shared = new Set(['services']);

  test('have the namespace as folder, and the group only where kinds share a plural', () => {
    expect(resourcePath({ group: '', plural: 'namespaces' }, undefined, shared)).toBe('namespaces.json');
    expect(resourcePath({ group: 'apps', plural: 'deployments' }, 'shop', shared)).toBe('shop/deployments.json');
    expect(resourcePath({ group: '', plural: 'services' }, 'shop', shared)).toBe('shop/services.json');
    expect(resourcePath({ group: 'serving.example.com', plural: 'services' }, 'shop', shared)).toBe(
      'shop/services.serving.example.com.json',
    );
  });

  test('of a namespace that is named as a file of the archive is, differ from it', () => {
    expect(resourcePath({ group: '', plural: 'secrets' }, 'manifest', shared)).toBe('manifest_/secrets.json');
  });

  test('are known from the other files of a snapshot', () => {
    const paths = ['namespaces.json', 'shop/secrets.json', 'manifest_/secrets.json'];
    expect(paths.map(isResourcePath)).toEqual([true, true, true]);
    const others = [
      '_snapshot.json',
      '_index.json',
      'manifest',
      '_releases/shop/web/1.json',
      'a/b/c.json',
      'shop/x.yaml',
    ];
    expect(others.map(isResourcePath)).toEqual([false, false, false, false, false, false]);
  });
});
