import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { silentReporter } from '../../../src/report/reporter.ts';
import { makeCertificate } from './certificates.ts';
import {
  answerJson,
  answerStatus,
  authority,
  base64,
  jumpingClock,
  kubeconfigOf,
  openTestCluster,
  startServer,
  temporaryFolder,
} from './misbehaving-server.ts';

const get = { method: 'GET', path: '/api' } as const;

/** A credential plugin that answers `token-1`, `token-2`, … and notes each run. */
async function makePlugin(expiry?: string) {
  const folder = await temporaryFolder();
  const plugin = join(folder, 'plugin');
  const runs = join(folder, 'runs');
  await writeFile(
    plugin,
    `#!/bin/sh
echo "$KUBERNETES_EXEC_INFO" >> ${runs}
count=$(wc -l < ${runs} | tr -d ' ')
echo "{\\"apiVersion\\":\\"client.authentication.k8s.io/v1\\",\\"kind\\":\\"ExecCredential\\",\\"status\\":{\\"token\\":\\"token-$count\\"${expiry === undefined ? '' : `,\\"expirationTimestamp\\":\\"${expiry}\\"`}}}"
`,
  );
  await chmod(plugin, 0o755);
  const user = { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, interactiveMode: 'Never' } };
  return { user, runs: async () => (await readFile(runs, 'utf8')).trim().split('\n') };
}

test('a credential plugin runs once for many first requests, and is told what kubectl would tell it', async () => {
  const server = await startServer((_, response) => answerJson(response, {}));
  const plugin = await makePlugin();
  const masked: string[] = [];
  const cluster = await openTestCluster({
    kubeconfig: kubeconfigOf({ server: server.url, user: plugin.user }),
    reporter: { ...silentReporter, mask: (value) => masked.push(value) },
  });
  await Promise.all(Array.from({ length: 20 }, () => cluster.json(get)));
  expect(new Set(server.headers.map((headers) => headers.authorization))).toEqual(new Set(['Bearer token-1']));
  const [info = '', ...more] = await plugin.runs();
  expect(more).toEqual([]);
  expect(JSON.parse(info)).toMatchObject({ kind: 'ExecCredential', spec: { interactive: false } });
  expect(masked).toContain('token-1');
});

test('401 makes the plugin run again, once for all requests that met it', async () => {
  const server = await startServer((request, response) =>
    request.headers.authorization === 'Bearer token-2'
      ? answerJson(response, { welcome: true })
      : answerStatus(response, 401, 'Unauthorized', 'Unauthorized'),
  );
  const plugin = await makePlugin();
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url, user: plugin.user }) });
  const answers = await Promise.all(Array.from({ length: 8 }, () => cluster.json(get)));
  expect(answers).toEqual(Array(8).fill({ welcome: true }));
  expect(await plugin.runs()).toHaveLength(2);
});

test('credentials that are refused again after a renewal fail with 401', async () => {
  const server = await startServer((_, response) => answerStatus(response, 401, 'Unauthorized', 'Unauthorized'));
  const plugin = await makePlugin();
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url, user: plugin.user }) });
  await expect(cluster.json(get)).rejects.toMatchObject({ code: 'FORBIDDEN', status: 401 });
  expect(server.requests).toHaveLength(2);
});

test('a plugin runs again when its token has expired', async () => {
  const server = await startServer((_, response) => answerJson(response, {}));
  const plugin = await makePlugin('2020-01-01T00:00:00Z');
  const clock = jumpingClock();
  const kubeconfig = kubeconfigOf({ server: server.url, user: plugin.user });
  const cluster = await openTestCluster({ kubeconfig, clock });
  await cluster.json(get);
  await clock.sleep(10_000);
  await cluster.json(get);
  expect(server.headers.map((headers) => headers.authorization)).toEqual(['Bearer token-1', 'Bearer token-2']);
});

