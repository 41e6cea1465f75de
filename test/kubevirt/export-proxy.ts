import { type Body, Broken, emptyAnswer, type Handler } from './answers.ts';

/** What the proxy finds behind the name of an export. */
export type ExportBackend =
  | 'unknown'
  /** There, but its phase is not Ready. */
  | 'not-ready'
  /** Ready, but nothing takes a connection. */
  | 'unreachable'
  | { readonly handle: Handler; readonly death?: AbortSignal };

/** The versions in the paths that the proxy of KubeVirt 1.9 knows; with others the answer is 400. */
export const PROXY_VERSIONS = ['v1beta1', 'v1'];

/**
 * What virt-exportproxy answers: it takes its prefix off the path, and the rest is the exporter pod's.
 *
 * @see https://github.com/kubevirt/kubevirt/blob/main/cmd/virt-exportproxy/virt-exportproxy.go
 */
export function exportProxyHandler(
  find: (namespace: string, name: string) => ExportBackend,
  versions: readonly string[] = PROXY_VERSIONS,
): Handler {
  const known = new RegExp(
    `^/api/export\\.kubevirt\\.io/(?:${versions.join('|')})/namespaces/([^/]+)/virtualmachineexports/([^/]+)/(.*)$`,
  );
  return async (request) => {
    if (request.path === '/healthz') return { status: 200, body: 'OK' };
    const [, namespace, name, rest] = known.exec(request.path) ?? [];
    if (namespace === undefined || name === undefined || rest === undefined) return emptyAnswer(400);
    const backend = find(namespace, name);
    if (backend === 'unknown') return emptyAnswer(404);
    if (backend === 'not-ready') return emptyAnswer(503);
    if (backend === 'unreachable') return emptyAnswer(502);
    const { handle, death } = backend;
    const answer = await handle({ ...request, path: `/${rest}` });
    if (death === undefined || answer.body === undefined || typeof answer.body === 'string') return answer;
    return { ...answer, body: untilDeath(answer.body, death) };
  };
}

/** What came from a pod, as long as it lives; then the proxy ends the connection to the client too. */
async function* untilDeath(body: Body, death: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    if (death.aborted) throw new Broken('close');
    yield piece;
  }
}

/** The path under which the proxy serves an export. */
export function proxyPrefix(version: string, namespace: string, name: string): string {
  return `/api/export.kubevirt.io/${version}/namespaces/${namespace}/virtualmachineexports/${name}`;
}
