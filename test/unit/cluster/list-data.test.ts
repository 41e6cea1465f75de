import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import type { DataObject } from '../../../src/cluster/cluster.ts';
import {
  answerJson,
  answerStatus,
  type Handler,
  jumpingClock,
  kubeconfigOf,
  openTestCluster,
  startServer,
} from './misbehaving-server.ts';

const path = '/api/v1/namespaces/shop/secrets';
const PROTOBUF = 'application/vnd.kubernetes.protobuf';

const read = (name: string) => readFileSync(new URL(`../../fixtures/protobuf/${name}`, import.meta.url));

function answerBytes(response: ServerResponse, body: Uint8Array, status = 200): void {
  response.writeHead(status, { 'content-type': PROTOBUF, 'content-length': body.length }).end(body);
}

async function listOn(handler: Handler) {
  const server = await startServer(handler);
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }), clock: jumpingClock() });
  const queries = () => server.requests.map((line) => new URL(line.split(' ')[1] ?? '', 'http://x').searchParams);
  return { server, queries, list: () => collect(cluster.listData(path)) };
}

async function collect(pages: AsyncIterable<readonly DataObject[]>): Promise<DataObject[]> {
  const all: DataObject[] = [];
  for await (const page of pages) all.push(...page);
  return all;
}

const namesOf = (objects: readonly DataObject[]) => objects.map(({ metadata }) => metadata.name);

const bytes = (number: number, value: string | Uint8Array) => (writer: BinaryWriter) =>
  writer.tag(number, WireType.LengthDelimited).bytes(typeof value === 'string' ? Buffer.from(value) : value);

function message(...fields: ((writer: BinaryWriter) => unknown)[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const field of fields) field(writer);
  return writer.finish();
}

/** A page of a collection of Secrets in key order; continue tokens are positions. */
function pageOf(total: number, query: URLSearchParams | undefined, size = 0): Uint8Array {
  const start = Number(query?.get('continue') ?? 0);
  const end = Math.min(total, start + Number(query?.get('limit') ?? total));
  const items = Array.from({ length: end - start }, (_, index) => {
    const number = start + index;
    const metadata = message(bytes(1, `s-${number}`), bytes(3, 'shop'), bytes(5, `uid-${number}`));
    return bytes(2, message(bytes(1, metadata), bytes(2, message(bytes(1, 'x'), bytes(2, valueIn(number, size))))));
  });
  const list = message(bytes(1, message(bytes(3, end < total ? String(end) : ''))), ...items);
  return Buffer.concat([Buffer.from('k8s\0'), message(bytes(1, message(bytes(2, 'SecretList'))), bytes(2, list))]);
}

const valueIn = (number: number, size: number) => `${number} `.repeat(size);

const names = (count: number) => Array.from({ length: count }, (_, index) => `s-${index}`);

test('protobuf is asked for before JSON, and the next page with the token of the one before', async () => {
  const { server, queries, list } = await listOn((_, response, count) =>
    answerBytes(response, read(count === 1 ? 'secrets.pb' : 'none.pb')),
  );
  expect(namesOf(await list())).toEqual(['a', 'b']);
  expect(server.headers.map(({ accept }) => accept)).toEqual(Array(2).fill(`${PROTOBUF}, application/json`));
  const { metadata } = JSON.parse(read('secrets.json').toString());
  expect(queries().map((query) => query.get('continue'))).toEqual([null, metadata.continue]);
});

test('large items come in small pages of about 1 MiB', async () => {
  const { queries, list } = await listOn((_, response) =>
    answerBytes(response, pageOf(34, queries().at(-1), 64 * 1024)),
  );
  expect(namesOf(await list())).toEqual(names(34));
  expect(queries().map((query) => query.get('limit'))).toEqual(['20', '6', '5', '5']);
});

test('what was read of a page is left alone by the pages that follow', async () => {
  const size = 64 * 1024;
  const { queries, list } = await listOn((_, response) => answerBytes(response, pageOf(34, queries().at(-1), size)));
  const values = (await list()).map(({ data }) => Buffer.from(data.get('x') ?? []).toString());
  expect(values.every((value, number) => value === valueIn(number, size))).toBe(true);
});

test('a server that knows no protobuf is understood in JSON', async () => {
  const { list } = await listOn((_, response) => answerJson(response, JSON.parse(read('configmaps.json').toString())));
  const [object] = await list();
  expect(object).toMatchObject({ kind: 'ConfigMap', metadata: { name: 'a', namespace: 'shop' } });
  expect(Buffer.from(object?.data.get('release') ?? []).toString()).toBe('H4sI');
  expect([...(object?.data.get('bytes') ?? [])]).toEqual([0, 255, 128, 10]);
});

