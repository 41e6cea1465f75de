import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { pack } from 'tar-stream';

const gzipAsync = promisify<Uint8Array, { level: number }, Buffer>(gzip);

/**
 * Packs a chart's files as `helm package` does. From a folder Helm would leave out `templates/.hidden.yaml`, and a file
 * system may not tell `A.yaml` from `a.yaml`.
 */
export async function packChart(files: ReadonlyMap<string, string>): Promise<Buffer> {
  const tar = pack();
  for (const [path, content] of files) tar.entry({ name: `frozen/${path}` }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  // Read once, by Helm, and deleted: not worth compressing well.
  return gzipAsync(Buffer.concat(chunks), { level: 1 });
}
