import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { WatchEvent, WatchOptions } from '../../../src/cluster/cluster.ts';
import { createCredentials } from '../../../src/cluster/credentials.ts';
import { createWatcher } from '../../../src/cluster/watch.ts';
import {
  answerStatus,
  authority,
  base64,
  type Handler,
  jumpingClock,
  kubeconfigOf,
  openTestCluster,
  startServer,
} from './misbehaving-server.ts';

const path = '/api/v1/configmaps';

function config(name: string, version: number, more: object = {}) {
  const metadata = { name, namespace: 'shop', resourceVersion: `${version}` };
  return { kind: 'ConfigMap', apiVersion: 'v1', metadata, ...more };
}

function line(type: string, object: object): string {
  return `${JSON.stringify({ type, object })}\n`;
}

const bookmark = (version: number) =>
  line('BOOKMARK', { kind: 'ConfigMap', apiVersion: 'v1', metadata: { resourceVersion: `${version}` } });

function begin(response: ServerResponse): ServerResponse {
  response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
  response.flushHeaders();
  return response;
}

async function watchOn(handler: Handler, options: WatchOptions = {}) {
  const server = await startServer(handler);
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }) });
  const seen: WatchEvent[] = [];
  const all = async () => {
    for await (const events of cluster.watch(path, options)) seen.push(...events);
    return seen;
  };
  return { server, cluster, seen, all };
}

