import type { KubeObject } from '../cluster/cluster.ts';
import { cloneJson } from '../json.ts';
import { isMap, mapsIn } from '../values.ts';
import type { PlannedVolume } from './plan-volumes.ts';
import { type MatcherReference, mapIn, templateSpecOf, textIn } from './vm-references.ts';

export interface RewriteOptions {
  readonly apiVersion: string;
  readonly name: string;
  readonly namespace: string;
  /** `new` leaves MAC addresses, firmware UUID and serial to KubeVirt; `keep` keeps those of the description. */
  readonly identity: 'new' | 'keep';
  readonly volumes: readonly PlannedVolume[];
  /** Names of the revisions to pin to; what is made of an object there has none. */
  readonly revisions: Readonly<Partial<Record<MatcherReference['role'], string>>>;
}

/** https://kubevirt.io/user-guide/compute/run_strategies/, and `WaitAsReceiver`, which waits for a migration. */
export const RUN_STRATEGIES = ['Always', 'RerunOnFailure', 'Once', 'Manual', 'Halted'];

/** What a machine's spec says of whether it runs; `running` is the older way. */
export function runStrategyOf({ spec }: KubeObject): string {
  const fields = mapIn(spec);
  return textIn(fields, 'runStrategy') ?? (fields.running === true ? 'Always' : 'Halted');
}

/**
 * The machine as it is to be created: under its new name, off, with templates for its disks and its volumes pointing to
 * them.
 */
export function rewriteVm(vm: KubeObject, options: RewriteOptions): KubeObject {
  const { apiVersion, name, namespace, identity, volumes, revisions } = options;
  const { status, ...copy } = cloneJson(vm);
  const { running, dataVolumeTemplates, ...spec } = mapIn(copy.spec);
  copy.spec = spec;
  const { ownerReferences, ...metadata } = copy.metadata;
  const templates = volumes.filter(({ isTemplate }) => isTemplate).map(({ dataVolume }) => templateOf(dataVolume));
  const instance = templateSpecOf(copy);
  rewireVolumes(instance, volumes);
  moveNetworks(instance, vm.metadata.namespace, namespace);
  if (identity === 'new') dropIdentity(instance);
  for (const role of ['instancetype', 'preference'] as const) {
    const matcher = spec[role];
    if (!isMap(matcher)) continue;
    const { revisionName, ...rest } = matcher;
    const revision = revisions[role];
    spec[role] = revision === undefined ? rest : { ...rest, revisionName: revision };
  }
  return {
    ...copy,
    apiVersion,
    metadata: { ...metadata, name, namespace },
    spec: {
      ...spec,
      runStrategy: 'Halted',
      ...(templates.length > 0 && { dataVolumeTemplates: templates }),
    },
  };
}

/** A template is a DataVolume without kind; its namespace is the machine's. */
function templateOf({ metadata, spec }: KubeObject): Record<string, unknown> {
  const { namespace, ...rest } = metadata;
  return { metadata: rest, spec };
}

function rewireVolumes(instance: Record<string, unknown>, planned: readonly PlannedVolume[]): void {
  const names = new Map(planned.map(({ source, name }) => [source, name]));
  for (const volume of mapsIn(instance.volumes)) {
    // KubeVirt takes a template that a volume names as a claim too:
    // https://github.com/kubevirt/kubevirt/blob/main/pkg/storage/admitters/data-volume-template.go
    rename(mapIn(volume, 'persistentVolumeClaim'), 'claimName', names);
    rename(mapIn(volume, 'dataVolume'), 'name', names);
    rename(mapIn(volume, 'memoryDump'), 'claimName', names);
    rename(mapIn(volume, 'ephemeral', 'persistentVolumeClaim'), 'claimName', names);
  }
}

function rename(holder: Record<string, unknown>, field: string, names: ReadonlyMap<string, string>): void {
  const name = names.get(textIn(holder, field) ?? '');
  if (name !== undefined) holder[field] = name;
}

/** A network that is named with the namespace the machine was in is in the one it comes to. */
function moveNetworks(instance: Record<string, unknown>, from: string | undefined, to: string): void {
  for (const network of mapsIn(instance.networks)) {
    const multus = mapIn(network, 'multus');
    const [namespace, name] = textIn(multus, 'networkName')?.split('/') ?? [];
    if (name !== undefined && namespace === from) multus.networkName = `${to}/${name}`;
  }
}

function dropIdentity(instance: Record<string, unknown>): void {
  const domain = mapIn(instance, 'domain');
  for (const one of mapsIn(mapIn(domain, 'devices').interfaces)) delete one.macAddress;
  if (!isMap(domain.firmware)) return;
  const { uuid, serial, ...firmware } = domain.firmware;
  if (Object.keys(firmware).length > 0) domain.firmware = firmware;
  else delete domain.firmware;
}
