import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createResponseReader, OtherwiseSpoken } from '../../../src/vms/read-response.ts';

function read(pieces: readonly string[]) {
  const told = { status: 0, headers: {}, body: '' };
  const reader = createResponseReader({
    head: (status, headers) => Object.assign(told, { status, headers }),
    data: (piece) => {
      told.body += Buffer.from(piece).toString('latin1');
    },
  });
  const isWhole = pieces.map((piece) => reader.take(Buffer.from(piece, 'latin1'))).at(-1);
  return { ...told, isWhole, canStay: reader.canStay };
}

const ANSWER = 'HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nX-A:  one two \r\nx-a: three\r\n\r\nhello';

test('an answer is read the same wherever it is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(ANSWER.length), { maxLength: 8 }), (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), ANSWER.length];
      const pieces = at.slice(1).map((end, index) => ANSWER.slice(at[index], end));
      expect(read(pieces.filter((piece) => piece !== ''))).toEqual({
        status: 206,
        headers: { 'content-length': '5', 'x-a': 'one two, three' },
        body: 'hello',
        isWhole: true,
        canStay: true,
      });
    }),
  );
});

test('an answer is not whole before its last byte', () => {
  expect(read([ANSWER.slice(0, -1)]).isWhole).toBe(false);
});

test('an empty body is whole with its head', () => {
  expect(read(['HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'])).toMatchObject({ status: 200, isWhole: true });
});

test('a connection that the server closes is not used again', () => {
  expect(read(['HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n']).canStay).toBe(false);
});

test('of a refusal in chunks the head is enough, and the connection is not used again', () => {
  const answer = 'HTTP/1.1 503 Service Unavailable\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
  expect(read([answer])).toMatchObject({ status: 503, body: '', isWhole: true, canStay: false });
});

test.each([
  ['chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'],
  ['chunks and a length', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n'],
  ['no length', 'HTTP/1.1 200 OK\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n'],
  ['a negative length', 'HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n'],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n'],
  ['an informational answer', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ['a folded line', 'HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 5\r\n\r\n'],
  ['a control character', 'HTTP/1.1 200 OK\r\nx-a: b\u0000\r\ncontent-length: 5\r\n\r\n'],
  ['another protocol', `SSH-2.0-x\r\n\r\n`],
  ['an endless head', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}`],
])('%s: left to a library, the sink knows nothing of it', (_, answer) => {
  const told: string[] = [];
  const reader = createResponseReader({ head: () => told.push('head'), data: () => told.push('data') });
  expect(() => reader.take(Buffer.from(answer, 'latin1'))).toThrow(OtherwiseSpoken);
  expect(told).toEqual([]);
});

test('more bytes than Content-Length says are an error, not data', () => {
  expect(() => read([`${ANSWER}!`])).toThrow('more bytes came than Content-Length says');
});
