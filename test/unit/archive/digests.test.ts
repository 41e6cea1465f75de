import { describe, expect, it } from 'vitest';
import { digestBody, formatIndex, formatManifest, parseIndex, parseManifest } from '../../../src/archive/digests.ts';
import { collect, errorOf, inPieces, streamOf } from './helpers.ts';

// https://www.di-mgt.com.au/sha_testvectors.html
const abc = {
  sha1: 'a9993e364706816aba3e25717850c26c9cd0d89d',
  sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
};

const failureOf = (work: () => unknown) => errorOf(Promise.resolve().then(work));

describe('digests of a body', () => {
  it('are those of its bytes, in memory or as a stream', async () => {
    expect(digestBody(Buffer.from('abc')).digests()).toEqual(abc);
    const { body, digests } = digestBody(inPieces(Buffer.from('abc'), 1));
    expect(body).not.toBeInstanceOf(Uint8Array);
    if (!(body instanceof Uint8Array)) expect((await collect(body)).toString()).toBe('abc');
    expect(digests()).toEqual(abc);
  });
});

describe('the index', () => {
  const files = [
    { path: 'a.json', size: 3, sha256: abc.sha256, offset: 0 },
    { path: 'ü.json', size: 4, sha256: abc.sha256, offset: 1024 },
  ];

  it('comes back as it was written', () => {
    expect(parseIndex(formatIndex(files))).toEqual({ files, counts: { files: 2, bytes: 7 } });
    expect(parseIndex(formatIndex([]))).toEqual({ files: [], counts: { files: 0, bytes: 0 } });
  });

  it('of a tree has no offsets', () => {
    const bare = files.map(({ offset: _offset, ...file }) => file);
    expect(formatIndex(bare)).not.toContain('offset');
    expect(parseIndex(formatIndex(bare)).files).toEqual(bare);
  });

  it('has a file a line', () => {
    expect(formatIndex(files).split('\n')[1]).toBe(`{"path":"a.json","size":3,"sha256":"${abc.sha256}","offset":0},`);
  });

  it('of a newer format is refused with what to do', async () => {
    const { code, message, hint } = await failureOf(() => parseIndex('{"formatVersion":2,"entries":[]}'));
    expect(code).toBe('ARCHIVE_UNSUPPORTED');
    expect(message).toBe('_index.json has format version 2; this Transship reads 1.');
    expect(hint).toContain('newer');
  });

  it.each(['', '[]', 'null', '{"formatVersion":1}', formatIndex(files).replace('"size":3', '"size":-3')])(
    'is refused when it is %j',
    async (text) => {
      const { code, message } = await failureOf(() => parseIndex(text));
      expect(code).toBe('ARCHIVE_DAMAGED');
      expect(message).toContain('_index.json');
    },
  );
});

describe('the manifest', () => {
  it('comes back as it was written', () => {
    const files = [
      ['a.json', abc.sha1],
      ['b c.json', abc.sha1],
    ] as const;
    expect(formatManifest(files)).toBe(`${abc.sha1}  a.json\n${abc.sha1}  b c.json\n`);
    expect([...parseManifest(formatManifest(files))]).toEqual(files);
  });

  it('may mark files as binary, as sha1sum -b does', () => {
    expect(parseManifest(`${abc.sha1} *disk.img\n`).get('disk.img')).toBe(abc.sha1);
  });

  it.each([
    [`${abc.sha1}  a.json`, 'manifest is cut: its last line has no end.'],
    [`${abc.sha1.toUpperCase()}  a\n`, 'manifest is damaged: line 1 is "A999'],
    [`${abc.sha1}  a\n\n`, 'manifest is damaged: line 2 is "".'],
    [`${abc.sha1} a\n`, 'manifest is damaged: line 1 is'],
    [`${abc.sha1}  ../a\n`, 'manifest is damaged: line 1 is'],
    [`${abc.sha1}  a\n${abc.sha1}  a\n`, 'manifest is damaged: it names a twice.'],
  ])('is refused when it is %j', async (text, problem) => {
    const { code, message } = await failureOf(() => parseManifest(text));
    expect(code).toBe('ARCHIVE_DAMAGED');
    expect(message).toContain(problem);
  });
});

it('digests each stream on its own', async () => {
  const [first, second] = [digestBody(streamOf(Buffer.from('abc'))), digestBody(streamOf(Buffer.from('abc')))];
  for (const { body } of [first, second]) if (!(body instanceof Uint8Array)) await collect(body);
  expect(first.digests()).toEqual(second.digests());
});
