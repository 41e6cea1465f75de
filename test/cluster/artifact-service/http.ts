import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FailureKind } from './failures.ts';

/** One request and where its answer goes. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** How this request is to fail. */
  readonly failure: FailureKind | undefined;
}

export async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** An error as Azure's blob storage tells it. */
export function sendAzureError(response: ServerResponse, status: number, code: string): void {
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
  response.writeHead(status, { 'content-type': 'application/xml', 'x-ms-error-code': code }).end(body);
}

/** Closes the connection as a crash does: without a word, with a reset. */
export function drop({ request }: Exchange): void {
  request.socket.resetAndDestroy();
}

/** A copy with one byte changed, in the middle. */
export function corrupt(content: Buffer): Buffer {
  const copy = Buffer.from(content);
  const middle = copy.byteLength >> 1;
  copy.set([(copy[middle] ?? 0) ^ 1], middle);
  return copy;
}
