import { TransshipError } from '../errors.ts';
import { waitUnlessAborted } from './bytes.ts';
import type { S3Client } from './lazy/s3-sdk.ts';
import { type TimeOf, watchDates } from './s3-clock.ts';
import { readSse, refuseOpenKey, type SseOptions, type SseParameters } from './s3-sse.ts';

type S3Sdk = typeof import('./lazy/s3-sdk.ts');

/** How to reach S3; what is not given comes from the AWS environment and profile. */
export interface S3Options extends SseOptions {
  /** URL of a service other than AWS. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  /** Puts the bucket into the path and not into the host name; default: true with an endpoint other than AWS. */
  readonly forcePathStyle?: boolean | undefined;
}

/** A connection to S3 and the library it is made with. */
export interface S3Connection {
  readonly client: S3Client;
  readonly sdk: S3Sdk;
  /** The endpoint asked for, when it is not AWS's own. */
  readonly endpoint: string | undefined;
  /** How S3 is to encrypt. */
  readonly sse: SseParameters;
  readonly timeOf: TimeOf;
}

/** The region that services other than AWS are called with when none is given: most ignore it, all accept it. */
const ANY_REGION = 'us-east-1';
const CONNECT_MILLISECONDS = 10_000;
/** A request on whose connection nothing moves for so long is dead. Long: a service may be joining many parts. */
const IDLE_MILLISECONDS = 300_000;
const ATTEMPTS = 5;
/** The library's own 50 are fewer than the files of a tree that are copied at once. */
const MOST_CONNECTIONS = 100;

/**
 * Loads the AWS library and makes a client; sends nothing.
 *
 * @throws TransshipError `BACKEND` when there is no region
 * @throws TransshipError `INPUT` when a key of the user's own would go there in the open
 */
export async function connectS3(options: S3Options, signal?: AbortSignal): Promise<S3Connection> {
  const sdk = await waitUnlessAborted(import('./lazy/s3-sdk.ts'), signal);
  const { env } = process;
  const endpoint = options.endpoint ?? (env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || undefined);
  // The JavaScript SDK reads AWS_REGION only; the AWS CLI and the other SDKs know both.
  const region = options.region ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || undefined);
  const sse = readSse(options);
  refuseOpenKey(sse, endpoint);
  const make = (chosen: string | undefined) =>
    new sdk.S3Client({
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(chosen === undefined ? {} : { region: chosen }),
      forcePathStyle: options.forcePathStyle ?? endpoint !== undefined,
      maxAttempts: ATTEMPTS,
      // With it, every part opens a connection of its own: https://github.com/smithy-lang/smithy-typescript/blob/main/packages/node-http-handler/src/node-http-handler.ts
      expectContinueHeader: false,
      requestHandler: {
        connectionTimeout: CONNECT_MILLISECONDS,
        socketTimeout: IDLE_MILLISECONDS,
        httpAgent: { maxSockets: MOST_CONNECTIONS },
        httpsAgent: { maxSockets: MOST_CONNECTIONS },
      },
    });
  const connect = (client: S3Client) => ({ client, sdk, endpoint, sse, timeOf: watchDates(client) });
  const client = make(region);
  try {
    await client.config.region();
    return connect(client);
  } catch (error) {
    if (endpoint !== undefined) return connect(make(ANY_REGION));
    throw new TransshipError('BACKEND', 'The region of the bucket is not known.', {
      hint: 'Set s3-region, the environment variable AWS_REGION, or a region in the AWS profile.',
      cause: error,
    });
  }
}
