import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import type { Reporter } from '../report/reporter.ts';
import { dataVolumeOf, describeVolume, holdsDisk, stripClaim, useOf } from './describe-volume.ts';
import { compareObjects, type VmDescription } from './description.ts';
import type { VmSource } from './export-object.ts';
import { nameSource, notFound } from './export-state.ts';
import { type FoundClaim, readClaims } from './read-claims.ts';
import { readMachine } from './read-machine.ts';
import { createFindings, createLookUp, type Findings, type LookUp } from './read-object.ts';
import { notedInstance } from './stop-vm.ts';
import { stripObject } from './strip-object.ts';
import { findIn } from './temporary-objects.ts';
import { readMatcher, withMatchers } from './use-matchers.ts';
import { isInstanceOf, withIdentity, withoutAddress } from './vm-identity.ts';
import { findClaims, findMatchers, findReferences, mapIn, templateSpecOf } from './vm-references.ts';

export interface DescribeOptions {
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** What the parts of a description are read with. */
interface Context extends DescribeOptions {
  readonly cluster: Cluster;
  readonly lookUp: LookUp;
  readonly findings: Findings;
  /** Such as `VM shop/db`. */
  readonly what: string;
}

/**
 * Reads a virtual machine with all it needs, as an archive keeps it: the claims behind its volumes and their DataVolumes,
 * instancetype and preference with the revisions in use, Secrets, ConfigMaps, networks. A snapshot's machine is the one it
 * was taken of, as it was then. To be called before the machine is stopped: its MAC addresses are known only while it runs.
 *
 * What can't be had, and the machine starts without, is told as a warning.
 *
 * @throws TransshipError `CLUSTER` or `FORBIDDEN` naming all that the machine can't start without and that can't be had;
 * `CLUSTER` when there is no such source or its snapshot has no content; ClusterError
 */
export async function describeVm(
  cluster: Cluster,
  discovery: Discovery,
  source: VmSource,
  options: DescribeOptions,
): Promise<VmDescription> {
  const { reporter, signal } = options;
  const what = nameSource(source);
  const lookUp = createLookUp(cluster, discovery, signal);
  const context: Context = { cluster, lookUp, findings: createFindings(what, reporter), what, reporter, signal };
  return source.kind === 'pvc' ? describeClaim(source, context) : describeMachine(discovery, source, context);
}

async function describeMachine(discovery: Discovery, source: VmSource, context: Context): Promise<VmDescription> {
  const { cluster, lookUp, findings, reporter, signal } = context;
  const machine = await readMachine(cluster, discovery, source, signal);
  const { vm, backups } = machine;
  const [instance, claims, matchers, others] = await Promise.all([
    readInstance(vm, context),
    readClaims(machine, { ...context, signal, warn: (message) => reporter.warn(message) }),
    Promise.all(findMatchers(vm).map((reference) => readMatcher(reference, lookUp, findings))),
    Promise.all(findReferences(vm).map(async (one) => findings.take(await lookUp(one), one.isOptional))),
  ]);
  const described = await describeClaims(claims, vm.metadata.namespace, context);
  findings.end();
  if (instance?.metadata.uid !== undefined && backups === undefined) warnOfHotplugged(vm, instance, context);
  const whole = withIdentity(withMatchers(stripObject(vm), matchers), instance);
  const made = matchers.flatMap(({ object, revision }) => [object, revision]);
  const objects = [...made, ...others].flatMap((object) => (object === undefined ? [] : stripObject(object)));
  return {
    vm: whole,
    volumes: described.volumes,
    objects: [...described.claims, ...[...described.dataVolumes, ...objects].sort(compareObjects)],
  };
}

async function describeClaim(source: VmSource, context: Context): Promise<VmDescription> {
  const { cluster, findings, what, signal } = context;
  const claim = await findIn(cluster, CLAIMS, source, `Exporting the ${what}`, signal);
  if (claim === undefined) throw notFound(source);
  const { name, namespace } = claim.metadata;
  const reference = { volume: name, claim: name, use: useOf(claim), isDataVolume: false };
  const found = [{ reference, claim, isAlone: false, isFromSnapshot: false }];
  const { volumes, claims, dataVolumes } = await describeClaims(found, namespace, context);
  findings.end();
  return { volumes, objects: [...claims, ...dataVolumes] };
}

const CLAIMS = { group: '', apiVersion: 'v1', plural: 'persistentvolumeclaims', namespaced: true } as const;
const COLLECTED = 'cdi.kubevirt.io/garbageCollected';

/** Volumes and claims, with the DataVolumes that made them; those are not needed any more once they have. */
async function describeClaims(
  found: readonly FoundClaim[],
  namespace: string | undefined,
  { lookUp, findings }: Context,
): Promise<Required<Pick<VmDescription, 'volumes'>> & Record<'claims' | 'dataVolumes', KubeObject[]>> {
  const all = await Promise.all(
    found.map(async ({ reference, claim, isAlone, isFromSnapshot }) => {
      const owner = dataVolumeOf(claim);
      const name = owner ?? (reference.isDataVolume ? reference.claim : undefined);
      const looked =
        name === undefined
          ? undefined
          : await lookUp({
              group: 'cdi.kubevirt.io',
              kind: 'DataVolume',
              namespace,
              name,
              by: `claim ${claim.metadata.name}`,
              isOptional: true,
            });
      // Older CDIs delete a DataVolume when its claim is filled.
      const isExpected = looked?.missing?.isDenied !== false || claim.metadata.annotations?.[COLLECTED] !== 'true';
      const dataVolume = looked && (isExpected ? findings.take(looked, true) : undefined);
      // What is made of a snapshot has no DataVolume; the machine's volume tells that it is a disk:
      // https://github.com/kubevirt/kubevirt/blob/v1.9.0/pkg/storage/export/export/vmsnapshot-source.go
      const isDisk = isFromSnapshot
        ? holdsDisk(claim) || reference.use === 'disk'
        : holdsDisk(claim, owner === undefined ? undefined : dataVolume);
      const { use, volume } = reference;
      return {
        volume: describeVolume(claim, { name: volume, use, isDisk, isAlone }),
        claim: stripClaim(claim, isDisk),
        dataVolume: dataVolume && stripObject(dataVolume),
      };
    }),
  );
  return {
    volumes: all.map(({ volume }) => volume),
    claims: all.map(({ claim }) => claim),
    dataVolumes: all.flatMap(({ dataVolume }) => dataVolume ?? []),
  };
}

/** The machine's instance, which exists while it runs, and as long after as nobody deletes it. */
async function readInstance(vm: KubeObject, { lookUp, reporter, what }: Context): Promise<KubeObject | undefined> {
  const { name, namespace } = vm.metadata;
  const { object, missing } = await lookUp({
    group: 'kubevirt.io',
    kind: 'VirtualMachineInstance',
    namespace,
    name,
    by: 'its instance',
    isOptional: true,
  });
  const unknown = withoutAddress(vm);
  if (missing?.isDenied === true && unknown.length > 0) {
    const interfaces = unknown.map((one) => `"${one}"`).join(', ');
    reporter.warn(`The ${what} is exported without the MAC address of ${interfaces}: ${missing.message}.`);
  }
  return object !== undefined && isInstanceOf(object, vm) ? object : notedInstance(vm);
}

/** Disks plugged into the running machine only are gone when it stops, and no part of it: their content is not exported. */
function warnOfHotplugged(vm: KubeObject, instance: KubeObject, { reporter, what }: Context): void {
  const lasting = new Set(findClaims(templateSpecOf(vm)).map(({ claim }) => claim));
  const plugged = findClaims(mapIn(instance.spec)).filter(({ claim }) => !lasting.has(claim));
  for (const { volume, claim } of plugged) {
    reporter.warn(
      `The ${what} is exported without its volume "${volume}" (claim ${claim}): it is plugged in only until the machine stops. Name the claim in \`pvcs\`, or plug it in with \`virtctl addvolume --persist\`.`,
    );
  }
}
