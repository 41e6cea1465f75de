import { damaged } from './damage.ts';
import { frameCodecs, SEEK_FOOTER_BYTES, SEEK_FRAME_MAGIC, SEEK_MAGIC } from './frame-codec.ts';
import type { RandomAccess } from './frame-reader.ts';
import { type FrameTable, placeFrames, type SizedFrame } from './frame-table.ts';
import {
  blocksLength,
  parseXzIndex,
  XZ_FOOTER_BYTES,
  XZ_HEADER_BYTES,
  xzHeader,
  xzIndexLength,
} from './xz-container.ts';

/** Larger frames are not read at once but as a stream, from the start of the archive: those of `xz -6` are 24 MiB. */
const MAX_FRAME_BYTES = 32 * 1024 * 1024;
const MAX_TABLE_BYTES = 128 * 1024 * 1024;

/**
 * Reads where the frames of an archive are, by two short reads at its end: zstd's seek table, or xz's index. Those of
 * other programs are read as well: `xz -T0`, zeekstd, t2sz.
 *
 * @returns nothing for an archive that can only be read from its start
 * @throws TransshipError `ARCHIVE_DAMAGED` for an index that does not fit the archive
 */
export async function readFrameIndex(
  source: RandomAccess,
  compression: 'zstd' | 'xz',
): Promise<FrameTable | undefined> {
  if (source.size < XZ_HEADER_BYTES + XZ_FOOTER_BYTES) return undefined;
  const end = await source.read(source.size - XZ_FOOTER_BYTES, XZ_FOOTER_BYTES);
  const frames = await (compression === 'zstd' ? readSeekTable(source, end) : readXz(source, end));
  if (frames === undefined || frames.some(({ raw }) => raw > MAX_FRAME_BYTES)) return undefined;
  return placeFrames(frames, frameCodecs[compression].head.byteLength);
}

async function readSeekTable(source: RandomAccess, end: Buffer): Promise<SizedFrame[] | undefined> {
  const footer = end.subarray(-SEEK_FOOTER_BYTES);
  if (footer.readUInt32LE(SEEK_FOOTER_BYTES - 4) !== SEEK_MAGIC) return undefined;
  const flags = footer.readUInt8(4);
  const row = (flags & 0x80) === 0 ? 8 : 12;
  const length = footer.readUInt32LE(0) * row;
  const whole = 8 + length + SEEK_FOOTER_BYTES;
  // Bits that a decoder must not ignore.
  if ((flags & 0x7c) !== 0 || length > MAX_TABLE_BYTES || whole > source.size) return undefined;
  const table = await source.read(source.size - whole, 8 + length);
  if (table.readUInt32LE(0) !== SEEK_FRAME_MAGIC || table.readUInt32LE(4) !== whole - 8) return undefined;
  const frames: { length: number; raw: number }[] = [];
  // Frames without content go with the next one: decoders skip them.
  let skipped = 0;
  for (let at = 8; at < table.byteLength; at += row) {
    const stored = table.readUInt32LE(at) + skipped;
    const raw = table.readUInt32LE(at + 4);
    skipped = raw === 0 ? stored : 0;
    if (raw > 0) frames.push({ length: stored, raw });
  }
  const stored = frames.reduce((sum, frame) => sum + frame.length, skipped);
  if (stored + whole !== source.size) throw damaged('The zstd stream is damaged: its seek table does not fit it.');
  return frames;
}

/** One stream with CRC64, of any number of blocks; nothing for streams behind each other. */
async function readXz(source: RandomAccess, footer: Buffer): Promise<SizedFrame[] | undefined> {
  const head = await source.read(0, XZ_HEADER_BYTES);
  if (!head.equals(xzHeader())) return undefined;
  const length = xzIndexLength(footer);
  if (length > source.size) throw damaged('The xz stream is damaged: its index is longer than it.');
  const blocks = parseXzIndex(await source.read(source.size - XZ_FOOTER_BYTES - length, length));
  if (XZ_HEADER_BYTES + blocksLength(blocks) + length + XZ_FOOTER_BYTES !== source.size) return undefined;
  return blocks.map((block) => ({ length: blocksLength([block]), raw: block[1], blocks: [block] }));
}
