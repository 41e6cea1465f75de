import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import {
  answerJson,
  answerStatus,
  type Handler,
  kubeconfigOf,
  openTestCluster,
  startServer,
} from './misbehaving-server.ts';

const path = '/api/v1/namespaces/shop/configmaps';

interface Asked {
  readonly limit: number | undefined;
  readonly token: string | undefined;
  readonly query: URLSearchParams;
}

function askedOf(url: string | undefined): Asked {
  const query = new URL(url ?? '', 'http://x').searchParams;
  const limit = query.get('limit');
  return { limit: limit === null ? undefined : Number(limit), token: query.get('continue') ?? undefined, query };
}

/** A collection in key order that is served as the API server does: continue tokens are positions. */
function answerPage(response: ServerResponse, total: number, { limit = total, token = '0' }: Asked, size = 0): void {
  const start = Number(token);
  const end = Math.min(total, start + limit);
  const items = Array.from({ length: end - start }, (_, index) => item(start + index, size));
  answerJson(response, {
    apiVersion: 'v1',
    kind: 'ConfigMapList',
    metadata: { resourceVersion: '1', ...(end < total && { continue: String(end) }) },
    items,
  });
}

function item(number: number, size: number): object {
  return { metadata: { name: `c-${number}`, namespace: 'shop', uid: `uid-${number}` }, data: { x: 'y'.repeat(size) } };
}

async function listOn(handler: Handler) {
  const server = await startServer(handler);
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }) });
  const limits = () => server.requests.map((line) => askedOf(line.split(' ')[1]).limit);
  return { server, cluster, limits };
}

async function namesOf(objects: AsyncIterable<KubeObject>): Promise<string[]> {
  return (await collect(objects)).map((object) => object.metadata.name);
}

async function collect(objects: AsyncIterable<KubeObject>): Promise<KubeObject[]> {
  const all: KubeObject[] = [];
  for await (const object of objects) {
    all.push(object);
  }
  return all;
}

const names = (count: number) => Array.from({ length: count }, (_, index) => `c-${index}`);

test('items carry the apiVersion and kind of their list, and every unknown field', async () => {
  const { cluster } = await listOn((_, response) =>
    answerJson(response, {
      apiVersion: 'example.com/v1',
      kind: 'WidgetList',
      metadata: {},
      items: [{ metadata: { name: 'a', uid: '1', strange: [1] }, spec: { more: null } }],
    }),
  );
  expect(await collect(cluster.list('/apis/example.com/v1/widgets'))).toEqual([
    {
      apiVersion: 'example.com/v1',
      kind: 'Widget',
      metadata: { name: 'a', uid: '1', strange: [1] },
      spec: { more: null },
    },
  ]);
});

test('the version that a watch can go on from is told once, and is that of the first page', async () => {
  let pages = 0;
  const { cluster } = await listOn((_, response) => {
    pages += 1;
    const metadata = { resourceVersion: `${pages}`, ...(pages < 3 && { continue: 'more' }) };
    answerJson(response, { apiVersion: 'v1', kind: 'ConfigMapList', metadata, items: [item(pages, 0)] });
  });
  const versions: string[] = [];
  expect(await namesOf(cluster.list(path, { onVersion: (version) => versions.push(version) }))).toHaveLength(3);
  expect(versions).toEqual(['1']);
});

test('only the metadata can be asked for, and whole objects are taken where a server knows no other', async () => {
  const asked: (string | undefined)[] = [];
  const { cluster } = await listOn((request, response) => {
    asked.push(request.headers.accept);
    answerPage(response, 1, askedOf(request.url));
  });
  await collect(cluster.list(path));
  expect(await namesOf(cluster.list(path, { metadataOnly: true }))).toEqual(['c-0']);
  expect(asked).toEqual([
    'application/json',
    'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json',
  ]);
});

test('an empty collection, with items null as older servers send it, yields nothing', async () => {
  const { cluster } = await listOn((_, response) =>
    answerJson(response, { apiVersion: 'v1', kind: 'ConfigMapList', metadata: {}, items: null }),
  );
  expect(await namesOf(cluster.list(path))).toEqual([]);
});

test('small items come in ever larger pages, up to 500', async () => {
  const { cluster, limits } = await listOn((request, response) => answerPage(response, 1300, askedOf(request.url)));
  expect(await namesOf(cluster.list(path))).toEqual(names(1300));
  expect(limits()).toEqual([20, 500, 500, 500]);
});

test('large items come in small pages of about 1 MiB', async () => {
  const { cluster, limits } = await listOn((request, response) =>
    answerPage(response, 34, askedOf(request.url), 128 * 1024),
  );
  expect(await namesOf(cluster.list(path))).toHaveLength(34);
  expect(limits()).toEqual([20, 7, 7]);
});

test('pages can be asked to be smaller, and come as they are', async () => {
  const { cluster, limits } = await listOn((request, response) =>
    answerPage(response, 40, askedOf(request.url), 64 * 1024),
  );
  const sizes: number[] = [];
  for await (const page of cluster.listPages(path, { pageBytes: 512 * 1024 })) sizes.push(page.length);
  expect(limits()).toEqual([20, 7, 7, 7]);
  expect(sizes).toEqual([20, 7, 7, 6]);
});

