import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { createDialer } from '../../../src/vms/dial.ts';
import { makeCertificate } from '../cluster/certificates.ts';
import { fakeClock, fakeKubevirt } from './fake-kubevirt.ts';

const AUTHORITY = makeCertificate({ commonName: 'cluster-ca', authority: true });
const base64 = (text: string) => Buffer.from(text).toString('base64');

let folder: string;
let closing: (() => void)[];
let authorizations: (string | undefined)[];
/** The statuses of the next answers; then all are taken. */
let refusals: number[];
/** Done before each answer. */
let whenAsked: () => Promise<void>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-dial-'));
  closing = [];
  authorizations = [];
  refusals = [];
  whenAsked = async () => {};
});

afterEach(async () => {
  for (const close of closing) close();
  await rm(folder, { recursive: true });
});

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** An API server with a certificate for `api.example.com`. */
async function startApi(): Promise<number> {
  const { cert, key } = makeCertificate({ commonName: 'api', names: ['api.example.com'], issuer: AUTHORITY });
  const upgrades = new WebSocketServer({ noServer: true, handleProtocols: () => 'v4.channel.k8s.io' });
  const server = createTlsServer({ cert, key });
  server.on('upgrade', async (request, socket, head) => {
    authorizations.push(request.headers.authorization);
    await whenAsked();
    const status = refusals.shift();
    if (status !== undefined) socket.end(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    else upgrades.handleUpgrade(request, socket, head, () => {});
  });
  return listen(server);
}

async function dial(cluster: Record<string, unknown>, user: Record<string, unknown> = {}) {
  const kubeconfig = join(folder, 'config');
  const config = {
    'current-context': 'stage',
    contexts: [{ name: 'stage', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { 'certificate-authority-data': base64(AUTHORITY.cert), ...cluster } }],
    users: [{ name: 'u', user }],
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  const fake = { ...fakeKubevirt(), server: String(cluster.server), access: { kubeconfig, context: 'stage' } };
  const dialer = await createDialer(fake, { mask: () => {}, clock: fakeClock(), env: {} });
  const socket = await dialer.dial('/api/v1/namespaces/shop/pods/p/portforward?ports=8443');
  socket.terminate();
}

describe('a WebSocket to the API server', () => {
  it('verifies the certificate by the authority and the name in the kubeconfig', async () => {
    const server = `https://127.0.0.1:${await startApi()}`;
    await dial({ server, 'tls-server-name': 'api.example.com' });
    await expect(dial({ server })).rejects.toThrow(/No port-forward through .* 127\.0\.0\.1/);
    const other = makeCertificate({ commonName: 'other-ca', authority: true });
    const wrong = { server, 'tls-server-name': 'api.example.com', 'certificate-authority-data': base64(other.cert) };
    await expect(dial(wrong)).rejects.toThrow(/No port-forward through .* unable to verify/);
  });

  it('takes the way through the proxy of the kubeconfig', async () => {
    const port = await startApi();
    const tunnels: (string | undefined)[] = [];
    const proxy = createServer().on('connect', (request, socket) => {
      tunnels.push(request.url);
      const upstream = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        socket.pipe(upstream).pipe(socket);
      });
      upstream.on('error', () => socket.destroy());
    });
    await dial({ server: 'https://api.example.com:6443', 'proxy-url': `http://127.0.0.1:${await listen(proxy)}` });
    expect(tunnels).toEqual(['api.example.com:6443']);
    expect(authorizations).toHaveLength(1);
  });

  it('says that it can not go through a SOCKS proxy', async () => {
    await expect(dial({ server: 'https://api.example.com', 'proxy-url': 'socks5://127.0.0.1:1080' })).rejects.toThrow(
      "A port-forward can't go through the proxy socks5://….",
    );
  });

  it('reads a token file again when the token is refused', async () => {
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, 'old');
    const server = `https://127.0.0.1:${await startApi()}`;
    refusals = [401];
    whenAsked = () => writeFile(tokenFile, 'new');
    await dial({ server, 'tls-server-name': 'api.example.com' }, { tokenFile });
    expect(authorizations).toEqual(['Bearer old', 'Bearer new']);
  });

  it('says so when the credentials are refused and there are no others', async () => {
    const server = `https://127.0.0.1:${await startApi()}`;
    refusals = [401];
    await expect(dial({ server, 'tls-server-name': 'api.example.com' }, { token: 't' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      status: 401,
    });
    expect(authorizations).toEqual(['Bearer t']);
  });
});
