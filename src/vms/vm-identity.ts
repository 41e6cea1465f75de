import { createHash } from 'node:crypto';
import type { KubeObject } from '../cluster/cluster.ts';
import { cloneJson } from '../json.ts';
import { isMap, mapsIn } from '../values.ts';
import { mapIn, templateSpecOf, textIn } from './vm-references.ts';

/**
 * Fills into a machine's spec by what its guest knows it: MAC addresses, which KubeVirt keeps only in the instance, and
 * firmware UUID and serial. What the spec has already stays.
 *
 * @param vmi - the machine's instance; undefined when it is off
 * @returns a copy
 */
export function withIdentity(vm: KubeObject, vmi: KubeObject | undefined): KubeObject {
  const copy = cloneJson(vm);
  const spec = templateSpecOf(copy);
  if (!isMap(spec.domain)) return copy;
  if (vmi !== undefined) {
    fillInterfaces(spec, spec.domain, vmi);
  }
  fillFirmware(spec.domain, vm.metadata.name, vmi);
  return copy;
}

/** Names of the interfaces whose MAC address is not known. */
export function withoutAddress(vm: KubeObject): string[] {
  return mapsIn(mapIn(templateSpecOf(vm), 'domain', 'devices').interfaces)
    .filter((one) => textIn(one, 'macAddress') === undefined)
    .flatMap((one) => textIn(one, 'name') ?? []);
}

/** The instance of the same name, unless it belongs to another machine or to none. */
export function isInstanceOf(vmi: KubeObject, vm: KubeObject): boolean {
  const owners = vmi.metadata.ownerReferences ?? [];
  return owners.some(({ kind, uid }) => kind === 'VirtualMachine' && uid === vm.metadata.uid);
}

function fillInterfaces(spec: Record<string, unknown>, domain: Record<string, unknown>, vmi: KubeObject): void {
  const running = mapsIn(mapIn(vmi.spec, 'domain', 'devices').interfaces);
  const devices = isMap(domain.devices) ? domain.devices : {};
  if (mapsIn(devices.interfaces).length === 0 && mapsIn(spec.networks).length === 0 && running.length > 0) {
    // A machine that names no interface gets the cluster's default one, whose address has no other place:
    // https://github.com/kubevirt/kubevirt/blob/v1.9.0/pkg/network/vmispec/defaults.go
    devices.interfaces = cloneJson(running);
    spec.networks = cloneJson(mapsIn(mapIn(vmi.spec).networks));
    domain.devices = devices;
  }
  const reported = mapsIn(mapIn(vmi.status).interfaces);
  for (const one of mapsIn(devices.interfaces)) {
    const isSame = (other: Record<string, unknown>) => textIn(other, 'name') === textIn(one, 'name');
    const address =
      textIn(one, 'macAddress') ?? textIn(running.find(isSame), 'macAddress') ?? textIn(reported.find(isSame), 'mac');
    if (address !== undefined) one.macAddress = address;
  }
}

function fillFirmware(domain: Record<string, unknown>, name: string, vmi: KubeObject | undefined): void {
  const firmware = isMap(domain.firmware) ? domain.firmware : {};
  const running = mapIn(vmi?.spec, 'domain', 'firmware');
  firmware.uuid = textIn(firmware, 'uuid') ?? textIn(running, 'uuid') ?? uuidOfName(name);
  const serial = textIn(firmware, 'serial') ?? textIn(running, 'serial');
  if (serial !== undefined) firmware.serial = serial;
  domain.firmware = firmware;
}

const NAMESPACE = Buffer.from('6a1a24a1406146078bf4a3963d0c5895', 'hex');

/**
 * The UUID (version 5) that KubeVirt gives a machine whose spec has none: only of those made before 1.6, and it goes with
 * the name. https://github.com/kubevirt/kubevirt/blob/v1.9.0/pkg/virt-controller/watch/vm/firmware.go (CalculateLegacyUUID)
 */
function uuidOfName(name: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(name).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
