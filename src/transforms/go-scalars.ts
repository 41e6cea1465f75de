/** Words that are no texts: https://github.com/yaml/go-yaml/blob/v2.4.4/resolve.go, which the API machinery reads with. */
const WORDS = new Map<string, boolean | null>([
  ...words(true, 'y Y yes Yes YES true True TRUE on On ON'),
  ...words(false, 'n N no No NO false False FALSE off Off OFF'),
  ...words(null, '~ null Null NULL'),
  ['', null],
]);
const FLOAT = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/;
const INTEGER = /^([-+]?)(?:0[xX]([\da-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9]\d*))$/;

/** What a scalar without quotes means to Kubernetes' YAML parser. Numbers that JavaScript would round keep their digits. */
export function readGoScalar(source: string): unknown {
  const word = WORDS.get(source);
  if (word !== undefined) return word;
  if (!/^[-+.\d]/.test(source)) return source;
  const plain = source.startsWith('.') ? source : source.replaceAll('_', '');
  const [, sign, hex, binary, octal, decimal] = INTEGER.exec(plain) ?? [];
  const digits = hex ?? binary ?? octal ?? decimal;
  if (digits !== undefined) {
    const prefix = hex !== undefined ? '0x' : binary !== undefined ? '0b' : octal !== undefined ? '0o' : '';
    const size = BigInt(prefix + digits);
    const value = sign === '-' ? -size : size;
    return Number.isSafeInteger(Number(value)) ? Number(value) : JSON.rawJSON(String(value));
  }
  return FLOAT.test(plain) ? Number(plain) : source;
}

function words(value: boolean | null, list: string): [string, boolean | null][] {
  return list.split(' ').map((word) => [word, value]);
}
