import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { getCACertificates } from 'node:tls';
import { messageOf, TransshipError } from '../errors.ts';
import type { Clock } from './clock.ts';
import { ClusterError } from './cluster.ts';
import type { ExecPlugin, Login } from './kubeconfig.ts';
import { createOidcLogin, readOidcConfig, shareOidcLogin } from './oidc.ts';
import { createIssuerFetch, refreshTokens } from './oidc-refresh.ts';

/** What a TLS connection to the API server needs; PEM text. */
export interface TlsMaterial {
  readonly ca: string | string[];
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly servername: string | undefined;
  readonly rejectUnauthorized: boolean;
}

/** The credentials in force. The same object comes back until something in it changes. */
export interface Session {
  readonly tls: TlsMaterial;
  /** Name, value, name, value, …, as they go on the wire. */
  readonly headers: readonly string[];
}

/** Credentials that may come from a file that rotates or from a plugin. */
export interface Credentials {
  /** At once where it can be, for it is asked before each request. Requests that ask at the same time share one plugin run. */
  current(): Session | Promise<Session>;
  /**
   * Fetches new ones after the API server refused `refused`.
   *
   * @returns whether there is anything new to try
   */
  renew(refused: Session): Promise<boolean>;
}

/** How long what was read is taken as current, in milliseconds. Plugins keep their own expiry and are only asked. */
const TOKEN_FILE_LIFETIME = 60_000;
const PLUGIN_LIFETIME = 5_000;
const PLUGIN_TIMEOUT = 120_000;

/**
 * Prepares the credentials of a login.
 *
 * @param mask - told of every secret before it is used
 * @param env - says whether an issuer of tokens is behind a proxy
 */
export function createCredentials(
  login: Login,
  mask: (secret: string) => void,
  clock: Clock,
  env: NodeJS.ProcessEnv = process.env,
): Credentials {
  const { user } = login;
  const fromLibrary = user.token === undefined && (user.exec !== undefined || user.authProvider !== undefined);
  const lifetime = fromLibrary ? PLUGIN_LIFETIME : user.tokenFile !== undefined ? TOKEN_FILE_LIFETIME : Infinity;
  const renewable = fromLibrary || [user.tokenFile, user.certFile, user.keyFile].some((file) => file !== undefined);

  let askLibrary: (() => Promise<RequestOptions>) | undefined;
  let held: Session | undefined;
  let heldUntil = 0;
  let last: Session | undefined;
  let loading: Promise<Session> | undefined;

  async function load(): Promise<Session> {
    let session = await readSession(login, mask);
    if (fromLibrary) {
      askLibrary ??= isOidc(login) ? await prepareOidc(login, mask, env) : await prepareLibrary(login);
      session = withLibrary(session, await within(askLibrary(), login), mask);
    }
    last = last !== undefined && JSON.stringify(last) === JSON.stringify(session) ? last : session;
    held = last;
    heldUntil = clock.now() + lifetime;
    return held;
  }

  function current(): Session | Promise<Session> {
    if (held !== undefined && clock.now() < heldUntil) {
      return held;
    }
    loading ??= load().finally(() => {
      loading = undefined;
    });
    return loading;
  }

  async function renew(refused: Session): Promise<boolean> {
    if (!renewable) {
      return false;
    }
    if (held === refused) {
      held = undefined;
      // The library keeps a token until its stated expiry, however often it is refused: start over.
      askLibrary = undefined;
    }
    return (await current()) !== refused;
  }

  return { current, renew };
}

async function readSession({ server, user }: Login, mask: (secret: string) => void): Promise<Session> {
  const [ca, cert, key, fileToken] = await Promise.all([
    pemOf(server.caFile, server.caData),
    pemOf(user.certFile, user.certData),
    pemOf(user.keyFile, user.keyData),
    user.tokenFile === undefined ? undefined : readCredential(user.tokenFile),
  ]);
  const headers: string[] = [];
  const token = fileToken?.trim() ?? user.token;
  if (user.keyData !== undefined) {
    mask(user.keyData);
  }
  if (token !== undefined) {
    mask(token);
    headers.push('authorization', `Bearer ${token}`);
  } else if (user.username !== undefined) {
    const password = user.password ?? '';
    const basic = Buffer.from(`${user.username}:${password}`).toString('base64');
    if (password !== '') {
      mask(password);
    }
    mask(basic);
    headers.push('authorization', `Basic ${basic}`);
  }
  headers.push(...user.impersonate.flat());
  return {
    tls: {
      ca: ca ?? systemAuthorities(),
      cert,
      key,
      servername: server.serverName,
      rejectUnauthorized: !server.insecure,
    },
    headers,
  };
}

