import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { connect, type Socket } from 'node:net';
import { arch } from 'node:os';
import type { Duplex } from 'node:stream';
import type { Authority } from '../cluster/certificates.ts';
import { signServer } from './https-server.ts';
import type { Kube } from './kube.ts';

/** A kubelet that does nothing but forward ports. */
export interface ForwardingNode {
  /** Of the node, to put pods on. */
  readonly name: string;
  /** Port forwards so far. */
  opened(): number;
  /** Cuts all that are open. */
  cutAll(): void;
  stop(): Promise<void>;
}

const NAME = 'port-forward-node';
const PROTOCOL = 'v4.channel.k8s.io';

/**
 * Adds a node whose kubelet forwards ports of pods to ports of this machine, by WebSocket (`v4.channel.k8s.io`); the API
 * server itself knows SPDY too and passes it on, which ends here. Nothing is scheduled on the node.
 *
 * @param portOf - where a pod's port leads; undefined where nothing listens
 * @see https://github.com/kubernetes/kubelet/blob/master/pkg/cri/streaming/portforward/websocket.go
 */
export async function startForwardingNode(
  kube: Kube,
  authority: Authority,
  portOf: (namespace: string, pod: string) => number | undefined,
): Promise<ForwardingNode> {
  const sockets = new Set<Duplex>();
  let opened = 0;
  const server = createServer(await signServer(authority));
  server.on('upgrade', (request, socket: Duplex, head: Buffer) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://kubelet');
    const [, namespace = '', pod = ''] = /^\/portForward\/([^/]+)\/([^/]+)/.exec(pathname) ?? [];
    const key = request.headers['sec-websocket-key'];
    const isKnown = request.headers['sec-websocket-protocol']?.includes(PROTOCOL);
    if (key === undefined || !isKnown) {
      socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    opened += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\nsec-websocket-protocol: ${PROTOCOL}\r\n\r\n`,
    );
    forward(socket, head, Number(searchParams.get('port')), portOf(namespace, pod));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The kubelet has no port');
  await kube.create('/api/v1/nodes', nodeObject(address.port));
  return {
    name: NAME,
    opened: () => opened,
    cutAll() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      server.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** One connection: channel 0 is data, channel 1 errors; each begins with the number of the port. */
function forward(socket: Duplex, head: Buffer, port: number, target: number | undefined): void {
  const number = Buffer.alloc(2);
  number.writeUInt16LE(port);
  const send = (channel: number, bytes: Uint8Array) =>
    socket.write(frame(2, Buffer.concat([Buffer.of(channel), bytes])));
  send(0, number);
  send(1, number);
  const upstream: Socket | undefined = target === undefined ? undefined : connect(target, '127.0.0.1');
  if (upstream === undefined) {
    send(1, Buffer.from(`error forwarding port ${port}: dial tcp4 127.0.0.1:${port}: connect: connection refused`));
    socket.end(frame(8, Buffer.of(3, 232)));
    return;
  }
  upstream.on('data', (bytes) => {
    if (!send(0, bytes)) upstream.pause();
  });
  socket.on('drain', () => upstream.resume());
  upstream.on('error', (error) => send(1, Buffer.from(`error forwarding port ${port}: ${error.message}`)));
  upstream.on('close', () => socket.end(frame(8, Buffer.of(3, 232))));
  socket.on('close', () => upstream.destroy());
  let rest = head;
  const onBytes = (bytes: Uint8Array) => {
    rest = Buffer.concat([rest, bytes]);
    for (let next = unframe(rest); next !== undefined; next = unframe(rest)) {
      rest = rest.subarray(next.length);
      if (next.opcode === 8) upstream.end();
      else if (next.opcode === 9) socket.write(frame(10, next.payload));
      else if (next.payload[0] === 0) upstream.write(next.payload.subarray(1));
    }
  };
  onBytes(Buffer.alloc(0));
  socket.on('data', onBytes);
}

// https://www.rfc-editor.org/rfc/rfc6455#section-5.2
function frame(opcode: number, payload: Uint8Array): Buffer {
  const { byteLength: length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (length < 126) {
    head[1] = length;
  } else if (length < 65_536) {
    head[1] = 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, payload]);
}

function unframe(bytes: Buffer): { opcode: number; payload: Buffer; length: number } | undefined {
  if (bytes.byteLength < 2) return undefined;
  const opcode = bytes.readUInt8(0) & 0x0f;
  const isMasked = (bytes.readUInt8(1) & 0x80) !== 0;
  const short = bytes.readUInt8(1) & 0x7f;
  let at = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.byteLength < at + (isMasked ? 4 : 0)) return undefined;
  const size = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  const mask = isMasked ? bytes.subarray(at, at + 4) : undefined;
  at += isMasked ? 4 : 0;
  if (bytes.byteLength < at + size) return undefined;
  const payload = Buffer.from(bytes.subarray(at, at + size));
  if (mask !== undefined) for (let i = 0; i < size; i += 1) payload[i] = (payload[i] ?? 0) ^ (mask[i % 4] ?? 0);
  return { opcode, payload, length: at + size };
}

// Ready from the beginning, so that the test bed's own kubelet leaves its address alone.
function nodeObject(port: number): object {
  const capacity = { cpu: '1k', memory: '1Ti', pods: '10k' };
  const lastHeartbeatTime = new Date().toISOString();
  const machine = arch() === 'x64' ? 'amd64' : arch();
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: NAME, labels: { 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': machine } },
    spec: { unschedulable: true },
    status: {
      capacity,
      allocatable: capacity,
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'KubeletReady',
          lastHeartbeatTime,
          lastTransitionTime: lastHeartbeatTime,
        },
      ],
      nodeInfo: {
        operatingSystem: 'linux',
        architecture: machine,
        ...{ machineID: '', systemUUID: '', bootID: '', kernelVersion: '', osImage: '', containerRuntimeVersion: '' },
        ...{ kubeletVersion: '', kubeProxyVersion: '' },
      },
    },
  };
}
