import { hash } from 'node:crypto';
import { damaged } from '../archive/damage.ts';
import { MANIFEST_PATH, parseManifest } from '../archive/digests.ts';
import { entryOf } from '../archive/entry.ts';
import type { FramedFile } from '../archive/framed-archive.ts';
import { openPartFiles } from '../archive/open-part.ts';
import type { PartReader } from '../archive/part.ts';
import { TransshipError } from '../errors.ts';
import type { VmVolume } from './description.ts';
import type { ArchivedVm } from './plan-vm-import.ts';
import { type KnownFile, readSmall } from './prepare-digests.ts';
import { readResources } from './read-resources.ts';
import { volumeFolder } from './volume-entries.ts';
import { RESOURCES } from './write-resources.ts';

/** What an archive has of one volume. */
export type VolumeContent =
  | { readonly kind: 'disk'; readonly disk: KnownFile }
  /** The volume's folder itself may be among them. */
  | { readonly kind: 'files'; readonly files: readonly KnownFile[] };

/** An archive whose objects were read, and whose volumes can be. */
export interface OpenedArchive {
  readonly archived: ArchivedVm;
  /** By claim. */
  readonly contents: ReadonlyMap<string, VolumeContent>;
  /** Tells one archive from another: a digest of the manifest, which has those of all files. */
  readonly id: string;
  readonly files: readonly KnownFile[];
  close(): Promise<void>;
}

export interface OpenArchiveOptions {
  /** Of the archive, in messages. */
  readonly origin: string;
  /** For what can't be read from anywhere. */
  readonly directory: string;
  readonly identities: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

const DISK = 'disk.img';
const MOST_OBJECT_BYTES = 8 * 1024 * 1024;
const MOST_MANIFEST_BYTES = 256 * 1024 * 1024;
/** Paths that a message names. */
const TOLD = 3;

/**
 * Opens an archive of one machine, reads its objects and compares their digests; what its volumes hold is only looked for.
 *
 * @throws TransshipError `ARCHIVE_DAMAGED` and `ARCHIVE_UNSUPPORTED`, naming the archive
 */
export async function openArchive(reader: PartReader, options: OpenArchiveOptions): Promise<OpenedArchive> {
  const { origin, directory, identities, signal } = options;
  let opened: Awaited<ReturnType<typeof openPartFiles>> | undefined;
  const close = async () => {
    await opened?.close();
    await reader.close();
  };
  try {
    opened = await openPartFiles(reader, { directory, identities, signal });
    const all = opened.files;
    const manifest = await readManifest(all);
    const files = all.flatMap((file): KnownFile[] =>
      file.path === MANIFEST_PATH ? [] : [{ file, sha1: manifest.sha1.get(file.path) }],
    );
    checkManifest(files, manifest.sha1);
    const resources = files.filter(({ file }) => isFile(file) && file.path.startsWith(RESOURCES));
    const entries = await Promise.all(
      resources.map(async (known) => entryOf(known.file.path, await readSmall(known, MOST_OBJECT_BYTES))),
    );
    const described = await readResources(entries);
    const contents = new Map<string, VolumeContent>();
    const volumes = described.volumes.map((volume): VmVolume => {
      const content = contentOf(volume, files);
      if (content === undefined) return volume;
      contents.set(volume.pvc, content);
      return asItIs(volume, content);
    });
    const sizes = Object.fromEntries([...contents].map(([claim, content]) => [claim, sizeOf(content)]));
    return { archived: { ...described, volumes, sizes }, contents, id: manifest.id, files, close };
  } catch (error) {
    await close();
    if (!(error instanceof TransshipError) || error.code === 'CANCELLED') throw error;
    throw new TransshipError(error.code, `${origin}: ${error.message}`, { hint: error.hint, cause: error });
  }
}

/** Bytes of a volume: of its disk, or of all its files. */
export function sizeOf(content: VolumeContent): number {
  return content.kind === 'disk' ? content.disk.file.size : content.files.reduce((sum, { file }) => sum + file.size, 0);
}

async function readManifest(files: readonly FramedFile[]): Promise<{ sha1: Map<string, string>; id: string }> {
  const file = files.find(({ path }) => path === MANIFEST_PATH);
  if (file === undefined) {
    throw new TransshipError(
      'ARCHIVE_UNSUPPORTED',
      `It has no file ${MANIFEST_PATH}, with the SHA-1 of each other file.`,
      {
        hint: `A VM archive needs one; write it with \`find resources volumes -type f -exec sha1sum {} + > ${MANIFEST_PATH}\` once you are sure of the files.`,
      },
    );
  }
  const bytes = await readSmall({ file, sha1: undefined }, MOST_MANIFEST_BYTES);
  // Other programs name what they have found in `.`.
  const text = bytes.toString('utf8').replace(/^([0-9a-f]{40} [ *])(?:\.\/+)+/gm, '$1');
  return { sha1: parseManifest(text), id: hash('sha256', text) };
}

/** Every file has a digest, and every digest its file. */
function checkManifest(files: readonly KnownFile[], manifest: ReadonlyMap<string, string>): void {
  const unnamed = files.filter(({ file, sha1 }) => isFile(file) && sha1 === undefined).map(({ file }) => file.path);
  if (unnamed.length > 0) throw damaged(`${MANIFEST_PATH} has no digest of ${tell(unnamed)}.`);
  const there = new Set(files.map(({ file }) => file.path));
  const missing = [...manifest.keys()].filter((path) => !there.has(path) && path !== MANIFEST_PATH);
  if (missing.length > 0) throw damaged(`${MANIFEST_PATH} names ${tell(missing)}, and the archive has no such file.`);
}

function tell(paths: readonly string[]): string {
  const more = paths.length - TOLD;
  return paths.slice(0, TOLD).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function contentOf({ pvc, format, use, volumeMode }: VmVolume, all: readonly KnownFile[]): VolumeContent | undefined {
  const folder = volumeFolder(pvc);
  const files = all.filter(({ file }) => file.path === folder || file.path.startsWith(`${folder}/`));
  if (files.length === 0) return undefined;
  const disk = files.find(({ file }) => file.path === `${folder}/${DISK}` && isFile(file));
  // A file system that holds nothing but its image is a disk to KubeVirt, whatever its claim says.
  const isOnly = files.every(({ file }) => file === disk?.file || file.type === 'directory');
  if (disk !== undefined && (format === 'disk' || (isOnly && use !== 'memoryDump'))) return { kind: 'disk', disk };
  // A block device holds no files.
  return volumeMode === 'Block' ? undefined : { kind: 'files', files };
}

/** Other programs do not write down what a claim holds. */
function asItIs(volume: VmVolume, { kind }: VolumeContent): VmVolume {
  return kind === 'disk'
    ? { ...volume, format: 'disk', contentType: 'kubevirt' }
    : { ...volume, format: 'directory', contentType: 'archive' };
}

function isFile({ type }: FramedFile): boolean {
  return type === 'file';
}