describe('a watch', () => {
  test('asks for bookmarks, from a version, for five to ten minutes', async () => {
    const { server, all } = await watchOn((_, response) => begin(response).end(), {
      resourceVersion: '7',
      labelSelector: 'a!=b',
    });
    await all();
    const query = new URL(server.requests[0]?.split(' ')[1] ?? '', 'http://x').searchParams;
    const { timeoutSeconds, ...rest } = Object.fromEntries(query);
    expect(rest).toEqual({ watch: 'true', allowWatchBookmarks: 'true', resourceVersion: '7', labelSelector: 'a!=b' });
    expect(Number(timeoutSeconds)).toBeGreaterThanOrEqual(300);
    expect(Number(timeoutSeconds)).toBeLessThanOrEqual(600);
  });

  test('tells what has changed, in the order of fields that lists have', async () => {
    const { all } = await watchOn((_, response) => {
      begin(response).write(line('ADDED', config('a', 3, { data: { x: '1' } })));
      response.write(bookmark(4) + line('MODIFIED', config('a', 5)));
      response.end(line('DELETED', config('a', 6)));
    });
    const events = await all();
    expect(events).toEqual([
      { type: 'ADDED', resourceVersion: '3', object: config('a', 3, { data: { x: '1' } }) },
      { type: 'BOOKMARK', resourceVersion: '4' },
      { type: 'MODIFIED', resourceVersion: '5', object: config('a', 5) },
      { type: 'DELETED', resourceVersion: '6', object: config('a', 6) },
    ]);
    expect(events.flatMap((event) => (event.type === 'ADDED' ? Object.keys(event.object) : []))).toEqual([
      'apiVersion',
      'kind',
      'metadata',
      'data',
    ]);
  });

  test('tells each change as soon as it comes', async () => {
    let response: ServerResponse | undefined;
    const { cluster } = await watchOn((_, begun) => {
      response = begin(begun);
    });
    const opened = Promise.withResolvers<void>();
    const events = cluster.watch(path, { onOpen: () => opened.resolve() })[Symbol.asyncIterator]();
    for (const name of ['a', 'b']) {
      const next = events.next();
      await opened.promise;
      response?.write(line('ADDED', config(name, 1)));
      expect((await next).value).toMatchObject([{ object: { metadata: { name } } }]);
    }
    await events.return?.();
  });

  test('is taken to be accepted when the beginning of the answer is held back, as some proxies do', async () => {
    let response: ServerResponse | undefined;
    const { cluster } = await watchOn((_, begun) => {
      response = begun;
    });
    const opened = Promise.withResolvers<void>();
    let count = 0;
    const onOpen = () => {
      count += 1;
      opened.resolve();
    };
    const events = cluster.watch(path, { onOpen })[Symbol.asyncIterator]();
    const next = events.next();
    await opened.promise;
    response?.write(line('ADDED', config('a', 1)));
    expect((await next).value).toHaveLength(1);
    expect(count).toBe(1);
    await events.return?.();
  });

  test('reads objects of several MiB, and characters that are cut between pieces', async () => {
    const data = { text: '€😀'.repeat(500_000), large: 'x'.repeat(3 * 1024 * 1024) };
    const { all } = await watchOn(async (_, response) => {
      begin(response);
      const bytes = Buffer.from(line('ADDED', config('big', 1, { data })) + line('ADDED', config('b', 2)));
      for (let at = 0; at < bytes.length; at += 99_991) {
        response.write(bytes.subarray(at, at + 99_991));
        await setImmediate();
      }
      response.end();
    });
    const events = await all();
    expect(events.map((event) => event.type !== 'BOOKMARK' && event.object)).toEqual([
      config('big', 1, { data }),
      config('b', 2),
    ]);
  });

  test('keeps every digit of large numbers', async () => {
    const { all } = await watchOn((_, response) => {
      begin(response).end(
        `{"type":"ADDED","object":{"apiVersion":"v1","kind":"C","metadata":{"name":"a"},"n":9007199254740993}}\n`,
      );
    });
    expect(JSON.stringify(await all())).toContain('"n":9007199254740993');
  });

  test('leaves out managed fields where that is asked for', async () => {
    const managedFields = [{ manager: 'kubectl', fieldsV1: { 'f:data': {} } }];
    const object = config('a', 1);
    const { all } = await watchOn(
      (_, response) => {
        begin(response).end(line('ADDED', { ...object, metadata: { ...object.metadata, managedFields } }));
      },
      { withoutManagedFields: true },
    );
    expect(await all()).toMatchObject([{ object: { metadata: { name: 'a', managedFields: [] } } }]);
  });

  test('ignores a line that is cut by the end of the connection, and fails with what broke it', async () => {
    const { all, seen } = await watchOn((_, response) => {
      begin(response).write(line('ADDED', config('a', 1)) + line('ADDED', config('b', 2)).slice(0, -10), () =>
        setTimeout(() => response.destroy(), 20),
      );
    });
    await expect(all()).rejects.toMatchObject({ status: 0, reason: 'Reset' });
    expect(seen).toMatchObject([{ object: { metadata: { name: 'a' } } }]);
  });

  test('ignores a cut line also where the server ends it in peace', async () => {
    const { all } = await watchOn((_, response) => {
      begin(response).end(line('ADDED', config('a', 1)) + line('ADDED', config('b', 2)).slice(0, -10));
    });
    expect(await all()).toHaveLength(1);
  });

  test.each([
    ['an answer', (response: ServerResponse) => answerStatus(response, 410, 'Expired', 'too old resource version')],
    [
      'an event',
      (response: ServerResponse) => {
        const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 410, reason: 'Expired' };
        begin(response).write(line('ADDED', config('a', 1)));
        response.end(line('ERROR', { ...status, message: 'too old resource version: 1 (5)' }));
      },
    ],
  ])('fails with 410 when the version is too old, by %s', async (_what, answer) => {
    const { all } = await watchOn((_, response) => answer(response));
    await expect(all()).rejects.toMatchObject({
      name: 'ClusterError',
      status: 410,
      reason: 'Expired',
      message: expect.stringContaining('too old resource version'),
    });
  });

  test('tells what came before the error', async () => {
    const { all, seen } = await watchOn((_, response) => {
      const status = { kind: 'Status', code: 500, reason: 'InternalError', message: 'etcd has gone' };
      begin(response).end(line('ADDED', config('a', 1)) + line('ERROR', status));
    });
    await expect(all()).rejects.toMatchObject({ status: 500, reason: 'InternalError' });
    expect(seen).toHaveLength(1);
  });

  test('fails on what is no event', async () => {
    const { all } = await watchOn((_, response) => begin(response).end('<html>Log in</html>\n'));
    await expect(all()).rejects.toMatchObject({
      reason: 'InvalidResponse',
      message: expect.stringContaining('Log in'),
    });
  });

  test('says which right is missing', async () => {
    const message = 'User "u" cannot watch resource "configmaps" in API group "" at the cluster scope';
    const { all } = await watchOn((_, response) => answerStatus(response, 403, 'Forbidden', message));
    await expect(all()).rejects.toMatchObject({
      code: 'FORBIDDEN',
      status: 403,
      hint: expect.stringContaining('verbs: ["watch"]'),
    });
  });

  test('holds a connection of its own: requests do not wait for a hundred of them', async () => {
    const server = await startServer((request, response) => {
      if (request.url?.includes('watch=true')) begin(response);
      else response.end('{}');
    });
    const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }), concurrency: 2 });
    const stop = new AbortController();
    const watches = Array.from({ length: 100 }, () => {
      const opened = Promise.withResolvers<void>();
      const events = cluster.watch(path, { signal: stop.signal, onOpen: () => opened.resolve() });
      return { opened: opened.promise, end: events[Symbol.asyncIterator]().next() };
    });
    await Promise.all(watches.map(({ opened }) => opened));
    expect(server.connections.open).toBe(100);
    expect(await cluster.json({ method: 'GET', path: '/version' })).toEqual({});
    stop.abort();
    for (const result of await Promise.allSettled(watches.map(({ end }) => end))) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'CANCELLED' } });
    }
    await expect.poll(() => server.connections.open).toBeLessThanOrEqual(1);
  });

  test('goes through the proxy of the kubeconfig', async () => {
    const server = await startServer((_, response) => void begin(response).end(line('ADDED', config('a', 1))));
    const tunnels: string[] = [];
    const proxy = createServer().on('connect', (request, client, head) => {
      tunnels.push(request.url ?? '');
      const { hostname, port } = new URL(`http://${request.url}`);
      const upstream = connect(Number(port), hostname, () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        upstream.write(head);
        upstream.pipe(client).pipe(upstream);
      });
      for (const socket of [client, upstream]) socket.on('error', () => {});
      client.on('close', () => upstream.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void proxy.close());
    const { port } = proxy.address() as AddressInfo;
    const ca = { 'certificate-authority-data': base64(authority.cert) };
    const cluster = await openTestCluster({
      kubeconfig: kubeconfigOf({ server: server.url, cluster: { ...ca, 'proxy-url': `http://127.0.0.1:${port}` } }),
    });
    const seen: WatchEvent[] = [];
    for await (const events of cluster.watch(path)) seen.push(...events);
    expect(seen).toHaveLength(1);
    expect(tunnels).toEqual([new URL(server.url).host]);
  });

  test('drops its connection when nobody reads on', async () => {
    const { server, cluster } = await watchOn((_, response) => {
      begin(response).write(line('ADDED', config('a', 1)));
    });
    for await (const _ of cluster.watch(path)) break;
    await expect.poll(() => server.connections.open).toBe(0);
  });

  test('ends when the cluster is closed', async () => {
    const { cluster } = await watchOn((_, response) => void begin(response));
    const opened = Promise.withResolvers<void>();
    const next = cluster
      .watch(path, { onOpen: () => opened.resolve() })
      [Symbol.asyncIterator]()
      .next();
    await opened.promise;
    await Promise.all([expect(next).rejects.toMatchObject({ reason: 'Closed' }), cluster.close()]);
  });

  test('takes no more from the server than a reader who is slow can hold', async () => {
    const total = 32 * 1024 * 1024;
    let sent = 0;
    const { cluster } = await watchOn((_, response) => {
      begin(response);
      const piece = line('ADDED', config('a', 1, { data: { x: 'y'.repeat(1024 * 1024) } }));
      const more = () => {
        while (sent < total) {
          sent += piece.length;
          if (response.write(piece)) continue;
          response.once('drain', more);
          return;
        }
        response.end();
      };
      more();
    });
    let count = 0;
    for await (const events of cluster.watch(path)) {
      if (count === 0) await expect.poll(() => waitForRest(() => sent), { timeout: 5000 }).toBe(true);
      if (count === 0) expect(sent).toBeLessThan(total / 2);
      count += events.length;
    }
    expect(count).toBeGreaterThanOrEqual(total / (1024 * 1024) - 1);
    expect(sent).toBeGreaterThanOrEqual(total);
  });
});

