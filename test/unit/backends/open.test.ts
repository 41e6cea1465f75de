import { describe, expect, it } from 'vitest';
import { detectBackend, type OpenBackendOptions, openBackend } from '../../../src/backends/open.ts';

describe('what a path looks like', () => {
  it.each([
    ['s3://backups/stage', 's3'],
    ['./snapshots', 'local'],
    ['snapshots/', 'local'],
    ['/var/backups', 'local'],
    ['C:\\backups', 'local'],
    ['.', 'local'],
    ['..', 'local'],
    ['backup.tar.zst', 'local'],
    ['transship', 'artifact'],
    ['my-stage.1', 'artifact'],
  ])('%s is %s', (path, backend) => {
    expect(detectBackend(path)).toBe(backend);
    expect(openBackend({ path }).name).toBe(backend);
  });

  it('gives way to the backend that was chosen', () => {
    expect(openBackend({ backend: 'local', path: 'snapshots' }).name).toBe('local');
  });
});

describe('a bad combination', () => {
  it.each<[OpenBackendOptions, string]>([
    [{ path: './s', region: 'eu-west-1' }, 's3-region: "eu-west-1" is only for backend s3, and here it is local.'],
    [{ path: 's3://backups', runId: 4 }, 'run-id: 4 is only for backend artifact, and here it is s3.'],
    [
      { path: 'transship', forcePathStyle: false },
      's3-path-style: false is only for backend s3, and here it is artifact.',
    ],
    [{ path: './s', sse: 'AES256' }, 's3-sse: "AES256" is only for backend s3, and here it is local.'],
    [{ path: './s', sseCustomerKey: 'KEY' }, 's3-sse-customer-key is only for backend s3, and here it is local.'],
    [{ path: 's3://backups', sseKmsKeyId: 'k' }, 's3-sse-kms-key-id: "k" needs s3-sse aws:kms.'],
    [{ path: 's3://b', retentionDays: 3 }, 'retention-days: 3 is only for backend artifact, and here it is s3.'],
    [{ backend: 'local', path: 's3://backups' }, 'path: "s3://backups" is not a folder or file, and backend is local.'],
    [
      { path: './s/stage/backup/26-01-31_12-00-00/' },
      'path: "./s/stage/backup/26-01-31_12-00-00/" is the folder of one snapshot, not the place it is in.',
    ],
    [
      { path: 's3://b/stage/backup/26-01-31_12-00-00' },
      'path: "s3://b/stage/backup/26-01-31_12-00-00" is the folder of one snapshot, not the place it is in.',
    ],
    [{ backend: 'local', path: '' }, 'path: "" is not a folder or file, and backend is local.'],
    [{ backend: 's3', path: './s' }, 'path: "./s" is not a place in S3. Give s3://bucket or s3://bucket/prefix.'],
    [
      { backend: 'artifact', path: './s' },
      'path: "./s" is not a name an artifact can have. Give a name without " : < > | * ? \\ and /.',
    ],
  ])('%j is an error', (options, message) => {
    expect(() => openBackend(options)).toThrow(expect.objectContaining({ code: 'INPUT', message }));
  });

  it('is not a token for another backend, as every workflow has one', () => {
    expect(openBackend({ path: './s', token: 'ghs' }).name).toBe('local');
  });
});
