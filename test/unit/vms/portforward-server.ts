import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

/** An API server that does nothing but port-forwards, as the kubelet's streaming server does them. */
export interface PortForwardServer {
  readonly url: string;
  /** A kubeconfig for it. */
  readonly kubeconfig: string;
  /** The URLs it was asked for, with the query. */
  readonly asked: string[];
  /** The headers of the last request. */
  readonly headers: () => IncomingMessage['headers'];
  /** The open port-forwards. */
  readonly forwards: Set<WebSocket>;
  /** Where pods really listen; undefined: the connection is refused. */
  pods: Map<string, number>;
  /** Answers instead of forwarding. */
  refuse: (request: IncomingMessage) => { status: number; body?: string } | undefined;
  close(): Promise<void>;
}

/** @param token - what the kubeconfig is to have as credentials */
export async function startPortForwardServer(token = 'secret-token'): Promise<PortForwardServer> {
  const sockets = new Set<Duplex>();
  const forwards = new Set<WebSocket>();
  const asked: string[] = [];
  let headers: IncomingMessage['headers'] = {};
  const upgrades = new WebSocketServer({
    noServer: true,
    handleProtocols: (protocols) => protocols.has('v4.channel.k8s.io') && 'v4.channel.k8s.io',
  });
  const http = createServer();
  http.on('connection', (socket) => sockets.add(socket));
  http.on('upgrade', (request, socket: Duplex, head: Buffer) => {
    asked.push(request.url ?? '');
    headers = request.headers;
    const refused = server.refuse(request);
    if (refused !== undefined) {
      const body = refused.body ?? '';
      socket.end(`HTTP/1.1 ${refused.status} X\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
      return;
    }
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x');
    const pod = /\/pods\/([^/]+)\/portforward$/.exec(pathname)?.[1] ?? '';
    upgrades.handleUpgrade(request, socket, head, (remote) => {
      forwards.add(remote);
      remote.on('close', () => forwards.delete(remote));
      forward(remote, Number(searchParams.get('ports')), server.pods.get(pod));
    });
  });
  const url = await new Promise<string>((resolve) => {
    http.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(http.address() as AddressInfo).port}`));
  });
  const folder = await mkdtemp(join(tmpdir(), 'transship-portforward-'));
  const kubeconfig = join(folder, 'config');
  await writeFile(
    kubeconfig,
    JSON.stringify({
      'current-context': 'stage',
      contexts: [{ name: 'stage', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: url } }],
      users: [{ name: 'u', user: { token } }],
    }),
  );
  const server: PortForwardServer = {
    url,
    kubeconfig,
    asked,
    headers: () => headers,
    forwards,
    pods: new Map(),
    refuse: () => undefined,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => http.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
  return server;
}

/** https://github.com/kubernetes/kubernetes/blob/v1.35.0/staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward/websocket.go */
function forward(remote: WebSocket, port: number, target: number | undefined): void {
  const head = Buffer.from([0, port & 0xff, port >> 8]);
  remote.send(head);
  remote.send(Buffer.from([1, ...head.subarray(1)]));
  const fail = (message: string) => {
    remote.send(Buffer.concat([Buffer.from([1]), Buffer.from(message)]), () => remote.close(1000));
  };
  if (target === undefined) {
    fail(`error forwarding port ${port} to pod: connection refused`);
    return;
  }
  const pod: Socket = connect(target, '127.0.0.1');
  pod.on('data', (piece) => remote.send(Buffer.concat([Buffer.from([0]), piece])));
  pod.on('error', (error) => fail(error.message));
  pod.on('end', () => remote.close(1000));
  remote.on('message', (message) => void pod.write(message.subarray(1)));
  remote.on('close', () => pod.destroy());
}
