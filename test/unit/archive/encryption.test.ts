import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createEncryption,
  decrypt,
  decryptAll,
  encrypt,
  inspectEncrypted,
  isEncrypted,
  startDecrypting,
} from '../../../src/archive/encryption.ts';
import { collect, errorOf, expectSameBytes, inPieces, noise, streamOf } from './helpers.ts';
import { type KeyPair, newKeys, newPostQuantumKeys } from './keys.ts';

const MIB = 1024 * 1024;
const CHUNK = 65_536;
const CHUNK_STORED = CHUNK + 16;

let ann: KeyPair;
let ben: KeyPair;
let stranger: KeyPair;
/** Three chunks, the last one not full. */
const plain = noise(2 * CHUNK + 1000);
let encrypted: Buffer;
let headerSize: number;

beforeAll(async () => {
  [ann, ben, stranger] = await Promise.all([newKeys(), newKeys(), newKeys()]);
  encrypted = await collect(encrypt(inPieces(plain, 10_000), [ann.recipient, ben.recipient]));
  headerSize = encrypted.indexOf('\n', encrypted.indexOf('\n---') + 1) + 1;
});

const decrypted = (bytes: Uint8Array, ...identities: string[]) => collect(decrypt(inPieces(bytes, 7777), identities));

describe('an encrypted stream', () => {
  it('is opened by each of its recipients', async () => {
    for (const { identity } of [ann, ben]) expectSameBytes(await decrypted(encrypted, identity), plain);
  });

  it('is opened by one fitting identity among others', async () => {
    expectSameBytes(await decrypted(encrypted, stranger.identity, ben.identity), plain);
  });

  it('is opened by a post-quantum key', async () => {
    const { identity, recipient } = await newPostQuantumKeys();
    const bytes = await collect(encrypt(streamOf(plain), [recipient]));
    expectSameBytes(await decrypted(bytes, ann.identity, identity), plain);
  });

  it.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])('is of the size told before, for %d bytes', async (size) => {
    const encryption = await createEncryption([ann.recipient]);
    const bytes = await collect(encryption.encrypt(inPieces(plain.subarray(0, size), 9999)));
    expect(bytes.byteLength).toBe(encryption.sizeOf(size));
    expectSameBytes(await decrypted(bytes, ann.identity), plain.subarray(0, size));
  });

  it('has other bytes each time', async () => {
    const again = await collect(encrypt(streamOf(plain), [ann.recipient, ben.recipient]));
    expect(again.byteLength).toBe(encrypted.byteLength);
    expect(again.equals(encrypted)).toBe(false);
  });

  it('is known by its first bytes, and what is not one passes untouched', async () => {
    expect(isEncrypted(encrypted.subarray(0, 19))).toBe(true);
    for (const bytes of [plain, Buffer.alloc(0), Buffer.from('age-encryption')]) {
      expect(isEncrypted(bytes)).toBe(false);
      expectSameBytes(await decrypted(bytes), bytes);
    }
  });
});

describe('what the program age has written', () => {
  const fixture = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', name));

  it.each([
    ['two-recipients.age', 'AGE-SECRET-KEY-1QWGYAFR92NG6YTMVYCQ9TA5Y8335UDF53KWEHF2U82TTJE2JHZTQ6PEQ3K'],
    ['two-recipients.age', 'AGE-SECRET-KEY-1DX9WUGNX2T0P40RDSS7QZW8RMZZ80ZRAHNL6PWGZA589FCCEVYKQD8S7K9'],
    ['post-quantum.age', 'AGE-SECRET-KEY-PQ-123QNJ53RFFJY7K7X7XL455ANW3RX0M64UV0CUQ798JC5CNSXRD3SM6Z74P'],
  ])('is opened (%s)', async (name, identity) => {
    expect((await decrypted(fixture(name), identity)).toString()).toBe('made by age 1.3.2');
  });

  it('with a passphrase is told from what keys open', async () => {
    const header = 'age-encryption.org/v1\n-> scrypt bm9ub25vbm9ub25vbm9ubw 18\n';
    const bytes = Buffer.from(`${header}${'A'.repeat(43)}\n--- ${'A'.repeat(43)}\n${'x'.repeat(40)}`);
    expect(await errorOf(decrypted(bytes, ann.identity))).toEqual({
      code: 'ARCHIVE_UNSUPPORTED',
      message: 'The snapshot is encrypted with a passphrase.',
      hint: 'Decrypt it with age -d first: only identities are taken here.',
    });
  });
});

