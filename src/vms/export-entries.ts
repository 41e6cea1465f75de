import { isFile } from '../archive/entry.ts';
import type { FramedEntry, Piece } from '../archive/frames.ts';
import type { Reporter } from '../report/reporter.ts';
import type { VmDescription, VmVolume } from './description.ts';
import { changed } from './disk-errors.ts';
import type { OpenedExport } from './export-object.ts';
import type { ExportProgress } from './export-progress.ts';
import type { VmHttp } from './http.ts';
import { readDirectory } from './read-directory.ts';
import { readDisk } from './read-disk.ts';
import { intoArchive, volumeFolder } from './volume-entries.ts';
import { writeResources } from './write-resources.ts';

/** Where the content of a claim is read. */
export interface VolumeToRead {
  readonly volume: VmVolume;
  readonly from: OpenedExport;
}

/** A claim as it is in an archive. */
export interface StoredVolume {
  readonly claim: string;
  readonly contents: 'disk' | 'files';
  /** Bytes uncompressed. */
  readonly size: number;
}

export interface ReadVolumesOptions {
  readonly http: VmHttp;
  /** Bytes of each of the four ranges that are read at once. */
  readonly rangeBytes: number;
  /** Milliseconds without a byte after which it gives up. */
  readonly timeout: number;
  readonly progress: ExportProgress;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** The files of one archive. */
export interface ArchiveEntries {
  /** In their order; may be called again. What was stored by an earlier run is not read. */
  read(): AsyncGenerator<FramedEntry>;
  /** Sizes of folders that were not read, because all was stored already, are those of their claims. */
  volumes(): Promise<StoredVolume[]>;
}

/**
 * All files of a VM archive but `manifest`: the machine's objects, then its volumes in the order of its claims. At the end it
 * makes sure that nothing can have written to them meanwhile.
 */
export function archiveEntries(
  description: VmDescription,
  sources: readonly VolumeToRead[],
  options: ReadVolumesOptions,
): ArchiveEntries {
  const stored = new Map<string, StoredVolume>();

  async function* read(): AsyncGenerator<FramedEntry> {
    for await (const { path, size, body } of writeResources(description)) {
      if (!(body instanceof Uint8Array)) throw new Error(`${path} is in memory.`);
      yield { path, size, body };
    }
    for (const source of sources) {
      yield* (await hasRaw(source)) ? readOneDisk(source) : readFiles(source);
    }
    for (const from of new Set(sources.map((one) => one.from))) await from.check();
  }

  async function* readOneDisk({ volume: { pvc }, from: exported }: VolumeToRead): AsyncGenerator<FramedEntry> {
    const reading = readOptions(exported, options);
    // Asks for its size only: nothing is read before the pieces are taken.
    const { size } = await readDisk(pvc, reading);
    stored.set(pvc, { claim: pvc, contents: 'disk', size });
    const { progress } = options;
    yield {
      path: `${volumeFolder(pvc)}/disk.img`,
      size,
      async *body(from) {
        progress.begin(pvc, size, from);
        // The archive copies what it is given.
        const disk = await readDisk(pvc, { ...reading, from, reuse: true });
        if (disk.size !== size) throw changed(pvc, `${size} bytes`, `${disk.size} bytes`);
        for await (const piece of disk.pieces) {
          progress.add(piece.byteLength);
          yield piece;
        }
      },
    };
  }

  async function* readFiles({ volume: { pvc }, from: exported }: VolumeToRead): AsyncGenerator<FramedEntry> {
    const { progress } = options;
    let total = 0;
    progress.begin(pvc, undefined, 0);
    for await (const entry of readDirectory(pvc, readOptions(exported, options))) {
      const { body, ...placed } = intoArchive(entry, pvc);
      if (isFile(entry)) total += entry.size;
      stored.set(pvc, { claim: pvc, contents: 'files', size: total });
      if (body instanceof Uint8Array) {
        progress.add(body.byteLength);
        yield { ...placed, body };
      } else {
        yield { ...placed, body: (from) => skipTo(body, from, progress) };
      }
    }
  }

  async function measure(source: VolumeToRead): Promise<StoredVolume> {
    const { pvc, size = 0 } = source.volume;
    const known = stored.get(pvc);
    if (known !== undefined) return known;
    if (!(await hasRaw(source))) return { claim: pvc, contents: 'files', size };
    const disk = await readDisk(pvc, readOptions(source.from, options));
    return { claim: pvc, contents: 'disk', size: disk.size };
  }

  return { read, volumes: () => Promise.all(sources.map(measure)) };
}

async function hasRaw({ volume, from }: VolumeToRead): Promise<boolean> {
  const { volumes } = await from.links();
  const link = volumes.find(({ name }) => name === volume.pvc);
  return link === undefined ? volume.format === 'disk' : link.formats.raw !== undefined;
}

function readOptions(exported: OpenedExport, options: ReadVolumesOptions) {
  const { http, rangeBytes, timeout, reporter, signal } = options;
  return {
    ...{ http, rangeBytes, timeout, reporter, signal },
    token: exported.token,
    links: () => exported.links(),
    refresh: () => exported.links(true),
  };
}

/** A tar can't be had from its middle: what comes before is read, and left out. */
async function* skipTo(body: AsyncIterable<Uint8Array>, from: number, progress: ExportProgress): AsyncGenerator<Piece> {
  let at = 0;
  for await (const piece of body) {
    const rest = piece.subarray(Math.min(Math.max(0, from - at), piece.byteLength));
    at += piece.byteLength;
    progress.add(piece.byteLength);
    if (rest.byteLength > 0) yield rest;
  }
}
