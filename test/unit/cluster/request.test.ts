import { expect, test } from 'vitest';
import { ClusterError } from '../../../src/cluster/cluster.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import {
  answerJson,
  answerStatus,
  type Handler,
  jumpingClock,
  kubeconfigOf,
  openTestCluster,
  startServer,
} from './misbehaving-server.ts';

const get = { method: 'GET', path: '/api/v1/things' } as const;

async function clusterOn(handler: Handler, options: { stallTimeout?: number; concurrency?: number } = {}) {
  const server = await startServer(handler);
  const clock = jumpingClock();
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }), clock, ...options });
  return { server, clock, cluster };
}

test('a request carries the token, its query and JSON, and the parsed answer comes back', async () => {
  const { server, cluster } = await clusterOn((_, response) => answerJson(response, { some: ['ünïcode'] }, 201));
  const answer = await cluster.json({
    method: 'POST',
    path: '/api/v1/things',
    query: { dryRun: 'All', limit: 5, gone: undefined, selector: 'a=b,c in (d)' },
    body: { x: 1 },
  });
  expect(answer).toEqual({ some: ['ünïcode'] });
  expect(server.requests).toEqual(['POST /api/v1/things?dryRun=All&limit=5&selector=a%3Db%2Cc%20in%20(d)']);
  expect(server.bodies).toEqual(['{"x":1}']);
  expect(server.headers[0]).toMatchObject({ authorization: 'Bearer secret-token', 'content-type': 'application/json' });
});

test('what is applied is JSON that means the same when it is read as YAML', async () => {
  const { server, cluster } = await clusterOn((_, response) => answerJson(response, {}));
  const body = { text: 'a\u2028 b\u0085c\u007f\uffff ünï 😀' };
  await cluster.json({ method: 'PATCH', contentType: 'application/apply-patch+yaml', path: '/x', body });
  expect(server.bodies).toEqual(['{"text":"a\\u2028 b\\u0085c\\u007f\\uffff ünï 😀"}']);
});

test('integers that JavaScript would round come back with every digit', async () => {
  const { cluster } = await clusterOn((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end('{"spec":{"large":9007199254740993,"small":7}}');
  });
  const answer = await cluster.json(get);
  expect(JSON.stringify(answer)).toBe('{"spec":{"large":9007199254740993,"small":7}}');
});

test('a server address with a path keeps it before every request', async () => {
  const server = await startServer((_, response) => answerJson(response, {}));
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: `${server.url}/k8s/clusters/c-1/` }) });
  await cluster.json(get);
  expect(server.requests).toEqual(['GET /k8s/clusters/c-1/api/v1/things']);
});

test('a read whose connection breaks in the middle of the body is sent again', async () => {
  const { server, clock, cluster } = await clusterOn((_, response, count) => {
    if (count === 1) {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"half":', () => response.destroy());
      return;
    }
    answerJson(response, { whole: true });
  });
  expect(await cluster.json(get)).toEqual({ whole: true });
  expect(server.requests).toHaveLength(2);
  expect(clock.sleeps).toHaveLength(1);
});

test('a create whose connection breaks is not sent again, and says that it may have happened', async () => {
  const { server, cluster } = await clusterOn((_, response) => response.destroy());
  await expect(cluster.json({ ...get, method: 'POST', body: {} })).rejects.toMatchObject({
    status: 0,
    reason: 'Reset',
    message: expect.stringContaining('broke during POST /api/v1/things'),
  });
  expect(server.requests).toHaveLength(1);
});

test.each([
  { method: 'PUT', contentType: undefined, sent: 2 },
  { method: 'DELETE', contentType: undefined, sent: 2 },
  { method: 'PATCH', contentType: 'application/apply-patch+yaml', sent: 2 },
  { method: 'PATCH', contentType: 'application/merge-patch+json', sent: 1 },
] as const)('after a reset $method ($contentType) is sent $sent time(s)', async ({ method, contentType, sent }) => {
  const { server, cluster } = await clusterOn((_, response, count) =>
    count === 1 ? response.destroy() : answerJson(response, {}),
  );
  await cluster.json({ method, contentType, path: '/x', body: {} }).catch(() => {});
  expect(server.requests).toHaveLength(sent);
});

