import type { KubeObject } from '../cluster/cluster.ts';
import { isMap, mapsIn } from '../values.ts';
import type { VmVolume } from './description.ts';
import { noLink } from './disk-errors.ts';
import type { ExportLinks } from './links.ts';
import { RUN_LABEL } from './temporary-objects.ts';
import { mapIn, textIn } from './vm-references.ts';

/** The objects beside a DataVolume that let CDI read an export. */
export interface HttpAccess {
  /** Name of the Secret with the token's header. */
  readonly secret: string;
  /** Name of the ConfigMap with the authority; undefined where the authorities that CDI's image trusts are to do. */
  readonly configMap: string | undefined;
}

/** An object that is there only while disks are copied. */
export interface TemporaryMetadata {
  readonly name: string;
  readonly namespace: string;
  /** The value of the label it is found by. */
  readonly run: string;
}

/**
 * The key that CDI's nbdkit reads; its Go client reads all keys.
 * https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/image/nbdkit.go
 */
const CA_KEY = 'tls.crt';

/**
 * Where CDI is to read a volume. Of a disk `raw`: it has a Content-Length, so that a body that is cut short fails. `gzip`
 * has none, and the server ends it well also when it could not read the disk.
 *
 * @throws TransshipError `CLUSTER` when the export has no such link
 */
export function importUrl({ pvc, format }: VmVolume, { volumes }: ExportLinks): string {
  const wanted = format === 'disk' ? 'raw' : 'tar.gz';
  const url = volumes.find(({ name }) => name === pvc)?.formats[wanted];
  if (url === undefined) throw noLink(pvc, wanted, volumes);
  return url;
}

/** The token as a header line, in which CDI sends on a space after the colon or a newline as a part of the token. */
export function headerSecret(metadata: TemporaryMetadata, token: string): KubeObject {
  const line = `x-kubevirt-export-token:${token}`;
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: metadataOf(metadata),
    data: { token: Buffer.from(line).toString('base64') },
  };
}

/** @param ca - PEM */
export function caConfigMap(metadata: TemporaryMetadata, ca: string): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadataOf(metadata), data: caData(ca) };
}

/** The data of {@link caConfigMap}; a pod that runs already gets to see new data within a minute or two. */
export function caData(ca: string): Record<string, string> {
  return { [CA_KEY]: ca };
}

/** The source of a DataVolume that CDI fills from an export by itself. */
export function httpSource(url: string, { secret, configMap }: HttpAccess): Record<string, unknown> {
  return {
    http: { url, secretExtraHeaders: [secret], ...(configMap !== undefined && { certConfigMap: configMap }) },
  };
}

/** The same DataVolume, or template of one, with another source. */
export function withSource<T extends Record<string, unknown>>(dataVolume: T, source: unknown): T {
  return { ...dataVolume, spec: { ...mapIn(dataVolume.spec), source } };
}

/** A machine whose templates have other sources. @param sourceOf - by the template's name; undefined leaves it as it is */
export function withTemplateSources(vm: KubeObject, sourceOf: (name: string) => unknown): KubeObject {
  const spec = mapIn(vm.spec);
  if (!Array.isArray(spec.dataVolumeTemplates)) return vm;
  const dataVolumeTemplates = mapsIn(spec.dataVolumeTemplates).map((template) => {
    const source = sourceOf(textIn(template, 'metadata', 'name') ?? '');
    return source === undefined ? template : withSource(template, source);
  });
  return { ...vm, spec: { ...spec, dataVolumeTemplates } };
}

/**
 * The templates as they are to stay: with the source `upload`, as after an import. Nobody reads it while the claim is there.
 * Were the claim deleted, CDI would wait for an upload and the machine would not start; `blank` would start it on an empty
 * disk, and `http` would name an export, a Secret and a ConfigMap that are gone.
 */
export function settledTemplates({ spec }: KubeObject): Record<string, unknown>[] | undefined {
  const { dataVolumeTemplates } = mapIn(spec);
  if (!Array.isArray(dataVolumeTemplates)) return undefined;
  return mapsIn(dataVolumeTemplates).map((template) =>
    isMap(mapIn(template, 'spec', 'source').http) ? withSource(template, { upload: {} }) : template,
  );
}

function metadataOf({ name, namespace, run }: TemporaryMetadata): KubeObject['metadata'] {
  return { name, namespace, labels: { [RUN_LABEL]: run } };
}