test('a plugin that fails is named with what it said; one that is missing with its install hint', async () => {
  const folder = await temporaryFolder();
  const failing = join(folder, 'failing');
  await writeFile(failing, '#!/bin/sh\necho "please log in first" >&2\nexit 1\n');
  await chmod(failing, 0o755);
  const cluster = await openTestCluster({
    kubeconfig: kubeconfigOf({ server: 'https://127.0.0.1:1', user: { exec: { command: failing } } }),
  });
  await expect(cluster.json(get)).rejects.toMatchObject({
    reason: 'Credentials',
    message: `The credential plugin ${failing} of the context "test" failed: please log in first`,
  });
  const missing = await openTestCluster({
    kubeconfig: kubeconfigOf({
      server: 'https://127.0.0.1:1',
      user: { exec: { command: 'no-such-plugin', installHint: 'brew install it' } },
    }),
  });
  await expect(missing.json(get)).rejects.toMatchObject({
    message: expect.stringContaining('no-such-plugin'),
    hint: 'brew install it',
  });
});

test('a token file is read again after a minute, and at once after 401', async () => {
  const file = join(await temporaryFolder(), 'token');
  await writeFile(file, 'first\n');
  let valid = 'first';
  const server = await startServer((request, response) =>
    request.headers.authorization === `Bearer ${valid}`
      ? answerJson(response, {})
      : answerStatus(response, 401, 'Unauthorized', 'Unauthorized'),
  );
  const clock = jumpingClock();
  const kubeconfig = kubeconfigOf({ server: server.url, user: { tokenFile: file } });
  const cluster = await openTestCluster({ kubeconfig, clock });
  await cluster.json(get);

  await writeFile(file, 'second');
  valid = 'second';
  await cluster.json(get);
  expect(server.requests).toHaveLength(3);

  await writeFile(file, 'third');
  valid = 'third';
  await clock.sleep(61_000);
  await cluster.json(get);
  expect(server.requests).toHaveLength(4);
});

test('a user name and password are sent as Basic, and masked before use', async () => {
  const server = await startServer((_, response) => answerJson(response, {}));
  const masked: string[] = [];
  const cluster = await openTestCluster({
    kubeconfig: kubeconfigOf({ server: server.url, user: { username: 'me', password: 'p4ss' } }),
    reporter: { ...silentReporter, mask: (value) => masked.push(value) },
  });
  await cluster.json(get);
  expect(server.headers[0]?.authorization).toBe(`Basic ${base64('me:p4ss')}`);
  expect(masked).toEqual(['p4ss', base64('me:p4ss')]);
});

test('impersonation sends the user and every group', async () => {
  const server = await startServer((request, response) => answerJson(response, request.rawHeaders));
  const cluster = await openTestCluster({
    kubeconfig: kubeconfigOf({
      server: server.url,
      user: { token: 't', as: 'jane', 'as-groups': ['dev', 'ops'], 'as-user-extra': { scopes: ['view'] } },
    }),
  });
  const raw = await cluster.json<string[]>(get);
  expect(raw.join(' ')).toContain(
    'Impersonate-User jane Impersonate-Group dev Impersonate-Group ops Impersonate-Extra-scopes view',
  );
});

test('a client certificate is presented, and a rotated one after 401', async () => {
  const folder = await temporaryFolder();
  const [certFile, keyFile] = [join(folder, 'me.crt'), join(folder, 'me.key')];
  const issue = async (commonName: string) => {
    const { cert, key } = makeCertificate({ commonName, organization: 'system:masters', issuer: authority });
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
  };
  await issue('old');
  const server = await startServer(
    (request, response) => {
      const name = (request.socket as TLSSocket).getPeerCertificate().subject.CN;
      return name === 'new'
        ? answerJson(response, { name })
        : answerStatus(response, 401, 'Unauthorized', `certificate of ${String(name)} has expired`);
    },
    { requestCert: true, ca: authority.cert },
  );
  const cluster = await openTestCluster({
    kubeconfig: kubeconfigOf({ server: server.url, user: { 'client-certificate': certFile, 'client-key': keyFile } }),
  });
  await expect(cluster.json(get)).rejects.toThrow('certificate of old has expired');
  await issue('new');
  expect(await cluster.json(get)).toEqual({ name: 'new' });
});

test('a missing certificate file is named', async () => {
  const cluster = await openTestCluster({
    kubeconfig: kubeconfigOf({ server: 'https://127.0.0.1:1', user: { 'client-certificate': '/nowhere/me.crt' } }),
  });
  await expect(cluster.json(get)).rejects.toMatchObject({
    code: 'INPUT',
    message: expect.stringMatching(/^Cannot read \/nowhere\/me\.crt, which the kubeconfig names/),
  });
});
