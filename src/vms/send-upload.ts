import type { Clock } from '../cluster/clock.ts';
import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import type { Discovery } from '../cluster/discovery.ts';
import { cancelledBy, messageOf } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { createUploadBody, type UploadBody } from './upload-body.ts';
import type { UploadOptions, UploadTarget } from './upload-disk.ts';
import { readBreak, readRefusal, stalled, UploadRefused } from './upload-refusals.ts';
import { requestUploadToken } from './upload-token.ts';

/** What became of sending a disk once. */
export interface Sent {
  /** Everything was handed over, whether it was taken or not. */
  readonly isWhole: boolean;
  /** Undefined when it was taken. */
  readonly error: UploadRefused | undefined;
}

/** Milliseconds. */
const PROGRESS_GAP = 1_000;

/**
 * What sends a disk once, with a token of its own.
 *
 * The function throws what can't get better by sending again and is not the upload proxy's: what the source threw, what
 * the API server refuses, cancellation.
 */
export function createSender(
  cluster: Cluster,
  discovery: Discovery,
  target: UploadTarget,
  source: () => AsyncIterable<Uint8Array>,
  options: UploadOptions & { readonly clock: Clock },
): () => Promise<Sent> {
  const { http, proxy, encoding, timeout, reporter, clock, signal } = options;
  const name = `${target.namespace}/${target.pvc}`;
  const isDisk = target.contentType !== 'archive';
  const connection = {
    ...(proxy.ca !== undefined && { ca: proxy.ca }),
    ...(proxy.serverName !== undefined && { serverName: proxy.serverName }),
    ...(proxy.connect !== undefined && { connect: proxy.connect }),
  };
  let url: string | undefined;

  async function askToken(): Promise<string> {
    try {
      const token = await requestUploadToken(cluster, discovery, target, signal);
      reporter.mask(token);
      return token;
    } catch (error) {
      // No answer, or none of the server that CDI adds to the API server: that passes.
      if (
        error instanceof ClusterError &&
        (error.status === 0 || error.status >= 500) &&
        error.reason !== 'Certificate'
      ) {
        throw new UploadRefused('passing', `${name}: CDI gave no token: ${messageOf(error)}`, { cause: error });
      }
      throw error;
    }
  }

  /** @throws UploadRefused */
  async function request(
    method: 'HEAD' | 'POST',
    to: string,
    token: string,
    body?: UploadBody,
  ): Promise<UploadRefused | undefined> {
    const stall = watchStall(() => (body === undefined ? 0 : body.read + body.sent), timeout, clock);
    try {
      const answer = await http.request({
        method,
        url: to,
        headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/octet-stream' }) },
        ...(body && { body: withProgress(body, target, reporter, clock) }),
        ...connection,
        signal: signal === undefined ? stall.signal : AbortSignal.any([signal, stall.signal]),
      });
      const said = await answer.text();
      return answer.status === 200 ? undefined : readRefusal(answer.status, said, name, proxy.url);
    } catch (error) {
      if (signal?.aborted) throw cancelledBy(signal, `the upload into ${name}`);
      if (body?.failure !== undefined) throw body.failure.error;
      throw stall.signal.aborted ? stalled(name, timeout, body?.awaitsSource === true) : readBreak(error, name);
    } finally {
      stall.end();
    }
  }

  /** An asynchronous upload is answered before CDI resizes the disk, which can take longer than proxies wait. */
  async function findUrl(token: string): Promise<string> {
    const synchronous = urlOf(proxy.url, 'upload');
    // Files have no asynchronous way: https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/uploadproxy/uploadproxy.go (resolveUploadPath)
    if (!isDisk) return synchronous;
    const asynchronous = urlOf(proxy.url, 'upload-async');
    const refused = await request('HEAD', asynchronous, token);
    if (refused === undefined) return asynchronous;
    if (refused.kind === 'token' || refused.kind === 'passing') throw refused;
    return synchronous;
  }

  return async () => {
    const body = createUploadBody(source, { volume: name, size: isDisk ? target.size : undefined, encoding });
    try {
      const token = await askToken();
      url ??= await findUrl(token);
      return { error: await request('POST', url, token, body), isWhole: body.isWhole };
    } catch (error) {
      if (!(error instanceof UploadRefused)) throw error;
      return { error, isWhole: body.isWhole };
    }
  };
}

function urlOf(proxy: string, action: string): string {
  const base = /^https?:\/\//.test(proxy) ? proxy : `https://${proxy}`;
  return `${base.replace(/\/+$/, '')}/v1beta1/${action}`;
}

/** Fires when nothing has moved for a while: after one to two times `timeout`. */
function watchStall(moved: () => number, timeout: number, clock: Clock): { signal: AbortSignal; end(): void } {
  const stop = new AbortController();
  const ended = new AbortController();
  const watch = async () => {
    for (let before = -1; before !== moved(); ) {
      before = moved();
      await clock.sleep(timeout, ended.signal);
    }
    stop.abort();
  };
  // It ends with the request, by the signal.
  watch().catch(() => {});
  return { signal: stop.signal, end: () => ended.abort() };
}

async function* withProgress(
  body: UploadBody,
  { pvc, size, contentType }: UploadTarget,
  reporter: Reporter,
  clock: Clock,
): AsyncGenerator<Uint8Array> {
  const begun = clock.now();
  let told = Number.NEGATIVE_INFINITY;
  for await (const piece of body) {
    if (clock.now() - told >= PROGRESS_GAP) {
      told = clock.now();
      const mebibytes = Math.floor(body.read / 1024 ** 2);
      const part =
        contentType === 'archive'
          ? ''
          : ` of ${Math.ceil(size / 1024 ** 2)} MiB, ${Math.floor((body.read / size) * 100)} %`;
      const seconds = (clock.now() - begun) / 1000;
      const rate = seconds > 0 ? `, ${Math.round(body.read / 1024 ** 2 / seconds)} MiB/s` : '';
      reporter.progress(`${pvc}: ${mebibytes}${part === '' ? ' MiB' : part} uploaded${rate}`);
    }
    yield piece;
  }
}
