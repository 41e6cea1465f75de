import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { findAccess } from '../../../src/cluster/access.ts';
import { openCluster } from '../../../src/cluster/connect.ts';
import { base64, kubeconfigOf, temporaryFolder } from './misbehaving-server.ts';

const text = kubeconfigOf({ server: 'https://stage.example:6443', namespace: 'shop' });

function twoContexts(names: readonly string[], current?: string): string {
  return `apiVersion: v1
kind: Config
${current === undefined ? '' : `current-context: ${current}`}
clusters:
${names.map((name) => `- name: ${name}\n  cluster: { server: "https://${name}.example" }`).join('\n')}
users:
- name: me
  user: { token: t-${names.join('-')} }
contexts:
${names.map((name) => `- name: ${name}\n  context: { cluster: ${name}, user: me }`).join('\n')}
`;
}

async function fileWith(content: string, name = 'config'): Promise<string> {
  const file = join(await temporaryFolder(), name);
  await writeFile(file, content);
  return file;
}

test('kubeconfig text is written to a file only its owner can read, and close() removes it', async () => {
  const temporaryDirectory = await temporaryFolder();
  const cluster = await openCluster({ kubeconfig: text, temporaryDirectory, env: {} });
  expect(cluster).toMatchObject({ context: 'test', server: 'https://stage.example:6443', namespace: 'shop' });
  const file = cluster.access.kubeconfig ?? '';
  expect(dirname(dirname(file))).toBe(temporaryDirectory);
  expect(await readFile(file, 'utf8')).toBe(text);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await stat(dirname(file))).mode & 0o777).toBe(0o700);
  await cluster.close();
  await expect(stat(dirname(file))).rejects.toThrow('ENOENT');
});

test.each([
  ['on one line', base64(text)],
  ['wrapped', base64(text).replace(/.{76}/g, '$&\n')],
])('base64 kubeconfig text %s is decoded', async (_, kubeconfig) => {
  const found = await findAccess({ kubeconfig, temporaryDirectory: await temporaryFolder(), env: {} });
  expect(found.login.server.server).toBe('https://stage.example:6443');
  expect(await readFile(found.access.kubeconfig ?? '', 'utf8')).toBe(text);
});

test('a path is used as it is, and nothing is removed', async () => {
  const kubeconfig = await fileWith(text);
  const cluster = await openCluster({ kubeconfig, env: {} });
  expect(cluster.access).toEqual({ kubeconfig, context: 'test' });
  await cluster.close();
  expect(await readFile(kubeconfig, 'utf8')).toBe(text);
});

test('the input wins over $KUBECONFIG, and $KUBECONFIG over ~/.kube/config', async () => {
  const HOME = await temporaryFolder();
  await mkdir(join(HOME, '.kube'));
  await writeFile(join(HOME, '.kube/config'), twoContexts(['home'], 'home'));
  const KUBECONFIG = await fileWith(twoContexts(['variable'], 'variable'));
  const kubeconfig = await fileWith(twoContexts(['input'], 'input'));
  const contextOf = async (options: object) => (await findAccess(options)).login.context;
  expect(await contextOf({ kubeconfig, env: { HOME, KUBECONFIG } })).toBe('input');
  expect(await contextOf({ env: { HOME, KUBECONFIG } })).toBe('variable');
  expect(await contextOf({ env: { HOME } })).toBe('home');
});

test('several files in $KUBECONFIG are merged, the first to name something wins, missing ones are passed over', async () => {
  const first = await fileWith(twoContexts(['a'], 'a'));
  const second = await fileWith(twoContexts(['b', 'a'], 'b'));
  const KUBECONFIG = [first, '/nowhere/config', second].join(delimiter);
  const byDefault = await findAccess({ env: { KUBECONFIG } });
  expect(byDefault.login.context).toBe('a');
  expect(byDefault.access).toEqual({ kubeconfig: KUBECONFIG, context: 'a' });
  const chosen = await findAccess({ env: { KUBECONFIG }, context: 'b' });
  expect(chosen.login).toMatchObject({ server: { server: 'https://b.example' }, user: { token: 't-a' } });
});

test('$KUBECONFIG that names no existing file stops, rather than reach another cluster', async () => {
  const HOME = await temporaryFolder();
  await mkdir(join(HOME, '.kube'));
  await writeFile(join(HOME, '.kube/config'), text);
  await expect(findAccess({ env: { HOME, KUBECONFIG: '/nowhere/prod' } })).rejects.toMatchObject({
    code: 'INPUT',
    message: '$KUBECONFIG (/nowhere/prod) names no file that exists.',
  });
});

test('an unknown context names the ones there are', async () => {
  const kubeconfig = await fileWith(twoContexts(['stage', 'prod'], 'stage'));
  await expect(findAccess({ kubeconfig, context: 'qa', env: {} })).rejects.toMatchObject({
    code: 'INPUT',
    message: `${kubeconfig} has no context "qa". Its contexts: prod, stage.`,
  });
});