test('429 is waited out as long as Retry-After says, for a create too', async () => {
  const { clock, cluster } = await clusterOn((_, response, count) => {
    if (count === 1) {
      response.writeHead(429, { 'retry-after': '7' }).end('too many requests');
      return;
    }
    answerJson(response, { created: true });
  });
  expect(await cluster.json({ ...get, method: 'POST', body: {} })).toEqual({ created: true });
  expect(clock.sleeps).toEqual([7000]);
});

test('503 twice is retried with gaps that grow', async () => {
  const { server, clock, cluster } = await clusterOn((_, response, count) =>
    count < 3 ? answerStatus(response, 503, 'ServiceUnavailable', 'starting') : answerJson(response, { up: true }),
  );
  expect(await cluster.json(get)).toEqual({ up: true });
  expect(server.requests).toHaveLength(3);
  const [first = 0, second = 0] = clock.sleeps;
  expect(first).toBeGreaterThanOrEqual(125);
  expect(first).toBeLessThanOrEqual(250);
  expect(second).toBeGreaterThanOrEqual(250);
  expect(second).toBeLessThanOrEqual(500);
});

test('a dry run is sent again where another create is not', async () => {
  const { server, cluster } = await clusterOn((_, response, count) =>
    count === 2 ? answerJson(response, {}) : answerStatus(response, 503, 'ServiceUnavailable', 'starting'),
  );
  await cluster.json({ ...get, method: 'POST', query: { dryRun: 'All' }, body: {} });
  expect(server.requests).toHaveLength(2);
  await expect(cluster.json({ ...get, method: 'POST', body: {} })).rejects.toMatchObject({ status: 503 });
  expect(server.requests).toHaveLength(3);
});

test('a server that stays unavailable fails after ten tries with its own words', async () => {
  const { server, cluster } = await clusterOn((_, response) =>
    answerStatus(response, 503, 'ServiceUnavailable', 'etcd is down'),
  );
  await expect(cluster.json(get)).rejects.toMatchObject({
    status: 503,
    message: expect.stringMatching(/etcd is down/),
  });
  expect(server.requests).toHaveLength(10);
});

test('500 InternalError is retried for a read and reported at once for a write', async () => {
  const { server, cluster } = await clusterOn((_, response) =>
    answerStatus(response, 500, 'InternalError', 'failed calling webhook'),
  );
  await expect(cluster.json({ ...get, method: 'PUT', body: {} })).rejects.toMatchObject({ status: 500 });
  expect(server.requests).toHaveLength(1);
  await expect(cluster.json(get)).rejects.toMatchObject({ status: 500 });
  expect(server.requests).toHaveLength(5);
});

