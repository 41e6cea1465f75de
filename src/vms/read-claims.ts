import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import { STATE_LABEL, useOf } from './describe-volume.ts';
import type { Machine } from './read-machine.ts';
import { absent, deniedBy, type Findings, type LookUp } from './read-object.ts';
import {
  type ClaimReference,
  findClaims,
  keepsState,
  mapIn,
  type ObjectReference,
  templateSpecOf,
} from './vm-references.ts';

/** A claim of a machine. */
export interface FoundClaim {
  readonly reference: ClaimReference;
  readonly claim: KubeObject;
  /** KubeVirt's export of the machine leaves it out. */
  readonly isAlone: boolean;
  readonly isFromSnapshot: boolean;
}

/** What it takes to read a machine's claims. */
export interface ReadClaims {
  readonly cluster: Cluster;
  readonly lookUp: LookUp;
  readonly findings: Findings;
  readonly signal: AbortSignal | undefined;
  readonly warn: (message: string) => void;
}

/** The claims of a machine: those its volumes name, in their order, then the one for its TPM and EFI. */
export async function readClaims(machine: Machine, options: ReadClaims): Promise<FoundClaim[]> {
  const references = findClaims(templateSpecOf(machine.vm));
  const [named, unnamed] = await Promise.all([
    Promise.all(references.map((reference) => readNamed(reference, machine, options))),
    machine.backups === undefined ? readStateClaim(machine.vm, options) : unnamedBackups(machine.backups, references),
  ]);
  return [...named, ...unnamed].flatMap((found) => found ?? []);
}

async function readNamed(
  reference: ClaimReference,
  { vm, backups }: Machine,
  { lookUp, findings }: ReadClaims,
): Promise<FoundClaim | undefined> {
  const wanted = claimNamed(reference.claim, vm, `volume "${reference.volume}"`);
  const backup = backups?.find(({ metadata }) => metadata.name === reference.claim);
  if (backup !== undefined) return { reference, claim: backup, isAlone: false, isFromSnapshot: true };
  // The machine itself writes nothing to it: it is the same now as then.
  const isAlone = reference.use === 'ephemeral';
  const lookup =
    backups === undefined || isAlone
      ? await lookUp(wanted)
      : absent(
          wanted,
          'is not in the snapshot',
          'A snapshot has only volumes whose storage can make snapshots: export the machine itself when it is off.',
        );
  const claim = findings.take(lookup, false);
  return claim && { reference, claim, isAlone, isFromSnapshot: false };
}

function unnamedBackups(backups: readonly KubeObject[], references: readonly ClaimReference[]): FoundClaim[] {
  const named = new Set(references.map(({ claim }) => claim));
  return backups
    .filter(({ metadata }) => !named.has(metadata.name))
    .map((claim) => {
      const { name } = claim.metadata;
      const reference = { volume: name, claim: name, use: useOf(claim), isDataVolume: false };
      return { reference, claim, isAlone: false, isFromSnapshot: true };
    });
}

/**
 * The claim that keeps TPM state and EFI variables; of several the newest, as KubeVirt exports it.
 * https://github.com/kubevirt/kubevirt/blob/v1.9.0/pkg/storage/utils/volumes.go (getBackendPVCName)
 */
async function readStateClaim(vm: KubeObject, options: ReadClaims): Promise<FoundClaim[]> {
  const isNeeded = keepsState(vm);
  // A preference may ask for a persistent TPM or EFI as well; KubeVirt's export looks only at the spec.
  if (!isNeeded && Object.keys(mapIn(vm.spec, 'preference')).length === 0) return [];
  const { namespace, name } = vm.metadata;
  // The label's value is the whole name, which fits or keeps the machine from starting.
  if (name.length > MOST_IN_LABEL) return [];
  const { cluster, lookUp, findings, signal, warn } = options;
  const claims: KubeObject[] = [];
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace ?? '')}/persistentvolumeclaims`;
  try {
    for await (const claim of cluster.list(path, { labelSelector: `${STATE_LABEL}=${name}`, signal }))
      claims.push(claim);
  } catch (error) {
    findings.miss(deniedBy(error, claimNamed('*', vm, `label ${STATE_LABEL}`)), !isNeeded);
    return [];
  }
  const [newest] = claims
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .sort((a, b) => (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? ''));
  // Older versions gave it a fixed name and no label.
  const old = newest ?? (await lookUp(claimNamed(`${STATE_LABEL}-${name}`, vm, 'persistent state'))).object;
  if (old === undefined && isNeeded) {
    warn(
      `The VM ${namespace}/${name} has a persistent TPM or EFI and no claim for it yet: KubeVirt does not export it before it was started once.`,
    );
  }
  if (old === undefined) return [];
  const reference = {
    volume: old.metadata.name,
    claim: old.metadata.name,
    use: 'persistentState',
    isDataVolume: false,
  } as const;
  return [{ reference, claim: old, isAlone: !isNeeded || newest === undefined, isFromSnapshot: false }];
}

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set */
const MOST_IN_LABEL = 63;

function claimNamed(name: string, { metadata }: KubeObject, by: string): ObjectReference {
  const { namespace } = metadata;
  return { group: '', kind: 'PersistentVolumeClaim', namespace, name, by, isOptional: false };
}
