import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { isInstanceOf, withIdentity, withoutAddress } from '../../../src/vms/vm-identity.ts';
import { templateSpecOf } from '../../../src/vms/vm-references.ts';

function machine(spec: Record<string, unknown>, name = 'db'): KubeObject {
  const metadata = { name, namespace: 'shop', uid: 'vm-1' };
  return { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata, spec: { template: { spec } } };
}

function instance(spec: Record<string, unknown>, interfaces: readonly Record<string, string>[] = []): KubeObject {
  const metadata = { name: 'db', namespace: 'shop' };
  return { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', metadata, spec, status: { interfaces } };
}

const LAN = { bridge: {}, name: 'lan' };

describe('the MAC address of an interface', () => {
  test('is that of the spec where it has one', () => {
    const vm = machine({ domain: { devices: { interfaces: [{ ...LAN, macAddress: '02:00:00:00:00:01' }] } } });
    const vmi = instance({}, [{ name: 'lan', mac: '02:00:00:00:00:99' }]);
    expect(templateSpecOf(withIdentity(vm, vmi))).toMatchObject({
      domain: { devices: { interfaces: [{ macAddress: '02:00:00:00:00:01' }] } },
    });
  });

  test('else that of the instance, found by the name of the interface', () => {
    const vm = machine({ domain: { devices: { interfaces: [{ name: 'pod' }, LAN] } } });
    const vmi = instance({ domain: { devices: { interfaces: [{ ...LAN, macAddress: '02:00:00:00:00:02' }] } } }, [
      { mac: '02:42:00:00:00:01' },
      { name: 'pod', mac: '02:00:00:00:00:03' },
    ]);
    expect(templateSpecOf(withIdentity(vm, vmi))).toMatchObject({
      domain: {
        devices: {
          interfaces: [
            { name: 'pod', macAddress: '02:00:00:00:00:03' },
            { name: 'lan', macAddress: '02:00:00:00:00:02' },
          ],
        },
      },
    });
  });

  test('is kept for the default interface, which the spec does not name', () => {
    const vm = machine({ domain: { devices: {} } });
    const vmi = instance(
      {
        domain: { devices: { interfaces: [{ masquerade: {}, name: 'default' }] } },
        networks: [{ name: 'default', pod: {} }],
      },
      [{ name: 'default', mac: '02:00:00:00:00:04' }],
    );
    expect(templateSpecOf(withIdentity(vm, vmi))).toMatchObject({
      domain: { devices: { interfaces: [{ masquerade: {}, name: 'default', macAddress: '02:00:00:00:00:04' }] } },
      networks: [{ name: 'default', pod: {} }],
    });
  });

  test('stays open where the machine is off', () => {
    const vm = machine({ domain: { devices: { interfaces: [LAN] } } });
    const whole = withIdentity(vm, undefined);
    expect(templateSpecOf(whole)).toMatchObject({ domain: { devices: { interfaces: [LAN] } } });
    expect(withoutAddress(whole)).toEqual(['lan']);
  });
});

describe('the firmware', () => {
  test('has the UUID and serial of the instance where the spec has none', () => {
    const vm = machine({ domain: { firmware: { bootloader: { bios: {} } } } });
    const vmi = instance({ domain: { firmware: { uuid: 'u-1', serial: 's-1' } } });
    expect(templateSpecOf(withIdentity(vm, vmi))).toEqual({
      domain: { firmware: { bootloader: { bios: {} }, uuid: 'u-1', serial: 's-1' } },
    });
  });

  // The value that KubeVirt's own tests and users know of a machine with this name.
  test('has the UUID that older KubeVirts derive from the name where nobody set one', () => {
    const vm = machine({ domain: {} }, 'testvm');
    expect(templateSpecOf(withIdentity(vm, undefined))).toEqual({
      domain: { firmware: { uuid: '5a9fc181-957e-5c32-9e5a-2de5e9673531' } },
    });
  });

  test('is filled in a copy', () => {
    const vm = machine({ domain: {} });
    withIdentity(vm, undefined);
    expect(templateSpecOf(vm)).toEqual({ domain: {} });
  });
});

test('an instance of the same name that another machine had is not the machine’s', () => {
  const owner = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name: 'db' };
  const made = (uid: string) => {
    const vmi = instance({});
    vmi.metadata.ownerReferences = [{ ...owner, uid }];
    return vmi;
  };
  expect(isInstanceOf(made('vm-1'), machine({}))).toBe(true);
  expect(isInstanceOf(made('vm-0'), machine({}))).toBe(false);
  expect(isInstanceOf(instance({}), machine({}))).toBe(false);
});
