import type { KubeObject } from '../../src/cluster/cluster.ts';
import { isMap } from '../../src/values.ts';
import type { Context } from './context.ts';
import type { ExportSource } from './controllers/export-sources.ts';
import { proxyPrefix } from './export-proxy.ts';
import { type ExportedVolume, pathsOf } from './export-server.ts';
import { EXPORT_VERSION, field, maps, namespaceOf, PATHS, text } from './objects.ts';

export interface ManifestFacts {
  readonly source: ExportSource;
  readonly volumes: readonly ExportedVolume[];
  readonly token: string;
  /** Of the internal link. */
  readonly host: string;
  /** PEM, of the internal link. */
  readonly ca: string;
}

/**
 * The manifests that an export server offers, by path. They are as wrong as the real ones: the URLs of
 * dataVolumeTemplates go by position, and for a snapshot the machine is the live one.
 *
 * @see https://github.com/kubevirt/kubevirt/issues/19072
 */
export function manifestsOf(
  context: Context,
  vmExport: KubeObject,
  facts: ManifestFacts,
): Record<string, () => object[]> {
  const { name } = vmExport.metadata;
  const namespace = namespaceOf(vmExport);
  const secretName = `header-secret-${name}`;
  const secret = () => [
    {
      kind: 'Secret',
      apiVersion: 'v1',
      metadata: { name: secretName },
      stringData: { token: `x-kubevirt-export-token:${facts.token}` },
    },
  ];
  const { machine } = facts.source;
  const vm = machine === undefined ? undefined : context.stores().find(PATHS.machines, namespace, machine);
  const outside = context.external();
  const manifests: Record<string, () => object[]> = {
    '/internal/manifests/secret': secret,
    '/external/manifests/secret': secret,
  };
  if (vm === undefined) return manifests;
  const all = (base: string, ca: string) => () => allManifests(vm, name, secretName, base, ca, facts.volumes);
  manifests['/internal/manifests/all'] = all(facts.host, facts.ca);
  if (outside !== undefined) {
    const prefix = proxyPrefix(EXPORT_VERSION[context.exportApi], namespace, name);
    manifests['/external/manifests/all'] = all(outside.host + prefix, outside.cert);
  }
  return manifests;
}

function allManifests(
  vm: KubeObject,
  vmExport: string,
  secretName: string,
  base: string,
  ca: string,
  volumes: readonly ExportedVolume[],
): object[] {
  const configMap = `export-ca-cm-${vmExport}`;
  const http = (volume: ExportedVolume | undefined) => ({
    http: {
      url: volume === undefined ? '' : `https://${base}${pathsOf(volume).gzip ?? ''}`,
      certConfigMap: configMap,
      secretExtraHeaders: [secretName],
    },
  });
  const templates = maps(vm, 'spec', 'dataVolumeTemplates');
  const names = templates.map((template) => text(template, 'metadata', 'name'));
  const others = volumes.filter(({ claim }) => !names.includes(claim));
  const { metadata } = vm;
  return [
    { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: configMap }, data: { 'ca.pem': ca } },
    {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      metadata: {
        name: metadata.name,
        namespace: metadata.namespace,
        labels: metadata.labels,
        annotations: metadata.annotations,
      },
      spec: {
        ...(isMap(vm.spec) ? vm.spec : {}),
        dataVolumeTemplates: templates.map((template, place) => ({
          ...template,
          spec: { ...(isMap(template.spec) ? template.spec : {}), source: http(volumes[place]) },
        })),
      },
    },
    ...others.map((volume) => ({
      apiVersion: 'cdi.kubevirt.io/v1beta1',
      kind: 'DataVolume',
      metadata: { name: volume.claim, namespace: metadata.namespace },
      spec: { source: http(volume), storage: field(vm, 'spec', 'storage') ?? {} },
    })),
  ];
}
