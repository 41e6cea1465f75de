import { TransshipError } from '../errors.ts';
import { ArtifactBackend } from './artifact.ts';
import type { ArtifactOptions } from './artifact-source.ts';
import type { Backend } from './backend.ts';
import { LocalBackend } from './local.ts';
import { S3Backend } from './s3.ts';
import type { S3Options } from './s3-connect.ts';
import { archiveSuffixOf } from './selector.ts';
import { refuseTreePath } from './trees.ts';

/** Where snapshots are kept, and what each kind of place needs to know besides. */
export interface OpenBackendOptions extends S3Options, ArtifactOptions {
  /** What `path` looks like when left out. */
  readonly backend?: Backend['name'] | undefined;
  /** `s3://bucket/prefix`, a folder or file, or the name of artifacts. */
  readonly path: string;
}

/** Which option is for which backend, and what users call it. */
const OPTIONS = {
  endpoint: ['s3', 's3-endpoint'],
  region: ['s3', 's3-region'],
  forcePathStyle: ['s3', 's3-path-style'],
  sse: ['s3', 's3-sse'],
  sseKmsKeyId: ['s3', 's3-sse-kms-key-id'],
  sseCustomerKey: ['s3', 's3-sse-customer-key'],
  runId: ['artifact', 'run-id'],
  repository: ['artifact', 'repository'],
  retentionDays: ['artifact', 'retention-days'],
} as const satisfies Partial<Record<keyof OpenBackendOptions, readonly [Backend['name'], string]>>;

/** What a path looks like: `s3://…` is S3; a path with a slash, or one ending like an archive, is local; else a name. */
export function detectBackend(path: string): Backend['name'] {
  if (path.startsWith('s3://')) return 's3';
  const isLocal = /[\\/]|^\.{1,2}$/.test(path) || archiveSuffixOf(path) !== undefined;
  return isLocal ? 'local' : 'artifact';
}

/**
 * Opens the place where snapshots are kept. Reads and sends nothing yet, and loads no library.
 *
 * @throws TransshipError `INPUT` when the path is none for the backend, or an option belongs to another one; a token is
 * no option in this sense, as every workflow has one
 */
export function openBackend(options: OpenBackendOptions): Backend {
  const { path } = options;
  const backend = options.backend ?? detectBackend(path);
  for (const [key, [only, name]] of Object.entries(OPTIONS)) {
    const value: unknown = Reflect.get(options, key);
    if (value === undefined || only === backend) continue;
    const shown = key === 'sseCustomerKey' ? name : `${name}: ${JSON.stringify(value)}`;
    throw new TransshipError('INPUT', `${shown} is only for backend ${only}, and here it is ${backend}.`, {
      hint: `Remove it, or set backend to ${only}.`,
    });
  }
  if (backend !== 'artifact') refuseTreePath(path);
  switch (backend) {
    case 's3':
      return new S3Backend(path, options);
    case 'artifact':
      return new ArtifactBackend(path, options);
    case 'local':
      checkLocalPath(path);
      return new LocalBackend(path);
  }
}

function checkLocalPath(path: string): void {
  if (path !== '' && !/^[a-z0-9]+:\/\//i.test(path)) return;
  throw new TransshipError('INPUT', `path: ${JSON.stringify(path)} is not a folder or file, and backend is local.`, {
    hint: 'Set backend to s3 for an s3:// path, or give a path.',
  });
}
