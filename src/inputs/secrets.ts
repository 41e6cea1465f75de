/** What is to be masked of a secret input. Of a kubeconfig little is secret: masking its every line would blank out the log. */
export async function findSecrets(input: string, value: string): Promise<string[]> {
  if (input === 'kubeconfig' || input === 'target-kubeconfig') return findKubeconfigSecrets(value);
  if (input === 'identity') return value.match(IDENTITY) ?? [];
  return [value];
}

/** https://github.com/C2SP/C2SP/blob/main/age.md: a path of a file has none. */
const IDENTITY = /AGE-SECRET-KEY-[0-9A-Z-]+/gi;

/** Whether the input `identity` holds identities themselves, and not the path of a file of them. */
export function isIdentityText(identity: string): boolean {
  return identity.match(IDENTITY) !== null;
}

/** Fields of a kubeconfig's users that let someone in: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/ */
const SECRET_FIELDS = new Set([
  'token',
  'password',
  'client-key-data',
  'id-token',
  'refresh-token',
  'access-token',
  'client-secret',
]);

/**
 * The credentials in the text of a kubeconfig (plain or base64), for masking. A path has none. Text that is no
 * mapping in sound YAML is a secret as a whole.
 */
export async function findKubeconfigSecrets(kubeconfig: string): Promise<string[]> {
  if (!isKubeconfigText(kubeconfig)) return [];
  const text = decode(kubeconfig.trim());
  const { parse } = await import('./lazy/yaml.ts');
  const secrets = new Set(text === kubeconfig.trim() ? [] : [kubeconfig.trim()]);
  try {
    const config: unknown = parse(text, { logLevel: 'error' });
    if (typeof config !== 'object') throw new Error('not a mapping');
    collect(config, false, secrets);
  } catch {
    secrets.add(text);
  }
  return [...secrets];
}

/** Whether the input `kubeconfig` holds a kubeconfig itself, and not the path of one. */
export function isKubeconfigText(kubeconfig: string): boolean {
  return /\n|^\{|^\w+:\s/.test(decode(kubeconfig.trim()));
}

function decode(text: string): string {
  if (!/^[A-Za-z0-9+/\s]{40,}=*\s*$/.test(text)) return text;
  const decoded = Buffer.from(text, 'base64').toString('utf8');
  return /clusters|contexts|apiVersion/.test(decoded) ? decoded : text;
}

function collect(value: unknown, secret: boolean, into: Set<string>): void {
  if (Array.isArray(value)) {
    for (const item of value) collect(item, secret, into);
  } else if (typeof value === 'object' && value !== null) {
    // An exec plugin's variables: {name, value}, and nobody but their owner knows which are secret.
    const variable = 'name' in value && 'value' in value;
    for (const [key, field] of Object.entries(value)) {
      collect(field, SECRET_FIELDS.has(key) || (variable && key === 'value'), into);
    }
  } else if (secret && value !== null && String(value).trim() !== '') {
    into.add(String(value).trim());
  }
}
