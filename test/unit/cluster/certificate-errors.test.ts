import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { noAnswer } from '../../../src/cluster/failures.ts';
import { daysFromNow, makeCertificate } from './certificates.ts';
import {
  answerJson,
  authority,
  base64,
  jumpingClock,
  kubeconfigOf,
  openTestCluster,
  startServer,
} from './misbehaving-server.ts';

const get = { method: 'GET', path: '/api' } as const;
const here = ['127.0.0.1'];

async function errorFrom(tls: object | 'plain', cluster?: (url: string) => object): Promise<unknown> {
  const server = await startServer((_, response) => answerJson(response, {}), tls);
  const url = server.url.replace('http:', 'https:');
  const kubeconfig = kubeconfigOf({ server: url, ...(cluster && { cluster: cluster(url) }) });
  const connected = await openTestCluster({ kubeconfig });
  return connected.json(get).then(
    () => 'no error',
    (error: unknown) => error,
  );
}

test('an expired server certificate is named as such, and not retried', async () => {
  const expired = {
    commonName: 's',
    names: here,
    issuer: authority,
    notBefore: daysFromNow(-9),
    notAfter: daysFromNow(-1),
  };
  expect(await errorFrom(makeCertificate(expired))).toMatchObject({
    status: 0,
    reason: 'Certificate',
    message: expect.stringMatching(/^The certificate of https:\/\/127\.0\.0\.1:\d+ \(context "test"\) has expired\.$/),
  });
});

test('a server whose authority is not the one in the kubeconfig is not trusted', async () => {
  const other = makeCertificate({ commonName: 'other authority', authority: true });
  const error = await errorFrom(makeCertificate({ commonName: 's', names: here, issuer: other }));
  expect(error).toMatchObject({
    reason: 'Certificate',
    message: expect.stringContaining('is not signed by the authority in the kubeconfig'),
    hint: expect.stringContaining('certificate-authority-data'),
  });
});

test('without an authority in the kubeconfig a private one is not trusted either', async () => {
  expect(await errorFrom({}, (server) => ({ server }))).toMatchObject({ reason: 'Certificate' });
});

test('a certificate for another name says which names it has, and how to expect one', async () => {
  const error = await errorFrom(makeCertificate({ commonName: 's', names: ['kubernetes.default'], issuer: authority }));
  expect(error).toMatchObject({
    reason: 'Certificate',
    message: expect.stringContaining('kubernetes.default'),
    hint: expect.stringContaining('tls-server-name'),
  });
});

test.each(['127.0.0.1', 'localhost'])('tls-server-name is what the certificate must name, at %s', async (host) => {
  const certificate = makeCertificate({ commonName: 's', names: ['kubernetes.default'], issuer: authority });
  const server = await startServer((_, response) => answerJson(response, { fine: true }), certificate);
  const url = server.url.replace('127.0.0.1', host);
  const cluster = await openTestCluster({
    kubeconfig: kubeconfigOf({
      server: url,
      cluster: {
        server: url,
        'certificate-authority-data': base64(authority.cert),
        'tls-server-name': 'kubernetes.default',
      },
    }),
  });
  expect(await cluster.json(get)).toEqual({ fine: true });
});

test('insecure-skip-tls-verify trusts whatever answers', async () => {
  const server = (url: string) => ({ server: url, 'insecure-skip-tls-verify': true });
  const expired = { commonName: 's', notBefore: daysFromNow(-9), notAfter: daysFromNow(-1) };
  expect(await errorFrom(makeCertificate(expired), server)).toBe('no error');
});

test('a client certificate and a key that do not belong together are named before anything is sent', async () => {
  const [mine, other] = [makeCertificate({ commonName: 'me' }), makeCertificate({ commonName: 'other' })];
  const server = await startServer((_, response) => answerJson(response, {}));
  const user = { 'client-certificate-data': base64(mine.cert), 'client-key-data': base64(other.key) };
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url, user }) });
  await expect(cluster.json(get)).rejects.toMatchObject({
    reason: 'Certificate',
    message: expect.stringContaining('key values mismatch'),
  });
  expect(server.requests).toEqual([]);
});

test('a server that refuses the client certificate is told from one that cannot be trusted', () => {
  // Node's own servers hang up instead of sending this alert.
  const alert = Object.assign(new Error('alert'), { code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' });
  const where = { method: 'GET', path: '/api', server: 'https://x', context: 'stage' } as const;
  expect(noAnswer(alert, where, 1000)).toMatchObject({
    kind: 'final',
    error: { reason: 'Certificate', message: expect.stringContaining('refused the client certificate') },
  });
});

test('a server that speaks plain HTTP is told from one with a bad certificate', async () => {
  expect(await errorFrom('plain')).toMatchObject({
    reason: 'Certificate',
    message: expect.stringContaining('does not speak TLS'),
  });
});

test('a refused connection is retried a few times, then names the server and the context', async () => {
  const unused = createServer();
  await new Promise<void>((resolve) => unused.listen(0, '127.0.0.1', resolve));
  const address = unused.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  await new Promise((resolve) => unused.close(resolve));
  const clock = jumpingClock();
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: `https://127.0.0.1:${port}` }), clock });
  await expect(cluster.json({ ...get, method: 'POST', body: {} })).rejects.toMatchObject({
    status: 0,
    reason: 'Unreachable',
    message: `Nothing listens at https://127.0.0.1:${port} (context "test"): connection refused.`,
  });
  expect(clock.sleeps).toHaveLength(3);
});

test('a host name that does not resolve is named', async () => {
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: 'https://no-such-host.invalid:6443' }) });
  await expect(cluster.json(get)).rejects.toMatchObject({
    reason: 'Unreachable',
    message: expect.stringMatching(/^The host name of https:\/\/no-such-host\.invalid:6443 .* cannot be resolved/),
  });
});

test('a peer that hangs up in the middle of the TLS handshake is a broken connection, not an endless wait', async () => {
  const rude = createServer((socket) => socket.once('data', () => socket.destroy()));
  await new Promise<void>((resolve) => rude.listen(0, '127.0.0.1', resolve));
  const address = rude.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: `https://127.0.0.1:${port}` }) });
  await expect(cluster.json(get)).rejects.toMatchObject({ reason: 'Reset' });
  rude.close();
});
