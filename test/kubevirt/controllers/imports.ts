import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { Readable } from 'node:stream';
import { rootCertificates } from 'node:tls';
import { createGunzip } from 'node:zlib';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { isMap, stringsIn } from '../../../src/values.ts';
import { type Context, keyOf } from '../context.ts';
import { ANNOTATIONS, annotation, field, nameFor, namespaceOf, PATHS, pathIn, text } from '../objects.ts';
import { createPod, isReady, phaseOf, podsUsing } from '../pods.ts';
import { grownDisk, type ReceivedDisk, recordDisk } from '../received-disk.ts';
import { isBindable, roomOf } from './data-volumes.ts';
import { dataVolumeOf } from './export-sources.ts';
import { annotate } from './uploads.ts';

const RETRY_MS = 300;
const MESSAGE = 'cdi.kubevirt.io/storage.condition.running.message';
const FATAL = 'cdi.kubevirt.io/storage.import.fatalError';

/** An import that is not tried again. */
class FatalImportError extends Error {
  override name = 'FatalImportError';
}

/**
 * Does for DataVolumes with the source `http` what CDI's importer does: downloads, and again when it breaks.
 *
 * @see https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/importer/http-datasource.go
 */
export async function reconcileImports(context: Context): Promise<void> {
  const claims = context.stores().all(PATHS.claims);
  const known = new Set(claims.map(({ metadata }) => metadata.uid));
  for (const [uid, job] of context.imports) {
    if (!known.has(uid)) job.abort();
  }
  const isHeld = context.isHeld('imports');
  for (const claim of claims) {
    if (annotation(claim, ANNOTATIONS.importEndpoint) === undefined) continue;
    if (claim.metadata.deletionTimestamp !== undefined) await stop(context, claim);
    else if (!isHeld) await reconcile(context, claim);
  }
}

/** Its pod goes first: a claim that is in use stays. */
async function stop(context: Context, claim: KubeObject): Promise<void> {
  const namespace = namespaceOf(claim);
  const name = nameFor('importer', claim.metadata.name);
  context.imports.get(claim.metadata.uid ?? '')?.abort();
  const pod = context.stores().find(PATHS.pods, namespace, name);
  if (pod !== undefined && pod.metadata.deletionTimestamp === undefined) {
    await context.kube.delete(pathIn(PATHS.pods, namespace, name));
  }
}

async function reconcile(context: Context, claim: KubeObject): Promise<void> {
  const namespace = namespaceOf(claim);
  const podName = nameFor('importer', claim.metadata.name);
  const pod = context.stores().find(PATHS.pods, namespace, podName);
  if (annotation(claim, ANNOTATIONS.podPhase) === 'Succeeded' || annotation(claim, FATAL) === 'true') {
    if (pod !== undefined) await context.kube.delete(pathIn(PATHS.pods, namespace, podName));
    return;
  }
  if (pod === undefined) {
    if (!(await isBindable(context, claim)) || podsUsing(context, claim).length > 0) return;
    await createPod(context, { namespace, name: podName, owner: claim, claims: [claim.metadata.name] });
    return;
  }
  const isRunning = isReady(pod) && phaseOf(pod) === 'Running';
  await annotate(context, claim, {
    [ANNOTATIONS.podPhase]: phaseOf(pod) ?? 'Pending',
    [ANNOTATIONS.podReady]: String(isRunning),
  });
  const { uid = '' } = claim.metadata;
  if (!isRunning || context.imports.has(uid)) return;
  const job = new AbortController();
  context.imports.set(uid, job);
  void run(context, claim, job.signal).then(
    (isDone) => {
      // Done is done, also where that is not seen yet.
      if (!isDone) context.imports.delete(uid);
      context.again();
    },
    (error) => context.report(error),
  );
}

/** @returns whether there is nothing more to do */
async function run(context: Context, claim: KubeObject, signal: AbortSignal): Promise<boolean> {
  const namespace = namespaceOf(claim);
  const { name } = claim.metadata;
  try {
    const disk = await download(context, claim, signal);
    context.received.set(keyOf(namespace, name), disk);
    if (context.keepUploads) context.volumes.set(namespace, name, { disk: grownDisk(disk, roomOf(context, claim)) });
    await annotate(context, claim, {
      [ANNOTATIONS.podPhase]: 'Succeeded',
      [ANNOTATIONS.podReady]: 'false',
      [MESSAGE]: undefined,
    });
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    const message = error instanceof Error ? error.message : String(error);
    const isFatal = error instanceof FatalImportError;
    const current = context.stores().find(PATHS.claims, namespace, name) ?? claim;
    const restarts = Number(annotation(current, ANNOTATIONS.podRestarts) ?? 0) + 1;
    await annotate(context, current, {
      [MESSAGE]: message,
      [ANNOTATIONS.podRestarts]: String(restarts),
      ...(isFatal ? { [FATAL]: 'true', [ANNOTATIONS.podPhase]: 'Failed' } : {}),
    });
    // Held back until then: the controllers start it anew when it is no longer known.
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
    return false;
  }
}

