import { connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { findProxy } from '../../../src/cluster/proxy.ts';
import { answerJson, authority, base64, kubeconfigOf, openTestCluster, startServer } from './misbehaving-server.ts';

const server = new URL('https://api.prod.example:6443');

test('the environment names the proxy, upper case before lower case', () => {
  expect(findProxy(server, undefined, { HTTPS_PROXY: 'http://a:1', https_proxy: 'http://b:1' })).toBe('http://a:1');
  expect(findProxy(server, undefined, { https_proxy: 'b:3128' })).toBe('http://b:3128');
  expect(findProxy(server, undefined, { HTTP_PROXY: 'http://a:1' })).toBeUndefined();
  expect(findProxy(new URL('http://api.prod.example'), undefined, { HTTP_PROXY: 'http://a:1' })).toBe('http://a:1');
});

test('proxy-url of the kubeconfig wins over the environment and over NO_PROXY', () => {
  expect(findProxy(server, 'http://own:1', { HTTPS_PROXY: 'http://a:1', NO_PROXY: '*' })).toBe('http://own:1');
});

test.each([
  ['*', 'https://anything:6443', true],
  ['prod.example', 'https://api.prod.example', true],
  ['prod.example', 'https://prod.example', true],
  ['prod.example', 'https://notprod.example', false],
  ['.prod.example', 'https://prod.example', false],
  ['.prod.example', 'https://api.prod.example', true],
  ['*.prod.example', 'https://api.prod.example', true],
  ['other, api.prod.example:6443', 'https://api.prod.example:6443', true],
  ['api.prod.example:443', 'https://api.prod.example:6443', false],
  ['10.0.0.0/8', 'https://10.20.30.40:6443', true],
  ['10.0.0.0/8', 'https://11.20.30.40:6443', false],
  ['10.1.2.3', 'https://10.1.2.3', true],
  ['fd00::/8', 'https://[fd00::5]:6443', true],
  ['fd00::5', 'https://[fd00::5]:6443', true],
  ['', 'https://127.0.0.1:6443', true],
  ['', 'https://localhost:6443', true],
  ['nonsense/99', 'https://10.0.0.1', false],
])('NO_PROXY=%s for %s: direct is %s', (NO_PROXY, url, direct) => {
  const proxy = findProxy(new URL(url), undefined, { HTTPS_PROXY: 'http://p:1', NO_PROXY });
  expect(proxy === undefined).toBe(direct);
});

test('requests go through the tunnel of a proxy, with the TLS of the API server end to end', async () => {
  const api = await startServer((_, response) => answerJson(response, { via: 'proxy' }));
  const tunnels: string[] = [];
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    sockets.add(client);
    client.once('data', (head) => {
      tunnels.push(head.toString());
      const upstream = connect(Number(new URL(api.url).port), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.pipe(upstream).pipe(client);
      });
      upstream.on('error', () => client.destroy());
      client.on('error', () => upstream.destroy());
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) {
      socket.destroy();
    }
    proxy.close();
  });
  const address = proxy.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const masked: string[] = [];
  const cluster = await openTestCluster({
    kubeconfig: kubeconfigOf({
      server: api.url,
      cluster: {
        server: api.url,
        'certificate-authority-data': base64(authority.cert),
        'proxy-url': `http://me:pass%2Fword@127.0.0.1:${port}`,
      },
    }),
    concurrency: 2,
    reporter: { info() {}, warn() {}, error() {}, debug() {}, progress() {}, mask: (value) => masked.push(value) },
  });
  await Promise.all(Array.from({ length: 10 }, () => cluster.json({ method: 'GET', path: '/api' })));
  expect(tunnels).toHaveLength(2);
  expect(tunnels[0]).toContain(`CONNECT ${new URL(api.url).host} HTTP/1.1`);
  expect(tunnels[0]).toContain(`proxy-authorization: Basic ${base64('me:pass/word')}`);
  expect(tunnels[0]).not.toContain('secret-token');
  expect(masked).toContain('pass/word');
});
