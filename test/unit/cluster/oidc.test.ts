import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createOidcLogin, expiryOf, type OidcConfig, readOidcConfig } from '../../../src/cluster/oidc.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { makeCertificate } from './certificates.ts';
import {
  answerJson,
  answerStatus,
  authority,
  base64,
  kubeconfigOf,
  openTestCluster,
  startServer,
  temporaryFolder,
} from './misbehaving-server.ts';

const get = { method: 'GET', path: '/api' } as const;
const seconds = () => Math.floor(Date.now() / 1000);

function jwt(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`;
}

/** A token as the issuer of `url` makes it; `serial` tells one from another. */
function idTokenOf(url: string, serial: string, lifetime = 3600): string {
  return jwt({ iss: url, aud: 'kubernetes', sub: 'jane', iat: seconds(), exp: seconds() + lifetime, jti: serial });
}

function claimsOf(authorization: string | undefined): unknown {
  return JSON.parse(Buffer.from(authorization?.split('.')[1] ?? '', 'base64url').toString());
}

type Answer = (form: URLSearchParams, response: ServerResponse, request: IncomingMessage, url: string) => void;

/** An OpenID Connect issuer; `answer` is its token endpoint. */
async function startIssuer(answer: Answer) {
  const asked: string[] = [];
  const issuer = await startServer((request, response, count) => {
    if (request.url === '/realm/.well-known/openid-configuration') {
      answerJson(response, { issuer: `${issuer.url}/realm`, token_endpoint: `${issuer.url}/token` });
      return;
    }
    const form = new URLSearchParams(issuer.bodies[count - 1]);
    asked.push(form.get('refresh_token') ?? '');
    answer(form, response, request, `${issuer.url}/realm`);
  });
  return { ...issuer, url: `${issuer.url}/realm`, asked };
}

function tokens(response: ServerResponse, idToken: string | undefined, refreshToken?: string): void {
  const answer = { access_token: 'a', token_type: 'Bearer', expires_in: 3600 };
  answerJson(response, { ...answer, id_token: idToken, refresh_token: refreshToken });
}

function userOf(config: object) {
  return {
    'auth-provider': {
      name: 'oidc',
      config: { 'client-id': 'kubernetes', 'idp-certificate-authority-data': base64(authority.cert), ...config },
    },
  };
}

/** An API server, and a connection to it as this user. */
async function connect(user: object, server?: Awaited<ReturnType<typeof startServer>>) {
  const api = server ?? (await startServer((_, response) => answerJson(response, {})));
  const masked: string[] = [];
  const cluster = await openTestCluster({
    kubeconfig: kubeconfigOf({ server: api.url, user }),
    reporter: { ...silentReporter, mask: (value) => masked.push(value) },
  });
  return { cluster, masked, api, sent: () => api.headers.map(({ authorization }) => authorization) };
}

test('an ID token that is still good is sent as it is, and the issuer is not asked', async () => {
  const issuer = await startIssuer((_form, response) => tokens(response, 'unexpected'));
  const idToken = idTokenOf(issuer.url, 'first');
  const user = userOf({ 'idp-issuer-url': issuer.url, 'id-token': idToken, 'refresh-token': 'r1' });
  const { cluster, masked, sent } = await connect(user);
  await cluster.json(get);
  expect(sent()).toEqual([`Bearer ${idToken}`]);
  expect(issuer.requests).toEqual([]);
  expect(masked).toEqual(expect.arrayContaining([idToken, 'r1']));
});

test('an expired ID token is refreshed once for many requests and connections, and the new one is used', async () => {
  let serial = 0;
  const issuer = await startIssuer((_form, response, _request, url) =>
    tokens(response, idTokenOf(url, String(++serial)), 'r2'),
  );
  const user = userOf({
    'idp-issuer-url': issuer.url,
    'id-token': idTokenOf(issuer.url, 'old', -1),
    'refresh-token': 'r1',
  });
  const [one, other] = [await connect(user), await connect(user)];
  await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? one : other).cluster.json(get)));
  expect(issuer.requests).toEqual(['GET /realm/.well-known/openid-configuration', 'POST /token']);
  const [sent = '', ...more] = new Set([...one.sent(), ...other.sent()]);
  expect(more).toEqual([]);
  expect(claimsOf(sent)).toMatchObject({ jti: '1' });
  expect([...one.masked, ...other.masked]).toContain('r2');
});

test('a new refresh token takes the place of the old one, also after the API server refused the ID token', async () => {
  const issuer = await startIssuer((_form, response, _request, url) =>
    tokens(response, idTokenOf(url, String(issuer.asked.length), 5), `r${issuer.asked.length + 1}`),
  );
  const api = await startServer((_, response, count) =>
    count === 1 ? answerStatus(response, 401, 'Unauthorized', 'Unauthorized') : answerJson(response, {}),
  );
  const { cluster, sent } = await connect(userOf({ 'idp-issuer-url': issuer.url, 'refresh-token': 'r1' }), api);
  await cluster.json(get);
  expect(issuer.asked).toEqual(['r1', 'r2']);
  expect(new Set(sent()).size).toBe(2);
});

test('a refused refresh token is named with its issuer, what it said, and what to do', async () => {
  const issuer = await startIssuer((_form, response) =>
    answerJson(response, { error: 'invalid_grant', error_description: 'Session not active' }, 400),
  );
  const user = userOf({ 'idp-issuer-url': issuer.url, 'refresh-token': 'spent', 'client-secret': 's' });
  const { cluster, api } = await connect(user);
  await expect(cluster.json(get)).rejects.toMatchObject({
    reason: 'Credentials',
    message: `The auth provider oidc of the context "test" failed: The issuer ${issuer.url} did not refresh the id-token: 400 invalid_grant, Session not active.`,
    hint: expect.stringContaining('Log in again'),
  });
  expect(api.requests).toEqual([]);
  expect(issuer.asked).toEqual(['spent']);
});

test('the client secret goes in the header, and in the body to an issuer that refuses it there', async () => {
  const issuer = await startIssuer((form, response, request, url) =>
    request.headers.authorization !== undefined
      ? answerJson(response, { error: 'invalid_client' }, 401, { 'www-authenticate': 'Basic realm="id"' })
      : tokens(response, idTokenOf(url, `${form.get('client_id')} ${form.get('client_secret')}`)),
  );
  const { cluster, masked, sent } = await connect(
    userOf({ 'idp-issuer-url': issuer.url, 'refresh-token': 'r1', 'client-secret': 's3cret' }),
  );
  await cluster.json(get);
  expect(claimsOf(sent()[0])).toMatchObject({ jti: 'kubernetes s3cret' });
  expect(issuer.headers[1]?.authorization).toBe(`Basic ${base64('kubernetes:s3cret')}`);
  expect(masked).toContain('s3cret');
});

test('a client secret that is refused everywhere is named as such', async () => {
  const challenge = { 'www-authenticate': 'Basic realm="id"' };
  const issuer = await startIssuer((_form, response) =>
    answerJson(response, { error: 'invalid_client' }, 401, challenge),
  );
  const user = userOf({ 'idp-issuer-url': issuer.url, 'refresh-token': 'r1', 'client-secret': 'wrong' });
  await expect((await connect(user)).cluster.json(get)).rejects.toMatchObject({
    message: expect.stringContaining('did not refresh the id-token: 401 {"error":"invalid_client"}.'),
    hint: expect.stringContaining('client-secret'),
  });
});

test('an answer without an ID token says which scope to log in with', async () => {
  const issuer = await startIssuer((_form, response) => tokens(response, undefined));
  const { cluster } = await connect(userOf({ 'idp-issuer-url': issuer.url, 'refresh-token': 'r1' }));
  await expect(cluster.json(get)).rejects.toMatchObject({
    message: expect.stringContaining(`The issuer ${issuer.url} answered the refresh without an id_token.`),
    hint: expect.stringContaining('"openid"'),
  });
});

test('an authority of the issuer may be a file, and without one a private issuer is not trusted', async () => {
  const issuer = await startIssuer((_form, response, _request, url) => tokens(response, idTokenOf(url, 'new')));
  const file = join(await temporaryFolder(), 'ca.crt');
  await writeFile(file, authority.cert);
  const config = { 'idp-issuer-url': issuer.url, 'refresh-token': 'r1', 'idp-certificate-authority-data': undefined };
  const trusting = await connect(userOf({ ...config, 'idp-certificate-authority': file }));
  await trusting.cluster.json(get);
  expect(issuer.asked).toEqual(['r1']);

  const other = makeCertificate({ commonName: 'other authority', authority: true });
  const wrong = await connect(userOf({ ...config, 'idp-certificate-authority-data': base64(other.cert) }));
  for (const { cluster } of [wrong, await connect(userOf(config))]) {
    await expect(cluster.json(get)).rejects.toMatchObject({
      message: expect.stringContaining(`failed: No answer from ${new URL(issuer.url).origin}: `),
      hint: expect.stringContaining('idp-certificate-authority-data'),
    });
  }
  expect(issuer.asked).toEqual(['r1']);
});

test('an address that is no issuer is named with its status', async () => {
  const server = await startServer((_, response) => answerJson(response, {}, 404));
  const { cluster } = await connect(userOf({ 'idp-issuer-url': `${server.url}/`, 'refresh-token': 'r1' }));
  await expect(cluster.json(get)).rejects.toMatchObject({
    message: expect.stringMatching(
      /The discovery document https:\/\/127\.0\.0\.1:\d+\/\.well-known\/openid-configuration cannot be used: .*404/,
    ),
    hint: expect.stringContaining('idp-issuer-url'),
  });
});

const config: OidcConfig = {
  issuer: 'https://id.example',
  clientId: 'kubernetes',
  clientSecret: undefined,
  caFile: undefined,
  caData: undefined,
  idToken: jwt({ exp: 1000 }),
  refreshToken: undefined,
};
const neverRefresh = async () => Promise.reject(new Error('asked the issuer'));

test('a token counts as expired ten seconds early', async () => {
  let now = 989_999;
  const login = createOidcLogin(config, { refresh: neverRefresh, mask: () => {}, now: () => now });
  expect(await login()).toBe(config.idToken);
  now = 990_000;
  await expect(login()).rejects.toMatchObject({
    message:
      'The id-token expired at 1970-01-01T00:16:40.000Z, and there is no refresh-token to get another from https://id.example.',
  });
});

test('a refresh that failed is tried again by the next request', async () => {
  const answers = [Promise.reject(new Error('issuer is restarting')), Promise.resolve(jwt({ exp: 9000 }))];
  answers[0]?.catch(() => {});
  const login = createOidcLogin(
    { ...config, refreshToken: 'r1' },
    {
      refresh: async () => ({ idToken: await answers.shift(), refreshToken: undefined }),
      mask: () => {},
      now: () => 5_000_000,
    },
  );
  await expect(Promise.all([login(), login()])).rejects.toThrow('issuer is restarting');
  expect(await login()).toBe(jwt({ exp: 9000 }));
});

test('the expiry of a token is read, as a whole or broken number of seconds', () => {
  expect(expiryOf(jwt({ exp: 12 }))).toBe(12_000);
  expect(expiryOf(jwt({ exp: 12.7 }))).toBe(12_000);
  expect(expiryOf(jwt({}))).toBe(0);
});

test.each(['', 'opaque', 'a.b', 'a.b.c.d', `a.${Buffer.from('null').toString('base64url')}.c`, jwt({ exp: 'soon' })])(
  '%j is no ID token',
  (text) => {
    expect(expiryOf(text)).toBeUndefined();
  },
);

test.each([
  [{}, 'it has no idp-issuer-url'],
  [{ 'idp-issuer-url': 'http://id.example' }, 'its idp-issuer-url "http://id.example" is not an https URL'],
  [{ 'idp-issuer-url': 'https://id.example', 'client-id': '' }, 'it has no client-id'],
  [{ 'idp-issuer-url': 'https://id.example', 'client-id': 7 }, 'its client-id is not text'],
  [{ 'idp-issuer-url': 'https://id.example', 'id-token': 'opaque' }, 'its id-token is not a JSON Web Token'],
])('the configuration %j is refused before anything is sent', (fields, why) => {
  expect(() => readOidcConfig(fields, 'prod')).toThrow(
    expect.objectContaining({
      code: 'INPUT',
      message: `The auth provider oidc of the context "prod" cannot be used: ${why}.`,
    }),
  );
});
