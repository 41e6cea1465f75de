import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { FramedFile } from '../../../src/archive/framed-archive.ts';
import { lengthOf, type Piece } from '../../../src/archive/frames.ts';
import { createDigester, createDigesters, readSmall, verifiedBytes } from '../../../src/vms/prepare-digests.ts';

const PIECES: readonly Piece[] = [Buffer.from('begin'), { zeros: 3 * 1024 * 1024 + 1 }, Buffer.from('end')];
const BYTES = Buffer.concat(PIECES.map((piece) => (piece instanceof Uint8Array ? piece : Buffer.alloc(piece.zeros))));
const SHA1 = createHash('sha1').update(BYTES).digest('hex');

function fileOf(pieces: readonly Piece[] = PIECES): FramedFile {
  return {
    path: 'volumes/root/disk.img',
    type: 'file',
    mode: 0o600,
    size: pieces.reduce((sum, piece) => sum + lengthOf(piece), 0),
    async *read() {
      yield* pieces;
    },
  };
}

async function gather(bytes: AsyncIterable<Uint8Array>, into: Uint8Array[] = []): Promise<Buffer> {
  for await (const piece of bytes) into.push(Buffer.from(piece));
  return Buffer.concat(into);
}

describe('verified bytes', () => {
  test('are those of the file, holes as zeros', async () => {
    const bytes = await gather(verifiedBytes({ file: fileOf(), sha1: SHA1 }, createDigester()));
    expect(Buffer.compare(bytes, BYTES)).toBe(0);
  });

  test('end before the last of them where the digest is another', async () => {
    const got: Uint8Array[] = [];
    const reading = gather(verifiedBytes({ file: fileOf(), sha1: '0'.repeat(40) }, createDigester()), got);
    await expect(reading).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      message: `volumes/root/disk.img is damaged: its SHA-1 is ${SHA1}, and the manifest has ${'0'.repeat(40)}.`,
    });
    expect(Buffer.concat(got).byteLength).toBe(BYTES.byteLength - 'end'.length);
  });

  test('tell that all is right before the last of them', async () => {
    let told = 0;
    const verified = verifiedBytes({ file: fileOf(), sha1: SHA1 }, createDigester(), async () => {
      told = count;
    });
    let count = 0;
    for await (const bytes of verified) count += bytes.byteLength;
    expect([told, count]).toEqual([BYTES.byteLength - 'end'.length, BYTES.byteLength]);
  });

  test('that are left early do not spoil the digest of the next body', async () => {
    const digesters = createDigesters();
    // Large enough for a thread.
    const large = 64 * 1024 * 1024;
    await digesters.borrow(large, async (digester) => {
      for await (const _ of verifiedBytes({ file: fileOf(), sha1: SHA1 }, digester)) break;
      const bytes = await gather(verifiedBytes({ file: fileOf(), sha1: SHA1 }, digester));
      expect(bytes.byteLength).toBe(BYTES.byteLength);
    });
    await digesters.close();
  });
});

test('a small file is compared with its digest', async () => {
  const small = fileOf([Buffer.from('text')]);
  expect(String(await readSmall({ file: small, sha1: undefined }, 10))).toBe('text');
  await expect(readSmall({ file: small, sha1: SHA1 }, 10)).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' });
  await expect(readSmall({ file: small, sha1: undefined }, 3)).rejects.toMatchObject({ code: 'ARCHIVE_UNSUPPORTED' });
});