function isOidc({ user }: Login): boolean {
  return user.exec === undefined && user.authProvider?.name === 'oidc';
}

async function prepareOidc(
  { context, user }: Login,
  mask: (secret: string) => void,
  env: NodeJS.ProcessEnv,
): Promise<() => Promise<RequestOptions>> {
  const config = readOidcConfig(user.authProvider?.config ?? {}, context);
  const ca = (await pemOf(config.caFile, config.caData)) ?? systemAuthorities();
  const idToken = shareOidcLogin(config, () => {
    const fetch = createIssuerFetch(ca, mask, env);
    return createOidcLogin(config, { mask, refresh: (asked, token) => refreshTokens(asked, token, fetch) });
  });
  return async () => ({ headers: { authorization: `Bearer ${await idToken()}` } });
}

/** @returns a function that asks for the credentials in force and runs the plugin when they have expired */
async function prepareLibrary({ context, server, user }: Login): Promise<() => Promise<RequestOptions>> {
  const library = await import('./lazy/kubernetes-auth.ts');
  // In the order of the library's KubeConfig.
  const providers = [
    new library.AzureAuth(),
    new library.GoogleCloudPlatformAuth(),
    new library.ExecAuth(),
    new library.FileAuth(),
  ];
  const asked = { name: context, exec: user.exec && pluginCall(user.exec, server), authProvider: user.authProvider };
  const provider = providers.find((candidate) => candidate.isAuthProvider(asked));
  return async () => {
    const options: RequestOptions = { headers: {} };
    await provider?.applyAuthentication(asked, options);
    return options;
  };
}

/** The library never sets KUBERNETES_EXEC_INFO, which some plugins refuse to run without. */
function pluginCall(exec: ExecPlugin, server: Login['server']): object {
  const cluster = {
    server: server.server,
    'tls-server-name': server.serverName,
    'insecure-skip-tls-verify': server.insecure,
    'certificate-authority-data': server.caData,
    'proxy-url': server.proxyUrl,
  };
  const info = {
    apiVersion: exec.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(exec.provideClusterInfo ? { cluster } : {}) },
  };
  const env = [...exec.env, { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) }];
  return { command: exec.command, args: exec.args, env };
}

function withLibrary(session: Session, options: RequestOptions, mask: (secret: string) => void): Session {
  const headers = [...session.headers];
  const { authorization } = Object.fromEntries(
    Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  if (typeof authorization === 'string') {
    mask(authorization.replace(/^\w+ /, ''));
    headers.unshift('authorization', authorization);
  }
  const cert = options.cert?.toString() ?? session.tls.cert;
  const key = options.key?.toString() ?? session.tls.key;
  return { tls: { ...session.tls, cert, key }, headers };
}

/** Bounds a plugin that waits for a person, and puts its failure in the user's words. */
async function within(answer: Promise<RequestOptions>, { context, user }: Login): Promise<RequestOptions> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer after ${PLUGIN_TIMEOUT / 1000} s`)), PLUGIN_TIMEOUT);
  });
  try {
    return await Promise.race([answer, timeout]);
  } catch (error) {
    const hint = error instanceof TransshipError ? error.hint : user.exec?.installHint;
    const what = user.exec ? `credential plugin ${user.exec.command}` : `auth provider ${user.authProvider?.name}`;
    throw new ClusterError(
      0,
      'Credentials',
      `The ${what} of the context "${context}" failed: ${messageOf(error).trim().slice(0, 500)}`,
      { hint: hint ?? 'Run the same with kubectl to see what it needs.', cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Without a CA of its own kubectl trusts what the system trusts; Node alone would trust only its built-in list. */
function systemAuthorities(): string[] {
  return [...getCACertificates('default'), ...getCACertificates('system')];
}

async function pemOf(file: string | undefined, data: string | undefined): Promise<string | undefined> {
  // As kubectl: data wins over a file.
  if (data !== undefined && data !== '') {
    return Buffer.from(data, 'base64').toString('utf8');
  }
  return file === undefined || file === '' ? undefined : readCredential(file);
}

async function readCredential(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new TransshipError('INPUT', `Cannot read ${file}, which the kubeconfig names: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}
