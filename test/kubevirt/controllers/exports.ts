import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { isMap } from '../../../src/values.ts';
import { type Context, keyOf } from '../context.ts';
import { blankDisk } from '../disks.ts';
import { createEndpoint } from '../endpoint.ts';
import { proxyPrefix } from '../export-proxy.ts';
import { type ExportedVolume, exportHandler, pathsOf } from '../export-server.ts';
import { canOpenAll } from '../folders.ts';
import { startHttps } from '../https-server.ts';
import { manifestsOf } from '../manifests.ts';
import {
  ANNOTATIONS,
  annotation,
  bytesOfQuantity,
  EXPORT_VERSION,
  field,
  isSame,
  maps,
  millisecondsOfDuration,
  nameFor,
  namespaceOf,
  ownedBy,
  PATHS,
  pathIn,
  text,
  timestamp,
  withCondition,
} from '../objects.ts';
import { createPod, isReady, phaseOf } from '../pods.ts';
import { type ExportSource, findSource } from './export-sources.ts';

const DEFAULT_TTL_MS = 2 * 3_600_000;
const EXPORTER_PORT = 8443;

/**
 * Does for exports what virt-controller does: Service, token, pod, then the links, for as long as the source is free.
 *
 * @see https://github.com/kubevirt/kubevirt/blob/main/pkg/storage/export/export/export.go
 */
export async function reconcileExports(context: Context): Promise<void> {
  const stores = context.stores();
  for (const [key, exporter] of context.exporters) {
    const [namespace = '', name = ''] = key.split('/');
    const pod = stores.find(PATHS.pods, namespace, podName(name));
    const isThere = stores.find(context.exportsPath, namespace, name) !== undefined;
    if (isThere && pod?.metadata.uid === exporter.uid) continue;
    context.exporters.delete(key);
    exporter.death.abort();
    await exporter.server.stop();
  }
  if (context.isHeld('exports')) return;
  for (const vmExport of stores.all(context.exportsPath)) {
    if (vmExport.metadata.deletionTimestamp === undefined) await reconcile(context, vmExport);
  }
}

async function reconcile(context: Context, vmExport: KubeObject): Promise<void> {
  const source = await findSource(context, vmExport);
  if (source === undefined) return;
  const service = await ensureService(context, vmExport);
  const secret = await ensureToken(context, vmExport, source);
  const pod = await managePod(context, vmExport, source, secret);
  if (pod !== 'expired') await updateStatus(context, vmExport, source, { service, secret, pod });
}

async function ensureService(context: Context, vmExport: KubeObject): Promise<string> {
  const namespace = namespaceOf(vmExport);
  const name = nameFor('virt-export', vmExport.metadata.name);
  if (context.stores().find(PATHS.services, namespace, name) === undefined) {
    await context.kube.create(pathIn(PATHS.services, namespace), {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name,
        namespace,
        labels: { 'kubevirt.io': 'virt-exporter', ...vmExport.metadata.labels },
        ...ownedBy(vmExport),
      },
      spec: {
        selector: { 'kubevirt.io.virt-export-service': vmExport.metadata.name },
        ports: [{ name: 'export', protocol: 'TCP', port: 443, targetPort: EXPORTER_PORT }],
      },
    });
  }
  return name;
}

/** The name of the Secret with the token: the user's, or one made here. */
async function ensureToken(context: Context, vmExport: KubeObject, source: ExportSource): Promise<string | undefined> {
  const given = text(vmExport, 'spec', 'tokenSecretRef');
  if (given !== undefined) return given;
  const known = text(vmExport, 'status', 'tokenSecretRef');
  if (known !== undefined || !isAvailable(source) || source.claims.length === 0) return known;
  const namespace = namespaceOf(vmExport);
  const name = nameFor('export-token', vmExport.metadata.name);
  const letters = crypto.randomUUID().replaceAll('-', '').slice(0, 20);
  await context.kube.create(pathIn(PATHS.secrets, namespace), {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, ...ownedBy(vmExport) },
    stringData: { token: letters },
  });
  return name;
}

