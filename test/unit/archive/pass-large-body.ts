// Writes one large entry as an archive and reads it back as it is written; prints what it took.
import { type Compression, compressions } from '../../../src/archive/compression.ts';
import { readArchive } from '../../../src/archive/read.ts';
import { writeArchive } from '../../../src/archive/write.ts';

const [name, mebibytes] = process.argv.slice(2);
const compression: Compression = compressions.find((one) => one === name) ?? 'zstd';
const count = Number(mebibytes);

async function* entries() {
  const piece = new Uint8Array(1 << 20);
  async function* body() {
    for (let i = 0; i < count; i++) yield piece;
  }
  yield { path: 'disk.img', size: count * piece.byteLength, body: body() };
}

let bytes = 0;
for await (const { body } of readArchive(writeArchive(entries(), { compression, mtime: new Date(0) }).bytes)) {
  for await (const piece of body instanceof Uint8Array ? [body] : body) bytes += piece.byteLength;
}
// In KiB: https://nodejs.org/docs/latest-v24.x/api/process.html#processresourceusage
console.log(JSON.stringify({ bytes, peak: process.resourceUsage().maxRSS * 1024 }));
