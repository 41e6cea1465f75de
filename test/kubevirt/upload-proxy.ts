import { setTimeout as delay } from 'node:timers/promises';
import { emptyAnswer, type Handler, NOT_FOUND, textAnswer } from './answers.ts';
import type { UploadMode, UploadServer } from './upload-server.ts';
import type { UploadTokens } from './upload-token.ts';

/** What the proxy finds in the annotations of a claim, and the pod behind it. */
export interface UploadClaim {
  /** `cdi.kubevirt.io/storage.upload.target` is set. */
  readonly isTarget: boolean;
  /** `cdi.kubevirt.io/storage.contentType` */
  readonly contentType?: string | undefined;
  /** `cdi.kubevirt.io/storage.pod.phase` */
  readonly podPhase?: string | undefined;
  /** `cdi.kubevirt.io/storage.pod.ready` */
  readonly isReady: boolean;
  /** Absent where no pod answers. */
  readonly server: UploadServer | undefined;
}

export interface UploadProxyOptions {
  readonly tokens: UploadTokens;
  readonly find: (namespace: string, claim: string) => Promise<UploadClaim | undefined>;
  /** How long it waits for the pod to be ready, in milliseconds; default 10 s, as the real one. */
  readonly readyWait?: number;
}

const MODES: Readonly<Record<string, UploadMode>> = { '/v1beta1/upload': 'sync', '/v1beta1/upload-async': 'async' };
const POLL_MS = 50;

/**
 * What CDI's upload proxy answers.
 *
 * @see https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/uploadproxy/uploadproxy.go
 */
export function uploadProxyHandler({ tokens, find, readyWait = 10_000 }: UploadProxyOptions): Handler {
  return async (request) => {
    if (request.path === '/healthz') return textAnswer(200, 'OK');
    const mode = MODES[request.path];
    if (mode === undefined) return NOT_FOUND;
    const [, token] = /^Bearer\s+([A-Za-z0-9\-._~+/]+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (token === undefined) return emptyAnswer(400);
    const claim = tokens.check(token);
    if (claim === undefined) return emptyAnswer(401);
    const ready = await untilReady(() => find(claim.namespace, claim.name), claim.name, readyWait, request.signal);
    if (typeof ready === 'string') return textAnswer(503, ready);
    if (ready.contentType !== undefined && !['', 'kubevirt', 'archive'].includes(ready.contentType)) {
      return textAnswer(
        503,
        `rejecting upload request for PVC ${claim.name} - upload content-type ${ready.contentType} is invalid`,
      );
    }
    // The path on the pod follows the claim's content type: a tar is taken there whichever path is asked for here.
    const answer = (await ready.server?.handle(ready.contentType === 'archive' ? 'sync' : mode, request)) ?? 'gone';
    if (answer !== 'gone') return answer;
    return textAnswer(502, 'error in upload-proxy: http: proxy error: dial tcp: connect: connection refused\n');
  };
}

/** The claim, or why nothing can be uploaded to it. */
async function untilReady(
  find: () => Promise<UploadClaim | undefined>,
  name: string,
  wait: number,
  signal: AbortSignal,
): Promise<UploadClaim | string> {
  const deadline = performance.now() + wait;
  for (;;) {
    const claim = await find();
    if (claim === undefined) return `rejecting Upload Request for PVC ${name} that doesn't exist`;
    if (!claim.isTarget) return `PVC ${name} is not an upload target`;
    if (claim.podPhase === 'Succeeded') {
      return `rejecting Upload Request for PVC ${name} that already finished uploading`;
    }
    if (claim.isReady) return claim;
    if (performance.now() >= deadline) return 'context deadline exceeded';
    await delay(POLL_MS, undefined, { signal });
  }
}