test('an answer that stalls is tried three times, then named', async () => {
  const { server, cluster } = await clusterOn(
    (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{');
    },
    { stallTimeout: 60 },
  );
  await expect(cluster.json(get)).rejects.toThrow(
    `GET /api/v1/things stalled: no byte from ${server.url} (context "test") for 0.06 s.`,
  );
  expect(server.requests).toHaveLength(3);
});

test('a server that never answers stalls too', async () => {
  const { server, cluster } = await clusterOn(() => {}, { stallTimeout: 60 });
  await expect(cluster.json({ ...get, method: 'POST', body: {} })).rejects.toMatchObject({ reason: 'Stalled' });
  expect(server.requests).toHaveLength(1);
});

test('a refusal carries status, reason and message of the Status, and the Status itself', async () => {
  const { cluster } = await clusterOn((_, response) =>
    answerStatus(response, 409, 'AlreadyExists', 'things "a" already exists', { details: { name: 'a' } }),
  );
  const error = await cluster.json({ ...get, method: 'POST', body: {} }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ClusterError);
  expect(error).toMatchObject({
    code: 'CLUSTER',
    status: 409,
    reason: 'AlreadyExists',
    message: 'things "a" already exists (POST /api/v1/things in the context "test": 409 AlreadyExists)',
    answer: { details: { name: 'a' } },
  });
});

test('403 says which rule would allow it', async () => {
  const said =
    'secrets is forbidden: User "system:serviceaccount:ci:bot" cannot list resource "secrets" in API group "" in the namespace "shop"';
  const { cluster } = await clusterOn((_, response) => answerStatus(response, 403, 'Forbidden', said));
  await expect(cluster.json(get)).rejects.toMatchObject({
    code: 'FORBIDDEN',
    message: expect.stringContaining(said),
    hint: 'Bind "system:serviceaccount:ci:bot" to a Role in the namespace "shop" with the rule { apiGroups: [""], resources: ["secrets"], verbs: ["list"] }.',
  });
});

test('403 over the whole cluster asks for a ClusterRole', async () => {
  const said =
    'crds is forbidden: User "bot" cannot get resource "crds" in API group "apiextensions.k8s.io" at the cluster scope';
  const { cluster } = await clusterOn((_, response) => answerStatus(response, 403, 'Forbidden', said));
  await expect(cluster.json(get)).rejects.toMatchObject({
    hint: 'Bind "bot" to a ClusterRole with the rule { apiGroups: ["apiextensions.k8s.io"], resources: ["crds"], verbs: ["get"] }.',
  });
});

test('403 right after the server was away is doubted: a starting API server does not know its roles yet', async () => {
  const { server, cluster } = await clusterOn((_, response, count) => {
    if (count === 1) {
      response.destroy();
    } else if (count === 2) {
      answerStatus(response, 403, 'Forbidden', 'not yet');
    } else {
      answerJson(response, { fine: true });
    }
  });
  expect(await cluster.json(get)).toEqual({ fine: true });
  expect(server.requests).toHaveLength(3);
});

test('401 with a static token is not retried, and names the context', async () => {
  const { server, cluster } = await clusterOn((_, response) =>
    answerStatus(response, 401, 'Unauthorized', 'Unauthorized'),
  );
  await expect(cluster.json(get)).rejects.toMatchObject({
    code: 'FORBIDDEN',
    status: 401,
    message: `${server.url} does not accept the credentials of the context "test" (401 Unauthorized).`,
    hint: expect.stringContaining('expired'),
  });
  expect(server.requests).toHaveLength(1);
});

test('a page of HTML where JSON should be names the likely cause', async () => {
  const { cluster } = await clusterOn((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<html><head><style>p {}</style></head><body><h1>Log in</h1></body></html>');
  });
  await expect(cluster.json(get)).rejects.toMatchObject({
    reason: 'InvalidResponse',
    message: expect.stringMatching(/answered GET \/api\/v1\/things with text\/html, not JSON: Log in$/),
    hint: expect.stringContaining('login page'),
  });
});

test('a refusal in HTML is told in its words, without the tags', async () => {
  const { cluster } = await clusterOn((_, response) => {
    response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>No such\n<b>route</b></h1>');
  });
  await expect(cluster.json(get)).rejects.toMatchObject({
    status: 404,
    reason: 'NotFound',
    message: 'No such route (GET /api/v1/things in the context "test": 404 NotFound)',
  });
});

test('a signal that fires ends the request under way with CANCELLED', async () => {
  const controller = new AbortController();
  const { server, cluster } = await clusterOn(() => controller.abort());
  await expect(cluster.json({ ...get, signal: controller.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  await expect.poll(() => server.connections.open).toBe(0);
});

test('a signal that fired before sends nothing', async () => {
  const { server, cluster } = await clusterOn((_, response) => answerJson(response, {}));
  await expect(cluster.json({ ...get, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(server.requests).toEqual([]);
});

test('many requests share at most `concurrency` kept-alive connections, and close() leaves none', async () => {
  const { server, cluster } = await clusterOn((_, response) => setImmediate(() => answerJson(response, {})), {
    concurrency: 3,
  });
  await Promise.all(Array.from({ length: 60 }, () => cluster.json(get)));
  expect(server.requests).toHaveLength(60);
  expect(server.connections.accepted).toBe(3);
  await cluster.close();
  await expect.poll(() => server.connections.open).toBe(0);
});

test('close() ends what is under way, and says so', async () => {
  let arrived = () => {};
  const here = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const { cluster } = await clusterOn(() => arrived());
  const pending = cluster.json(get);
  const outcome = expect(pending).rejects.toMatchObject({ reason: 'Closed' });
  await here;
  await cluster.close();
  await outcome;
  await expect(cluster.json(get)).rejects.toMatchObject({ reason: 'Closed' });
});

test('a retry is told to the debug log', async () => {
  const server = await startServer((_, response, count) =>
    count === 1 ? answerStatus(response, 504, 'Timeout', 'slow etcd') : answerJson(response, {}),
  );
  const lines: string[] = [];
  const reporter = { ...silentReporter, debug: (message: string) => lines.push(message) };
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }), reporter });
  await cluster.json(get);
  expect(lines).toEqual([expect.stringMatching(/^Retrying in 0\.\d s: slow etcd \(GET \/api\/v1\/things/)]);
});