async function managePod(
  context: Context,
  vmExport: KubeObject,
  source: ExportSource,
  secret: string | undefined,
): Promise<KubeObject | undefined | 'expired'> {
  const namespace = namespaceOf(vmExport);
  const name = podName(vmExport.metadata.name);
  const pod = context.stores().find(PATHS.pods, namespace, name);
  if (pod === undefined) {
    if (isAvailable(source) && source.claims.length > 0) {
      // Its token is mounted: without the Secret it does not start.
      const isPending = (await readToken(context, namespace, secret)) === undefined;
      await createPod(context, {
        namespace,
        name,
        owner: vmExport,
        labels: { ...vmExport.metadata.labels, 'kubevirt.io.virt-export-service': vmExport.metadata.name },
        claims: source.claims.map(({ claim }) => claim.metadata.name),
        node: context.node,
        port: EXPORTER_PORT,
        isPending,
      });
    }
    return undefined;
  }
  const isLeaving = pod.metadata.deletionTimestamp !== undefined;
  if (!isAvailable(source)) {
    if (!isLeaving) await context.kube.delete(pathIn(PATHS.pods, namespace, name));
    return undefined;
  }
  if (isLeaving) return pod;
  const left = expiryOf(vmExport) - context.clock.now();
  if (left <= 0) {
    await context.kube.delete(pathIn(context.exportsPath, namespace, vmExport.metadata.name));
    return 'expired';
  }
  context.again(left);
  if (['Succeeded', 'Failed'].includes(phaseOf(pod) ?? '')) {
    await context.kube.delete(pathIn(PATHS.pods, namespace, name));
  } else if (annotation(pod, ANNOTATIONS.outcome) !== undefined) {
    if ((await readToken(context, namespace, secret)) === undefined) context.again(500);
    else
      await context.kube.patch(pathIn(PATHS.pods, namespace, name), {
        metadata: { annotations: { [ANNOTATIONS.outcome]: null } },
      });
  } else if (isReady(pod)) {
    await ensureServer(context, vmExport, source, secret, pod);
  }
  return pod;
}

interface Parts {
  readonly service: string;
  readonly secret: string | undefined;
  readonly pod: KubeObject | undefined;
}

async function updateStatus(context: Context, vmExport: KubeObject, source: ExportSource, parts: Parts): Promise<void> {
  const { pod, service, secret } = parts;
  const { name } = vmExport.metadata;
  const namespace = namespaceOf(vmExport);
  const before = isMap(vmExport.status) ? vmExport.status : {};
  const isServing =
    pod !== undefined && isReady(pod) && context.exporters.get(keyOf(namespace, name))?.uid === pod.metadata.uid;
  const phase = pod === undefined ? undefined : phaseOf(pod);
  const ready = (status: 'True' | 'False', reason: string) => ({ type: 'Ready', status, reason }) as const;
  const condition = isServing
    ? ready('True', 'PodReady')
    : pod === undefined
      ? source.ready
      : ready('False', phase === 'Succeeded' ? 'PodCompleted' : phase === 'Pending' ? 'PodPending' : 'Unknown');
  const conditions = withCondition(maps(before, 'conditions'), condition);
  const status = {
    ...before,
    phase: source.isSkipped ? 'Skipped' : isServing ? 'Ready' : phase === 'Succeeded' ? 'Terminated' : 'Pending',
    ttlExpirationTime: timestamp(expiryOf(vmExport)),
    serviceName: service,
    ...(secret === undefined ? {} : { tokenSecretRef: secret }),
    ...(source.machine === undefined ? {} : { virtualMachineName: source.machine }),
    conditions: source.condition === undefined ? conditions : withCondition(conditions, source.condition),
    links: isServing ? linksOf(context, vmExport, source, service) : {},
  };
  if (isSame(status, before)) return;
  // A merge leaves links that are no longer there, unless they are named.
  const links = { internal: null, external: null, ...status.links };
  await context.kube.patch(pathIn(context.exportsPath, namespace, name, 'status'), { status: { ...status, links } });
}