async function download(context: Context, claim: KubeObject, signal: AbortSignal): Promise<ReceivedDisk> {
  const http = field(dataVolumeOf(context, claim), 'spec', 'source', 'http');
  const url = text(http, 'url') ?? '';
  const namespace = namespaceOf(claim);
  const headers = await headersOf(context, namespace, http);
  const agent = new Agent({
    ca: [...rootCertificates, ...(await certificatesOf(context, namespace, http))],
    keepAlive: false,
  });
  try {
    const answer = await get(url, headers, agent, signal);
    if (answer.statusCode !== 200) {
      throw new Error(
        `expected status code 200, got ${answer.statusCode}. Status: ${answer.statusCode} ${answer.statusMessage}`,
      );
    }
    return await take(answer, roomOf(context, claim), text(http, 'checksum'), context.keepUploads);
  } finally {
    agent.destroy();
  }
}

async function get(
  url: string,
  headers: Readonly<Record<string, string>>,
  agent: Agent,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const sent = request(new URL(url), { headers: { 'user-agent': 'cdi-golang-importer', ...headers }, agent, signal });
  sent.end();
  const [answer] = await once(sent, 'response');
  return answer;
}

/** The disk in an answer, unpacked where it is gzip. The checksum is that of what came over the wire. */
async function take(
  answer: IncomingMessage,
  room: number,
  checksum: string | undefined,
  keep: boolean,
): Promise<ReceivedDisk> {
  const wire = createHash('sha256');
  const recorder = recordDisk({ keep });
  const pieces = answer[Symbol.asyncIterator]();
  const first = await pieces.next();
  const hashed = async function* (): AsyncGenerator<Uint8Array> {
    for (let piece = first; !piece.done; piece = await pieces.next()) {
      wire.update(piece.value);
      yield piece.value;
    }
  };
  const isGzip = !first.done && first.value[0] === 0x1f && first.value[1] === 0x8b;
  for await (const piece of isGzip ? gunzipped(hashed()) : hashed()) {
    recorder.write(piece);
    if (recorder.size > room)
      throw new Error(`virtual image size is larger than the reported available storage ${room}`);
  }
  if (checksum !== undefined && checksum !== `sha256:${wire.digest('hex')}`) {
    throw new FatalImportError(`checksum mismatch: expected ${checksum}`);
  }
  return recorder.finish();
}

function gunzipped(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const source = Readable.from(pieces);
  const gunzip = createGunzip();
  source.on('error', (error) => gunzip.destroy(error));
  return source.pipe(gunzip);
}

async function certificatesOf(context: Context, namespace: string, http: unknown): Promise<string[]> {
  const name = text(http, 'certConfigMap');
  if (name === undefined) return [];
  const configMap = await context.kube.get(pathIn('/api/v1/configmaps', namespace, name));
  if (configMap === undefined)
    throw new Error(`MountVolume.SetUp failed for volume "cdi-cert-vol": configmap "${name}" not found`);
  const data = field(configMap, 'data');
  return isMap(data) ? Object.values(data).map(String) : [];
}

async function headersOf(context: Context, namespace: string, http: unknown): Promise<Record<string, string>> {
  const lines = stringsIn(field(http, 'extraHeaders'));
  for (const name of stringsIn(field(http, 'secretExtraHeaders'))) {
    const secret = await context.kube.get(pathIn(PATHS.secrets, namespace, name));
    if (secret === undefined) throw new Error(`MountVolume.SetUp failed: secret "${name}" not found`);
    const data = field(secret, 'data');
    for (const value of isMap(data) ? Object.values(data) : []) {
      lines.push(Buffer.from(String(value), 'base64').toString('utf8'));
    }
  }
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const value = line.slice(colon + 1);
    // The real one sends a space or a line break with it, and the server refuses: here it is not sent at all.
    if (colon > 0 && value === value.trim()) headers[line.slice(0, colon).toLowerCase()] = value;
  }
  return headers;
}
