import { collectionPath } from '../cluster/apply.ts';
import { ClusterError, type KubeObject, type OwnerReference } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { UndoLog } from '../undo.ts';
import { type LinkOptions, linkOwners } from './owner-references.ts';
import { forEachAtOnce } from './pool.ts';
import { groupOf, idOf, keyOf, nameObject } from './resource.ts';
import type { ImportWork, WorkFile } from './work.ts';
import { pathOf, type Written, withOwners } from './write-object.ts';

export interface OwnerLinksOptions extends Omit<LinkOptions, 'changing'> {
  readonly discovery: Discovery;
  readonly reporter: Reporter;
  readonly concurrency: number;
  /** Why nothing more may be sent. */
  stopped(): string | undefined;
  /** Told of each object that was written, but could not be given its owners. */
  onFailure(file: WorkFile, object: string, outcome: Written['outcome'], error: unknown): void;
  readonly undo?: UndoLog | undefined;
}

/** Gives objects their owners, which go by uid: what is created before its owner is linked once that is there. */
export interface OwnerLinks {
  /** Keeps those references of an object that can be created with it, and returns all it had. */
  begin(object: KubeObject): readonly OwnerReference[];
  /** Links an object that was written as far as that is possible now, and remembers what is not. */
  end(file: WorkFile, object: KubeObject, references: readonly OwnerReference[], written: Written): Promise<void>;
  /** Notes a file that has an object with owners which was left as it is. */
  leave(file: WorkFile): void;
  /** Notes an owner that was written. */
  learn(key: string, isRecreated: boolean, written: Written): void;
  /** Those owners that an object had until they were created anew, with the uids they had. */
  lost(object: KubeObject): readonly OwnerReference[];
  /** Links what waited for owners that are there now. */
  settle(): Promise<void>;
  /** Links all that is left. What has an owner that is not at the target is counted in one warning. */
  finish(): Promise<void>;
}

/** An object that was written before its owners. */
interface Waiting {
  readonly file: WorkFile;
  readonly path: string;
  readonly object: string;
  readonly namespace: string | undefined;
  readonly references: readonly OwnerReference[];
  readonly outcome: Written['outcome'];
  /** Created by this import: to take it back, nobody has to know who owned it. */
  readonly isNew: boolean;
}

/** What can be said of an object's owners. */
interface Sorted {
  readonly known: readonly OwnerReference[];
  /** Still to come, or to be looked for. */
  readonly missing: readonly { readonly key: string; readonly reference: OwnerReference }[];
  readonly absent: readonly OwnerReference[];
}

const NAMES_TOLD = 10;

