import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { type Entry, readBody } from '../src/archive/entry.ts';
import { readArchive } from '../src/archive/read.ts';
import type { KubeObject } from '../src/cluster/cluster.ts';
import type { Discovery, ResourceKind } from '../src/cluster/discovery.ts';
import { writeCreations } from './fill-objects.ts';
import { type Creation, isOfBench } from './objects.ts';

/** Kinds without which others cannot be created. */
const FIRST = ['Namespace', 'CustomResourceDefinition'];

/** What an archive has, as the script create-raw wants it. */
export interface ArchiveRequests {
  readonly files: readonly string[];
  /** All objects. */
  readonly objects: number;
  /** Those that the bench made. */
  readonly ofBench: number;
}

/**
 * Writes the creations of every object in an archive, in its order, but that namespaces and definitions come first. They
 * are as Transship stored them, without owner references, as an owner's new uid cannot be known.
 */
export async function writeRequestsOf(archive: string, discovery: Discovery, folder: string): Promise<ArchiveRequests> {
  let objects = 0;
  let ofBench = 0;
  const write = async (name: string, isWanted: (object: KubeObject) => boolean) => {
    const file = join(folder, name);
    async function* creations(): AsyncGenerator<Creation> {
      for await (const object of readObjects(archive)) {
        if (!isWanted(object)) continue;
        objects++;
        if (isOfBench(object)) ofBench++;
        delete object.metadata.ownerReferences;
        yield { path: collectionOf(discovery, object), object };
      }
    }
    await writeCreations(file, creations());
    return file;
  };
  const files = [
    await write('first', ({ kind }) => FIRST.includes(kind)),
    await write('rest', ({ kind }) => !FIRST.includes(kind)),
  ];
  return { files, objects, ofBench };
}

async function* readObjects(archive: string): AsyncGenerator<KubeObject> {
  for await (const entry of readArchive(createReadStream(archive))) {
    if (!isList(entry)) continue;
    const { items }: { items: KubeObject[] } = JSON.parse((await readBody(entry)).toString());
    yield* items;
  }
}

function isList({ path }: Entry): boolean {
  return !path.startsWith('_') && path.endsWith('.json');
}

function collectionOf(discovery: Discovery, { apiVersion, kind, metadata }: KubeObject): string {
  const found = discovery.findKind(apiVersion, kind);
  if (found === undefined) throw new Error(`The cluster does not serve ${kind} of ${apiVersion}.`);
  return collectionPath(found, metadata.namespace);
}

/** The path of a kind's collection, in a namespace or in all. */
export function collectionPath({ apiVersion, plural }: ResourceKind, namespace?: string): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return `${root}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${plural}`;
}
