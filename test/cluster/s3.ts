import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Reporter } from '../../src/report/reporter.ts';
import type { Guarded } from './guarded.ts';
import { startOnFreePorts } from './ports.ts';
import { ensureTools } from './tools.ts';

const READY_WITHIN_MS = 30_000;
const POLL_MS = 20;

/** A running S3 server. */
export interface TestS3 {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  /** An empty bucket; addressed by path, `<endpoint>/<bucket>/<key>`. */
  readonly bucket: string;
  /** What the default credential chain of the AWS SDK reads. */
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly pids: Readonly<Record<string, number>>;
  /** Ends it and removes all it kept. */
  stop(): Promise<void>;
}

/**
 * Starts a real S3 server, versitygw over a temporary folder, with one bucket. It listens on 127.0.0.1 only, and ends
 * with this process, however that ends.
 */
export async function startS3(options: { bucket?: string; reporter?: Reporter } = {}): Promise<TestS3> {
  const { versitygw } = await ensureTools(['versitygw'], options.reporter);
  const bucket = options.bucket ?? 'snapshots';
  return startOnFreePorts('transship-s3-', 1, (guarded, ports) => startOn(guarded, ports, versitygw, bucket));
}

async function startOn(
  guarded: Guarded,
  [port = 0]: readonly number[],
  versitygw: string,
  bucket: string,
): Promise<TestS3> {
  const { folder } = guarded;
  const accessKeyId = `TEST${randomBytes(8).toString('hex').toUpperCase()}`;
  const secretAccessKey = randomBytes(24).toString('hex');
  const region = 'us-east-1';
  const endpoint = `http://127.0.0.1:${port}`;
  await mkdir(join(folder, 'buckets', bucket), { recursive: true });
  await mkdir(join(folder, 'metadata'));
  await guarded.start('versitygw', [
    versitygw,
    ...['--port', `127.0.0.1:${port}`, '--access', accessKeyId, '--secret', secretAccessKey, '--region', region],
    // As every service does: without, each request has a connection of its own.
    ...['--health', '/health', '--quiet', '--keep-alive'],
    // Metadata beside the objects: not every temporary folder has extended attributes.
    ...['posix', '--sidecar', join(folder, 'metadata'), join(folder, 'buckets')],
  ]);
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await isHealthy(endpoint))) {
    await guarded.check();
    if (Date.now() > deadline) throw new Error(`versitygw did not answer within ${READY_WITHIN_MS / 1000} s`);
    await sleep(POLL_MS);
  }
  return {
    endpoint,
    accessKeyId,
    secretAccessKey,
    region,
    bucket,
    env: {
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_REGION: region,
    },
    folder,
    pids: guarded.pids,
    stop: () => guarded.end(),
  };
}

function isHealthy(endpoint: string): Promise<boolean> {
  return fetch(`${endpoint}/health`).then(
    (response) => response.ok,
    () => false,
  );
}
