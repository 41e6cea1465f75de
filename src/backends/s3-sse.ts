import { TransshipError } from '../errors.ts';

/** The ways in which S3 encrypts with a key of its own, or of KMS. */
export type SseMethod = 'AES256' | 'aws:kms' | 'aws:kms:dsse';

/** How S3 is to encrypt what it stores. */
export interface SseOptions {
  /** The bucket's own setting when left out. */
  readonly sse?: SseMethod | undefined;
  /** The id, ARN or alias of a key of KMS; the account's key for S3 when left out. */
  readonly sseKmsKeyId?: string | undefined;
  /** 32 bytes in base64: S3 encrypts with it, does not keep it, and needs it again to read. */
  readonly sseCustomerKey?: string | undefined;
}

interface CustomerKey {
  readonly SSECustomerAlgorithm: 'AES256';
  readonly SSECustomerKey: string;
}

/** What requests carry; the library adds the key's MD5. */
export interface SseParameters {
  /** What makes an object: PutObject, CreateMultipartUpload. */
  readonly making: Partial<CustomerKey> & {
    readonly ServerSideEncryption?: SseMethod;
    readonly SSEKMSKeyId?: string;
  };
  /**
   * What touches one: UploadPart, HeadObject, GetObject; and, as parts have checksums, CompleteMultipartUpload:
   * https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
   */
  readonly touching: Partial<CustomerKey>;
}

const KEY_BYTES = 32;

/**
 * Reads the options into what requests carry.
 *
 * @throws TransshipError `INPUT` when they do not go together, or the customer's key is none; its value is never told
 */
export function readSse({ sse, sseKmsKeyId, sseCustomerKey }: SseOptions): SseParameters {
  if (sseKmsKeyId !== undefined && sse !== 'aws:kms' && sse !== 'aws:kms:dsse') {
    throw new TransshipError('INPUT', `s3-sse-kms-key-id: ${JSON.stringify(sseKmsKeyId)} needs s3-sse aws:kms.`, {
      hint: 'Set s3-sse to aws:kms or aws:kms:dsse, or remove s3-sse-kms-key-id.',
    });
  }
  if (sseCustomerKey === undefined) {
    const method = sse === undefined ? {} : { ServerSideEncryption: sse };
    return { making: { ...method, ...(sseKmsKeyId === undefined ? {} : { SSEKMSKeyId: sseKmsKeyId }) }, touching: {} };
  }
  if (sse !== undefined) {
    throw new TransshipError('INPUT', `s3-sse: "${sse}" and s3-sse-customer-key exclude each other.`, {
      hint: 'Remove one of them: S3 encrypts either with its own key or with yours.',
    });
  }
  checkKey(sseCustomerKey);
  const customer = { SSECustomerAlgorithm: 'AES256', SSECustomerKey: sseCustomerKey } as const;
  return { making: customer, touching: customer };
}

function checkKey(key: string): void {
  const bytes = Buffer.from(key, 'base64');
  if (bytes.byteLength === KEY_BYTES && bytes.toString('base64') === key) return;
  throw new TransshipError('INPUT', 's3-sse-customer-key is not 32 bytes in base64.', {
    hint: 'Make one with `openssl rand -base64 32`, and keep it: without it nobody can read what it encrypts.',
  });
}

/**
 * Sees to it that a customer's key does not travel in the open.
 *
 * @throws TransshipError `INPUT` when it would
 */
export function refuseOpenKey({ touching }: SseParameters, endpoint: string | undefined): void {
  const url = URL.parse(endpoint ?? '');
  if (touching.SSECustomerKey === undefined || url?.protocol !== 'http:') return;
  if (['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)) return;
  throw new TransshipError('INPUT', `s3-sse-customer-key would go unencrypted to ${url.origin}.`, {
    hint: 'Set s3-endpoint to an address that begins with https://.',
  });
}
