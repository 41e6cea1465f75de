import { describe, expect, it } from 'vitest';
import { findVmKind, needVmKind } from '../../../src/vms/kinds.ts';
import { discoveryOf, kindOf } from '../resources/target-bed.ts';

describe('kinds of KubeVirt', () => {
  it('takes the newest version that is served, not the one the server prefers', () => {
    const text = 'export.kubevirt.io/v1beta1 virtualmachineexports VirtualMachineExport';
    const found = findVmKind(discoveryOf([kindOf(text, ['v1beta1', 'v1alpha1', 'v1'])]), 'VirtualMachineExport');
    expect(found?.apiVersion).toBe('export.kubevirt.io/v1');
  });

  it('takes v1alpha1 where there is nothing newer', () => {
    const text = 'export.kubevirt.io/v1alpha1 virtualmachineexports VirtualMachineExport';
    expect(needVmKind(discoveryOf([kindOf(text)]), 'VirtualMachineExport', 'stage').version).toBe('v1alpha1');
  });

  it('does not take a kind of that name in another group', () => {
    const discovery = discoveryOf([kindOf('example.com/v1 virtualmachines VirtualMachine')]);
    expect(findVmKind(discovery, 'VirtualMachine')).toBeUndefined();
  });

  it('names the feature gate where the export API is not served', () => {
    expect(() => needVmKind(discoveryOf([]), 'VirtualMachineExport', 'stage')).toThrow(
      expect.objectContaining({
        code: 'NOT_SERVED',
        message: 'The cluster of the context "stage" serves no VirtualMachineExport of export.kubevirt.io.',
        hint: expect.stringContaining('feature gate VMExport'),
      }),
    );
  });

  it('says that an API server extension does not answer, rather than that something is not installed', () => {
    const discovery = discoveryOf([], ['upload.cdi.kubevirt.io/v1beta1']);
    expect(() => needVmKind(discovery, 'UploadTokenRequest', 'stage')).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('what serves upload.cdi.kubevirt.io/v1beta1 does not answer'),
        hint: expect.stringContaining('kubectl get apiservices'),
      }),
    );
  });
});
