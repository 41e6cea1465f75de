import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { type Answer, type Body, type HttpRequest, NOT_FOUND, ReadError, serveContent, textAnswer } from './answers.ts';
import type { Fault } from './faults.ts';

const EXCLUDED = 'lost+found';

/**
 * Serves a folder as Go's `http.FileServer` does, except that links which lead out of it are not found.
 *
 * @param path - begins with a slash
 */
export async function serveFolder(request: HttpRequest, folder: string, path: string): Promise<Answer> {
  const file = await resolveWithin(folder, path);
  if (file === undefined) return NOT_FOUND;
  const stats = await stat(file);
  if (stats.isDirectory()) {
    if (!path.endsWith('/')) return redirect(`${path.slice(path.lastIndexOf('/') + 1)}/`);
    return textAnswer(200, await listing(file), 'text/html; charset=utf-8');
  }
  if (path.endsWith('/')) return redirect(`../${path.split('/').at(-2) ?? ''}`);
  const pieces = (start: number, end: number): Body =>
    end > start ? createReadStream(file, { start, end: end - 1 }) : [];
  return serveContent(request, { size: stats.size, pieces }, stats.mtime);
}

/**
 * The folder as GNU tar packs it, holes and all.
 *
 * @returns undefined where something at the top cannot be opened, such as a link that leads nowhere
 */
export async function archiveOf(folder: string, fault?: Fault): Promise<Body | undefined> {
  return (await canOpenAll(folder)) ? tarOf(folder, fault) : undefined;
}

/** Whether all at the top of a folder can be opened; else the real server does not even start. */
export async function canOpenAll(folder: string): Promise<boolean> {
  for (const name of await readdir(folder)) {
    if (name === EXCLUDED) continue;
    try {
      const handle = await open(join(folder, name), 'r');
      await handle.close();
    } catch {
      return false;
    }
  }
  return true;
}

async function* tarOf(folder: string, fault: Fault | undefined): AsyncGenerator<Uint8Array> {
  const args = ['-S', '-c', '-f', '-', `--exclude=${EXCLUDED}`, '.'];
  const tar = spawn('tar', args, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    tar.once('error', reject);
    tar.once('close', resolve);
  });
  ended.catch(() => undefined);
  let length = 0;
  try {
    for await (const piece of tar.stdout as AsyncIterable<Uint8Array>) {
      if (fault?.kind === 'read-error' && length + piece.byteLength > fault.after) {
        yield piece.subarray(0, fault.after - length);
        throw new ReadError(`The folder cannot be read after ${fault.after} bytes`);
      }
      length += piece.byteLength;
      yield piece;
    }
    if ((await ended) !== 0) throw new ReadError('tar failed');
  } finally {
    tar.kill();
  }
}

function redirect(location: string): Answer {
  return { status: 301, headers: { location, 'content-length': '0' } };
}

async function resolveWithin(folder: string, path: string): Promise<string | undefined> {
  try {
    const [root, file] = await Promise.all([realpath(folder), realpath(join(folder, path))]);
    return file === root || file.startsWith(root + sep) ? file : undefined;
  } catch {
    return undefined;
  }
}

async function listing(folder: string): Promise<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
  const escapeText = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&#34;');
  const links = names.map((name) => `<a href="${encodeURI(name).replaceAll('?', '%3F')}">${escapeText(name)}</a>\n`);
  return `<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n${links.join('')}</pre>\n`;
}
