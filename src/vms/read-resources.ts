import { type Entry, readBody } from '../archive/entry.ts';
import type { KubeObject, ObjectMeta } from '../cluster/cluster.ts';
import { messageOf, TransshipError } from '../errors.ts';
import { isMap } from '../values.ts';
import { dataVolumeOf, describeVolume, holdsDisk, useOf } from './describe-volume.ts';
import { compareObjects, type VmDescription, type VmVolume } from './description.ts';
import { type ClaimReference, findClaims, mapIn, templateSpecOf } from './vm-references.ts';
import { RESOURCES } from './write-resources.ts';
import { readYaml } from './yaml.ts';

/** Far more than the API server takes for one object. */
const MOST_BYTES = 8 * 1024 * 1024;
/** https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names */
const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;
const FORMAT_HINT = 'A VM archive has resources/vm.yaml, and resources/pvc-<name>.yaml for each of its volumes.';
const DAMAGED_HINT = 'The archive is damaged, or was changed after it was written: compare it with its `manifest`.';

/** An object and the file it was read from. */
interface ReadObject {
  readonly path: string;
  readonly object: KubeObject;
}

/**
 * Reads the files of an archive's `resources/` back into what they describe, of an archive by Transship or by another
 * program.
 *
 * @param entries - of that folder, in any order
 * @throws TransshipError `ARCHIVE_DAMAGED` naming the file that is no object, or the claim that has no file;
 * `ARCHIVE_UNSUPPORTED` where it is no archive of one machine
 */
export async function readResources(entries: AsyncIterable<Entry> | Iterable<Entry>): Promise<VmDescription> {
  const read: ReadObject[] = [];
  for await (const entry of entries) read.push({ path: entry.path, object: await readObject(entry) });
  refuseRepeated(read);
  const vm = findMachine(read);
  const rest = read.map(({ object }) => object).filter((object) => object !== vm);
  const claims = rest.filter(({ kind }) => kind === 'PersistentVolumeClaim');
  if (vm === undefined && claims.length === 0) {
    throw unsupported(`The archive has no virtual machine and no claim in ${RESOURCES}.`);
  }
  const references = referencesTo(claims, vm);
  const others = rest.filter(({ kind }) => kind !== 'PersistentVolumeClaim');
  return {
    ...(vm === undefined ? {} : { vm }),
    volumes: references.map(({ reference, claim }) => readVolume(reference, claim, others)),
    objects: [...references.map(({ claim }) => claim), ...others.sort(compareObjects)],
  };
}

async function readObject(entry: Entry): Promise<KubeObject> {
  const { path } = entry;
  if (!/^resources\/[^/]+\.ya?ml$/.test(path)) {
    throw unsupported(`The archive has the file ${path}, which is no YAML file of ${RESOURCES}.`);
  }
  if (entry.size > MOST_BYTES) throw unsupported(`${path} has ${entry.size} bytes, too many for one object.`);
  const value = await parse(path, await readBody(entry, MOST_BYTES));
  if (!isMap(value)) throw damaged(`${path} holds no object.`);
  const { apiVersion, kind, metadata } = value;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') throw damaged(`${path} has no apiVersion and kind.`);
  if (kind === 'List') throw unsupported(`${path} is a List, where each file is to hold one object.`);
  if (!isMap(metadata) || !isNamed(metadata)) {
    throw damaged(`${path} has no valid metadata.name${typeof metadata === 'object' ? ` (${shown(metadata)})` : ''}.`);
  }
  if (path === `${RESOURCES}vm.yaml` && !isMachine(apiVersion, kind)) {
    throw unsupported(`${path} is a ${kind} of ${apiVersion}, and no VirtualMachine of kubevirt.io.`);
  }
  return { ...value, apiVersion, kind, metadata };
}

async function parse(path: string, body: Buffer): Promise<unknown> {
  try {
    return await readYaml(new TextDecoder('utf8', { fatal: true }).decode(body));
  } catch (error) {
    throw damaged(`${path} is no YAML: ${messageOf(error)}.`, error);
  }
}

/** The name becomes part of paths: of files, and on the API server. */
function isNamed(metadata: Record<string, unknown>): metadata is ObjectMeta {
  return typeof metadata.name === 'string' && NAME.test(metadata.name);
}

function shown(metadata: object | null): string {
  return JSON.stringify(mapIn(metadata).name ?? null);
}

function isMachine(apiVersion: string, kind: string): boolean {
  return apiVersion.startsWith('kubevirt.io/') && kind === 'VirtualMachine';
}

function refuseRepeated(read: readonly ReadObject[]): void {
  const paths = new Map<string, string>();
  for (const { path, object } of read) {
    const { kind, metadata } = object;
    const group = object.apiVersion.includes('/') ? object.apiVersion.split('/')[0] : '';
    const key = [group, kind, metadata.namespace, metadata.name].join('\n');
    const other = paths.get(key);
    if (other !== undefined) throw damaged(`${other} and ${path} hold the same object: ${kind} ${metadata.name}.`);
    paths.set(key, path);
  }
}

function findMachine(read: readonly ReadObject[]): KubeObject | undefined {
  const machines = read.filter(({ object }) => isMachine(object.apiVersion, object.kind));
  const [first, second] = machines;
  if (first === undefined) return undefined;
  if (second !== undefined) {
    throw unsupported(`The archive has more than one virtual machine: ${machines.map(({ path }) => path).join(', ')}.`);
  }
  if (!isMap(mapIn(first.object.spec, 'template').spec)) {
    throw damaged(`${first.path} has no spec.template.spec.`);
  }
  return first.object;
}

/** Each claim with what the machine has it for, in the order of its volumes; those it does not name at the end. */
function referencesTo(
  claims: readonly KubeObject[],
  vm: KubeObject | undefined,
): { reference: ClaimReference; claim: KubeObject }[] {
  const named = (vm === undefined ? [] : findClaims(templateSpecOf(vm))).map((reference) => {
    const claim = claims.find(({ metadata }) => metadata.name === reference.claim);
    if (claim === undefined) {
      throw damaged(
        `The machine's volume "${reference.volume}" is the claim ${reference.claim}, which the archive has no file of (${RESOURCES}pvc-${reference.claim}.yaml).`,
      );
    }
    return { reference, claim };
  });
  const found = new Set(named.map(({ claim }) => claim));
  const unnamed = claims.filter((claim) => !found.has(claim)).sort(compareObjects);
  return [
    ...named,
    ...unnamed.map((claim) => {
      const { name } = claim.metadata;
      return { reference: { volume: name, claim: name, use: useOf(claim), isDataVolume: false }, claim };
    }),
  ];
}

function readVolume({ volume, use }: ClaimReference, claim: KubeObject, others: readonly KubeObject[]): VmVolume {
  const owner = dataVolumeOf(claim);
  const dataVolume = others.find(({ kind, metadata }) => kind === 'DataVolume' && metadata.name === owner);
  // Other programs leave owners as they were, and not always the DataVolume beside them: most of those hold disks.
  const isDisk = holdsDisk(claim, dataVolume) || (owner !== undefined && dataVolume === undefined);
  return describeVolume(claim, { name: volume, use, isDisk });
}

function damaged(message: string, cause?: unknown): TransshipError {
  return new TransshipError('ARCHIVE_DAMAGED', message, { hint: DAMAGED_HINT, cause });
}

function unsupported(message: string): TransshipError {
  return new TransshipError('ARCHIVE_UNSUPPORTED', message, { hint: FORMAT_HINT });
}
