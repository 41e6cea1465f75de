import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestCluster } from '../cluster/cluster.ts';
import { startApiServices } from './api-services.ts';
import { type Context, type Held, keyOf, type RunningExporter } from './context.ts';
import { reconcileDataVolumes } from './controllers/data-volumes.ts';
import { podName, reconcileExports } from './controllers/exports.ts';
import { reconcileImports } from './controllers/imports.ts';
import { reconcileMachines } from './controllers/machines.ts';
import { deleteOrphans } from './controllers/orphans.ts';
import { reconcileSnapshots } from './controllers/snapshots.ts';
import { findUpload, reconcileUploads, uploadPodName } from './controllers/uploads.ts';
import type { ExportApi } from './crds.ts';
import { createEndpoint } from './endpoint.ts';
import { type ExportBackend, exportProxyHandler } from './export-proxy.ts';
import { certificateRoom, type HttpsStandIn, startHttps } from './https-server.ts';
import { administratorOf, installKinds, refuseExports } from './install.ts';
import { openKube, type Stores } from './kube.ts';
import { createLoop } from './loop.ts';
import { EXPORT_VERSION, PATHS, pathIn } from './objects.ts';
import { phaseOf } from './pods.ts';
import { type ForwardingNode, startForwardingNode } from './port-forward.ts';
import type { ReceivedDisk } from './received-disk.ts';
import { uploadProxyHandler } from './upload-proxy.ts';
import type { UploadServer } from './upload-server.ts';
import { createClock, createUploadTokens, type TestClock } from './upload-token.ts';
import { createVolumes, type Volumes } from './volumes.ts';

export interface KubevirtOptions {
  /** Which release's export API there is; default `1.9`: v1, and v1beta1 with a warning. */
  readonly exportApi?: ExportApi;
  /** Whether the feature gate `VMExport` is on; without it every export is refused. Default true. */
  readonly exportGate?: boolean;
  /**
   * The links from outside: through the proxy (default), with an empty certificate, or none at all; or to another server
   * in its place, `<host>:<port>` with its certificate as PEM.
   */
  readonly externalLinks?: 'proxy' | 'without-cert' | 'none' | { readonly host: string; readonly cert: string };
  /**
   * Internal links: names of Services, as in a cluster (default), which lead nowhere from here; or this machine, to test
   * what runs in a cluster.
   */
  readonly internalLinks?: 'services' | 'loopback';
  /** Adds a node that can forward the ports of exporter pods. Default false. */
  readonly portForward?: boolean;
  /** How long the upload proxy waits for a pod, in milliseconds; default 10 s. */
  readonly readyWait?: number;
  /** Whether what is uploaded can be read afterwards, or only its size and digest are known. Default true. */
  readonly keepUploads?: boolean;
  /** What an asynchronous upload still takes after its answer. */
  readonly processUpload?: () => Promise<void>;
}

/** KubeVirt and CDI, or what passes for them, on a cluster of the test bed. */
export interface Kubevirt {
  /** What claims hold. Put a disk or a folder here before, or after, the claim is created. */
  readonly volumes: Volumes;
  /** The way to exports from outside; faults set here hit only who comes this way. */
  readonly exportProxy: HttpsStandIn;
  readonly uploadProxy: HttpsStandIn;
  /** What answers upload token requests, behind the API server. */
  readonly apiServices: HttpsStandIn;
  /** PEM of who signed the certificate of the proxies now. */
  proxyCa(): string;
  /** For tokens and the end of exports; after it was moved, call {@link wake}. */
  readonly clock: TestClock;
  /** The exporter pod that serves an export; its `server` has faults, requests and counts. */
  exporter(namespace: string, name: string): RunningExporter | undefined;
  /** The pod that takes the upload to a claim. */
  uploadServer(namespace: string, claim: string): UploadServer | undefined;
  /** What was uploaded or imported into a claim. */
  received(namespace: string, claim: string): ReceivedDisk | undefined;
  /** Lets controllers do nothing until the function that it returns is called. */
  hold(...what: Held[]): () => void;
  /** Lets all controllers look again. */
  wake(): void;
  /** Kills the exporter pod of an export; another one takes its place, with another certificate. */
  killExporter(namespace: string, name: string): Promise<void>;
  /** The exporter pod takes no new connection, ends when the last request has, and another takes its place. */
  passDeadline(namespace: string, name: string): Promise<void>;
  /** Kills the pod that takes an upload; another one takes its place. */
  killUploadServer(namespace: string, claim: string): Promise<void>;
  /** Makes a new authority: for exporter pods, which are all replaced, or for the proxies. */
  rotateAuthority(whose: 'exporters' | 'proxies'): Promise<void>;
  /** Present with `portForward`. */
  readonly node: ForwardingNode | undefined;
  /** What the controllers could not do, each time they tried. */
  readonly problems: readonly string[];
  stop(): Promise<void>;
}

