import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pLimit from 'p-limit';
import { openCluster } from '../src/cluster/connect.ts';
import type { TestCluster } from '../test/cluster/cluster.ts';
import type { Bed } from './bed.ts';
import { BENCH_SELECTOR, type Creation, makeBasics, makeObjects } from './objects.ts';
import { tlsName } from './objects-of-app.ts';
import { bundleScript } from './scripts.ts';

/** Objects that the figures of resources are about. */
export const SMALL = 13_000;
/** Ten times as many, which must not cost more each. */
export const LARGE = 130_000;

const WRITES_AT_ONCE = 16;
/** Of so many Certificates one owns its Secret. */
const OWNING = 2;

/** A cluster that was filled. */
export interface Filled {
  readonly cluster: TestCluster;
  /** Objects that the bench made: each has its label. */
  readonly objects: number;
  /** Milliseconds that their creation took, the whole process. */
  readonly creation: number;
}

/** Fills a cluster with so many objects of two dozen kinds, 3.5 KB each as the API server sends them. */
export async function fillWithObjects(bed: Bed, cluster: TestCluster, objects: number): Promise<Filled> {
  bed.note(`Writing ${objects} objects`);
  const basics = makeBasics();
  const files = [join(bed.folder, `basics-${objects}`), join(bed.folder, `objects-${objects}`)];
  await writeCreations(files[0], basics);
  await writeCreations(files[1], makeObjects(objects - basics.length));
  const createRaw = await bundleScript(bed, 'create-raw');
  const { total, stdout } = await createRaw(cluster, { BENCH_FILES: JSON.stringify(files) }, { output: true });
  bed.note(`It took ${(total / 1000).toFixed(0)} s (${((objects / total) * 1000).toFixed(0)}/s): ${stdout}`);
  await ownSecrets(cluster);
  return { cluster, objects, creation: total };
}

/** Writes creations as the script create-raw reads them. */
export function writeCreations(file: string | undefined, creations: Iterable<Creation> | AsyncIterable<Creation>) {
  if (file === undefined) throw new Error('There is no file to write to.');
  async function* lines() {
    for await (const { path, object } of creations) yield `${path}\t${JSON.stringify(object)}\n`;
  }
  return pipeline(Readable.from(lines()), createWriteStream(file));
}

/** Owners are named by uid, which the server gives. */
async function ownSecrets({ kubeconfig }: TestCluster): Promise<void> {
  const api = await openCluster({ kubeconfig, concurrency: WRITES_AT_ONCE });
  const write = pLimit(WRITES_AT_ONCE);
  try {
    const patches: Promise<unknown>[] = [];
    const certificates = api.list('/apis/bench.example.com/v1/certificates', { labelSelector: BENCH_SELECTOR });
    for await (const { apiVersion, kind, metadata } of certificates) {
      const { namespace, name, uid } = metadata;
      if (Number(name.replace('app-', '')) % OWNING !== 0) continue;
      const ownerReferences = [{ apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true }];
      const path = `/api/v1/namespaces/${namespace}/secrets/${tlsName(name)}`;
      const contentType = 'application/merge-patch+json';
      const patch = { method: 'PATCH', path, contentType, body: { metadata: { ownerReferences } } } as const;
      patches.push(write(() => api.json(patch)));
    }
    await Promise.all(patches);
  } finally {
    await api.close();
  }
}
