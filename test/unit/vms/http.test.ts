import { connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { VmHttp, VmTarget } from '../../../src/vms/http.ts';
import { makeCertificate } from '../cluster/certificates.ts';
import { authority, startServer } from '../cluster/misbehaving-server.ts';
import { openVmHttp } from './disk-server.ts';

const ca = authority.cert;

/** Both ways of a GET, as a text. */
const ways = {
  request: async (http: VmHttp, target: VmTarget) => {
    const answer = await http.request({ method: 'GET', ...target });
    return `${answer.status} ${await answer.text()}`;
  },
  receive: async (http: VmHttp, target: VmTarget) => {
    let text = '';
    await http.receive(target, {
      head: (status) => {
        text = `${status} `;
      },
      data: (piece) => {
        text += Buffer.from(piece).toString('utf8');
      },
    });
    return text;
  },
};
const both = [['request', ways.request] as const, ['receive', ways.receive] as const];

test.each(both)('%s: kept-alive connections are used again', async (_, get) => {
  const server = await startServer((_request, response) => response.end('fine'));
  const http = await openVmHttp();
  for (let time = 0; time < 6; time += 1) expect(await get(http, { url: `${server.url}/a?b=c`, ca })).toBe('200 fine');
  expect(server.requests).toEqual(Array.from({ length: 6 }, () => 'GET /a?b=c'));
  // undici takes a second one when it is asked again before it has put the first away.
  expect(server.connections.accepted).toBeLessThanOrEqual(get === ways.receive ? 1 : 2);
});

test.each(both)('%s: no more connections to a peer than are allowed', async (_, get) => {
  let most = 0;
  const server = await startServer((_request, response) => {
    most = Math.max(most, server.connections.open);
    setImmediate(() => response.end('fine'));
  });
  const http = await openVmHttp({ connections: 2 });
  await Promise.all(Array.from({ length: 10 }, () => get(http, { url: server.url, ca })));
  expect(most).toBe(2);
});

test.each(both)('%s: a server of another authority is not trusted', async (_, get) => {
  const server = await startServer((_request, response) => response.end('fine'));
  const other = makeCertificate({ commonName: 'other', authority: true });
  const http = await openVmHttp();
  await expect(get(http, { url: server.url, ca: other.cert })).rejects.toMatchObject({
    code: 'CLUSTER',
    failure: 'trust',
    message: expect.stringContaining(`GET ${server.url}: no TLS connection that can be trusted`),
  });
  expect(server.requests).toEqual([]);
});

test.each(['', undefined])('without an authority a private one is not trusted (%j)', async (none) => {
  const server = await startServer((_request, response) => response.end('fine'));
  const http = await openVmHttp();
  await expect(ways.receive(http, { url: server.url, ca: none })).rejects.toMatchObject({ failure: 'trust' });
});

test.each(both)('%s: nothing in the environment turns verification off', async (_, get) => {
  const server = await startServer((_request, response) => response.end('fine'));
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  onTestFinished(() => {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
  });
  const http = await openVmHttp();
  await expect(get(http, { url: server.url })).rejects.toMatchObject({ failure: 'trust' });
});

test.each(both)("%s: the server's own certificate can be given instead of its authority's", async (_, get) => {
  const own = makeCertificate({ commonName: 's', names: ['127.0.0.1'], issuer: authority });
  const server = await startServer((_request, response) => response.end('fine'), own);
  expect(await get(await openVmHttp(), { url: server.url, ca: own.cert })).toBe('200 fine');
});

test.each(both)('%s: a certificate for another host is refused', async (_, get) => {
  const other = makeCertificate({ commonName: 's', names: ['export.shop.svc'], issuer: authority });
  const server = await startServer((_request, response) => response.end('fine'), other);
  await expect(get(await openVmHttp(), { url: server.url, ca })).rejects.toMatchObject({
    failure: 'trust',
    message: expect.stringContaining("IP: 127.0.0.1 is not in the cert's list"),
  });
});

test.each(both)('%s: the name that the certificate must be for can be given', async (_, get) => {
  const certificate = makeCertificate({ commonName: 's', names: ['export.shop.svc'], issuer: authority });
  const server = await startServer((_request, response) => response.end('fine'), certificate);
  const http = await openVmHttp();
  expect(await get(http, { url: server.url, ca, serverName: 'export.shop.svc' })).toBe('200 fine');
  await expect(get(http, { url: server.url, ca, serverName: 'other.shop.svc' })).rejects.toMatchObject({
    failure: 'trust',
  });
});

test.each(both)('%s: through a forwarded port the host of the URL is asked for and verified', async (_, get) => {
  const certificate = makeCertificate({ commonName: 's', names: ['export.shop.svc'], issuer: authority });
  const server = await startServer((_request, response) => response.end('fine'), certificate);
  const forwarded = { host: '127.0.0.1', port: Number(new URL(server.url).port) };
  const http = await openVmHttp();
  expect(await get(http, { url: 'https://export.shop.svc/disk', ca, connect: forwarded })).toBe('200 fine');
  expect(server.headers[0]?.host).toBe('export.shop.svc');
  await expect(get(http, { url: 'https://other.shop.svc/disk', ca, connect: forwarded })).rejects.toMatchObject({
    failure: 'trust',
  });
});

test.each(both)('%s: where the authority given is not a certificate nobody is trusted', async (_, get) => {
  const server = await startServer((_request, response) => response.end('fine'));
  const broken = ca.replace(/\n[A-Za-z0-9]{8}/g, '\n!!!!!!!!');
  await expect(get(await openVmHttp(), { url: server.url, ca: broken })).rejects.toMatchObject({ failure: 'trust' });
});

test.each(both)('%s: a token is never sent without TLS', async (_, get) => {
  await expect(get(await openVmHttp(), { url: 'http://127.0.0.1:1/disk' })).rejects.toMatchObject({
    code: 'CLUSTER',
    message: 'GET http://127.0.0.1:1/disk: not an https:// address, so no token is sent there.',
  });
});

test.each(both)('%s: redirects are answers, not followed', async (_, get) => {
  const other = await startServer((_request, response) => response.end('other'));
  const server = await startServer((_request, response) => {
    response.writeHead(302, { location: other.url, 'content-length': 5 }).end('there');
  });
  expect(await get(await openVmHttp(), { url: server.url, ca })).toBe('302 there');
  expect(other.requests).toEqual([]);
});

test.each(both)('%s: a silent server is told from a broken connection', async (_, get) => {
  const server = await startServer(() => {});
  const http = await openVmHttp({ idleTimeout: 50 });
  await expect(get(http, { url: server.url, ca })).rejects.toMatchObject({
    failure: 'stalled',
    message: `GET ${server.url} stalled: no byte for 0.05 s.`,
  });
});

test.each(both)('%s: a body that stops is one, too', async (_, get) => {
  const server = await startServer((_request, response) => {
    response.writeHead(200, { 'content-length': 10 }).write('half');
  });
  const http = await openVmHttp({ idleTimeout: 50 });
  await expect(get(http, { url: server.url, ca })).rejects.toMatchObject({ failure: 'stalled' });
});

test.each(both)('%s: a body that ends before its length is a broken connection', async (_, get) => {
  const server = await startServer((_request, response) => {
    response.writeHead(200, { 'content-length': 10 }).write('half', () => response.socket?.destroy());
  });
  await expect(get(await openVmHttp(), { url: server.url, ca })).rejects.toMatchObject({ failure: 'lost' });
});

test.each(both)('%s: nothing listens', async (_, get) => {
  const unused = createServer();
  await new Promise<void>((resolve) => unused.listen(0, '127.0.0.1', resolve));
  const address = unused.address();
  await new Promise((resolve) => unused.close(resolve));
  const port = typeof address === 'object' ? address?.port : undefined;
  await expect(get(await openVmHttp(), { url: `https://127.0.0.1:${port}`, ca })).rejects.toMatchObject({
    failure: 'unreachable',
    message: expect.stringContaining('ECONNREFUSED'),
  });
});

test.each(both)('%s: the signal ends a request that waits', async (_, get) => {
  const stop = new AbortController();
  const server = await startServer(() => stop.abort());
  const work = get(await openVmHttp(), { url: server.url, ca, signal: stop.signal });
  await expect(work).rejects.toMatchObject({ code: 'CANCELLED' });
});

test.each(both)('%s: after close nothing is sent any more', async (_, get) => {
  const server = await startServer((_request, response) => response.end('fine'));
  const http = await openVmHttp();
  await get(http, { url: server.url, ca });
  await http.close();
  await expect(get(http, { url: server.url, ca })).rejects.toMatchObject({ code: 'CLUSTER' });
  expect(server.requests).toHaveLength(1);
});

test.each(both)('%s: close ends requests that wait', async (_, get) => {
  const http = await openVmHttp();
  const server = await startServer(() => void http.close());
  await expect(get(http, { url: server.url, ca })).rejects.toMatchObject({ failure: 'lost' });
});

test.each(both)('%s: a request that meets a kept connection just closed is sent over a new one', async (_, get) => {
  // As servers do that don't wait for the peer: without a word in the answer before.
  const server = await startServer((_request, response, count) => {
    if (count === 2) response.socket?.destroy();
    else response.end('fine');
  });
  const http = await openVmHttp();
  await get(http, { url: server.url, ca });
  expect(await ways.receive(http, { url: server.url, ca }).catch(() => 'tried once')).toBe(
    get === ways.receive ? '200 fine' : 'tried once',
  );
});

test.each(both)('%s: through the proxy of the environment, with TLS end to end', async (_, get) => {
  const certificate = makeCertificate({ commonName: 's', names: ['export.example'], issuer: authority });
  const server = await startServer((_request, response) => response.end('fine'), certificate);
  const tunnels: string[] = [];
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    sockets.add(client);
    client.on('error', () => {});
    client.once('data', (head) => {
      tunnels.push(head.toString().split('\r\n')[0] ?? '');
      const upstream = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.pipe(upstream).pipe(client);
      });
      upstream.on('error', () => client.destroy());
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  const address = proxy.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const http = await openVmHttp({ env: { HTTPS_PROXY: `http://127.0.0.1:${port}` } });
  expect(await get(http, { url: 'https://export.example/disk', ca })).toBe('200 fine');
  expect(tunnels).toEqual(['CONNECT export.example:443 HTTP/1.1']);
  await expect(get(http, { url: 'https://other.example/disk', ca })).rejects.toMatchObject({ failure: 'trust' });
});

test('receive leaves answers that are not plain to the library, and then always', async () => {
  const server = await startServer((_request, response) => {
    response.write('in ');
    response.end('chunks');
  });
  const http = await openVmHttp();
  for (let time = 0; time < 3; time += 1)
    expect(await ways.receive(http, { url: server.url, ca })).toBe('200 in chunks');
  expect(server.requests).toHaveLength(4);
});

test.each([['plain', 'content-length'] as const, ['chunked', 'x-none'] as const])(
  'what a sink throws is what receive throws, and ends the request: %s',
  async (_, header) => {
    const server = await startServer((_request, response) => {
      response.writeHead(200, { [header]: 10 }).write('half');
    });
    const http = await openVmHttp();
    const broken = new Error('the disk is full');
    const sink = {
      head() {},
      data() {
        throw broken;
      },
    };
    await expect(http.receive({ url: server.url, ca }, sink)).rejects.toBe(broken);
    await expect.poll(() => server.connections.open).toBe(0);
  },
);

test('a header that would end its line is not sent', async () => {
  const server = await startServer((_request, response) => response.end('fine'));
  const work = ways.receive(await openVmHttp(), { url: server.url, ca, headers: { a: 'b\r\nx-evil: 1' } });
  await expect(work).rejects.toThrow();
  expect(server.requests).toEqual([]);
});

test('a body is sent as it comes, without being asked for its length', async () => {
  const server = await startServer((_request, response) => response.end('taken'));
  async function* body() {
    yield Buffer.from('one ');
    yield Buffer.from('two');
  }
  const http = await openVmHttp();
  const answer = await http.request({ method: 'POST', url: server.url, ca, headers: { a: 'b' }, body: body() });
  expect([answer.status, await answer.text()]).toEqual([200, 'taken']);
  expect(server.bodies).toEqual(['one two']);
  expect(server.headers[0]).toMatchObject({ a: 'b', 'transfer-encoding': 'chunked' });
});

test('when the source of a body breaks, so does the request, with that as its cause', async () => {
  const server = await startServer((_request, response) => response.end('taken'));
  const broken = new Error('the archive is damaged');
  async function* body() {
    yield Buffer.from('one');
    throw broken;
  }
  const http = await openVmHttp();
  const work = http.request({ method: 'POST', url: server.url, ca, body: body() });
  await expect(work).rejects.toMatchObject({ failure: 'lost', cause: broken });
});

test('a body that nobody reads stops the server, and is whole when it is read', async () => {
  const size = 32 * 1024 * 1024;
  let written = 0;
  const server = await startServer(async (request, response) => {
    if (request.url === '/ping') {
      response.end();
      return;
    }
    response.writeHead(200, { 'content-length': size });
    const piece = Buffer.alloc(256 * 1024, 1);
    while (written < size) {
      written += piece.length;
      if (!response.write(piece)) await new Promise((resolve) => response.once('drain', resolve));
    }
    response.end();
  });
  const http = await openVmHttp();
  const { body } = await http.request({ method: 'GET', url: server.url, ca });
  for (let before = -1, same = 0; same < 5; same = written === before ? same + 1 : 0) {
    before = written;
    await ways.receive(http, { url: `${server.url}/ping`, ca });
  }
  expect(written).toBeLessThan(size);
  let read = 0;
  for await (const piece of body) read += piece.byteLength;
  expect(read).toBe(size);
});

test('leaving a body early ends its request', async () => {
  const server = await startServer((_request, response) => {
    response.writeHead(200, { 'content-length': 10 }).write('half');
  });
  const { body } = await (await openVmHttp()).request({ method: 'GET', url: server.url, ca });
  for await (const piece of body) {
    expect(Buffer.from(piece).toString()).toBe('half');
    break;
  }
  await expect.poll(() => server.connections.open).toBe(0);
});

test('of a text the first bytes can be had alone', async () => {
  const server = await startServer((_request, response) => response.end('x'.repeat(1000)));
  const answer = await (await openVmHttp()).request({ method: 'GET', url: server.url, ca });
  expect(await answer.text(3)).toBe('xxx');
});
