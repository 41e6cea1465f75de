import { corrupt, drop, type Exchange, readAll, sendAzureError } from './http.ts';
import type { Store, StoredArtifact } from './store.ts';

/**
 * Answers as Azure's blob storage: blocks and the list that joins them, a whole blob at once, and reading it back.
 * https://learn.microsoft.com/rest/api/storageservices/put-block-list
 */
export async function answerBlob(exchange: Exchange, store: Store): Promise<void> {
  const { request, response, url, failure } = exchange;
  const verb = request.method === 'PUT' ? 'write' : 'read';
  const artifact = store.artifactFor(url.searchParams.get('sig'), verb);
  if (artifact === undefined || failure === 'expired') {
    request.resume();
    return sendAzureError(response, 403, 'AuthenticationFailed');
  }
  if (typeof failure === 'number') {
    request.resume();
    return sendAzureError(response, failure, failure === 503 ? 'ServerBusy' : 'InternalError');
  }
  if (verb === 'read') return sendBlob(exchange, artifact);

  const received = await readAll(request);
  const content = failure === 'corrupt' && received.byteLength > 0 ? corrupt(received) : received;
  switch (url.searchParams.get('comp')) {
    case 'block':
      artifact.blocks.set(url.searchParams.get('blockid') ?? '', content);
      break;
    case 'blocklist': {
      const ids = [...received.toString('utf8').matchAll(/<(?:Latest|Uncommitted)>([^<]*)</g)].map(([, id = '']) => id);
      const blocks = ids.map((id) => artifact.blocks.get(id));
      if (blocks.includes(undefined)) return sendAzureError(response, 400, 'InvalidBlockList');
      keep(artifact, Buffer.concat(blocks.filter((block) => block !== undefined)), request.headers);
      break;
    }
    default:
      keep(artifact, content, request.headers);
  }
  response.writeHead(201, { etag: '"0x1"', 'x-ms-request-id': 'stand-in', 'x-ms-version': '2025-11-05' }).end();
}

function keep(artifact: StoredArtifact, content: Buffer, headers: Exchange['request']['headers']): void {
  artifact.content = content;
  artifact.blocks = new Map();
  artifact.mimeType = String(headers['x-ms-blob-content-type'] ?? artifact.mimeType);
}

function sendBlob(exchange: Exchange, artifact: StoredArtifact): void {
  const { response, failure } = exchange;
  const content = failure === 'corrupt' ? corrupt(artifact.content) : artifact.content;
  response.writeHead(200, {
    'content-type': artifact.mimeType || 'application/octet-stream',
    'content-length': content.byteLength,
    'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(artifact.name)}`,
  });
  if (failure !== 'cut') {
    response.end(content);
    return;
  }
  response.write(content.subarray(0, content.byteLength >> 1), () => drop(exchange));
}
