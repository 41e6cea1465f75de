import type { ServerResponse } from 'node:http';
import type { Operation } from './failures.ts';
import { type Exchange, readAll, sendJson } from './http.ts';
import type { Store, StoredArtifact } from './store.ts';

type Method = Extract<
  Operation,
  'CreateArtifact' | 'FinalizeArtifact' | 'ListArtifacts' | 'GetSignedArtifactURL' | 'DeleteArtifact'
>;

/** What the runner's token says. */
export interface Scope {
  readonly runId: number;
  readonly runBackendId: string;
  readonly jobBackendId: string;
}

export interface TwirpContext {
  readonly store: Store;
  readonly baseUrl: string;
  readonly scope: Scope;
}

const METHODS: readonly Method[] = [
  'CreateArtifact',
  'FinalizeArtifact',
  'ListArtifacts',
  'GetSignedArtifactURL',
  'DeleteArtifact',
];

/** The service's method in an address; undefined for another address. */
export function twirpMethod(pathname: string): Method | undefined {
  const name = /^\/twirp\/github\.actions\.results\.api\.v1\.ArtifactService\/(\w+)$/.exec(pathname)?.[1];
  return METHODS.find((method) => method === name);
}

/** Answers one call, in the JSON form of Protocol Buffers with the names of the .proto file. */
export async function answerTwirp(method: Method, exchange: Exchange, context: TwirpContext): Promise<void> {
  const body: unknown = JSON.parse((await readAll(exchange.request)).toString('utf8'));
  const field = (name: string) => textAt(body, name);
  const { response } = exchange;
  const { scope, store, baseUrl } = context;
  if (field('workflow_run_backend_id') !== scope.runBackendId) {
    refuse(response, 403, 'permission_denied', 'the token is for another run');
    return;
  }
  const name = field('name');
  const own = store.artifacts.find((artifact) => artifact.runId === scope.runId && artifact.name === name);
  switch (method) {
    case 'CreateArtifact':
      createArtifact(context, response, body);
      return;
    case 'FinalizeArtifact':
      if (own === undefined) return notFound(response);
      own.finalized = true;
      // Protocol Buffers leave out what is zero.
      own.size = Number(field('size') || 0);
      own.digest = field('hash') || undefined;
      return sendJson(response, 200, { ok: true, artifact_id: String(own.id) });
    case 'ListArtifacts':
      return sendJson(response, 200, { artifacts: listArtifacts(context, field('name_filter'), field('id_filter')) });
    case 'GetSignedArtifactURL':
      if (own?.finalized !== true) return notFound(response);
      return sendJson(response, 200, { signed_url: signedUrl(baseUrl, own, store.sign(own, 'read')) });
    case 'DeleteArtifact':
      if (own === undefined) return notFound(response);
      store.remove(own);
      return sendJson(response, 200, { ok: true, artifact_id: String(own.id) });
  }
}

/** An address that carries its own right to read or write one blob. */
export function signedUrl(baseUrl: string, artifact: StoredArtifact, signature: string): string {
  const path = `${baseUrl}/blobs/actions-results/${artifact.id}/${encodeURIComponent(artifact.name)}`;
  return `${path}?sv=2025-11-05&se=2099-01-01T00%3A00%3A00Z&sr=b&sp=rcw&sig=${signature}`;
}

function createArtifact({ store, baseUrl, scope }: TwirpContext, response: ServerResponse, body: unknown): void {
  const name = textAt(body, 'name');
  if (name === '' || /["<>|*?:\r\n\\/]/.test(name)) {
    refuse(response, 400, 'invalid_argument', 'the artifact name is not valid');
    return;
  }
  const artifact = store.create({
    ...scope,
    name,
    expiresAt: textAt(body, 'expires_at') || undefined,
    mimeType: textAt(body, 'mime_type'),
  });
  if (artifact === undefined) {
    refuse(response, 409, 'already_exists', 'an artifact with this name already exists on the workflow run');
    return;
  }
  sendJson(response, 200, { ok: true, signed_upload_url: signedUrl(baseUrl, artifact, store.sign(artifact, 'write')) });
}

function listArtifacts({ store, scope }: TwirpContext, name: string, id: string): unknown[] {
  return store.artifacts
    .filter(({ runId, finalized, expired }) => runId === scope.runId && finalized && !expired)
    .filter((artifact) => (name === '' || artifact.name === name) && (id === '' || String(artifact.id) === id))
    .map((artifact) => ({
      workflow_run_backend_id: artifact.runBackendId,
      workflow_job_run_backend_id: artifact.jobBackendId,
      database_id: String(artifact.id),
      name: artifact.name,
      size: String(artifact.size),
      created_at: artifact.createdAt.toISOString(),
      ...(artifact.digest === undefined ? {} : { digest: artifact.digest }),
    }));
}

function notFound(response: ServerResponse): void {
  refuse(response, 404, 'not_found', 'artifact not found');
}

function refuse(response: ServerResponse, status: number, code: string, msg: string): void {
  sendJson(response, status, { code, msg });
}

function textAt(body: unknown, field: string): string {
  const value: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, field) : undefined;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