describe('without the right key', () => {
  it('says that none of the identities opens it, and shows none', async () => {
    expect(await errorOf(decrypted(encrypted, stranger.identity))).toEqual({
      code: 'INPUT',
      message: 'The snapshot is encrypted to 2 recipients, and none of the given identities opens it.',
      hint: 'Set identity to the secret key of one of those that encrypt-to named when it was exported.',
    });
  });

  it('says that an identity is needed', async () => {
    const one = await collect(encrypt(streamOf(plain), [ann.recipient]));
    expect(await errorOf(decrypted(one))).toEqual({
      code: 'INPUT',
      message: 'The snapshot is encrypted to 1 recipient, and no identity is given.',
      hint: 'Set identity to the secret key of one of them (AGE-SECRET-KEY-1…), or to the path of its file.',
    });
  });

  it('tells to how many it is encrypted, and that it may be whole', async () => {
    expect(await inspectEncrypted(inPieces(encrypted, 5000))).toBe(2);
  });

  it.each([
    ['inside its header', () => 100],
    ['before its first chunk', () => headerSize + 16],
    ['inside the first tag', () => headerSize + 31],
    ['inside the last tag', () => headerSize + 16 + 2 * CHUNK_STORED + 15],
    ['before the bytes of a chunk', () => headerSize + 16 + CHUNK_STORED + 16],
  ])('sees that it was cut %s', async (_where, length) => {
    const work = inspectEncrypted(streamOf(encrypted.subarray(0, length())));
    expect(await errorOf(work)).toMatchObject({ code: 'ARCHIVE_DAMAGED', message: expect.stringContaining('cut') });
  });

  it.each([
    ['no end', 'age-encryption.org/v1\n-> X25519 abc\n', 'ends inside their header|cut'],
    ['a section that is none', 'age-encryption.org/v1\n->\n--- abc\n', 'damaged'],
    ['far too much in it', `age-encryption.org/v1\n${'-> a b\n\n'.repeat(300_000)}`, 'has no end'],
    ['a line that is none', 'age-encryption.org/oops\n', 'damaged'],
  ])('sees a header that has %s', async (_what, header, message) => {
    expect(await errorOf(inspectEncrypted(streamOf(Buffer.from(header))))).toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: expect.stringMatching(message),
    });
  });

  it('says which version of the format it does not know', async () => {
    expect(await errorOf(inspectEncrypted(streamOf(Buffer.from('age-encryption.org/v2\n-> new\n'))))).toMatchObject({
      code: 'ARCHIVE_UNSUPPORTED',
      message: 'It is encrypted in version v2 of the age format; this Transship reads v1.',
    });
  });
});

