import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import {
  findClaims,
  findMatchers,
  findReferences,
  keepsState,
  templateSpecOf,
} from '../../../src/vms/vm-references.ts';
import { readFixture } from './describe-bed.ts';

function fixture(name: string): KubeObject {
  const vm = readFixture(name).find(({ kind }) => kind === 'VirtualMachine');
  if (vm === undefined) throw new Error(`No machine in ${name}.`);
  return vm;
}

function machine(spec: Record<string, unknown>, more: Record<string, unknown> = {}): KubeObject {
  const metadata = { name: 'db', namespace: 'shop' };
  return { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata, spec: { template: { spec } }, ...more };
}

/** `Secret shop/a by, optional` */
function told(vm: KubeObject): string[] {
  return findReferences(vm).map(
    ({ group, kind, namespace, name, by, isOptional }) =>
      `${group === '' ? '' : `${group} `}${kind} ${namespace === undefined ? '' : `${namespace}/`}${name} by ${by}${isOptional ? ', optional' : ''}`,
  );
}

describe('the claims of a machine', () => {
  test('stand behind volumes of five sorts', () => {
    expect(findClaims(templateSpecOf(fixture('running')))).toEqual([
      { volume: 'root', claim: 'db-root', use: 'disk', isDataVolume: true },
      { volume: 'data', claim: 'db-data', use: 'disk', isDataVolume: false },
      { volume: 'plugged', claim: 'db-plugged', use: 'disk', isDataVolume: true },
      { volume: 'files', claim: 'db-files', use: 'disk', isDataVolume: false },
      { volume: 'base', claim: 'golden-image', use: 'ephemeral', isDataVolume: false },
      { volume: 'db-memory', claim: 'db-memory', use: 'memoryDump', isDataVolume: false },
    ]);
  });

  test('are counted once where two volumes name one', () => {
    const volumes = [
      { name: 'a', persistentVolumeClaim: { claimName: 'one' } },
      { name: 'b', ephemeral: { persistentVolumeClaim: { claimName: 'one' } } },
    ];
    expect(findClaims({ volumes })).toEqual([{ volume: 'a', claim: 'one', use: 'disk', isDataVolume: false }]);
  });

  test.each([
    [{ tpm: { persistent: true } }, {}, true],
    [{ tpm: { persistent: true, enabled: false } }, {}, false],
    [{ tpm: {} }, {}, false],
    [{}, { bootloader: { efi: { persistent: true } } }, true],
    [{}, { bootloader: { efi: { secureBoot: true } } }, false],
  ])('include one for state with devices %j and firmware %j: %s', (devices, firmware, expected) => {
    expect(keepsState(machine({ domain: { devices, firmware } }))).toBe(expected);
  });
});

describe('the objects a machine refers to', () => {
  test('are found in volumes, credentials and networks', () => {
    expect(told(fixture('running'))).toEqual([
      'ConfigMap shop/db-settings by volume "settings"',
      'Secret shop/db-licence by volume "licence", optional',
      'ServiceAccount shop/db-account by volume "account"',
      'Secret shop/db-init by volume "cloudinit"',
      'Secret shop/db-network by volume "cloudinit"',
      'Secret shop/pull-tools by volume "tools", optional',
      'Secret shop/db-keys by access credential sshPublicKey',
      'k8s.cni.cncf.io NetworkAttachmentDefinition shop/lan by network "lan"',
      'k8s.cni.cncf.io NetworkAttachmentDefinition infra/storage by network "storage"',
    ]);
  });

  test('are found in the rest of the spec', () => {
    const vm = machine({
      serviceAccountName: 'runner',
      priorityClassName: 'high',
      domain: { firmware: { kernelBoot: { container: { imagePullSecret: 'pull' } } } },
      resourceClaims: [
        { name: 'gpu', resourceClaimTemplateName: 'one-gpu' },
        { name: 'nic', resourceClaimName: 'shared-nic' },
      ],
      volumes: [{ name: 's', sysprep: { secret: { name: 'answers' } } }],
      accessCredentials: [{ userPassword: { source: { secret: { secretName: 'password' } } } }],
    });
    expect(told(vm)).toEqual([
      'Secret shop/answers by volume "s"',
      'Secret shop/password by access credential userPassword',
      'ServiceAccount shop/runner by serviceAccountName',
      'Secret shop/pull by kernelBoot, optional',
      'scheduling.k8s.io PriorityClass high by priorityClassName, optional',
      'resource.k8s.io ResourceClaimTemplate shop/one-gpu by resource claim "gpu"',
      'resource.k8s.io ResourceClaim shop/shared-nic by resource claim "nic"',
    ]);
  });

  test('are required where one of several references is', () => {
    const secret = { secretName: 'a', optional: true };
    const volumes = [
      { name: 'x', secret },
      { name: 'y', secret: { secretName: 'a' } },
      { name: 'z', secret },
    ];
    expect(told(machine({ volumes }))).toEqual(['Secret shop/a by volume "y"']);
  });

  test('are none of the classes that every cluster has', () => {
    expect(told(machine({ priorityClassName: 'system-cluster-critical' }))).toEqual([]);
  });

  test('are none where a name is empty, as Go writes what is not set', () => {
    const volumes = [{ name: 'i', cloudInitNoCloud: { secretRef: { name: '' }, userData: 'x' } }];
    expect(told(machine({ serviceAccountName: '', volumes }))).toEqual([]);
  });
});

describe('what a machine is made of', () => {
  const status = (role: string, name: string) => ({
    [`${role}Ref`]: { name, kind: 'virtualmachineclusterinstancetype', controllerRevisionRef: { name: 'kept-1' } },
  });

  test.each([
    [undefined, 'VirtualMachineClusterInstancetype', undefined],
    ['virtualmachineinstancetypes', 'VirtualMachineInstancetype', 'shop'],
    ['VirtualMachineInstancetype', 'VirtualMachineInstancetype', 'shop'],
    ['virtualmachineclusterinstancetype', 'VirtualMachineClusterInstancetype', undefined],
  ])('is of the kind %s in any spelling', (kind, expected, namespace) => {
    const [matcher] = findMatchers(machine({}, { spec: { instancetype: { name: 'small', kind } } }));
    expect(matcher?.object).toMatchObject({ kind: expected, name: 'small', namespace, isOptional: false });
    expect(matcher?.revision).toBeUndefined();
  });

  test('has the revision of the spec before that of the status', () => {
    const spec = { instancetype: { name: 'small', revisionName: 'mine-1' } };
    const [matcher] = findMatchers(machine({}, { spec, status: status('instancetype', 'small') }));
    expect(matcher?.revision).toMatchObject({ kind: 'ControllerRevision', name: 'mine-1', isOptional: false });
  });

  test('has the name and revision of the status where the spec only says how to infer them', () => {
    const spec = { preference: { inferFromVolume: 'root' } };
    const [matcher] = findMatchers(machine({}, { spec, status: status('preference', 'linux') }));
    expect(matcher?.object).toMatchObject({ name: 'linux' });
    expect(matcher?.revision).toMatchObject({ name: 'kept-1', isOptional: true });
  });

  test('has no revision where the status is about another instancetype', () => {
    const spec = { instancetype: { name: 'large' } };
    const [matcher] = findMatchers(machine({}, { spec, status: status('instancetype', 'small') }));
    expect(matcher?.revision).toBeUndefined();
  });

  test('is nothing but its spec where that names nothing', () => {
    expect(findMatchers(machine({}))).toEqual([]);
  });
});
