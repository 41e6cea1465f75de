/** Keeps what is secret out of texts. */
export interface Secrets {
  /** Hides a value, and each of its lines, from now on. */
  add(value: string): void;
  /** The text with `***` for what is secret. */
  hide(text: string): string;
}

export function createSecrets(): Secrets {
  const secrets = new Set<string>();
  return {
    add(value) {
      for (const part of [value, ...value.split('\n')]) {
        if (part.trim() !== '') secrets.add(part);
      }
    },
    hide: (text) => [...secrets].reduce((shown, secret) => shown.replaceAll(secret, '***'), text),
  };
}
