import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { frameCompressions } from '../../src/archive/frame-codec.ts';
import { JOURNAL_SUFFIX, parseJournal } from '../../src/archive/frame-journal.ts';
import { writeFramedFile } from '../../src/archive/framed-file.ts';
import { type FramedEntry, lengthOf, type Piece } from '../../src/archive/frames.ts';
import type { NewPart, PartStore } from '../../src/archive/part.ts';

export interface PartFolderOptions {
  /** Ends the writing of a part after so many bytes of its large files, as a kill would; told before. */
  readonly kill?: { readonly after: number; readonly onKill: () => void };
  /** Bytes of tar in each frame. */
  readonly frameBytes?: number;
}

/** Parts as files of a folder, which go on where they stopped. */
export async function openPartFolder(folder: string, options: PartFolderOptions = {}): Promise<PartStore> {
  const { kill, frameBytes = 256 * 1024 } = options;
  const interrupted = new Map<string, string>();
  for (const name of await readdir(folder)) {
    if (!name.endsWith(JOURNAL_SUFFIX)) continue;
    const journal = parseJournal(await readFile(join(folder, name), 'utf8'));
    if ('head' in journal) interrupted.set(name.replace(/\.tar\.\w+\.journal$/, ''), journal.head.source);
  }
  return {
    id: '26-01-31_12-00-00',
    interrupted,
    isBare: false,
    async write(part) {
      const compression = frameCompressions.find((one) => one === part.compression);
      if (compression === undefined) throw new Error(`No ${part.compression} in this folder`);
      const file = `${part.name}.tar.${compression === 'xz' ? 'xz' : 'zst'}`;
      const location = join(folder, file);
      const entries = kill === undefined ? part.entries : () => killAfter(part, kill);
      const { mtime, source, onRestart, signal } = part;
      const written = await writeFramedFile(location, entries, {
        ...{ compression, frameBytes, mtime, source, signal },
        ...(onRestart === undefined ? {} : { onRestart }),
      });
      return { file, location, ...written };
    },
    async finish() {},
    async close() {},
  };
}

async function* killAfter(
  { entries }: NewPart,
  { after, onKill }: NonNullable<PartFolderOptions['kill']>,
): AsyncGenerator<FramedEntry> {
  let left = after;
  for await (const entry of entries()) {
    const { body } = entry;
    if (body instanceof Uint8Array) {
      yield entry;
      continue;
    }
    yield {
      ...entry,
      async *body(from): AsyncGenerator<Piece> {
        for await (const piece of body(from)) {
          if (left <= 0) {
            onKill();
            throw new Error('killed');
          }
          left -= lengthOf(piece);
          yield piece;
        }
      },
    };
  }
}
