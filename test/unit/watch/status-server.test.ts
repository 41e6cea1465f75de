import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { parseListen, type Status, serveStatus } from '../../../src/watch/status-server.ts';

async function serve(status: Partial<Status> = {}) {
  const server = await serveStatus('127.0.0.1:0', {
    stuck: () => undefined,
    lacks: () => undefined,
    metrics: () => 'transship_is_manager 1\n',
    ...status,
  });
  onTestFinished(() => server.close());
  const ask = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  return { server, ask };
}

it('/healthz and /readyz say 200 when all is well', async () => {
  const { ask } = await serve();
  expect(await ask('/healthz')).toMatchObject({ status: 200, text: 'ok\n' });
  expect(await ask('/readyz')).toMatchObject({ status: 200, text: 'ok\n' });
});

it('/healthz says 503 and what is stuck, while /readyz goes its own way', async () => {
  const { ask } = await serve({ stuck: () => 'exporting: no sign of life for 15 minutes' });
  expect(await ask('/healthz')).toMatchObject({ status: 503, text: 'exporting: no sign of life for 15 minutes\n' });
  expect((await ask('/readyz')).status).toBe(200);
});

it('/readyz says 503 and what is lacking, while /healthz goes its own way', async () => {
  const { ask } = await serve({ lacks: () => 'no snapshot is stored yet' });
  expect(await ask('/readyz')).toMatchObject({ status: 503, text: 'no snapshot is stored yet\n' });
  expect((await ask('/healthz')).status).toBe(200);
});

it('/metrics is text for Prometheus', async () => {
  const { ask } = await serve();
  const { status, text, headers } = await ask('/metrics?x=1');
  expect({ status, text }).toEqual({ status: 200, text: 'transship_is_manager 1\n' });
  expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
});

it.each(['/', '/metrics/', '/constructor', '/__proto__', '/healthz/../metrics%00'])(
  'what is not there is 404: %s',
  async (path) => {
    const { ask } = await serve();
    expect(await ask(path)).toMatchObject({ status: 404, text: 'There are /healthz, /readyz, /metrics.\n' });
  },
);

it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is refused', async (method) => {
  const { ask } = await serve();
  const { status, headers } = await ask('/metrics', method);
  expect(status).toBe(405);
  expect(headers.get('allow')).toBe('GET, HEAD');
});

it('HEAD answers without a body', async () => {
  const { ask } = await serve();
  expect(await ask('/healthz', 'HEAD')).toMatchObject({ status: 200, text: '' });
});

it('a port that is taken is told as the input it is', async () => {
  const { server } = await serve();
  const status: Status = { stuck: () => undefined, lacks: () => undefined, metrics: () => '' };
  await expect(serveStatus(`127.0.0.1:${server.port}`, status)).rejects.toMatchObject({
    code: 'INPUT',
    message: `listen: 127.0.0.1:${server.port} cannot be listened on: another program listens there.`,
  });
  await expect(serveStatus('127.0.0.1:70000', status)).rejects.toMatchObject({
    code: 'INPUT',
    message: 'listen: 127.0.0.1:70000 cannot be listened on: there are ports up to 65535 only.',
  });
});

it('ends although somebody keeps a connection open and says nothing', async () => {
  const { server } = await serve();
  const socket = connect(server.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n');
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await server.close();
  await closed;
});

it.each([
  ['127.0.0.1:8080', { host: '127.0.0.1', port: 8080 }],
  [':8080', { host: undefined, port: 8080 }],
  ['[::1]:8080', { host: '::1', port: 8080 }],
  ['localhost:80', { host: 'localhost', port: 80 }],
])('%s is read as a place to listen', (listen, place) => {
  expect(parseListen(listen)).toEqual(place);
});
