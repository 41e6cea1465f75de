import { cancelledBy, messageOf, TransshipError } from '../errors.ts';
import type { StoredFile } from './backend.ts';
import type { CopyObjectCommand } from './lazy/s3-sdk.ts';
import type { S3Connection } from './s3-connect.ts';
import { isDeniedOrUnknown, readS3Failure, s3Error } from './s3-errors.ts';
import { aborting, type S3Target } from './s3-objects.ts';
import { addressOf } from './s3-place.ts';

/** An object that is to be copied, by its key. */
export interface CopySource extends StoredFile {
  readonly key: string;
}

/**
 * Copies an object within the bucket, where it is still the one it was. It can be done any number of times.
 *
 * @returns the ETag of the copy; undefined when the service does not tell
 * @throws TransshipError `BASE_GONE` when the source is gone, was changed or can't be copied; `BACKEND`, `CANCELLED`
 */
export type CopyObject = (source: CopySource, key: string, signal?: AbortSignal) => Promise<string | undefined>;

/** What makes a request that was signed once one for other objects. */
type SendCopy = (source: CopySource, key: string, signal?: AbortSignal) => Promise<string | undefined>;

type HttpRequest = Parameters<Awaited<ReturnType<S3Connection['client']['config']['signer']>>['sign']>[0];

/** What the library puts into each request for itself. */
const OWN_HEADERS = ['authorization', 'x-amz-date', 'x-amz-security-token', 'amz-sdk-invocation-id', 'amz-sdk-request'];
/** Why a service does not copy an object that it has: it was moved to an archive, or another key of the user opens it. */
const NOT_COPIED = ['InvalidObjectState', 'InvalidRequest', 'InvalidArgument'];

/**
 * Makes ready to copy many small objects. The library takes a millisecond of processor time for each request, most of it
 * to find out what is the same for all. So only the first goes all its way; the others are that one with other names,
 * signed and sent by the library's own parts. Whatever is not answered as it should be goes all the way again.
 */
export function createCopier({ connection, place }: Pick<S3Target, 'connection' | 'place'>): CopyObject {
  let prepared: Promise<SendCopy | undefined> | undefined;

  const copyFirst = async (source: CopySource, key: string, signal: AbortSignal | undefined) => {
    const command = createCommand(connection, place.bucket, source, key);
    let seen: unknown;
    command.middlewareStack.add(
      (next) => (args) => {
        seen = args.request;
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low', name: 'seeRequest' },
    );
    const etag = await send(connection, command, signal);
    return { etag, sendCopy: await prepare(connection, place.bucket, key, seen).catch(() => undefined) };
  };

  return async (source, key, signal) => {
    try {
      if (prepared === undefined) {
        const first = copyFirst(source, key, signal);
        prepared = first.then(({ sendCopy }) => sendCopy);
        // Those that wait for it go all the way then.
        prepared.catch(() => {
          prepared = undefined;
        });
        return (await first).etag;
      }
      const sendCopy = await prepared.catch(() => undefined);
      const etag = await sendCopy?.(source, key, signal);
      return etag ?? (await send(connection, createCommand(connection, place.bucket, source, key), signal));
    } catch (error) {
      throw signal?.aborted ? cancelledBy(signal) : explain(error, { connection, place }, source, key);
    }
  };
}

function createCommand(
  { sdk, sse }: S3Connection,
  bucket: string,
  { key: from, version }: CopySource,
  key: string,
): CopyObjectCommand {
  const { SSECustomerAlgorithm, SSECustomerKey } = sse.touching;
  return new sdk.CopyObjectCommand({
    Bucket: bucket,
    Key: key,
    ...sse.making,
    ...(SSECustomerKey === undefined
      ? {}
      : { CopySourceSSECustomerAlgorithm: SSECustomerAlgorithm, CopySourceSSECustomerKey: SSECustomerKey }),
    CopySource: sourceOf(bucket, from),
    CopySourceIfMatch: version,
  });
}

async function send({ client }: S3Connection, command: CopyObjectCommand, signal: AbortSignal | undefined) {
  const { CopyObjectResult } = await client.send(command, aborting(signal));
  return CopyObjectResult?.ETag;
}

/** As it stands in a header: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html */
function sourceOf(bucket: string, key: string): string {
  return `${bucket}/${escapeKey(key)}`;
}

function escapeKey(key: string): string {
  return key.split('/').map(escapeName).join('/');
}

/** As signatures need it: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
function escapeName(name: string): string {
  return encodeURIComponent(name).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** @param seen - the library's request for the object of that key, as it was sent */
async function prepare(
  { client: { config } }: S3Connection,
  bucket: string,
  key: string,
  seen: unknown,
): Promise<SendCopy | undefined> {
  if (!isRequest(seen)) return undefined;
  const { headers, path } = seen;
  const end = escapeKey(key);
  // Other schemes sign otherwise: of buckets in one zone, of access points in several regions.
  const [, signingRegion] =
    /^AWS4-HMAC-SHA256 Credential=[^,]+\/([^/,]+)\/s3\/aws4_request,/.exec(headers.authorization ?? '') ?? [];
  if (signingRegion === undefined || !path.endsWith(`/${end}`)) return undefined;
  const start = path.slice(0, -end.length);
  const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN_HEADERS.includes(name)));
  const signer = await config.signer({ name: 'sigv4', signingName: 's3', signingRegion, properties: {} });
  return async (source, to, signal) => {
    const request = {
      ...seen,
      path: `${start}${escapeKey(to)}`,
      headers: {
        ...kept,
        'x-amz-copy-source': sourceOf(bucket, source.key),
        'x-amz-copy-source-if-match': source.version,
      },
    };
    const signed = await signer.sign(request, { signingDate: new Date(Date.now() + config.systemClockOffset) });
    try {
      const { response } = await config.requestHandler.handle({ ...request, ...signed }, aborting(signal));
      return readAnswer(response.statusCode, await readText(response.body));
    } catch {
      // The library knows when to try again.
      return undefined;
    }
  };
}

/** The ETag in an answer; undefined when it is another one. A failure may begin as a success. */
function readAnswer(status: number, body: string): string | undefined {
  if (status !== 200 || body.includes('<Error>')) return undefined;
  return /<ETag>([^<]+)<\/ETag>/.exec(body)?.[1]?.replace(/&quot;|&#34;/g, '"');
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const piece of body) text += Buffer.from(piece).toString('latin1');
  return text;
}

function isRequest(value: unknown): value is HttpRequest & { readonly path: string } {
  return typeof value === 'object' && value !== null && 'headers' in value && 'path' in value && 'hostname' in value;
}

function explain(
  error: unknown,
  { connection: { endpoint }, place }: Pick<S3Target, 'connection' | 'place'>,
  source: CopySource,
  key: string,
): TransshipError {
  if (error instanceof TransshipError) return error;
  const { name, status } = readS3Failure(error);
  const gone = status === 412 || ['NoSuchKey', 'NotFound'].includes(name);
  if (!gone && !NOT_COPIED.includes(name) && !isDeniedOrUnknown(error)) {
    return s3Error(error, { place, key, action: 's3:PutObject', endpoint });
  }
  const address = addressOf(place, source.key);
  const reason = gone ? 'it was removed or changed' : `${messageOf(error)} (${name})`;
  return new TransshipError('BASE_GONE', `${address} can't be copied: ${reason}.`, {
    hint: gone ? undefined : 'Copying needs s3:GetObject on what is stored; without it all is sent each time.',
    cause: error,
  });
}
