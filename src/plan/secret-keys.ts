/** In which a word that stands for a secret ends, however it is put together: `password`, `dbpassword`, `PGPASSWORD`. */
const SECRET_WORD =
  /(?:password|passwd|passphrase|passcode|secret|token|credential|credentials|apikey|accesskey|secretkey|privatekey|htpasswd|pw|pwd|requirepass|masterauth|dockerconfigjson|dockercfg|dsn|connectionstring)s?$/;
/** Secret only where nothing follows: `SMTP_PASS` is, `auth-realm` is not. */
const LAST_WORD = /^(?:auth|basicauth|pass|pwd|pgpass|pw|salt|bearer|authorization|mnemonic)$/;
/** What makes a key one that opens something: `privateKey`, `api_key`. */
const KEY_WORD =
  /^(?:api|access|account|admin|aes|app|auth|client|consumer|cookie|crypt|decryption|deploy|encryption|hmac|host|jwt|license|master|nonce|private|root|secret|server|service|session|shared|sign|signing|ssh|ssl|storage|tls|webhook)$/;
/** `id_rsa` and its like. */
const KEY_FILE = /^(?:rsa|dsa|ecdsa|ed25519)$/;
/** What a key ends in that says something about a secret, and is none. */
const HARMLESS_WORDS = new Set(
  (
    'name names ref refs reference references selector namespace namespaces file files filename path paths dir directory ' +
    'folder mount mounts type types class kind ttl expiry expiration expires seconds minutes hours days duration period ' +
    'timeout interval lifetime age length size count limit limits max min version enabled enable disabled disable required ' +
    'optional create mode modes format encoding algorithm alg issuer audience audiences url urls uri uris endpoint ' +
    'endpoints host hosts hostname port ports provider realm method methods policy annotations labels manager store ' +
    'strategy service image tag repository registry replicas'
  ).split(' '),
);

const known = new Map<string, boolean>();
const MOST_KNOWN = 10_000;

/**
 * Whether the value of a key is to be kept from sight, by the words in it: `DB_PASSWORD`, `apiKey`, `tls.key`; not
 * `secretName` or `tokenExpirationSeconds`, which only say something about one.
 */
export function isSecretKey(key: string): boolean {
  let answer = known.get(key);
  if (answer === undefined) {
    answer = judge(key);
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(key, answer);
  }
  return answer;
}

/** Whether the value of a key may be seen even where all around it is secret. */
export function isHarmlessKey(key: string): boolean {
  return isHarmless(wordsOf(key));
}

function judge(key: string): boolean {
  const words = wordsOf(key);
  const last = words.at(-1);
  if (last === undefined || isHarmless(words) || NAMES_A_SECRET.test(key)) return false;
  if (LAST_WORD.test(last) || (words.at(-2) === 'id' && KEY_FILE.test(last)) || key.endsWith('.key')) return true;
  return words.some((word, index) => {
    const next = words[index + 1] ?? '';
    return (
      SECRET_WORD.test(word) ||
      (KEY_WORD.test(word) && /^keys?$/.test(next)) ||
      (word === 'connection' && /^(?:string|str)s?$/.test(next))
    );
  });
}

function isHarmless(words: readonly string[]): boolean {
  const [first, last, before] = [words[0], words.at(-1), words.at(-2)];
  if (last === undefined || HARMLESS_WORDS.has(last)) return true;
  if (first === 'existing' || first === 'automount') return true;
  // A directive of nginx.
  if (last === 'pass') return /^(?:proxy|fastcgi|uwsgi|scgi|grpc|memcached)$/.test(before ?? '');
  // `imagePullSecrets`, `envFromSecret`: names of Secrets.
  return /^secrets?$/.test(last) && (before === 'pull' || before === 'from');
}

/** Annotations of ingress controllers that name Secrets. */
const NAMES_A_SECRET = /\/(?:basic-)?(?:auth|auth-tls|proxy-ssl|jwt)-secret$/;

/** Words of a key in lower case, without the numbers at their ends: `dbPassword2` is `db` and `password`. */
function wordsOf(key: string): string[] {
  return key
    .slice(0, 200)
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .map((word) => (/^[a-z]+\d+$/.test(word) && !KEY_FILE.test(word) ? word.replace(/\d+$/, '') : word))
    .filter((word) => word !== '' && !/^\d+$/.test(word));
}
