import { once } from 'node:events';
import { createServer as createTlsServer, request } from 'node:https';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Cluster } from '../../../src/cluster/cluster.ts';
import { openPortForward, type PortForward } from '../../../src/vms/port-forward.ts';
import { makeCertificate } from '../cluster/certificates.ts';
import { objectOf } from '../resources/target-bed.ts';
import { fakeClock, fakeKubevirt, listeningReporter } from './fake-kubevirt.ts';
import { type PortForwardServer, startPortForwardServer } from './portforward-server.ts';

const SERVICE = objectOf('v1 Service shop/virt-export-x', { spec: { ports: [{ name: 'export', port: 443 }] } });
const TARGET = { namespace: 'shop', service: 'virt-export-x', port: 443 };

let api: PortForwardServer;
let servers: Server[];
let forwards: PortForward[];

beforeEach(async () => {
  api = await startPortForwardServer();
  servers = [];
  forwards = [];
});

afterEach(async () => {
  for (const forward of forwards) await forward.close();
  for (const server of servers) server.close();
  await api.close();
});

function endpoints(...pods: string[]) {
  const addresses = pods.map((name) => ({ ip: '10.0.0.1', targetRef: { kind: 'Pod', name } }));
  return objectOf('v1 Endpoints shop/virt-export-x', {
    subsets: [{ addresses, ports: [{ name: 'export', port: 8443 }] }],
  });
}

function clusterWith(...pods: string[]) {
  const cluster = fakeKubevirt([SERVICE, endpoints(...pods)]);
  return { ...cluster, server: api.url, access: { kubeconfig: api.kubeconfig, context: 'stage' } };
}

/** Listens for what a pod is to serve. */
async function podServes(pod: string, server: Server): Promise<void> {
  servers.push(server);
  server.on('connection', (socket) => socket.on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  api.pods.set(pod, (server.address() as AddressInfo).port);
}

/** A pod that sends back what it gets. */
function echo(prefix = ''): Server {
  return createServer((socket) => {
    socket.on('data', (piece) => socket.write(prefix + piece.toString()));
  });
}

async function open(cluster: Cluster, { timeout = 5_000, signal = new AbortController().signal } = {}) {
  const reporter = listeningReporter();
  const env = { HOME: '/nonexistent' };
  const forward = await openPortForward(cluster, TARGET, { timeout, reporter, clock: fakeClock(), signal, env });
  forwards.push(forward);
  return { forward, reporter };
}

/** Says something through a port-forward: what comes back, or how it ended. */
async function say(text: string, { address }: PortForward): Promise<string> {
  const socket = connect(address.port, address.host);
  try {
    socket.write(text);
    const [piece] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => ['closed'])]);
    return String(piece);
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'failed';
  } finally {
    socket.destroy();
  }
}