test('no current-context and none chosen names the ones there are', async () => {
  const kubeconfig = await fileWith(twoContexts(['stage', 'prod']));
  await expect(findAccess({ kubeconfig, env: {} })).rejects.toThrow(
    'has no current-context. Its contexts: prod, stage.',
  );
});

test('with nothing to go by, the error names everything that was tried, in order', async () => {
  const HOME = await temporaryFolder();
  await expect(findAccess({ env: { HOME } })).rejects.toMatchObject({
    code: 'INPUT',
    message:
      'No way into a cluster. Looked for: the input `kubeconfig` (not given); $KUBECONFIG (not set); ' +
      `${HOME}/.kube/config (does not exist); the service account of a pod (KUBERNETES_SERVICE_HOST is not set: this is not a pod).`,
  });
});

test('inside a pod the service account is used: its token file, CA and namespace', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'token'), 'pod-token');
  await writeFile(join(folder, 'namespace'), 'shop\n');
  const env = { HOME: folder, KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
  const found = await findAccess({ env, serviceAccountDirectory: folder });
  expect(found.access).toEqual({});
  expect(found.login).toEqual({
    context: 'in-cluster',
    namespace: 'shop',
    server: { server: 'https://[fd00::1]:443', caFile: join(folder, 'ca.crt'), insecure: false },
    user: { tokenFile: join(folder, 'token'), impersonate: [] },
  });
});

test('a pod that has a kubeconfig of another cluster too reaches its own as the context in-cluster', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, '.kube'));
  await writeFile(join(folder, '.kube/config'), text);
  await writeFile(join(folder, 'token'), 'pod-token');
  const env = { HOME: folder, KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };
  const options = { env, serviceAccountDirectory: folder };
  expect((await findAccess(options)).login.context).toBe('test');
  expect((await findAccess({ ...options, context: 'in-cluster' })).login.server.server).toBe('https://10.0.0.1:443');
});

test.each([
  ['broken YAML', 'clusters:\n- name: "s3cret\ncontexts: []', /it is not YAML \(line \d\)/],
  ['no mapping', '- s3cret\n- more', /it is not a mapping/],
  ['empty YAML', 'apiVersion: v1\nkind: Config\n# s3cret', /it has no contexts/],
  ['another kind', 'apiVersion: v1\nkind: Secret\ndata: { a: s3cret }', /its kind is not Config/],
  ['a token that is no text', twoContexts(['a'], 'a').replace('t-a', '12345'), /its field token is not text/],
  ['a relative path in text', text.replace('"token":"secret-token"', '"tokenFile":"token"'), /relative path "token"/],
])('%s is refused by name, without a word of its content', async (_, kubeconfig, why) => {
  const temporaryDirectory = await temporaryFolder();
  const error = await findAccess({ kubeconfig, temporaryDirectory, env: {} }).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'INPUT', message: expect.stringMatching(why) });
  expect(String(error)).toMatch(/the input `kubeconfig` is not a usable kubeconfig/i);
  expect(JSON.stringify(error) + String(error)).not.toContain('s3cret');
  expect(error).not.toHaveProperty('cause');
});

test('an input that is neither text nor a file is not shown: it could be a token', async () => {
  await expect(findAccess({ kubeconfig: 'eyJhbGciOi.s3cret', env: {} })).rejects.toMatchObject({
    message: 'The input `kubeconfig` is neither kubeconfig text nor the path of a file (17 characters, not shown).',
  });
  await expect(findAccess({ kubeconfig: './missing.yaml', env: {} })).rejects.toMatchObject({
    message: 'The input `kubeconfig` is the path ./missing.yaml, and there is no such file.',
  });
});

test('relative files and plugin commands start from the folder of the kubeconfig that names them', async () => {
  const kubeconfig = await fileWith(
    kubeconfigOf({
      server: 'https://x.example',
      cluster: { server: 'https://x.example', 'certificate-authority': 'pki/ca.crt' },
      user: { 'client-certificate': 'me.crt', 'client-key': '/abs/me.key', exec: { command: './plugin' } },
    }),
  );
  const { login } = await findAccess({ kubeconfig, env: {} });
  const folder = dirname(kubeconfig);
  expect(login.server.caFile).toBe(join(folder, 'pki/ca.crt'));
  expect(login.user).toMatchObject({
    certFile: join(folder, 'me.crt'),
    keyFile: '/abs/me.key',
    exec: { command: join(folder, 'plugin') },
  });
});

test('broken entries that the chosen context does not use do no harm', async () => {
  const config = JSON.parse(text);
  config.users.push({ name: 'other', user: { token: 5 } });
  config.clusters.push({ name: 'other', cluster: null });
  const { login } = await findAccess({ kubeconfig: await fileWith(JSON.stringify(config)), env: {} });
  expect(login.context).toBe('test');
});
