import type { KubeObject } from '../cluster/cluster.ts';
import { isMap, stringsIn } from '../values.ts';
import { STATE_LABEL } from './describe-volume.ts';
import type { VmDescription, VmVolume } from './description.ts';
import type { StorageClasses } from './storage-classes.ts';
import { textIn } from './vm-references.ts';

/** A volume as it is to be made and filled. */
export interface PlannedVolume {
  /** Of the claim in the archive: its folder in `volumes/`. */
  readonly source: string;
  /** Of the DataVolume and of the claim it makes. */
  readonly name: string;
  /** Bytes: of a disk its own, which the claim asks for, so that CDI does not make it larger; of files, what the claim asks for. */
  readonly size: number;
  readonly contentType: VmVolume['contentType'];
  readonly volumeMode: VmVolume['volumeMode'];
  /** Whole, as it is created where KubeVirt does not do it. */
  readonly dataVolume: KubeObject;
  /** One of the machine's `dataVolumeTemplates`: KubeVirt makes the DataVolume, and it goes with the machine. */
  readonly isTemplate: boolean;
}

export interface VolumeOptions {
  /** Of the machine at the target; undefined for a claim alone. */
  readonly vm: string | undefined;
  /** Of a claim alone. */
  readonly claim?: string | undefined;
  readonly namespace: string;
  /** Of the DataVolumes. */
  readonly apiVersion: string;
  /** Bytes of each raw disk, and of all files of each directory, by claim. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly storageClassMap: Readonly<Record<string, string>>;
  /** Undefined where they can't be known. */
  readonly classes: StorageClasses | undefined;
  /** Five letters and digits, other ones each time. */
  readonly random: () => string;
}

export interface VolumePlan {
  readonly volumes: readonly PlannedVolume[];
  readonly problems: readonly string[];
  /** What will be other than it was, and has to be. */
  readonly notes: readonly string[];
}

const MEBIBYTE = 1024 * 1024;
/** CDI makes no smaller claim: https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/controller/datavolume/util.go */
const LEAST_CLAIM = MEBIBYTE;
/** A claim's name becomes a label's value. */
const LONGEST_NAME = 63;
const BIND_NOW = 'cdi.kubevirt.io/storage.bind.immediate.requested';
const LEGACY_CLASS = 'volume.beta.kubernetes.io/storage-class';
/** Labels that CDI and KubeVirt put on claims, each for itself. */
const OTHERS_LABEL = /^((cdi\.|alerts\.)?(kubevirt|k8s)\.io|app\.kubernetes\.io)\/|^app$|^persistent-state-for$/;

/** Plans a DataVolume with source `upload` for each volume of an archive, and finds what stands against it. */
export function planVolumes({ volumes, objects }: VmDescription, options: VolumeOptions): VolumePlan {
  const problems: string[] = [];
  const notes: string[] = [];
  const missing = new Map<string, string[]>();
  const planned = volumes.flatMap((volume): PlannedVolume[] => {
    const claim = objects.find(
      ({ kind, metadata }) => kind === 'PersistentVolumeClaim' && metadata.name === volume.pvc,
    );
    const size = sizeOf(volume, options.sizes);
    if (claim === undefined || size === undefined) {
      problems.push(
        claim === undefined
          ? `The archive has no resources/pvc-${volume.pvc}.yaml for the volume "${volume.name}".`
          : `The archive has no content for the claim ${volume.pvc}, of the volume "${volume.name}".`,
      );
      return [];
    }
    const storageClass = pickClass(claim, options, missing, problems);
    const accessModes = pickAccessModes(claim, notes);
    noteGrowth(volume, size, notes);
    return [makeVolume(volume, claim, { size, storageClass, accessModes }, options)];
  });
  for (const [name, claims] of missing) problems.push(missingClass(name, claims, options.classes));
  return { volumes: planned, problems, notes };
}

/** A name for what belongs to a machine, unlike any other: `<vm>-<what>-<5 random>`. */
export function uniqueName(vm: string, what: string, random: string): string {
  // KubeVirt and CDI stumble over dots in claims' names: https://github.com/kubevirt/kubevirt/issues/16493
  const start = `${vm}-${what}`.replaceAll('.', '-').slice(0, LONGEST_NAME - random.length - 1);
  return `${start.replace(/-+$/, '')}-${random}`;
}