test('selectors go with every page', async () => {
  const { server, cluster } = await listOn((request, response) => answerPage(response, 60, askedOf(request.url)));
  await namesOf(cluster.list(path, { labelSelector: 'owner=helm,status!=superseded', fieldSelector: 'type=x' }));
  expect(server.requests).toHaveLength(2);
  for (const line of server.requests) {
    const { query } = askedOf(line.split(' ')[1]);
    expect(query.get('labelSelector')).toBe('owner=helm,status!=superseded');
    expect(query.get('fieldSelector')).toBe('type=x');
  }
});

test('the next page is on its way while this one is read, and no further one', async () => {
  const { server, cluster } = await listOn((request, response) => answerPage(response, 1200, askedOf(request.url)));
  const iterator = cluster.list(path)[Symbol.asyncIterator]();
  await iterator.next();
  await expect.poll(() => server.requests.length).toBe(2);
  for (let read = 1; read < 20; read++) {
    await iterator.next();
  }
  expect(server.requests).toHaveLength(2);
  await iterator.next();
  await expect.poll(() => server.requests.length).toBe(3);
  await iterator.return?.();
});

test('the next page is asked for before this one is parsed, wherever the server writes the metadata', async () => {
  const pages = [
    { kind: 'ConfigMapList', apiVersion: 'v1', metadata: { continue: '20' } },
    { kind: 'ConfigMapList', apiVersion: 'v1', metadata: { resourceVersion: '1', continue: '40' } },
    // As custom resources come: sorted.
    { apiVersion: 'v1', items: [], kind: 'ConfigMapList', metadata: { continue: '60', remainingItemCount: 1 } },
    { kind: 'ConfigMapList', apiVersion: 'v1', metadata: {} },
  ];
  const { server, cluster } = await listOn((request, response, count) => {
    const items = Array.from({ length: 20 }, (_, index) => item((count - 1) * 20 + index, 0));
    // What an object says is not taken for what the list says.
    const trap = { metadata: { name: 'trap', uid: 'trap' }, data: { x: '"items":[],"metadata":{"continue":"trap"}}' } };
    expect(askedOf(request.url).token).toBe([undefined, '20', '40', '60'][count - 1]);
    answerJson(response, { ...pages[count - 1], items: count === 4 ? [trap] : items });
  });
  expect(await namesOf(cluster.list(path))).toEqual([...names(60), 'trap']);
  expect(server.requests).toHaveLength(4);
});

test('a reader that stops early ends the request under way', async () => {
  const held = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const { cluster } = await listOn((request, response, count) => {
    if (count === 1) {
      answerPage(response, 100, askedOf(request.url));
    } else {
      response.on('close', ended.resolve);
      held.resolve();
    }
  });
  for await (const object of cluster.list(path)) {
    expect(object.metadata.name).toBe('c-0');
    await held.promise;
    break;
  }
  await ended.promise;
});

test("the caller's signal ends the list with CANCELLED", async () => {
  const controller = new AbortController();
  const { cluster } = await listOn((request, response, count) =>
    count === 1 ? answerPage(response, 100, askedOf(request.url)) : controller.abort(),
  );
  await expect(namesOf(cluster.list(path, { signal: controller.signal }))).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('a page that breaks in the middle is fetched again, and no object is lost or repeated', async () => {
  const { cluster } = await listOn((request, response, count) => {
    if (count === 2) {
      response.writeHead(200, { 'content-length': '100000' });
      response.write('{"items":[', () => response.destroy());
      return;
    }
    answerPage(response, 700, askedOf(request.url));
  });
  expect(await namesOf(cluster.list(path))).toEqual(names(700));
});

test('an expired continue token goes on with the one the server offers instead', async () => {
  const { server, cluster } = await listOn((request, response, count) => {
    if (count === 2) {
      const metadata = { continue: '20' };
      answerStatus(response, 410, 'Expired', 'The provided continue parameter is too old', { metadata });
      return;
    }
    answerPage(response, 700, askedOf(request.url));
  });
  expect(await namesOf(cluster.list(path))).toEqual(names(700));
  expect(server.requests).toHaveLength(4);
});

test('an expired token without an offer reads everything at once and leaves out what was seen', async () => {
  const { cluster, limits } = await listOn((request, response, count) => {
    if (count === 3) {
      answerStatus(response, 410, 'Expired', 'The provided continue parameter is too old');
      return;
    }
    answerPage(response, 1200, askedOf(request.url));
  });
  expect(await namesOf(cluster.list(path))).toEqual(names(1200));
  expect(limits()).toEqual([20, 500, 500, undefined]);
});

test('410 on the first page is an error: there is nothing to start again from', async () => {
  const { cluster } = await listOn((_, response) => answerStatus(response, 410, 'Gone', 'no longer served'));
  await expect(namesOf(cluster.list(path))).rejects.toMatchObject({ status: 410 });
});

test('what was read before a page fails has been given to the reader', async () => {
  const { cluster } = await listOn((request, response, count) =>
    count === 1 ? answerPage(response, 100, askedOf(request.url)) : answerStatus(response, 403, 'Forbidden', 'no more'),
  );
  const read: string[] = [];
  const reading = (async () => {
    for await (const object of cluster.list(path)) {
      read.push(object.metadata.name);
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: 'FORBIDDEN' });
  expect(read).toEqual(names(20));
});
