import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import type { Authority } from '../../cluster/certificates.ts';
import type { Handler } from '../../kubevirt/answers.ts';
import { ask, type Question, type Reply } from '../../kubevirt/ask.ts';
import { createEndpoint } from '../../kubevirt/endpoint.ts';
import {
  certificateRoom,
  type HttpsStandIn,
  type ServerCertificate,
  signServer,
  startHttps,
} from '../../kubevirt/https-server.ts';

/** A stand-in for one test, and requests to it that trust it. */
export interface StandInBed extends HttpsStandIn {
  readonly folder: string;
  readonly authority: Authority;
  ask(path: string, question?: Omit<Question, 'ca'>): Promise<Reply>;
  newAuthority(): Promise<Authority>;
}

const HOSTS = ['export.shop.svc'];

let shared: { folder: string; authority: Authority; certificate: ServerCertificate } | undefined;

/** One authority for all tests of the file that calls this at its top: to sign takes longer than most of them. */
export function useStandIns(): void {
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'transship-stand-in-'));
    const authority = await certificateRoom(folder).newAuthority('stand-in');
    shared = { folder, authority, certificate: await signServer(authority, HOSTS) };
  });
  afterAll(async () => {
    if (shared !== undefined) await rm(shared.folder, { recursive: true, force: true });
    shared = undefined;
  });
}

/** Serves a handler until the test ends. */
export async function serveForTest(handler: Handler): Promise<StandInBed> {
  if (shared === undefined) throw new Error('There is no authority yet');
  const { authority, certificate } = shared;
  const folder = await mkdtemp(join(shared.folder, 'test-'));
  const server = await startHttps(createEndpoint(handler), { authority, certificate, hosts: HOSTS });
  onTestFinished(() => server.stop());
  return {
    ...server,
    folder,
    authority,
    ask: (path, question = {}) => ask(`${server.url}${path}`, { ca: authority.cert, ...question }),
    newAuthority: () => certificateRoom(folder).newAuthority('next'),
  };
}
