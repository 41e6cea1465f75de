import { constants, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';

/** Time in milliseconds since 1970, that a test can move. */
export interface TestClock {
  now(): number;
  /** Goes forward at once. */
  advance(milliseconds: number): void;
}

export function createClock(): TestClock {
  let ahead = 0;
  return {
    now: () => Date.now() + ahead,
    advance: (milliseconds) => {
      ahead += milliseconds;
    },
  };
}

/** Which claim a token is for. */
export interface TokenClaim {
  readonly namespace: string;
  readonly name: string;
}

/** Makes and checks upload tokens. */
export interface UploadTokens {
  /** A token that is good for 5 minutes. */
  issue(claim: TokenClaim): string;
  /** What a token is for; undefined when it is not ours or too old. */
  check(token: string): TokenClaim | undefined;
}

/** An RSA key of CDI's API server. */
export interface SigningKeys {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export function newSigningKeys(): SigningKeys {
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

const LIFETIME_SECONDS = 5 * 60;
const LEEWAY_SECONDS = 10;
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };

/**
 * Tokens as CDI's API server signs them and its upload proxy checks them: JWT with PS256.
 *
 * @param keys - made here where they are absent, which takes a while
 * @see https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/token/token.go
 */
export function createUploadTokens(clock: Pick<TestClock, 'now'>, keys: SigningKeys = newSigningKeys()): UploadTokens {
  const { privateKey, publicKey } = keys;
  return {
    issue({ namespace, name }) {
      const now = Math.floor(clock.now() / 1000);
      const resource = { group: '', version: 'v1', resource: 'persistentvolumeclaims' };
      const claims = { operation: 'Upload', name, namespace, resource };
      const times = { iat: now, nbf: now, exp: now + LIFETIME_SECONDS };
      const text = `${encode({ alg: 'PS256' })}.${encode({ ...claims, iss: 'cdi-apiserver', ...times })}`;
      return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, ...PSS }).toString('base64url')}`;
    },
    check: (token) => checkToken(token, publicKey, clock.now() / 1000),
  };
}

function checkToken(token: string, key: KeyObject, now: number): TokenClaim | undefined {
  const [head = '', payload = '', signature = ''] = token.split('.');
  const signed = Buffer.from(`${head}.${payload}`);
  if (!verify('sha256', signed, { key, ...PSS }, Buffer.from(signature, 'base64url'))) return undefined;
  const { name, namespace, iss, nbf, exp, operation } = decode(payload);
  if (iss !== 'cdi-apiserver' || operation !== 'Upload') return undefined;
  if (typeof nbf !== 'number' || typeof exp !== 'number') return undefined;
  if (now + LEEWAY_SECONDS < nbf || now - LEEWAY_SECONDS > exp) return undefined;
  return { name: String(name), namespace: String(namespace) };
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(text: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
}
