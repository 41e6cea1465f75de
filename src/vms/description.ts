import type { KubeObject } from '../cluster/cluster.ts';

/** What a machine has a claim for. An `ephemeral` volume only reads from it; `persistentState` holds its TPM and EFI variables. */
export type VolumeUse = 'disk' | 'memoryDump' | 'ephemeral' | 'persistentState';

/** A claim whose content travels. */
export interface VmVolume {
  /** Of the machine's volume; where no volume of a machine names the claim, the claim's. */
  readonly name: string;
  /** Name of the PersistentVolumeClaim: also of its export link, and of its folder in `volumes/`. */
  readonly pvc: string;
  readonly use: VolumeUse;
  /** A `disk` is one raw image, `disk.img`; a `directory` is files. */
  readonly format: 'disk' | 'directory';
  /** Bytes: the claim's capacity, else what it requests. The raw image has its own size, often less. */
  readonly size?: number;
  readonly volumeMode: 'Block' | 'Filesystem';
  /** What CDI calls it: `archive` is any file system that holds no disk image. */
  readonly contentType: 'kubevirt' | 'archive';
  /** KubeVirt's export of the machine leaves it out: its claim needs an export of its own. */
  readonly alone?: true;
}

/** A virtual machine, or a single claim, with all that it needs, without what belongs to its cluster. */
export interface VmDescription {
  /** Its MAC addresses, firmware UUID and serial filled in where they are known. Undefined for a claim alone. */
  readonly vm?: KubeObject;
  /** Each claim once. */
  readonly volumes: readonly VmVolume[];
  /** The claims first, then all else in the order of their files' names; without `vm`. */
  readonly objects: readonly KubeObject[];
}

/** The order of objects in a description: by kind, then namespace and name. */
export function compareObjects(a: KubeObject, b: KubeObject): number {
  const [one, other] = [a, b].map(({ kind, metadata }) => `${kind}\n${metadata.namespace ?? ''}\n${metadata.name}`);
  return one === other ? 0 : (one ?? '') < (other ?? '') ? -1 : 1;
}
