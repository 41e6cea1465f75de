import { timingSafeEqual } from 'node:crypto';
import {
  type Answer,
  diskContent,
  emptyAnswer,
  type Handler,
  type HttpRequest,
  NOT_FOUND,
  serveContent,
  textAnswer,
} from './answers.ts';
import { gzipped } from './compressed.ts';
import { archiveOf, serveFolder } from './folders.ts';
import type { Volume } from './volumes.ts';

/** The header, and the query's name, that carry the token of an export. */
export const EXPORT_TOKEN = 'x-kubevirt-export-token';

/** One volume that an export server serves. */
export interface ExportedVolume {
  /** The claim's name, which is in the paths. */
  readonly claim: string;
  /** `disk`: raw and gzip; `archive`: a folder and tar.gz, whatever it holds. */
  readonly as: 'disk' | 'archive';
  readonly volume: Volume;
}

export interface ExportServerOptions {
  readonly volumes: () => readonly ExportedVolume[];
  /** The token as the Secret has it, with whatever is around it; read for each request. */
  readonly token: () => string | Promise<string>;
  /** What `/internal/manifests/all` and its like answer: a list of objects by path. */
  readonly manifests?: Readonly<Record<string, () => readonly object[]>>;
}

/**
 * What one exporter pod answers. As the real one: `raw` with HEAD and Range but nothing to make a Range conditional,
 * `gzip` and `tar.gz` in one piece only and with a good end even when the volume could not be read, the token untrimmed
 * in header or query, and anybody let in where the token is empty.
 *
 * @see https://github.com/kubevirt/kubevirt/blob/main/pkg/storage/export/virt-exportserver/exportserver.go
 */
export function exportHandler({ volumes, token, manifests = {} }: ExportServerOptions): Handler {
  return async (request) => {
    if (request.path === '/exportready') return textAnswer(200, 'OK');
    const answer = findVolumeAnswer(request, volumes()) ?? findManifest(request, manifests);
    if (answer === undefined) return NOT_FOUND;
    return isAllowed(request, await token()) ? answer() : emptyAnswer(401);
  };
}

/** The paths of a volume, by format. */
export function pathsOf(volume: Pick<ExportedVolume, 'claim' | 'as'>): Readonly<Record<string, string>> {
  const base = `/volumes/${volume.claim}`;
  return volume.as === 'disk'
    ? { raw: `${base}/disk.img`, gzip: `${base}/disk.img.gz` }
    : // A link has no slash at its end; the server redirects to the path with one, and the proxy's prefix is lost.
      { dir: `${base}/dir`, 'tar.gz': `${base}/disk.tar.gz` };
}

function findVolumeAnswer(
  request: HttpRequest,
  volumes: readonly ExportedVolume[],
): (() => Promise<Answer> | Answer) | undefined {
  const { path } = request;
  for (const exported of volumes) {
    const paths = pathsOf(exported);
    const { volume } = exported;
    if (path === paths.raw) return () => serveRaw(request, volume);
    if (path === paths.gzip) return () => serveGzip(request, volume);
    if (path === paths.dir) {
      const headers = { location: `${path}/`, 'content-length': '0' };
      return () => ({ status: 301, headers });
    }
    if (paths.dir !== undefined && path.startsWith(`${paths.dir}/`)) {
      const relative = path.slice(paths.dir.length);
      return () =>
        'folder' in volume ? serveFolder(request, volume.folder, relative) : diskAsFolder(request, volume, relative);
    }
    if (path === paths['tar.gz']) return () => serveArchive(request, volume);
  }
  return undefined;
}

function serveRaw(request: HttpRequest, volume: Volume): Answer | Promise<Answer> {
  if ('folder' in volume) return emptyAnswer(500); // There is no disk.img in it that could be opened.
  return serveContent(request, diskContent(volume.disk, request.fault));
}

function serveGzip(request: HttpRequest, volume: Volume): Answer {
  if (request.method !== 'GET') return emptyAnswer(400);
  if ('folder' in volume) return emptyAnswer(500);
  const { disk } = volume;
  const content = diskContent(disk, request.fault);
  return {
    status: 200,
    headers: { 'content-type': 'application/x-gzip' },
    body: gzipped(content.pieces(0, disk.size), request.signal),
  };
}

async function serveArchive(request: HttpRequest, volume: Volume): Promise<Answer> {
  if (request.method !== 'GET') return emptyAnswer(400);
  if ('disk' in volume) return emptyAnswer(500);
  const archive = await archiveOf(volume.folder, request.fault);
  if (archive === undefined) return emptyAnswer(500);
  return {
    status: 200,
    headers: { 'content-type': 'application/x-gzip' },
    body: gzipped(archive, request.signal),
  };
}

// A claim that nobody said to be a disk is a folder with the file disk.img in it.
function diskAsFolder(
  request: HttpRequest,
  volume: { readonly disk: Parameters<typeof diskContent>[0] },
  path: string,
): Answer {
  if (path === '/disk.img') return serveContent(request, diskContent(volume.disk, request.fault), new Date(0));
  if (path === '/')
    return textAnswer(200, '<pre>\n<a href="disk.img">disk.img</a>\n</pre>\n', 'text/html; charset=utf-8');
  return NOT_FOUND;
}

function findManifest(
  request: HttpRequest,
  manifests: Readonly<Record<string, () => readonly object[]>>,
): (() => Answer) | undefined {
  const make = manifests[request.path];
  if (make === undefined) return undefined;
  return () => {
    if (request.method !== 'GET') return emptyAnswer(400);
    if (request.headers.accept === 'application/yaml') {
      // JSON is YAML.
      const text = make().map((object) => `${JSON.stringify(object)}\n---\n`);
      return textAnswer(200, text.join(''));
    }
    const list = { kind: 'List', apiVersion: 'v1', metadata: {}, items: make() };
    return textAnswer(200, JSON.stringify(list, undefined, 4));
  };
}

function isAllowed({ query, headers }: HttpRequest, token: string): boolean {
  return [query.get(EXPORT_TOKEN) ?? '', headers[EXPORT_TOKEN] ?? ''].some((given) => {
    const [left, right] = [Buffer.from(given), Buffer.from(token)];
    return left.byteLength === right.byteLength && timingSafeEqual(left, right);
  });
}
