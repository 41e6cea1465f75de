import { collectionPath } from '../cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject, type OwnerReference } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { TransshipError } from '../errors.ts';
import type { VmDescription } from './description.ts';
import { findVmKind, needVmKind, type VmKind } from './kinds.ts';
import { planObjects } from './plan-objects.ts';
import { ABSENT, objectKey, PRESENT, type Seen } from './plan-states.ts';
import { type PlannedVolume, planVolumes } from './plan-volumes.ts';
import { createLookUp } from './read-object.ts';
import { createRandom, IMPORTING, newSeed, noteOn } from './restore-note.ts';
import { RUN_STRATEGIES, rewriteVm, runStrategyOf } from './rewrite-vm.ts';
import { readStorageClasses } from './storage-classes.ts';
import { findClaims, templateSpecOf } from './vm-references.ts';

/** A machine, or a single claim, as an archive has it. */
export interface ArchivedVm extends VmDescription {
  /** Bytes of each raw disk, and of all files of each directory, by claim: what `volumes/` holds. */
  readonly sizes: Readonly<Record<string, number>>;
}

export interface VmImportOptions {
  /** Of the machine, or the single claim, at the target; default that in the archive. */
  readonly name?: string | undefined;
  readonly namespace: string;
  /** From the name of a storage class in the archive to that of one at the target. */
  readonly storageClassMap: Readonly<Record<string, string>>;
  /** Whether it has the MAC addresses, firmware UUID and serial of the source, or gets new ones. */
  readonly identity: 'new' | 'keep';
  /** Once its disks are in place; default that of the source. */
  readonly runStrategy?: string | undefined;
  /** Whether something else of the same import brings an object, by {@link objectKey}: then it is no matter of ours. */
  readonly isBrought?: ((key: string) => boolean) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Five letters and digits, other ones each time; only tests pass it. */
  readonly random?: (() => string) | undefined;
}

/** What an import of one machine would make, and what stands against it. */
export interface VmImportPlan {
  /** To be created off, when `objects` are there; undefined for a claim alone. */
  readonly vm?: KubeObject;
  /** What to set when all disks are in place and verified. */
  readonly runStrategy?: string;
  /** KubeVirt makes those that are templates; the others are created after the machine, and owned by it. */
  readonly dataVolumes: readonly PlannedVolume[];
  /** To be created first, in this order; ControllerRevisions get {@link ownedBy} the machine once it is there. */
  readonly objects: readonly KubeObject[];
  /** Each as a whole sentence; an import with any must not begin. */
  readonly problems: readonly string[];
  /** What will be other than at the source, and has to be. */
  readonly notes: readonly string[];
  /** The name is taken, which is among the problems. */
  readonly isTaken: boolean;
  /** What made-up names come from. */
  readonly seed: string;
  /** What an import that was interrupted has left under the name: the machine, or the DataVolume of a claim alone. */
  readonly half?: KubeObject | undefined;
  /** What the target had that this plan follows from. */
  readonly seen: Seen;
}

const NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const LONGEST_NAME = 63;

/**
 * Checks all that an import of a machine needs, reading only: a free name, storage classes, networks, instancetypes,
 * Secrets, and plans what to create. All problems are found at once.
 *
 * @throws ClusterError when the target does not answer
 */
export async function checkVmImport(
  cluster: Cluster,
  discovery: Discovery,
  archive: ArchivedVm,
  options: VmImportOptions,
): Promise<VmImportPlan> {
  const { namespace, identity, storageClassMap, isBrought, signal } = options;
  const problems: string[] = [];
  const apiVersionOf = (kind: VmKind, otherwise: string): string => {
    try {
      return needVmKind(discovery, kind, cluster.context).apiVersion;
    } catch (error) {
      if (!(error instanceof TransshipError)) throw error;
      problems.push([error.message, error.hint].filter(Boolean).join(' '));
      return otherwise;
    }
  };
  const dataVolumeVersion = apiVersionOf('DataVolume', 'cdi.kubevirt.io/v1beta1');
  apiVersionOf('UploadTokenRequest', '');
  const vmVersion = archive.vm === undefined ? '' : apiVersionOf('VirtualMachine', archive.vm.apiVersion);
  const name = options.name ?? archive.vm?.metadata.name ?? archive.volumes[0]?.pvc ?? '';
  problems.push(...checkNames(name, options));

  const [taken, classes, isNew] = await Promise.all([
    findTaken(cluster, discovery, archive, { name, namespace, signal }),
    readStorageClasses(cluster, signal),
    isNewNamespace(cluster, namespace, signal),
  ]);
  problems.push(...taken.problems);
  const { half } = taken;
  const isTaken = taken.problems.length > 0;
  const note = half === undefined ? undefined : noteOn(half);
  const seed = note?.seed ?? newSeed();
  const left = new Set(Object.values(note?.made ?? {}));
  const random = options.random ?? createRandom(seed);
  const space = objectKey({ group: '', kind: 'Namespace', name: namespace });
  const seen = new Map([...taken.seen, [space, isNew ? ABSENT : PRESENT]]);
  const volumes = planVolumes(archive, {
    vm: archive.vm === undefined ? undefined : name,
    claim: name,
    apiVersion: dataVolumeVersion,
    sizes: archive.sizes,
    ...{ namespace, storageClassMap, classes, random },
  });
  problems.push(...volumes.problems);
  if (archive.vm === undefined && archive.volumes.length > 1) {
    problems.push(
      `The archive has ${archive.volumes.length} claims and no machine: only one claim can be imported alone.`,
    );
  }
  const spaces: KubeObject[] = isNew ? [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }] : [];
  if (archive.vm === undefined) {
    return { dataVolumes: volumes.volumes, objects: spaces, problems, notes: volumes.notes, isTaken, seed, half, seen };
  }

  problems.push(...checkClaims(archive.vm, archive));
  const lookUp = createLookUp(cluster, discovery, signal);
  const others = await planObjects(archive.vm, archive, {
    ...{ discovery, lookUp, name, namespace, random, isBrought, left },
  });
  problems.push(...others.problems);
  const { revisions } = others;
  return {
    vm: rewriteVm(archive.vm, {
      apiVersion: vmVersion,
      name,
      namespace,
      identity,
      revisions,
      volumes: volumes.volumes,
    }),
    runStrategy: options.runStrategy ?? runStrategyOf(archive.vm),
    dataVolumes: volumes.volumes,
    objects: [...spaces, ...others.objects],
    problems,
    notes: [...volumes.notes, ...others.notes],
    isTaken,
    seed,
    half,
    seen: new Map([...seen, ...others.seen]),
  };
}