describe('a port-forward', () => {
  it('leads to the port of the ready pod behind the service, with the credentials of the kubeconfig', async () => {
    await podServes('export-pod', echo());
    const { forward, reporter } = await open(clusterWith('export-pod'));
    expect(await say('hello', forward)).toBe('hello');
    const path = '/api/v1/namespaces/shop/pods/export-pod/portforward?ports=8443';
    expect(api.asked).toEqual([path, path]);
    expect(api.headers()).toMatchObject({
      authorization: 'Bearer secret-token',
      'sec-websocket-protocol': 'v4.channel.k8s.io',
    });
    expect(reporter.masked).toContain('secret-token');
  });

  it('is open to this machine only', async () => {
    await podServes('export-pod', echo());
    const { forward } = await open(clusterWith('export-pod'));
    expect(forward.address.host).toBe('127.0.0.1');
  });

  it('passes TLS through, so that the name of the service is verified', async () => {
    const authority = makeCertificate({ commonName: 'export-ca', authority: true });
    const names = ['virt-export-x.shop.svc'];
    const { cert, key } = makeCertificate({ commonName: 'x', names, issuer: authority });
    await podServes(
      'export-pod',
      createTlsServer({ cert, key }, (_request, response) => void response.end('disk')),
    );
    const { forward } = await open(clusterWith('export-pod'));
    const get = (servername: string) =>
      new Promise<string>((resolve, reject) => {
        const { host, port } = forward.address;
        const sent = request({ host, port, servername, ca: authority.cert, agent: false }, (response) => {
          response.on('data', (piece) => resolve(String(piece)));
        });
        sent.on('error', reject);
        sent.end();
      });
    expect(await get('virt-export-x.shop.svc')).toBe('disk');
    await expect(get('other.shop.svc')).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('carries many connections at once, and megabytes, unchanged', async () => {
    const sent = Buffer.alloc(5 * 1024 * 1024, 'All work and no play. ');
    await podServes(
      'export-pod',
      createServer((socket) => void socket.end(sent)),
    );
    const { forward } = await open(clusterWith('export-pod'));
    const read = async () => {
      const pieces: Buffer[] = [];
      for await (const piece of connect(forward.address.port, forward.address.host)) pieces.push(piece);
      return Buffer.concat(pieces);
    };
    const all = await Promise.all([read(), read(), read(), read()]);
    expect(all.map((one) => one.equals(sent))).toEqual([true, true, true, true]);
  });

  it('goes to the new pod after a restart', async () => {
    await podServes('old', echo('old: '));
    await podServes('new', echo('new: '));
    const cluster = clusterWith('old');
    const { forward } = await open(cluster);
    expect(await say('hello', forward)).toBe('old: hello');
    cluster.objects.set('/api/v1/namespaces/shop/endpoints/virt-export-x', endpoints('new'));
    await forward.renew();
    expect(await say('hello', forward)).toBe('new: hello');
  });

  it('looks for the pod anew after a connection that failed', async () => {
    await podServes('new', echo('new: '));
    const cluster = clusterWith('old');
    const { forward, reporter } = await open(cluster);
    expect(await say('hello', forward)).toBe('ECONNRESET');
    expect(reporter.lines).toContain(
      'debug: Port-forward to shop/virt-export-x: error forwarding port 8443 to pod: connection refused',
    );
    cluster.objects.set('/api/v1/namespaces/shop/endpoints/virt-export-x', endpoints('new'));
    expect(await say('hello', forward)).toBe('new: hello');
  });

  it('resets a connection whose way to the pod broke, for it must not look whole', async () => {
    await podServes('export-pod', echo());
    const { forward } = await open(clusterWith('export-pod'));
    const socket = connect(forward.address.port, forward.address.host);
    socket.write('half a disk');
    await once(socket, 'data');
    for (const remote of api.forwards) remote.terminate();
    await expect(once(socket, 'end')).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('ends a connection as the pod ends it', async () => {
    await podServes(
      'export-pod',
      createServer((socket) => void socket.end('bye')),
    );
    const { forward } = await open(clusterWith('export-pod'));
    const pieces: string[] = [];
    for await (const piece of connect(forward.address.port, forward.address.host)) pieces.push(String(piece));
    expect(pieces.join('')).toBe('bye');
  });

  it('ends all connections when it is closed, and takes no more', async () => {
    await podServes('export-pod', echo());
    const { forward } = await open(clusterWith('export-pod'));
    const socket = connect(forward.address.port, forward.address.host);
    socket.write('hello');
    await once(socket, 'data');
    const ended = once(socket, 'close');
    await forward.close();
    await forward.close();
    await ended;
    expect(await say('hello', forward)).toBe('ECONNREFUSED');
  });

  it('waits for a pod that is not ready yet', async () => {
    await podServes('late', echo());
    const cluster = clusterWith();
    let looks = 0;
    cluster.intercept = ({ path }) => {
      if (path.includes('endpoints') && ++looks === 3) cluster.objects.set(path, endpoints('late'));
    };
    const { forward } = await open(withIntercept(cluster));
    expect(await say('hello', forward)).toBe('hello');
  });
});

/** The interception a test has set on a copy of a cluster. */
function withIntercept(cluster: ReturnType<typeof clusterWith>): typeof cluster {
  return {
    ...cluster,
    json: async (request) => {
      cluster.intercept(request);
      return cluster.json(request);
    },
  };
}

describe('a port-forward that does not come about', () => {
  it('names the verbs that are missing', async () => {
    const message = 'pods "export-pod" is forbidden: User "u" cannot create resource "pods/portforward"';
    api.refuse = () => ({ status: 403, body: JSON.stringify({ kind: 'Status', reason: 'Forbidden', message }) });
    await expect(open(clusterWith('export-pod'))).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining(`The port-forward was refused: ${message}`),
      hint: 'Grant it with the rule { apiGroups: [""], resources: ["pods/portforward"], verbs: ["get", "create"] }.',
    });
    expect(api.asked).toHaveLength(1);
  });

  it('says after the time that no pod was ready', async () => {
    await expect(open(clusterWith())).rejects.toMatchObject({
      code: 'TIMEOUT',
      message:
        'Timed out after 5 s waiting for a port-forward to the service shop/virt-export-x. Last seen: No pod behind the service shop/virt-export-x is ready.',
    });
  });

  it('tries again while the pod is not found or the kubelet is away', async () => {
    await podServes('export-pod', echo());
    const answers = [
      { status: 404, body: '{"kind":"Status","reason":"NotFound","message":"no pod"}' },
      { status: 502 },
    ];
    api.refuse = () => answers.shift();
    const { forward } = await open(clusterWith('export-pod'));
    expect(await say('hello', forward)).toBe('hello');
  });

  it('names the service or the port that does not exist', async () => {
    const nothing = { ...fakeKubevirt([]), server: api.url, access: { kubeconfig: api.kubeconfig } };
    await expect(open(nothing)).rejects.toMatchObject({ message: 'There is no service shop/virt-export-x.' });
    const other = fakeKubevirt([{ ...SERVICE, spec: { ports: [{ port: 80 }] } }, endpoints('p')]);
    await expect(open({ ...other, server: api.url, access: { kubeconfig: api.kubeconfig } })).rejects.toMatchObject({
      message: 'The service shop/virt-export-x has no port 443; it has 80.',
    });
  });

  it('ends when it is cancelled', async () => {
    const cancel = new AbortController();
    api.refuse = () => {
      cancel.abort();
      return { status: 503 };
    };
    await expect(open(clusterWith('export-pod'), { signal: cancel.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });

  it('says that nothing listens', async () => {
    const gone = { ...clusterWith('export-pod'), server: 'http://127.0.0.1:1' };
    await expect(open(gone, { timeout: 200 })).rejects.toThrow(
      /Timed out .* Last seen: No port-forward through http:\/\/127\.0\.0\.1:1 \(context "stage"\): .*ECONNREFUSED/,
    );
  });
});