/** Whether a number has stopped growing. */
async function waitForRest(read: () => number): Promise<boolean> {
  const before = read();
  for (let turns = 0; turns < 200; turns++) await setImmediate();
  return read() === before;
}

describe('the credentials of a watch', () => {
  async function watchAs(renew: boolean, handler: (request: IncomingMessage, response: ServerResponse) => void) {
    const server = await startServer(handler, 'plain');
    const sessions = ['old', 'new'].map((token) => ({
      tls: { ca: '', cert: undefined, key: undefined, servername: undefined, rejectUnauthorized: true },
      headers: ['authorization', `Bearer ${token}`],
    }));
    let current = 0;
    const watcher = createWatcher({
      context: 'test',
      server: server.url,
      proxy: undefined,
      credentials: {
        current: () => sessions[current] ?? fail(),
        async renew() {
          if (renew) current = 1;
          return renew;
        },
      },
    });
    onTestFinished(() => watcher.close());
    const seen: WatchEvent[] = [];
    const all = async () => {
      for await (const events of watcher.watch(path)) seen.push(...events);
      return seen;
    };
    return { server, all };
  }

  function fail(): never {
    throw new Error('There are only two.');
  }

  const onlyNew = (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.authorization === 'Bearer new') begin(response).end(line('ADDED', config('a', 1)));
    else answerStatus(response, 401, 'Unauthorized', 'Unauthorized');
  };

  test('are renewed once when the server does not take them', async () => {
    const { server, all } = await watchAs(true, onlyNew);
    expect(await all()).toHaveLength(1);
    expect(server.headers.map(({ authorization }) => authorization)).toEqual(['Bearer old', 'Bearer new']);
  });

  test('are told to be refused when there are no others', async () => {
    const { server, all } = await watchAs(false, onlyNew);
    await expect(all()).rejects.toMatchObject({ code: 'FORBIDDEN', status: 401 });
    expect(server.requests).toHaveLength(1);
  });
});

describe('a watch of which nothing is heard', () => {
  async function silentWatch(lines: string, timeoutSeconds: number) {
    const server = await startServer((_, response) => {
      begin(response).write(lines);
    }, 'plain');
    const login = {
      context: 'test',
      namespace: undefined,
      server: { server: server.url, insecure: false, proxyUrl: undefined, serverName: undefined },
      user: { token: 'x', impersonate: [] },
    };
    const credentials = createCredentials(login as never, () => {}, jumpingClock());
    const watcher = createWatcher({ context: 'test', server: server.url, proxy: undefined, credentials, silence: 50 });
    onTestFinished(() => watcher.close());
    for await (const _ of watcher.watch(path, { timeoutSeconds }));
  }

  test('is given up when bookmarks have stopped', async () => {
    await expect(silentWatch(bookmark(1), 600)).rejects.toMatchObject({ status: 0, reason: 'Stalled' });
  });

  test('is given up when the server has let its own time pass', async () => {
    await expect(silentWatch(line('ADDED', config('a', 1)), 0)).rejects.toMatchObject({ reason: 'Stalled' });
  });
});
