import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  blankDisk,
  bytesOf,
  type Disk,
  digestOf,
  gptDisk,
  incompressibleDisk,
  KIB,
  MIB,
  mixedDisk,
  piecesOf,
  sparseDisk,
  sparseGiantDisk,
  textDisk,
} from '../../kubevirt/disks.ts';
import { grownDisk, recordDisk } from '../../kubevirt/received-disk.ts';

const ODD = 11 * MIB + 777;

const DISKS: Record<string, Disk> = {
  blank: blankDisk(ODD),
  sparse: sparseDisk(ODD),
  incompressible: incompressibleDisk(ODD),
  text: textDisk(ODD),
  mixed: mixedDisk(ODD),
  gpt: gptDisk(ODD),
  'gpt of 4096-byte sectors': gptDisk(ODD, { sector: 4096 }),
};

test.each(Object.entries(DISKS))('a %s disk reads the same in any pieces', (_, disk) => {
  const whole = bytesOf(disk);
  expect(whole.byteLength).toBe(ODD);
  expect(createHash('sha256').update(whole).digest('hex')).toBe(disk.sha256());
  for (const [start, end] of [
    [0, 1],
    [511, 513],
    [MIB - 7, MIB + 100 * KIB],
    [7 * MIB - 3, 7 * MIB + 5],
    [ODD - 5, ODD],
  ] as const) {
    expect(Buffer.compare(disk.read(start, end), whole.subarray(start, end)), `${start}-${end}`).toBe(0);
  }
});

test('disks compress as they are meant to', () => {
  const share = (disk: Disk) => gzipSync(bytesOf(disk), { level: 1 }).byteLength / disk.size;
  expect(share(blankDisk(MIB))).toBeLessThan(0.01);
  expect(share(textDisk(MIB))).toBeLessThan(0.5);
  expect(share(incompressibleDisk(MIB))).toBeGreaterThan(1);
  const head = { size: 34 * 512, read: gptDisk(8 * MIB).read };
  expect(gzipSync(Buffer.concat([...piecesOf(head)])).byteLength).toBeLessThan(300);
});

test('a partitioned disk has a GUID partition table at both ends', () => {
  for (const sector of [512, 4096] as const) {
    const disk = gptDisk(8 * MIB, { sector });
    expect(Buffer.from(disk.read(510, 512)).readUInt16LE()).toBe(0xaa55);
    expect(Buffer.from(disk.read(sector, sector + 8)).toString()).toBe('EFI PART');
    expect(Buffer.from(disk.read(8 * MIB - sector, 8 * MIB - sector + 8)).toString()).toBe('EFI PART');
  }
});

test('the giant disk has 1 MiB of data in 16 GiB', () => {
  const disk = sparseGiantDisk();
  expect(disk.size).toBe(16 * 1024 * MIB);
  expect(disk.read(0, 4096).every((byte) => byte === 0)).toBe(true);
  const place = Math.floor(disk.size * 0.35) + 4321;
  expect(disk.read(place, place + 4096).some((byte) => byte !== 0)).toBe(true);
  expect(disk.sha256()).toMatch(/^[0-9a-f]{64}$/);
});

test('a recorded disk is the one that came, and keeps only blocks with data', () => {
  const disk = sparseDisk(ODD);
  const recorder = recordDisk();
  // In pieces that meet no border of a block.
  for (let at = 0; at < disk.size; at += 100_001) recorder.write(disk.read(at, Math.min(at + 100_001, disk.size)));
  const received = recorder.finish();
  expect(received).toMatchObject({ size: ODD });
  expect(received.sha256()).toBe(disk.sha256());
  expect(digestOf(received)).toBe(disk.sha256());
  expect(received.stored).toBeLessThan(2 * MIB);
  expect(grownDisk(received, 12 * MIB).read(ODD - 2, ODD + 2)).toEqual(
    Uint8Array.from([...disk.read(ODD - 2, ODD), 0, 0]),
  );
});