/** What KubeVirt writes into what belongs to a machine. @param vm - as it was created */
export function ownedBy({ apiVersion, kind, metadata }: KubeObject): OwnerReference {
  return {
    ...{ apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '' },
    ...{ controller: true, blockOwnerDeletion: true },
  };
}

function checkNames(name: string, { runStrategy }: VmImportOptions): string[] {
  const problems: string[] = [];
  if (!NAME.test(name) || name.length > LONGEST_NAME) {
    problems.push(
      `"${name}" can't be the name of a virtual machine: at most ${LONGEST_NAME} lower-case letters, digits, "-" and ".", with a letter or digit first and last.`,
    );
  }
  if (runStrategy !== undefined && !RUN_STRATEGIES.includes(runStrategy)) {
    problems.push(`"${runStrategy}" is no run strategy: there are ${RUN_STRATEGIES.join(', ')}.`);
  }
  return problems;
}

/** What is there already under the name that is to be free. */
async function findTaken(
  cluster: Cluster,
  discovery: Discovery,
  { vm }: ArchivedVm,
  { name, namespace, signal }: { name: string; namespace: string; signal: AbortSignal | undefined },
): Promise<{ problems: string[]; half: KubeObject | undefined; seen: Seen }> {
  const kinds: readonly VmKind[] = vm === undefined ? ['DataVolume'] : ['VirtualMachine', 'VirtualMachineInstance'];
  const places = kinds.flatMap((kind): { group: string; kind: string; path: string }[] => {
    const served = findVmKind(discovery, kind);
    return served === undefined ? [] : [{ group: served.group, kind, path: collectionPath(served, namespace) }];
  });
  if (vm === undefined) {
    const path = `/api/v1/namespaces/${namespace}/persistentvolumeclaims`;
    places.push({ group: '', kind: 'PersistentVolumeClaim', path });
  }
  const seen = new Map<string, string>();
  const found = await Promise.all(
    places.map(async ({ group, kind, path }) => {
      const there = await findObject(cluster, `${path}/${encodeURIComponent(name)}`, signal);
      const state = there === undefined ? ABSENT : `${there.metadata.uid} ${there.metadata.annotations?.[IMPORTING]}`;
      seen.set(objectKey({ group, kind, namespace, name }), state);
      return there === undefined ? [] : [there];
    }),
  );
  const [first, ...rest] = found.flat();
  if (first === undefined) return { problems: [], half: undefined, seen };
  const isHalf = noteOn(first) !== undefined && (vm === undefined || runStrategyOf(first) === 'Halted');
  const taken = isHalf ? rest.find((one) => one.metadata.ownerReferences?.[0]?.uid !== first.metadata.uid) : first;
  if (taken === undefined) return { problems: [], half: first, seen };
  const way = 'delete it, or import under another name with `name`.';
  return { problems: [`The ${taken.kind} ${namespace}/${name} exists at the target: ${way}`], half: undefined, seen };
}

/** @returns whether it is to be created; not where that can't be known */
async function isNewNamespace(cluster: Cluster, namespace: string, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    return (await findObject(cluster, `/api/v1/namespaces/${encodeURIComponent(namespace)}`, signal)) === undefined;
  } catch (error) {
    if (error instanceof ClusterError && error.status === 403) return false;
    throw error;
  }
}

/** Every claim a volume names has to come with the archive: there is none of that name at the target but by accident. */
function checkClaims(vm: KubeObject, { volumes }: ArchivedVm): string[] {
  return findClaims(templateSpecOf(vm))
    .filter(({ claim }) => !volumes.some(({ pvc }) => pvc === claim))
    .map(({ volume, claim }) => `The volume "${volume}" needs the claim ${claim}, which is not in the archive.`);
}
