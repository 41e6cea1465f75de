import { messageOf, TransshipError } from '../errors.ts';
import type { TlsMaterial } from './credentials.ts';
import type { Configuration, CustomFetch } from './lazy/openid-client.ts';
import { LOG_IN, type OidcConfig, type OidcTokens } from './oidc.ts';
import { findProxy, maskPassword } from './proxy.ts';
import { createTransport } from './transport.ts';

/** Milliseconds without a byte after which an issuer is given up. */
const STALL_TIMEOUT = 30_000;

type Library = typeof import('./lazy/openid-client.ts');

/**
 * Asks the issuer for its addresses, and then for new tokens.
 *
 * @throws TransshipError naming the issuer and what to do
 */
export async function refreshTokens(config: OidcConfig, refreshToken: string, fetch: CustomFetch): Promise<OidcTokens> {
  const library = await import('./lazy/openid-client.ts');
  const { issuer, clientId, clientSecret } = config;
  // As kubectl, which does not compare the document's own issuer. (The library does, unless it is given the whole address.)
  const address = new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const way = clientSecret === undefined ? library.None() : library.ClientSecretBasic(clientSecret);
  const options = { [library.customFetch]: fetch };
  const found = await library.discovery(address, clientId, undefined, way, options).catch(async (error: unknown) => {
    const words = await describe(error, library);
    throw failure(error, `The discovery document ${address} cannot be used: ${words}.`, CHECK_ISSUER);
  });
  try {
    const answer = await grant(library, found, refreshToken, config, fetch);
    return { idToken: answer.id_token, refreshToken: answer.refresh_token };
  } catch (error) {
    const words = await describe(error, library);
    throw failure(error, `The issuer ${issuer} did not refresh the id-token: ${words}.`, hintFor(error, library));
  }
}

/** As kubectl's OAuth library: some issuers take the client's secret in one place only, and do not say so. */
async function grant(
  library: Library,
  found: Configuration,
  refreshToken: string,
  { clientId, clientSecret }: OidcConfig,
  fetch: CustomFetch,
) {
  try {
    return await library.refreshTokenGrant(found, refreshToken);
  } catch (error) {
    if (clientSecret === undefined || !isRefusal(error, library) || refusesToken(error, library)) {
      throw error;
    }
    const way = library.ClientSecretPost(clientSecret);
    const other = new library.Configuration(found.serverMetadata(), clientId, undefined, way);
    other[library.customFetch] = fetch;
    return library.refreshTokenGrant(other, refreshToken);
  }
}

/**
 * The issuer over connections like those to an API server, also through a proxy. Each request has its own: there are two in
 * an hour, and the token endpoint may be another host.
 *
 * @throws TransshipError when no whole answer comes
 */
export function createIssuerFetch(
  ca: TlsMaterial['ca'],
  mask: (secret: string) => void,
  env: NodeJS.ProcessEnv,
): CustomFetch {
  const tls = { ca, cert: undefined, key: undefined, servername: undefined, rejectUnauthorized: true };
  return async (address, { method, headers, body, signal }) => {
    const server = new URL(address);
    const proxy = findProxy(server, undefined, env);
    maskPassword(proxy, mask);
    const transport = await createTransport({ server, proxy, concurrency: 1, stallTimeout: STALL_TIMEOUT });
    try {
      const answer = await transport.exchange(
        {
          method,
          path: server.pathname + server.search,
          headers: Object.entries(headers).flat(),
          body: body?.toString(),
          signal,
        },
        tls,
      );
      const fields = Object.entries(answer.headers).flatMap(([name, value]) =>
        [value ?? []].flat().map((one): [string, string] => [name, one]),
      );
      const text = answer.body.toString('utf8');
      return new Response(text === '' ? null : text, { status: answer.status, headers: fields });
    } catch (error) {
      throw new TransshipError('CLUSTER', `No answer from ${server.origin}: ${messageOf(error)}.`, {
        hint: 'Is the issuer reachable from here (VPN, proxy)? One with a private authority needs idp-certificate-authority-data.',
        cause: error,
      });
    } finally {
      await transport.close();
    }
  };
}

const CHECK_ISSUER = 'Check idp-issuer-url in the kubeconfig: it must be the address of an OpenID Connect issuer.';

function isRefusal(error: unknown, { ResponseBodyError, WWWAuthenticateChallengeError }: Library): boolean {
  return error instanceof ResponseBodyError || error instanceof WWWAuthenticateChallengeError;
}

/** https://www.rfc-editor.org/rfc/rfc6749#section-5.2 */
function refusesToken(error: unknown, { ResponseBodyError }: Library): boolean {
  return error instanceof ResponseBodyError && error.error === 'invalid_grant';
}

function hintFor(error: unknown, library: Library): string {
  if (refusesToken(error, library)) {
    return `The refresh-token has expired, was revoked, or has been used by another program since. ${LOG_IN}`;
  }
  return isRefusal(error, library) ? `Check client-id and client-secret in the kubeconfig. ${LOG_IN}` : LOG_IN;
}

/** What the issuer said, or what the library holds against its answer. */
async function describe(error: unknown, library: Library): Promise<string> {
  if (error instanceof library.ResponseBodyError) {
    return [`${error.status} ${error.error}`, error.error_description].filter(Boolean).join(', ');
  }
  if (error instanceof library.WWWAuthenticateChallengeError) {
    const said = (await error.response.text()).replace(/\s+/g, ' ').trim().slice(0, 200);
    return said === '' ? String(error.status) : `${error.status} ${said}`;
  }
  const cause = error instanceof library.ClientError ? error.cause : undefined;
  if (cause instanceof Response) {
    return `${messageOf(error)} (${cause.status})`;
  }
  return cause instanceof Error ? `${messageOf(error)} (${cause.message})` : messageOf(error);
}

function failure(error: unknown, message: string, hint: string): TransshipError {
  // The library wraps what the fetch throws.
  const known = error instanceof Error && error.cause instanceof TransshipError ? error.cause : undefined;
  return known ?? new TransshipError('CLUSTER', message, { hint, cause: error });
}
