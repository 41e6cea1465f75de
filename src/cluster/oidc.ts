import { TransshipError } from '../errors.ts';

// The kubeconfig's auth provider `oidc`, as kubectl has it:
// https://github.com/kubernetes/client-go/blob/master/plugin/pkg/client/auth/oidc/oidc.go
// Not that of @kubernetes/client-node: it brings the whole library along, and takes the seconds that a new token is good for
// as the time of its expiry, so that it refreshes before each request.

/** What the auth provider's `config` says. */
export interface OidcConfig {
  /** `https:`, as the API server demands of its issuers. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  readonly caFile: string | undefined;
  /** Base64 of PEM. */
  readonly caData: string | undefined;
  readonly idToken: string | undefined;
  readonly refreshToken: string | undefined;
}

/** What an issuer answers to a refresh. */
export interface OidcTokens {
  readonly idToken: string | undefined;
  /** Absent where the old one stays good. */
  readonly refreshToken: string | undefined;
}

/** A way to the ID token in force, refreshed when it has expired. Those who ask at the same time share one refresh. */
export type OidcLogin = () => Promise<string>;

export interface OidcLoginOptions {
  readonly refresh: (config: OidcConfig, refreshToken: string) => Promise<OidcTokens>;
  /** Told of every secret before it is used. */
  readonly mask: (secret: string) => void;
  /** Milliseconds since 1970; the wall clock when absent, for an expiry is a date. */
  readonly now?: () => number;
}

/** Milliseconds before its expiry from which a token is taken as expired: clocks differ. As kubectl. */
const LEEWAY = 10_000;

/**
 * @param context - what to call the login in errors
 * @throws TransshipError `INPUT` naming the field that is missing or can't be used
 */
export function readOidcConfig(config: Readonly<Record<string, unknown>>, context: string): OidcConfig {
  const field = (name: string): string | undefined => {
    const value = config[name];
    if (value !== undefined && value !== null && typeof value !== 'string') {
      throw unusable(context, `its ${name} is not text`);
    }
    return value || undefined;
  };
  const needed = (name: string): string => {
    const value = field(name);
    if (value === undefined) {
      throw unusable(context, `it has no ${name}`);
    }
    return value;
  };
  const issuer = needed('idp-issuer-url');
  if (!URL.canParse(issuer) || new URL(issuer).protocol !== 'https:') {
    throw unusable(context, `its idp-issuer-url "${issuer}" is not an https URL`);
  }
  const idToken = field('id-token');
  if (idToken !== undefined && expiryOf(idToken) === undefined) {
    throw unusable(context, 'its id-token is not a JSON Web Token');
  }
  return {
    issuer,
    clientId: needed('client-id'),
    clientSecret: field('client-secret'),
    caFile: field('idp-certificate-authority'),
    caData: field('idp-certificate-authority-data'),
    idToken,
    refreshToken: field('refresh-token'),
  };
}

/**
 * When a token expires, in milliseconds since 1970: 0 where it does not say, undefined where it is no JSON Web Token.
 * The signature is the API server's to check.
 */
export function expiryOf(idToken: string): number | undefined {
  const [, payload = '', ...rest] = idToken.split('.');
  if (rest.length !== 1) {
    return undefined;
  }
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    if (typeof claims !== 'object' || claims === null) {
      return undefined;
    }
    const seconds = 'exp' in claims ? claims.exp : 0;
    return typeof seconds === 'number' ? Math.trunc(seconds) * 1000 : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Prepares one login. Where the issuer answers with a new refresh token, it is remembered by this function alone: unlike
 * kubectl, this program does not write to a kubeconfig, which may be an input, or mounted read-only.
 */
export function createOidcLogin(config: OidcConfig, { refresh, mask, now = Date.now }: OidcLoginOptions): OidcLogin {
  let { idToken, refreshToken } = config;
  let refreshing: Promise<string> | undefined;
  for (const secret of [config.clientSecret, idToken, refreshToken]) {
    if (secret !== undefined) mask(secret);
  }

  async function renew(): Promise<string> {
    if (refreshToken === undefined) {
      const why = idToken === undefined ? 'There is no id-token' : `The id-token expired${dateOf(idToken)}`;
      throw failure(`${why}, and there is no refresh-token to get another from ${config.issuer}.`, LOG_IN);
    }
    const answer = await refresh(config, refreshToken);
    if (answer.refreshToken !== undefined) {
      mask(answer.refreshToken);
      refreshToken = answer.refreshToken;
    }
    if (answer.idToken === undefined) {
      throw failure(
        `The issuer ${config.issuer} answered the refresh without an id_token.`,
        'Log in again with the scope "openid". Some issuers never send one here: use a credential plugin (`exec`) with them.',
      );
    }
    mask(answer.idToken);
    idToken = answer.idToken;
    return idToken;
  }

  return async () => {
    if (refreshing === undefined && idToken !== undefined && now() + LEEWAY < (expiryOf(idToken) ?? 0)) {
      return idToken;
    }
    refreshing ??= renew().finally(() => {
      refreshing = undefined;
    });
    return refreshing;
  };
}

const shared = new Map<string, OidcLogin>();

/**
 * The one login of this process with this configuration, made at first use. Several connections use the same user, and many
 * issuers take a refresh token only once: a second login would present one that is spent.
 */
export function shareOidcLogin(config: OidcConfig, create: () => OidcLogin): OidcLogin {
  const key = JSON.stringify(config);
  const login = shared.get(key) ?? create();
  shared.set(key, login);
  return login;
}

/** What to do where nothing but a person can help. */
export const LOG_IN = 'Log in again with the tool that wrote this user to the kubeconfig, and use the new one.';

function dateOf(idToken: string): string {
  const date = new Date(expiryOf(idToken) || Number.NaN);
  return Number.isNaN(date.getTime()) ? '' : ` at ${date.toISOString()}`;
}

function failure(message: string, hint: string): TransshipError {
  return new TransshipError('CLUSTER', message, { hint });
}

function unusable(context: string, why: string): TransshipError {
  return new TransshipError('INPUT', `The auth provider oidc of the context "${context}" cannot be used: ${why}.`, {
    hint: 'Write it anew with the tool that you log in with, or with `kubectl config set-credentials --auth-provider=oidc`.',
  });
}
