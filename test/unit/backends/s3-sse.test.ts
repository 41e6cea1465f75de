import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { S3Backend } from '../../../src/backends/s3.ts';
import { readSse, refuseOpenKey } from '../../../src/backends/s3-sse.ts';

const KEY = randomBytes(32).toString('base64');
const CUSTOMER = { SSECustomerAlgorithm: 'AES256', SSECustomerKey: KEY };

describe('what requests carry', () => {
  it.each([
    [{}, {}, {}],
    [{ sse: 'AES256' }, { ServerSideEncryption: 'AES256' }, {}],
    [{ sse: 'aws:kms' }, { ServerSideEncryption: 'aws:kms' }, {}],
    [
      { sse: 'aws:kms:dsse', sseKmsKeyId: 'alias/backups' },
      { ServerSideEncryption: 'aws:kms:dsse', SSEKMSKeyId: 'alias/backups' },
      {},
    ],
    [{ sseCustomerKey: KEY }, CUSTOMER, CUSTOMER],
  ] as const)('for %j', (options, making, touching) => {
    expect(readSse(options)).toEqual({ making, touching });
  });
});

describe('options that do not go together', () => {
  it.each([
    [{ sseKmsKeyId: 'alias/b' }, 's3-sse-kms-key-id: "alias/b" needs s3-sse aws:kms.'],
    [{ sse: 'AES256', sseKmsKeyId: 'alias/b' }, 's3-sse-kms-key-id: "alias/b" needs s3-sse aws:kms.'],
    [{ sse: 'aws:kms', sseCustomerKey: KEY }, 's3-sse: "aws:kms" and s3-sse-customer-key exclude each other.'],
  ] as const)('are told when the place is opened: %j', (options, message) => {
    expect(() => new S3Backend('s3://backups', options)).toThrow(expect.objectContaining({ code: 'INPUT', message }));
  });

  it.each([
    ['too short', randomBytes(31).toString('base64')],
    ['too long', randomBytes(33).toString('base64')],
    ['no base64', `!${KEY.slice(1)}`],
    ['hex', randomBytes(32).toString('hex')],
  ])('a key that is %s is refused and not shown', (_what, sseCustomerKey) => {
    let thrown: unknown;
    try {
      readSse({ sseCustomerKey });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'INPUT', message: 's3-sse-customer-key is not 32 bytes in base64.' });
    expect(JSON.stringify([thrown, String(thrown)])).not.toContain(sseCustomerKey);
  });
});

describe('a customer key', () => {
  const sse = readSse({ sseCustomerKey: KEY });

  it.each(['https://minio.example.com', 'http://127.0.0.1:9000', 'http://localhost', 'http://[::1]:9000', undefined])(
    'goes to %s',
    (endpoint) => {
      expect(() => refuseOpenKey(sse, endpoint)).not.toThrow();
    },
  );

  it('does not go over a network in the open', () => {
    expect(() => refuseOpenKey(sse, 'http://minio.example.com:9000/x')).toThrow(
      expect.objectContaining({
        code: 'INPUT',
        message: 's3-sse-customer-key would go unencrypted to http://minio.example.com:9000.',
      }),
    );
    expect(() => refuseOpenKey(readSse({ sse: 'AES256' }), 'http://minio.example.com:9000')).not.toThrow();
  });
});
