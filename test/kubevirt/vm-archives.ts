import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { writeFramedFile } from '../../src/archive/framed-file.ts';
import type { FramedEntry, Piece } from '../../src/archive/frames.ts';
import type { PartReader } from '../../src/archive/part.ts';
import { zeros } from '../../src/archive/zeros.ts';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { writeYaml } from '../../src/vms/yaml.ts';
import { type Disk, PIECE, piecesOf } from './disks.ts';
import { claimObject, machineObject } from './machine-objects.ts';
import { type VolumeFile, writeFolder } from './volumes.ts';

/** A claim of a machine in an archive, and what it holds. */
export interface ArchivedClaim {
  readonly name: string;
  readonly disk?: Disk;
  readonly files?: readonly VolumeFile[];
  readonly volumeMode?: 'Block' | 'Filesystem';
  readonly storageClass?: string;
}

export interface ArchivedMachine {
  readonly namespace: string;
  readonly name: string;
  readonly claims: readonly ArchivedClaim[];
  /** Beside the machine and its claims. */
  readonly objects?: readonly KubeObject[];
  readonly runStrategy?: 'Always' | 'Halted' | 'Manual' | 'RerunOnFailure' | 'Once';
  /** Fields of `spec.template.spec`. */
  readonly template?: object;
  readonly volumes?: readonly object[];
}

const MTIME = new Date('2026-01-31T12:00:00Z');

/** Writes an archive of disks as Transship does: in frames. */
export async function writeVmArchive(location: string, machine: ArchivedMachine): Promise<void> {
  const resources = await resourcesOf(machine);
  async function* entries(): AsyncGenerator<FramedEntry> {
    for (const { path, text } of resources) {
      const body = Buffer.from(text);
      yield { path, size: body.byteLength, body };
    }
    for (const { name, disk } of machine.claims) {
      if (disk === undefined) throw new Error(`${name} has no disk`);
      yield { path: `volumes/${name}/disk.img`, size: disk.size, body: (from) => piecesFrom(disk, from) };
    }
  }
  await writeFramedFile(location, entries, { source: 'test', compression: 'zstd', mtime: MTIME, frameBytes: PIECE });
}

/**
 * Writes an archive as other programs do, with GNU tar.
 *
 * @param folder - of its files; made here
 * @param manifest - changes the manifest's text
 */
export async function writeForeignArchive(
  location: string,
  folder: string,
  machine: ArchivedMachine,
  manifest: (text: string) => string = (text) => text,
): Promise<void> {
  for (const { path, text } of await resourcesOf(machine)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  for (const { name, disk, files } of machine.claims) {
    const volume = join(folder, 'volumes', name);
    if (files !== undefined) await writeFolder(volume, files);
    if (disk === undefined) continue;
    await mkdir(volume, { recursive: true });
    await writeFile(join(volume, 'disk.img'), piecesOf(disk));
  }
  const lines: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const digest = createHash('sha1')
      .update(await readFile(path))
      .digest('hex');
    lines.push(`${digest}  ${path.slice(folder.length + 1)}\n`);
  }
  await writeFile(join(folder, 'manifest'), manifest(lines.join('')));
  await promisify(execFile)('tar', ['-S', '-caf', location, 'volumes', 'resources', 'manifest'], {
    cwd: folder,
    env: { ...process.env, XZ_OPT: '-0' },
  });
}

/** Reads an archive where it is. */
export async function openVmArchive(location: string): Promise<PartReader> {
  const file = await open(location, 'r');
  const { size } = await file.stat();
  return {
    size,
    async read(start, length) {
      const buffer = Buffer.alloc(length);
      await file.read(buffer, 0, length, start);
      return buffer;
    },
    bytes: () => createReadStream(location),
    close: () => file.close(),
  };
}

async function resourcesOf(machine: ArchivedMachine): Promise<{ path: string; text: string }[]> {
  const { namespace, name, claims, objects = [], runStrategy, template, volumes } = machine;
  const vm = machineObject({
    ...{ namespace, name },
    disks: claims.map((claim) => ({ name: `${claim.name}-disk`, claim: claim.name })),
    ...(runStrategy === undefined ? {} : { runStrategy }),
    ...(template === undefined ? {} : { template }),
    ...(volumes === undefined ? {} : { volumes }),
  });
  const files = [{ path: 'resources/vm.yaml', object: vm }];
  for (const { name: claim, disk, volumeMode = 'Filesystem', storageClass } of claims) {
    const annotations = disk === undefined ? {} : { 'cdi.kubevirt.io/storage.contentType': 'kubevirt' };
    const object = claimObject(namespace, claim, disk?.size ?? 1024 ** 2, { volumeMode, annotations });
    if (storageClass !== undefined) Object.assign(Object(object).spec, { storageClassName: storageClass });
    files.push({ path: `resources/pvc-${claim}.yaml`, object });
  }
  for (const object of objects) {
    files.push({ path: `resources/${object.kind.toLowerCase()}-${object.metadata.name}.yaml`, object });
  }
  return Promise.all(files.map(async ({ path, object }) => ({ path, text: await textOf(object) })));
}

async function textOf(object: object): Promise<string> {
  return String(await writeYaml(object as KubeObject));
}

async function* piecesFrom(disk: Disk, from: number): AsyncGenerator<Piece> {
  for (const piece of piecesOf(disk, from)) {
    const isZeros = [...zeros(piece.byteLength)].every((empty, at) => at === 0 && Buffer.compare(empty, piece) === 0);
    yield isZeros ? { zeros: piece.byteLength } : piece;
  }
}
