import { type Exchange, sendJson } from './http.ts';
import type { Store } from './store.ts';
import { signedUrl } from './twirp.ts';

export interface RestContext {
  readonly store: Store;
  readonly baseUrl: string;
  readonly repository: string;
}

/** https://docs.github.com/en/rest/actions/artifacts */
export function answerRest({ request, response, url }: Exchange, { store, baseUrl, repository }: RestContext): void {
  const base = `/repos/${repository}/actions`;
  const runId = new RegExp(`^${base}/runs/(\\d+)/artifacts$`).exec(url.pathname)?.[1];
  const artifactId = new RegExp(`^${base}/artifacts/(\\d+)(?:/zip)?$`).exec(url.pathname)?.[1];
  if (request.method === 'GET' && url.pathname === `/repos/${repository}`) {
    sendJson(response, 200, { full_name: repository, private: true, visibility: 'private' });
    return;
  }
  const artifact = store.artifacts.find(({ id, finalized }) => finalized && String(id) === artifactId);
  if (request.method === 'GET' && runId !== undefined) {
    sendJson(response, 200, listPage(store, Number(runId), url, `${baseUrl}${base}`));
  } else if (request.method === 'GET' && artifact !== undefined && url.pathname.endsWith('/zip')) {
    if (artifact.expired) sendJson(response, 410, { message: 'Artifact has expired' });
    else response.writeHead(302, { location: signedUrl(baseUrl, artifact, store.sign(artifact, 'read')) }).end();
  } else if (request.method === 'DELETE' && artifact !== undefined) {
    store.remove(artifact);
    response.writeHead(204).end();
  } else {
    sendJson(response, 404, { message: 'Not Found', documentation_url: 'https://docs.github.com/rest' });
  }
}

function listPage(store: Store, runId: number, url: URL, actions: string): unknown {
  const name = url.searchParams.get('name');
  const size = Number(url.searchParams.get('per_page') ?? 30);
  const start = (Number(url.searchParams.get('page') ?? 1) - 1) * size;
  const all = store.artifacts.filter(
    (artifact) => artifact.runId === runId && artifact.finalized && (name === null || artifact.name === name),
  );
  return {
    total_count: all.length,
    artifacts: all.slice(start, start + size).map((artifact) => ({
      id: artifact.id,
      name: artifact.name,
      size_in_bytes: artifact.size,
      url: `${actions}/artifacts/${artifact.id}`,
      archive_download_url: `${actions}/artifacts/${artifact.id}/zip`,
      expired: artifact.expired,
      digest: artifact.digest ?? null,
      created_at: artifact.createdAt.toISOString(),
      expires_at: artifact.expiresAt ?? null,
      workflow_run: { id: runId },
    })),
  };
}
