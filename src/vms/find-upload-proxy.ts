import { type Clock, systemClock } from '../cluster/clock.ts';
import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { findObject } from '../cluster/find.ts';
import { cancelledBy, messageOf, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import type { VmHttp } from './http.ts';
import { VmHttpError } from './http-error.ts';
import { findVmKind } from './kinds.ts';
import { openPortForward, type PortForward, type PortForwardOptions } from './port-forward.ts';
import type { UploadProxy } from './upload-disk.ts';
import { mapIn, textIn } from './vm-references.ts';

export interface FindProxyOptions {
  readonly http: VmHttp;
  /** Milliseconds for a way to answer. */
  readonly timeout: number;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Replaced in tests. */
  readonly openTunnel?: typeof openPortForward | undefined;
}

/** A way to CDI's upload proxy that was tried and answers. */
export interface UploadWay {
  readonly proxy: UploadProxy;
  close(): Promise<void>;
}

/** A way to try. */
interface Candidate {
  /** For messages. */
  readonly words: string;
  readonly proxy: UploadProxy;
  readonly tunnel?: { readonly namespace: string } | undefined;
}

const SERVICE = 'cdi-uploadproxy';
/** https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/operator/resources/cert/factory.go */
const BUNDLE = 'cdi-uploadproxy-signer-bundle';
const BUNDLE_KEY = 'ca-bundle.crt';
const NAMESPACES = ['cdi', 'openshift-cnv'];
/** Milliseconds for one way to answer: what nobody listens to may keep silent for ever. */
const LONGEST_TRY = 20_000;

/**
 * Finds a way to the upload proxy, and makes sure that it answers: the URL that CDI tells, in a cluster the Service, else a
 * port-forward to the Service through the API server. TLS is verified on each: against the authority that CDI tells, this
 * machine's, or CDI's own.
 *
 * @throws TransshipError `CLUSTER` naming each way and why it is none
 */
export async function findUploadProxy(
  cluster: Cluster,
  discovery: Discovery,
  options: FindProxyOptions,
): Promise<UploadWay> {
  const { http, reporter, signal, clock = systemClock, openTunnel = openPortForward } = options;
  const timeout = Math.min(options.timeout, LONGEST_TRY);
  const tunnelOptions: PortForwardOptions = { reporter, timeout, clock, signal, env: options.env };
  const { ways, problems } = await listWays(cluster, discovery, signal);
  const unreachable = new Set<string>();

  for (const { words, proxy, tunnel: through } of ways) {
    if (unreachable.has(words)) continue;
    let tunnel: PortForward | undefined;
    try {
      if (through !== undefined) {
        const service = { namespace: through.namespace, service: SERVICE, port: 443 };
        tunnel = await openTunnel(cluster, service, tunnelOptions);
      }
      const found = tunnel === undefined ? proxy : { ...proxy, connect: tunnel.address };
      await probe(http, found, timeout, signal);
      reporter.debug(`The upload proxy is reached by ${words}.`);
      return { proxy: found, close: async () => tunnel?.close() };
    } catch (error) {
      await tunnel?.close();
      if (signal?.aborted) throw cancelledBy(signal, 'looking for the upload proxy');
      if (!(error instanceof TransshipError)) throw error;
      problems.push(`${words}: ${messageOf(error).replace(/\.$/, '')}`);
      // With another authority it may be trusted; but none makes it reachable.
      if (!(error instanceof VmHttpError) || error.failure !== 'trust') unreachable.add(words);
    }
  }
  throw new TransshipError(
    'CLUSTER',
    `CDI's upload proxy of the context "${cluster.context}" can't be reached. ${[...new Set(problems)].join('. ')}.`,
    {
      hint: `Give the Service ${SERVICE} an Ingress or Route, or say where it is with spec.config.uploadProxyURLOverride of the CDI object; or grant the verbs get and create on pods/portforward, and get on configmaps, in the namespace of CDI.`,
    },
  );
}

/** All ways there may be, the best first. */
async function listWays(
  cluster: Cluster,
  discovery: Discovery,
  signal: AbortSignal | undefined,
): Promise<{ ways: readonly Candidate[]; problems: string[] }> {
  const problems: string[] = [];
  const told = await readConfig(cluster, discovery, problems, signal);
  const namespace = await findService(cluster, problems, signal);
  const bundle = namespace === undefined ? undefined : await readBundle(cluster, namespace, problems, signal);
  const serverName = namespace === undefined ? undefined : `${SERVICE}.${namespace}.svc`;
  const byUrl = told.url === undefined ? [] : waysByUrl(told.url, told.ca, bundle, serverName);
  if (namespace === undefined || serverName === undefined) return { ways: byUrl, problems };
  // The system's authorities sign no names of a cluster, but an operator may have put another one's certificate there.
  const ca = bundle ?? told.ca;
  const proxy = { url: `https://${serverName}`, serverName, ...(ca !== undefined && { ca }) };
  // Only the connection of a pod to its own cluster is without a kubeconfig.
  if (cluster.access.kubeconfig === undefined) {
    return { ways: [{ words: `the Service ${namespace}/${SERVICE}`, proxy }, ...byUrl], problems };
  }
  const tunnel = { words: `a port-forward to the Service ${namespace}/${SERVICE}`, proxy, tunnel: { namespace } };
  return { ways: [...byUrl, tunnel], problems };
}

/** An Ingress or Route that passes TLS through shows the certificate of CDI's own, which is for the Service. */
function waysByUrl(
  url: string,
  ca: string | undefined,
  bundle: string | undefined,
  serverName: string | undefined,
): Candidate[] {
  const words = `the URL ${url}`;
  return [
    ...(ca === undefined ? [] : [{ words, proxy: { url, ca } }]),
    { words, proxy: { url } },
    ...(bundle === undefined || serverName === undefined ? [] : [{ words, proxy: { url, ca: bundle, serverName } }]),
  ];
}

/** https://github.com/kubevirt/containerized-data-importer/blob/main/doc/cdi-config.md */
async function readConfig(
  cluster: Cluster,
  discovery: Discovery,
  problems: string[],
  signal: AbortSignal | undefined,
): Promise<{ url?: string; ca?: string }> {
  const kind = findVmKind(discovery, 'CDIConfig');
  const path = kind === undefined ? undefined : `/apis/${kind.apiVersion}/${kind.plural}/config`;
  const config = path === undefined ? undefined : await readIf(cluster, path, 'The CDIConfig config', problems, signal);
  const url = textIn(config?.spec, 'uploadProxyURLOverride') ?? textIn(config?.status, 'uploadProxyURL');
  const ca = textIn(config?.status, 'uploadProxyCA');
  if (config !== undefined && url === undefined) problems.push('CDI tells no URL of it (CDIConfig config)');
  return {
    ...(url !== undefined && { url: /^https?:\/\//.test(url) ? url : `https://${url}` }),
    ...(ca !== undefined && { ca }),
  };
}

/** The namespace that CDI is in. */
async function findService(
  cluster: Cluster,
  problems: string[],
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const denied: string[] = [];
  for (const namespace of NAMESPACES) {
    const path = `/api/v1/namespaces/${namespace}/services/${SERVICE}`;
    if ((await readIf(cluster, path, `The Service ${namespace}/${SERVICE}`, denied, signal)) !== undefined)
      return namespace;
  }
  try {
    const fieldSelector = `metadata.name=${SERVICE}`;
    for await (const { metadata } of cluster.list('/api/v1/services', { fieldSelector, signal })) {
      if (metadata.name === SERVICE && metadata.namespace !== undefined) return metadata.namespace;
    }
    problems.push(`There is no Service ${SERVICE}`);
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status !== 403) throw error;
    problems.push(...denied, `Services of all namespaces may not be listed to find ${SERVICE}`);
  }
  return undefined;
}

async function readBundle(
  cluster: Cluster,
  namespace: string,
  problems: string[],
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const path = `/api/v1/namespaces/${namespace}/configmaps/${BUNDLE}`;
  const found = await readIf(cluster, path, `The ConfigMap ${namespace}/${BUNDLE}`, problems, signal);
  return textIn(mapIn(found?.data), BUNDLE_KEY);
}

/** @param problems - is told of what may not be read */
async function readIf(
  cluster: Cluster,
  path: string,
  name: string,
  problems: string[],
  signal: AbortSignal | undefined,
): Promise<Record<string, unknown> | undefined> {
  try {
    return await findObject(cluster, path, signal);
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status !== 403) throw error;
    problems.push(`${name} may not be read`);
    return undefined;
  }
}

/** Asks for what CDI's proxy answers without a token; whatever stands before it may answer what it likes. */
async function probe(
  http: VmHttp,
  proxy: UploadProxy,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const late = AbortSignal.timeout(timeout);
  const { url, ...connection } = proxy;
  try {
    const answer = await http.request({
      method: 'GET',
      url: `${url.replace(/\/+$/, '')}/healthz`,
      ...connection,
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    await answer.text();
    if (answer.status >= 500) throw new TransshipError('CLUSTER', `it answers ${answer.status}`);
  } catch (error) {
    if (late.aborted && signal?.aborted !== true) {
      throw new TransshipError('CLUSTER', `no answer within ${timeout / 1000} s`, { cause: error });
    }
    throw error;
  }
}
