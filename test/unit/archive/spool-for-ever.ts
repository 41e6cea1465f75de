// Spools an archive that never ends into the folder given, for a test that kills it.

import { spoolArchive } from '../../../src/archive/spool.ts';
import { writeArchive } from '../../../src/archive/write.ts';

const [directory = ''] = process.argv.slice(2);

async function* body() {
  for (let pieces = 0; ; pieces++) {
    yield Buffer.alloc(1 << 20, 'x');
    // Some of it has been written to the disk by now.
    if (pieces === 30) process.stdout.write('spooling\n');
  }
}

async function* entries() {
  yield { path: 'disk.img', size: 2 ** 40, body: body() };
}

await spoolArchive(writeArchive(entries(), { compression: 'none', mtime: new Date(0) }).bytes, { directory });