function linksOf(
  context: Context,
  vmExport: KubeObject,
  source: ExportSource,
  service: string,
): Record<string, unknown> {
  const namespace = namespaceOf(vmExport);
  const { name } = vmExport.metadata;
  const exporter = context.exporters.get(keyOf(namespace, name));
  const inside =
    context.internalLinks === 'services' ? `${service}.${namespace}.svc` : `127.0.0.1:${exporter?.server.port}`;
  const outside = context.external();
  const prefix = proxyPrefix(EXPORT_VERSION[context.exportApi], namespace, name);
  return {
    internal: linkOf(source, 'internal', inside, exporter?.authority.cert ?? ''),
    ...(outside === undefined ? {} : { external: linkOf(source, 'external', outside.host + prefix, outside.cert) }),
  };
}

function linkOf(source: ExportSource, kind: string, base: string, cert: string): Record<string, unknown> {
  const { prefix = '', machine } = source;
  const manifests = [
    ...(machine === undefined ? [] : [{ type: 'all', url: `https://${base}/${kind}/manifests/all` }]),
    { type: 'auth-header-secret', url: `https://${base}/${kind}/manifests/secret` },
  ];
  const volumes = source.claims.map(({ claim, as }) => {
    const claimName = claim.metadata.name;
    const formats = Object.entries(pathsOf({ claim: claimName, as }));
    return {
      name: claimName.startsWith(prefix) ? claimName.slice(prefix.length) : claimName,
      formats: formats.map(([format, path]) => ({ format, url: `https://${base}${path}` })),
    };
  });
  return { cert: cert.trim(), volumes, manifests };
}

/** What the pod serves, once it is ready. */
async function ensureServer(
  context: Context,
  vmExport: KubeObject,
  source: ExportSource,
  secret: string | undefined,
  pod: KubeObject,
): Promise<void> {
  const { name } = vmExport.metadata;
  const namespace = namespaceOf(vmExport);
  const { uid = '' } = pod.metadata;
  if (context.exporters.get(keyOf(namespace, name))?.uid === uid) return;
  const volumes = source.claims.map(
    ({ claim, as }): ExportedVolume => ({ claim: claim.metadata.name, as, volume: held(context, claim) }),
  );
  for (const { volume } of volumes) {
    // The real server ends at once, and again whenever it is started.
    if ('folder' in volume && !(await canOpenAll(volume.folder))) return;
  }
  const token = (await readToken(context, namespace, secret)) ?? '';
  const authority = context.exportAuthority();
  const host = `${nameFor('virt-export', name)}.${namespace}.svc`;
  const manifests = manifestsOf(context, vmExport, { source, volumes, token, host, ca: authority.cert.trim() });
  const endpoint = createEndpoint(exportHandler({ volumes: () => volumes, token: () => token, manifests }));
  const server = await startHttps(endpoint, { authority, hosts: [host] });
  context.exporters.set(keyOf(namespace, name), {
    uid,
    server,
    handle: endpoint.handle,
    authority,
    death: new AbortController(),
  });
}

function held(context: Context, claim: KubeObject): ExportedVolume['volume'] {
  const volume = context.volumes.get(namespaceOf(claim), claim.metadata.name);
  return volume ?? { disk: blankDisk(bytesOfQuantity(field(claim, 'spec', 'resources', 'requests', 'storage'))) };
}

async function readToken(context: Context, namespace: string, secret: string | undefined): Promise<string | undefined> {
  if (secret === undefined) return undefined;
  const object = await context.kube.get(pathIn(PATHS.secrets, namespace, secret));
  const token = text(object, 'data', 'token');
  return token === undefined ? undefined : Buffer.from(token, 'base64').toString('utf8');
}

function expiryOf(vmExport: KubeObject): number {
  const ttl = text(vmExport, 'spec', 'ttlDuration');
  const created = Date.parse(vmExport.metadata.creationTimestamp ?? '');
  return created + (ttl === undefined ? DEFAULT_TTL_MS : millisecondsOfDuration(ttl));
}

function isAvailable({ isInUse, isPopulated }: ExportSource): boolean {
  return !isInUse && isPopulated;
}

/** The name of the pod of an export. */
export function podName(vmExport: string): string {
  return nameFor('virt-export', vmExport);
}
