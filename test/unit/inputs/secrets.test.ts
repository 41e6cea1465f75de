import { expect, it } from 'vitest';
import { findKubeconfigSecrets } from '../../../src/inputs/secrets.ts';

const KUBECONFIG = `apiVersion: v1
clusters: [{ name: prod, cluster: { server: https://prod.example, certificate-authority-data: Y2E= } }]
contexts: [{ name: prod, context: { cluster: prod, user: ci } }]
users:
- name: ci
  user:
    token: >-
      folded-token
    client-key-data: S0VZ
    client-certificate-data: Q0VSVA==
- name: basic
  user: { username: admin, password: "12345" }
- name: cloud
  user:
    exec: { command: login, args: [get-token], env: [{ name: CLOUD_KEY, value: env-secret }] }
- name: old
  user: { auth-provider: { name: oidc, config: { refresh-token: refresh, idp-issuer-url: https://id.example } } }
`;

it('finds every credential, however it is written, and nothing else', async () => {
  expect(await findKubeconfigSecrets(KUBECONFIG)).toEqual(['folded-token', 'S0VZ', '12345', 'env-secret', 'refresh']);
});

it('finds them in base64, which is a secret too', async () => {
  const encoded = Buffer.from(KUBECONFIG).toString('base64');
  expect(await findKubeconfigSecrets(`${encoded}\n`)).toEqual([
    encoded,
    'folded-token',
    'S0VZ',
    '12345',
    'env-secret',
    'refresh',
  ]);
});

it('finds them in JSON', async () => {
  expect(await findKubeconfigSecrets('{"users":[{"user":{"token":"json-token"}}]}')).toEqual(['json-token']);
});

it.each(['users:\n- token: "open', 'token\nother'])(
  'takes %j, which is no kubeconfig, as a secret as a whole',
  async (broken) => {
    expect(await findKubeconfigSecrets(broken)).toEqual([broken]);
  },
);

it.each(['/home/me/.kube/config', './config.yaml', 'C:\\Users\\me\\config'])(
  'finds none in the path %s',
  async (path) => {
    expect(await findKubeconfigSecrets(path)).toEqual([]);
  },
);
