import { expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { VmVolume } from '../../../src/vms/description.ts';
import {
  caConfigMap,
  headerSecret,
  httpSource,
  importUrl,
  settledTemplates,
  withTemplateSources,
} from '../../../src/vms/http-source.ts';
import type { ExportLinks } from '../../../src/vms/links.ts';

const PLACE = { name: 'transship-clone-web-1', namespace: 'shop', run: 'run-1' };
const LINKS: ExportLinks = {
  ca: 'CA',
  volumes: [
    { name: 'root', formats: { raw: 'https://x/root/disk.img', gzip: 'https://x/root/disk.img.gz' } },
    { name: 'docs', formats: { dir: 'https://x/docs/dir', 'tar.gz': 'https://x/docs/disk.tar.gz' } },
  ],
};
const volume = (pvc: string, format: VmVolume['format']): VmVolume => {
  return {
    name: pvc,
    pvc,
    use: 'disk',
    format,
    volumeMode: 'Filesystem',
    contentType: format === 'disk' ? 'kubevirt' : 'archive',
  };
};
const machine = (...sources: unknown[]): KubeObject => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'web' },
  spec: {
    dataVolumeTemplates: sources.map((source, place) => ({
      metadata: { name: `d${place}` },
      spec: { source, storage: {} },
    })),
  },
});

test('a disk is read raw, whose length is known; files as tar.gz', () => {
  expect(importUrl(volume('root', 'disk'), LINKS)).toBe('https://x/root/disk.img');
  expect(importUrl(volume('docs', 'directory'), LINKS)).toBe('https://x/docs/disk.tar.gz');
});

test('a volume that the export does not offer so is an error that names what it offers', () => {
  expect(() => importUrl(volume('docs', 'disk'), LINKS)).toThrow(
    'The volume "docs" can\'t be read as a disk: the export offers dir, tar.gz.',
  );
  expect(() => importUrl(volume('more', 'disk'), LINKS)).toThrow(
    'The export has no volume "more"; it has: root, docs.',
  );
});

test('the header line has neither a space nor a newline, which CDI would send as a part of the token', () => {
  const { data, metadata } = headerSecret(PLACE, 'abc');
  const [line] = Object.values(Object(data)).map((value) => Buffer.from(String(value), 'base64').toString());
  expect(line).toBe('x-kubevirt-export-token:abc');
  expect(metadata).toEqual({ name: PLACE.name, namespace: 'shop', labels: { 'transship.dev/vm-run': 'run-1' } });
});

test("the authority is under the key that CDI's nbdkit reads", () => {
  expect(caConfigMap(PLACE, 'PEM')).toMatchObject({ kind: 'ConfigMap', data: { 'tls.crt': 'PEM' } });
});

test('where the system is to be trusted there is no ConfigMap', () => {
  expect(httpSource('https://x', { secret: 's', configMap: undefined })).toEqual({
    http: { url: 'https://x', secretExtraHeaders: ['s'] },
  });
  expect(httpSource('https://x', { secret: 's', configMap: 'c' })).toEqual({
    http: { url: 'https://x', secretExtraHeaders: ['s'], certConfigMap: 'c' },
  });
});

test('templates get their sources by name, and end up with the source of an import', () => {
  const vm = withTemplateSources(machine({ upload: {} }, { upload: {} }), (name) =>
    name === 'd0' ? { http: { url: 'https://x' } } : undefined,
  );
  expect(vm).toEqual(machine({ http: { url: 'https://x' } }, { upload: {} }));
  expect({ ...vm, spec: { dataVolumeTemplates: settledTemplates(vm) } }).toEqual(
    machine({ upload: {} }, { upload: {} }),
  );
  expect(settledTemplates({ ...vm, spec: {} })).toBeUndefined();
});