function makeVolume(
  volume: VmVolume,
  claim: KubeObject,
  spec: { readonly size: number; readonly storageClass: string | undefined; readonly accessModes: readonly string[] },
  { vm, claim: renamed, namespace, apiVersion, random }: VolumeOptions,
): PlannedVolume {
  const name = vm === undefined ? (renamed ?? volume.pvc) : uniqueName(vm, volume.pvc, random());
  const isState = volume.use === 'persistentState' && vm !== undefined;
  const labels = {
    ...Object.fromEntries(Object.entries(claim.metadata.labels ?? {}).filter(([key]) => !OTHERS_LABEL.test(key))),
    ...(isState && { [STATE_LABEL]: vm }),
  };
  const dataVolume: KubeObject = {
    apiVersion,
    kind: 'DataVolume',
    metadata: {
      name,
      namespace,
      // The machine stays off until its disks are in place, so that no consumer would ever come.
      annotations: { [BIND_NOW]: 'true' },
      ...(Object.keys(labels).length > 0 && { labels }),
    },
    spec: {
      source: { upload: {} },
      ...(volume.contentType === 'archive' && { contentType: 'archive' }),
      storage: {
        ...(spec.accessModes.length > 0 && { accessModes: spec.accessModes }),
        volumeMode: volume.volumeMode,
        resources: { requests: { storage: String(Math.max(LEAST_CLAIM, spec.size)) } },
        ...(spec.storageClass !== undefined && { storageClassName: spec.storageClass }),
      },
    },
  };
  return {
    source: volume.pvc,
    name,
    size: spec.size,
    contentType: volume.contentType,
    volumeMode: volume.volumeMode,
    dataVolume,
    // KubeVirt takes no template that no dataVolume or persistentVolumeClaim volume names.
    isTemplate: vm !== undefined && volume.use === 'disk',
  };
}

function sizeOf({ pvc, format, size = 0 }: VmVolume, sizes: Readonly<Record<string, number>>): number | undefined {
  const content = sizes[pvc];
  if (content === undefined) return undefined;
  return format === 'disk' ? content : Math.max(size, content);
}

/** @param missing - gathers the classes that the target does not have, with the claims that name them */
function pickClass(
  claim: KubeObject,
  { storageClassMap, classes }: VolumeOptions,
  missing: Map<string, string[]>,
  problems: string[],
): string | undefined {
  const { name, annotations } = claim.metadata;
  const before = textIn(claim.spec, 'storageClassName') ?? annotations?.[LEGACY_CLASS];
  const wanted = before === undefined ? undefined : (storageClassMap[before] ?? before);
  if (wanted !== undefined) {
    if (classes?.names.has(wanted) === false) {
      const key = wanted === before ? wanted : `${wanted} (for ${before})`;
      missing.set(key, [...(missing.get(key) ?? []), name]);
    }
    return wanted;
  }
  if (classes !== undefined && classes.default === undefined) {
    problems.push(
      `The claim ${name} names no storage class, and the target has no default one.${tellClasses(classes)}`,
    );
  }
  return undefined;
}

function missingClass(name: string, claims: readonly string[], classes: StorageClasses | undefined): string {
  return `The target has no storage class ${name}, which ${claims.join(', ')} ${claims.length === 1 ? 'needs' : 'need'}: map it with \`storage-class-map\`.${tellClasses(classes)}`;
}

function tellClasses(classes: StorageClasses | undefined): string {
  const names = [...(classes?.names ?? [])].sort();
  return names.length === 0 ? ' It has none at all.' : ` It has ${names.join(', ')}.`;
}

function pickAccessModes({ metadata, spec }: KubeObject, notes: string[]): readonly string[] {
  const modes = isMap(spec) ? stringsIn(spec.accessModes) : [];
  if (modes.length === 0 || modes.some((mode) => mode !== 'ReadOnlyMany')) return modes;
  notes.push(`The claim ${metadata.name} is ReadOnlyMany, which can't be filled: it becomes ReadWriteOnce.`);
  return ['ReadWriteOnce'];
}

/** https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/util/util.go (GetRequiredSpace, GetUsableSpace) */
function noteGrowth({ pvc, format, volumeMode }: VmVolume, size: number, notes: string[]): void {
  if (format !== 'disk' || volumeMode === 'Block' || size % MEBIBYTE === 0) return;
  notes.push(
    `The disk of ${pvc} has ${size} bytes, no whole number of MiB: CDI may add up to ${MEBIBYTE - (size % MEBIBYTE)} zeros at its end.`,
  );
}