/** Makes the memory for owners of one import: uids of owners, and what waits for one. */
export function createOwnerLinks(work: ImportWork, options: OwnerLinksOptions): OwnerLinks {
  const { cluster, discovery, outage, reporter, concurrency, signal, stopped, onFailure, undo } = options;
  const uids = new Map<string, string>();
  const notThere = new Set<string>();
  /** And the uids they had, where something was there. */
  const recreated = new Map<string, string | undefined>();
  const left = new Set<WorkFile>();
  const kinds = new Map(work.files.map(({ kind }) => [`${kind.apiVersion}/${kind.kind}`, kind]));
  const dropped: string[] = [];
  let droppedCount = 0;
  let waiting: Waiting[] = [];

  /** An owner is in the namespace of what it owns, or in none. */
  function keyFor({ apiVersion, kind, name }: OwnerReference, namespace: string | undefined): string | undefined {
    const group = groupOf(apiVersion);
    const inNamespace = keyOf({ group, kind, namespace, name });
    if (work.owners.has(inNamespace)) return inNamespace;
    const inNone = keyOf({ group, kind, name });
    return work.owners.has(inNone) ? inNone : undefined;
  }

  function sort(references: readonly OwnerReference[], namespace: string | undefined): Sorted {
    const known: OwnerReference[] = [];
    const missing: { key: string; reference: OwnerReference }[] = [];
    const absent: OwnerReference[] = [];
    for (const reference of references) {
      const key = keyFor(reference, namespace);
      const uid = key === undefined ? undefined : uids.get(key);
      if (uid !== undefined) known.push({ ...reference, uid });
      else if (key === undefined || notThere.has(key)) absent.push(reference);
      else missing.push({ key, reference });
    }
    return { known, missing, absent };
  }

  function noteDropped(object: string, [owner]: readonly OwnerReference[]): void {
    if (owner === undefined) return;
    droppedCount += 1;
    if (dropped.length < NAMES_TOLD) dropped.push(`${object} (of ${owner.kind} ${owner.name})`);
  }

  async function lookUp(key: string, owner: OwnerReference, namespace: string | undefined): Promise<void> {
    const kind = kinds.get(`${owner.apiVersion}/${owner.kind}`) ?? discovery.findKind(owner.apiVersion, owner.kind);
    const path = kind && `${collectionPath(kind, namespace)}/${encodeURIComponent(owner.name)}`;
    const uid = path && (await outage.guard(() => findObject(cluster, path, signal)).catch(forbidden))?.metadata.uid;
    if (uid === undefined) notThere.add(key);
    else uids.set(key, uid);
  }

  /** @param lost - owners that it had, which are no more */
  function link(
    path: string,
    known: readonly OwnerReference[],
    { isNew, live, lost = [] }: { isNew: boolean; live?: KubeObject; lost?: readonly OwnerReference[] },
  ): Promise<void> {
    const changing =
      undo === undefined || isNew
        ? undefined
        : (at: string, before: KubeObject) => undo.changing(at, withOwners(before, lost));
    return linkOwners({ cluster, outage, signal, changing }, path, known, live);
  }

  function lostOf(references: readonly OwnerReference[], namespace: string | undefined): OwnerReference[] {
    return references.flatMap((owner) => {
      const uid = recreated.get(keyFor(owner, namespace) ?? '');
      return uid === undefined ? [] : [{ ...owner, uid }];
    });
  }

  async function linkWaiting(
    { file, path, object, namespace, references, outcome, isNew }: Waiting,
    lost: readonly OwnerReference[] = [],
  ): Promise<void> {
    try {
      const obstacle = stopped();
      if (obstacle !== undefined) throw new TransshipError('CANCELLED', obstacle);
      for (const { key, reference } of sort(references, namespace).missing) await lookUp(key, reference, namespace);
      const { known, absent } = sort(references, namespace);
      noteDropped(object, absent);
      if (known.length > 0) await link(path, known, { isNew, lost });
    } catch (error) {
      onFailure(file, object, outcome, error);
    }
  }

  /** What an owner owned that was deleted to be created anew has lost the reference to it. */
  async function linkLeft(file: WorkFile): Promise<void> {
    for await (const { object } of work.objects(file)) {
      const { namespace, ownerReferences = [] } = object.metadata;
      const lost = ownerReferences.filter((owner) => recreated.has(keyFor(owner, namespace) ?? ''));
      if (lost.length === 0) continue;
      const path = pathOf({ path: collectionPath(file.kind, file.namespace), object });
      const name = nameObject(idOf(object));
      const left = {
        file,
        path,
        object: name,
        namespace,
        references: lost,
        outcome: 'unchanged',
        isNew: false,
      } as const;
      await linkWaiting(left, lostOf(lost, namespace));
    }
  }

  return {
    begin({ metadata }) {
      const { ownerReferences, namespace } = metadata;
      if (ownerReferences === undefined) return [];
      const { known } = sort(ownerReferences, namespace);
      if (known.length === 0) delete metadata.ownerReferences;
      else metadata.ownerReferences = [...known];
      return ownerReferences;
    },
    async end(file, object, references, { outcome, isNew, live }) {
      if (references.length === 0) return;
      const { namespace } = object.metadata;
      const path = pathOf({ path: collectionPath(file.kind, file.namespace), object });
      const { known, missing, absent } = sort(references, namespace);
      const sent = object.metadata.ownerReferences?.length ?? 0;
      if (missing.length > 0) {
        waiting.push({ file, path, object: nameObject(idOf(object)), namespace, references, outcome, isNew });
        return;
      }
      noteDropped(nameObject(idOf(object)), absent);
      if (!isNew || known.length > sent) await link(path, known, { isNew, live });
    },
    leave: (file) => void left.add(file),
    learn(key, isRecreated, { live, replaced }) {
      if (live.metadata.uid === undefined || !work.owners.has(key)) return;
      uids.set(key, live.metadata.uid);
      if (isRecreated) recreated.set(key, replaced);
    },
    lost({ metadata: { ownerReferences = [], namespace } }) {
      return recreated.size === 0 ? [] : lostOf(ownerReferences, namespace);
    },
    async settle() {
      const isReady = ({ references, namespace }: Waiting) => sort(references, namespace).missing.length === 0;
      const ready = waiting.filter(isReady);
      if (ready.length === 0) return;
      waiting = waiting.filter((one) => !isReady(one));
      await forEachAtOnce(ready, concurrency, (one) => linkWaiting(one));
    },
    async finish() {
      const rest = waiting;
      waiting = [];
      await forEachAtOnce(rest, concurrency, (one) => linkWaiting(one));
      if (recreated.size > 0 && stopped() === undefined) for (const file of left) await linkLeft(file);
      if (droppedCount === 0) return;
      const more = droppedCount > dropped.length ? `, and ${droppedCount - dropped.length} more` : '';
      reporter.warn(
        `The owners of these objects are not at the target, so they came without: ${dropped.join(', ')}${more}.`,
        'Without owners',
      );
    },
  };
}

function forbidden(error: unknown): undefined {
  if (error instanceof ClusterError && error.status === 403) return undefined;
  throw error;
}