test('a server that changes to JSON in the middle, as behind a load balancer, is understood too', async () => {
  const items = [{ metadata: { name: 'c', namespace: 'shop', uid: '3' }, data: { release: 'Yw==' } }];
  const { list } = await listOn((_, response, count) =>
    count === 1
      ? answerBytes(response, read('secrets.pb'))
      : answerJson(response, { apiVersion: 'v1', kind: 'SecretList', metadata: {}, items }),
  );
  const objects = await list();
  expect(namesOf(objects)).toEqual(['a', 'b', 'c']);
  expect(Buffer.from(objects[2]?.data.get('release') ?? []).toString()).toBe('c');
});

test('an empty collection, with items null as older servers send it in JSON, yields nothing', async () => {
  const { list } = await listOn((_, response) =>
    answerJson(response, { apiVersion: 'v1', kind: 'SecretList', metadata: {}, items: null }),
  );
  expect(await list()).toEqual([]);
});

test('an expired continue token goes on with the one that is offered in protobuf', async () => {
  const { queries, list } = await listOn((_, response, count) => {
    if (count === 2) {
      answerBytes(response, read('expired.pb'), 410);
      return;
    }
    const query = queries().at(-1);
    if (count === 3) query?.set('continue', '20');
    answerBytes(response, pageOf(700, query));
  });
  expect(namesOf(await list())).toEqual(names(700));
  const offered = /[\w-]{40,}/.exec(read('expired.pb').toString('latin1'))?.[0];
  expect(queries().map((query) => query.get('continue'))).toEqual([null, '20', offered, '520']);
});

test('an expired token without an offer reads everything at once and leaves out what was seen', async () => {
  const { queries, list } = await listOn((_, response, count) =>
    count === 3
      ? answerStatus(response, 410, 'Expired', 'The provided continue parameter is too old')
      : answerBytes(response, pageOf(1200, queries().at(-1))),
  );
  expect(namesOf(await list())).toEqual(names(1200));
  expect(queries().map((query) => query.get('limit'))).toEqual(['20', '500', '500', null]);
});

test('a refusal in protobuf is told as one in JSON is', async () => {
  const { server, list } = await listOn((_, response, count) =>
    count === 1
      ? answerBytes(response, read('forbidden.pb'), 403)
      : answerBytes(response, read('unauthorized.pb'), 401),
  );
  await expect(list()).rejects.toMatchObject({
    code: 'FORBIDDEN',
    status: 403,
    reason: 'Forbidden',
    message: `secrets is forbidden: User "token" cannot list resource "secrets" in API group "" in the namespace "shop" (GET ${path} in the context "test": 403 Forbidden)`,
    hint: 'Bind "token" to a Role in the namespace "shop" with the rule { apiGroups: [""], resources: ["secrets"], verbs: ["list"] }.',
  });
  await expect(list()).rejects.toMatchObject({
    status: 401,
    message: `${server.url} does not accept the credentials of the context "test" (401 Unauthorized).`,
  });
});

test('a refusal that is garbled is still one, with what its status says', async () => {
  const { server, list } = await listOn((_, response, count) =>
    count === 1
      ? answerBytes(response, Buffer.from('k8s\0\xff\xff', 'latin1'), 503)
      : answerBytes(response, read('forbidden.pb').subarray(0, -20), 403),
  );
  await expect(list()).rejects.toMatchObject({
    status: 403,
    reason: 'Forbidden',
    message: expect.stringMatching(/^The server gave no reason \(GET .*: 403 Forbidden\)$/),
  });
  expect(server.requests.length).toBeGreaterThan(2);
});

test('an answer that is cut is no list of fewer objects, and what it holds is not told', async () => {
  const { server, list } = await listOn((_, response) => answerBytes(response, read('secrets.pb').subarray(0, 1300)));
  await expect(list()).rejects.toMatchObject({
    reason: 'InvalidResponse',
    message: `${server.url} (context "test") answered GET ${path} with ${PROTOBUF} that can't be read: premature EOF`,
    hint: expect.stringContaining('proxy in front of it'),
  });
});

test.each([
  ['text/html', '<h1>Log in</h1>', ', not JSON: Log in'],
  ['application/json', '{"kind":"SecretList","items":[{', ', not JSON: {"kind":"SecretList","items":[{'],
  ['application/json', '{"kind":"PodList","items":[]}', ` that can't be read: it holds "PodList"`],
  ['application/json', 'null', ` that can't be read: it holds "undefined"`],
  [PROTOBUF, '<h1>Log in</h1>', ` that can't be read: it does not begin as an object of Kubernetes does`],
])('an answer of %s with %s in it is refused', async (type, body, said) => {
  const { list } = await listOn((_, response) => response.writeHead(200, { 'content-type': type }).end(body));
  await expect(list()).rejects.toMatchObject({
    reason: 'InvalidResponse',
    message: expect.stringContaining(`with ${type}${said}`),
  });
});