describe('what was cut or changed', () => {
  it.each([
    ['in the header', () => 60],
    ['in the header checksum', () => headerSize - 10],
    ['in the nonce', () => headerSize + 3],
    ['in the first chunk', () => headerSize + 500],
    ['in the last tag', () => encrypted.byteLength - 1],
  ])('is told for a flipped bit %s', async (_where, position) => {
    const changed = Buffer.from(encrypted);
    changed[position()] = (changed[position()] ?? 0) ^ 1;
    const { code } = await errorOf(decrypted(changed, ann.identity));
    // Of a changed part for one recipient nobody can say whose it was.
    expect(code).toMatch(/^(ARCHIVE_DAMAGED|INPUT)$/);
    if (position() > headerSize - 44) expect(code).toBe('ARCHIVE_DAMAGED');
  });

  it.each([
    ['inside its header', () => 100],
    ['right behind its header', () => headerSize],
    ['in the first chunk', () => headerSize + 500],
    ['between two chunks', () => headerSize + 16 + CHUNK_STORED],
    ['by its last byte', () => encrypted.byteLength - 1],
  ])('is told when it was cut %s', async (_where, length) => {
    expect(await errorOf(decrypted(encrypted.subarray(0, length()), ann.identity))).toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: expect.stringMatching(/^The encrypted bytes are cut/),
    });
  });

  it('is told when bytes follow, or two chunks have changed places', async () => {
    const followed = Buffer.concat([encrypted, Buffer.from('more')]);
    const start = headerSize + 16;
    const [first, second] = [0, 1].map((n) =>
      encrypted.subarray(start + n * CHUNK_STORED, start + (n + 1) * CHUNK_STORED),
    );
    const swapped = Buffer.concat([
      encrypted.subarray(0, start),
      second ?? '',
      first ?? '',
      encrypted.subarray(start + 2 * CHUNK_STORED),
    ] as Buffer[]);
    for (const bytes of [followed, swapped]) {
      expect(await errorOf(decrypted(bytes, ann.identity))).toMatchObject({ code: 'ARCHIVE_DAMAGED' });
    }
  });
});

describe('the source of a stream', () => {
  it('is read no further than a little ahead of the reader, and closed when that leaves', async () => {
    let given = 0;
    let closed = false;
    async function* source() {
      try {
        for (; ; given += 1) yield noise(CHUNK);
      } finally {
        closed = true;
      }
    }
    let read = 0;
    let most = 0;
    for await (const piece of encrypt(source(), [ann.recipient])) {
      read += piece.byteLength;
      most = Math.max(most, given * CHUNK - read);
      if (read > 5 * MIB) break;
    }
    expect(closed).toBe(true);
    // Pieces of a mebibyte go into the library, and one more waits.
    expect(most).toBeLessThan(3 * MIB);
  });

  it('is closed when no identity fits', async () => {
    let closed = false;
    async function* source() {
      try {
        for (;;) yield encrypted;
      } finally {
        closed = true;
      }
    }
    await errorOf(collect(decrypt(source(), [stranger.identity])));
    expect(closed).toBe(true);
  });

  it('may fail with an error of its own, which is the one that is told', async () => {
    const reset = new Error('the connection was reset');
    async function* breaking(bytes: Uint8Array) {
      yield bytes.subarray(0, bytes.byteLength - 1000);
      throw reset;
    }
    await expect(collect(encrypt(breaking(plain), [ann.recipient]))).rejects.toBe(reset);
    await expect(collect(decrypt(breaking(encrypted), [ann.identity]))).rejects.toBe(reset);
    await expect(collect(decrypt(breaking(encrypted.subarray(0, 1050)), [ann.identity]))).rejects.toBe(reset);
  });
});

describe('a file whose size is known', () => {
  it('says how many plain bytes there will be', async () => {
    const { size, bytes } = await startDecrypting(inPieces(encrypted, 4000), encrypted.byteLength, [ann.identity]);
    expect(size).toBe(plain.byteLength);
    expectSameBytes(await collect(bytes), plain);
  });

  it('lets go of its source when it is not read', async () => {
    let closed = false;
    async function* source() {
      try {
        yield encrypted.subarray(0, 1000);
        yield encrypted.subarray(1000);
      } finally {
        closed = true;
      }
    }
    const { close } = await startDecrypting(source(), encrypted.byteLength, [ann.identity]);
    await close();
    expect(closed).toBe(true);
  });

  it('must be encrypted', async () => {
    const work = [
      startDecrypting(streamOf(plain), plain.byteLength, [ann.identity]),
      decryptAll(plain, [ann.identity]),
    ];
    for (const one of work) {
      expect(await errorOf(one)).toMatchObject({
        code: 'ARCHIVE_DAMAGED',
        message: 'It is not encrypted, as the snapshot is.',
      });
    }
  });
});