/**
 * Starts stand-ins for KubeVirt and CDI on a real API server: their kinds, their controllers as far as exports and imports
 * see them, and their HTTP servers on 127.0.0.1 behind TLS.
 */
export async function startKubevirt(cluster: TestCluster, options: KubevirtOptions = {}): Promise<Kubevirt> {
  const { exportApi = '1.9', exportGate = true, externalLinks = 'proxy', portForward = false } = options;
  const kube = openKube(cluster.server, administratorOf(cluster));
  const folder = await mkdtemp(join(tmpdir(), 'transship-kubevirt-'));
  const certificates = certificateRoom(folder);
  const running: { stop(): Promise<void> }[] = [];
  const stop = async () => {
    await Promise.all(running.map((one) => one.stop()));
    kube.close();
    await rm(folder, { recursive: true, force: true });
  };
  const keep = <T extends { stop(): Promise<void> }>(one: T): T => {
    running.push(one);
    return one;
  };
  try {
    const exportsPath = `/apis/export.kubevirt.io/${EXPORT_VERSION[exportApi]}/virtualmachineexports`;
    const [exporterAuthority, proxyAuthority, apiAuthority] = await Promise.all([
      certificates.newAuthority('exporters'),
      certificates.newAuthority('proxies'),
      certificates.newAuthority('apis'),
      installKinds(kube, exportApi, exportsPath),
    ]);
    if (!exportGate) await refuseExports(kube);
    const clock = createClock();
    const tokens = createUploadTokens(clock);
    const state = { exporterAuthority, proxyAuthority, stores: undefined as Stores | undefined };
    const held = new Set<Held>();
    const node = portForward
      ? keep(await startForwardingNode(kube, apiAuthority, (...pod) => portOf(context, ...pod)))
      : undefined;
    const context: Context = {
      kube,
      stores() {
        if (state.stores === undefined) throw new Error('Nothing was listed yet');
        return state.stores;
      },
      clock,
      volumes: createVolumes(),
      certificates,
      exportApi,
      exportsPath,
      exportAuthority: () => state.exporterAuthority,
      external() {
        if (externalLinks === 'none') return undefined;
        if (typeof externalLinks === 'object') return externalLinks;
        const cert = externalLinks === 'without-cert' ? '' : state.proxyAuthority.cert.trim();
        return { host: `127.0.0.1:${exportProxy.port}`, cert };
      },
      internalLinks: options.internalLinks ?? 'services',
      node: node?.name,
      exporters: new Map(),
      uploads: new Map(),
      received: new Map(),
      imports: new Map(),
      keepUploads: options.keepUploads ?? true,
      processUpload: options.processUpload,
      isHeld: (what) => held.has(what),
      again: (after) => loop.again(after),
      report: (error) => loop.report(error),
    };
    const loop = keep(
      createLoop(async () => {
        await reconcileMachines(context);
        await reconcileDataVolumes(context);
        await reconcileUploads(context);
        await reconcileImports(context);
        await reconcileSnapshots(context);
        await reconcileExports(context);
        await deleteOrphans(context);
      }),
    );
    const versions = exportApi === '1.9' ? undefined : exportApi === '1.3' ? ['v1alpha1', 'v1beta1'] : ['v1alpha1'];
    const [exportProxy, uploadProxy, apiServices] = await Promise.all([
      startHttps(createEndpoint(exportProxyHandler((...name) => backendOf(context, ...name), versions)), {
        authority: proxyAuthority,
      }),
      startHttps(
        createEndpoint(
          uploadProxyHandler({
            tokens,
            find: (namespace, name) => findUpload(context, namespace, name),
            ...(options.readyWait === undefined ? {} : { readyWait: options.readyWait }),
          }),
        ),
        { authority: proxyAuthority },
      ),
      startApiServices(kube, apiAuthority, tokens),
    ]);
    for (const server of [exportProxy, uploadProxy, apiServices]) keep(server);
    state.stores = await kube.watch(
      [...Object.values(PATHS).filter((path) => path !== PATHS.secrets), exportsPath],
      loop.again,
    );
    loop.again();

    const tellUploadProxy = () =>
      kube.patch(`${PATHS.cdiConfigs}/config`, {
        status: { uploadProxyURL: uploadProxy.url, uploadProxyCA: state.proxyAuthority.cert },
      });
    const config = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'CDIConfig', metadata: { name: 'config' }, spec: {} };
    await kube.create(PATHS.cdiConfigs, config);
    await tellUploadProxy();

    const deletePod = (namespace: string, name: string) => kube.delete(pathIn(PATHS.pods, namespace, name));
    const newAuthority = async (whose: 'exporters' | 'proxies') => {
      const authority = await certificates.newAuthority(whose);
      if (whose === 'proxies') {
        state.proxyAuthority = authority;
        await Promise.all([exportProxy.rotate(authority), uploadProxy.rotate(authority), tellUploadProxy()]);
      } else {
        state.exporterAuthority = authority;
        const names = [...context.exporters.keys()].map((key) => key.split('/'));
        await Promise.all(names.map(([namespace = '', name = '']) => deletePod(namespace, podName(name))));
      }
      loop.again();
    };
    return {
      volumes: context.volumes,
      exportProxy,
      uploadProxy,
      apiServices,
      proxyCa: () => state.proxyAuthority.cert,
      clock,
      exporter: (namespace, name) => context.exporters.get(keyOf(namespace, name)),
      uploadServer(namespace, claim) {
        const pod = context.stores().find(PATHS.pods, namespace, uploadPodName(claim));
        return context.uploads.get(pod?.metadata.uid ?? '');
      },
      received: (namespace, claim) => context.received.get(keyOf(namespace, claim)),
      hold(...what) {
        for (const one of what) held.add(one);
        return () => {
          for (const one of what) held.delete(one);
          loop.again();
        };
      },
      wake: () => loop.again(),
      killExporter: (namespace, name) => deletePod(namespace, podName(name)),
      passDeadline: (namespace, name) => passDeadline(context, namespace, name),
      killUploadServer: (namespace, claim) => deletePod(namespace, uploadPodName(claim)),
      rotateAuthority: newAuthority,
      node,
      problems: loop.problems,
      async stop() {
        for (const job of context.imports.values()) job.abort();
        await loop.stop();
        for (const { server, death } of context.exporters.values()) {
          death.abort();
          await server.stop();
        }
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function backendOf(context: Context, namespace: string, name: string): ExportBackend {
  const vmExport = context.stores().find(context.exportsPath, namespace, name);
  if (vmExport === undefined) return 'unknown';
  if (phaseOf(vmExport) !== 'Ready') return 'not-ready';
  const exporter = context.exporters.get(keyOf(namespace, name));
  if (exporter === undefined || !exporter.server.isListening()) return 'unreachable';
  return { handle: exporter.handle, death: exporter.death.signal };
}

function portOf(context: Context, namespace: string, pod: string): number | undefined {
  const found = context.stores().find(PATHS.pods, namespace, pod);
  return [...context.exporters.values()].find(({ uid }) => uid === found?.metadata.uid)?.server.port;
}

async function passDeadline(context: Context, namespace: string, name: string): Promise<void> {
  const exporter = context.exporters.get(keyOf(namespace, name));
  if (exporter === undefined) throw new Error(`No pod serves the export ${namespace}/${name}`);
  exporter.server.refuse();
  void (async () => {
    while (exporter.server.active() > 0) await delay(20);
    const status = { phase: 'Succeeded', conditions: [{ type: 'Ready', status: 'False', reason: 'PodCompleted' }] };
    await context.kube.patch(pathIn(PATHS.pods, namespace, podName(name), 'status'), { status });
  })().catch(context.report);
}
