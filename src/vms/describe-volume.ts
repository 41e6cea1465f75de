import type { KubeObject } from '../cluster/cluster.ts';
import type { VmVolume, VolumeUse } from './description.ts';
import { bytesOf } from './quantity.ts';
import { CONTENT_TYPE, stripObject } from './strip-object.ts';
import { mapIn, textIn } from './vm-references.ts';

/** The name of the machine whose TPM state and EFI variables a claim holds. */
export const STATE_LABEL = 'persistent-state-for';
const MEMORY_DUMP = 'kubevirt.io/memory-dump';

/**
 * Whether a claim holds one disk image, and not files, as the export server decides it.
 * https://github.com/kubevirt/kubevirt/blob/v1.9.0/pkg/storage/export/export/export.go (isKubevirtContentType)
 *
 * @param dataVolume - that owns the claim, if any
 */
export function holdsDisk(claim: KubeObject, dataVolume?: KubeObject): boolean {
  if (volumeModeOf(claim) === 'Block') return true;
  const said = claim.metadata.annotations?.[CONTENT_TYPE];
  if (said === 'kubevirt' || said === '') return true;
  return dataVolume !== undefined && (textIn(dataVolume.spec, 'contentType') ?? 'kubevirt') === 'kubevirt';
}

/** The DataVolume that controls a claim. */
export function dataVolumeOf({ metadata }: KubeObject): string | undefined {
  return metadata.ownerReferences?.find(({ kind, controller }) => kind === 'DataVolume' && controller === true)?.name;
}

/** What a claim is for that no volume of a machine names. */
export function useOf({ metadata }: KubeObject): VolumeUse {
  if (metadata.labels?.[STATE_LABEL] !== undefined || metadata.name.startsWith(`${STATE_LABEL}-`)) {
    return 'persistentState';
  }
  return metadata.annotations?.[MEMORY_DUMP] === undefined ? 'disk' : 'memoryDump';
}

/** Describes one volume by its claim. */
export function describeVolume(
  claim: KubeObject,
  { name, use, isDisk, isAlone = false }: { name: string; use: VolumeUse; isDisk: boolean; isAlone?: boolean },
): VmVolume {
  const size = bytesOf(mapIn(claim.status, 'capacity').storage) ?? bytesOf(requestOf(claim));
  return {
    name,
    pvc: claim.metadata.name,
    use,
    format: isDisk ? 'disk' : 'directory',
    ...(size === undefined ? {} : { size }),
    volumeMode: volumeModeOf(claim),
    contentType: isDisk ? 'kubevirt' : 'archive',
    ...(isAlone ? { alone: true } : {}),
  };
}

/** The claim as it travels. That it holds a disk is written down, for its DataVolume may be all that said so. */
export function stripClaim(claim: KubeObject, isDisk: boolean): KubeObject {
  const stripped = stripObject(claim);
  if (isDisk) stripped.metadata.annotations = { ...stripped.metadata.annotations, [CONTENT_TYPE]: 'kubevirt' };
  return stripped;
}

function volumeModeOf({ spec }: KubeObject): VmVolume['volumeMode'] {
  return mapIn(spec).volumeMode === 'Block' ? 'Block' : 'Filesystem';
}

function requestOf({ spec }: KubeObject): unknown {
  return mapIn(spec, 'resources', 'requests').storage;
}
