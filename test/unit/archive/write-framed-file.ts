import { writeFramedFile } from '../../../src/archive/framed-file.ts';
import { disk, FRAME_BYTES, MTIME } from './framed.ts';

// Run as a program by framed-file.test.ts: writes an archive whose source falls silent after some bytes, tells, and waits.
const [location = '', stopAt = '0'] = process.argv.slice(2);
const body = async function* (from: number) {
  for (let at = from; at < Number(stopAt); at += 5_000) yield disk.subarray(at, at + 5_000);
  process.stdout.write('silent\n');
  await new Promise((resolve) => setTimeout(resolve, 60_000));
};
await writeFramedFile(
  location,
  async function* () {
    yield { path: 'volumes/root/disk.img', size: disk.byteLength, body };
  },
  { source: 'a', compression: 'zstd', frameBytes: FRAME_BYTES, mtime: MTIME },
);
