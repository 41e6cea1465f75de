import { isMap } from '../values.ts';

/** What YAML readers take for the end of a line, or for an error, and the library writes as it is. */
const UNREADABLE = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;
/** Texts that mean nothing but themselves in YAML 1.1 as in 1.2, whoever reads them. */
const PLAIN = /^[A-Za-z_/][\w./-]*$/;
/** https://yaml.org/type/bool.html and null; case does not matter here. */
const WORDS = /^(y|n|yes|no|on|off|true|false|null)$/i;

/** The least whose every integer a double holds. */
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * Writes an object as one YAML document, keys sorted as kubectl does. Kubernetes' own tools read YAML 1.1, others 1.2: what
 * is written means the same in both.
 */
export async function writeYaml(value: unknown): Promise<string> {
  const { Document, Scalar, visit } = await import('./lazy/yaml.ts');
  const document = new Document(toWritable(value), { aliasDuplicateObjects: false, sortMapEntries: true });
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === 'string') node.type = styleOf(node.value);
    },
  });
  return document
    .toString({ lineWidth: 0, indentSeq: false, doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER })
    .replace(UNREADABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

  function styleOf(text: string): NonNullable<InstanceType<typeof Scalar>['type']> {
    if (PLAIN.test(text) && !WORDS.test(text)) return Scalar.PLAIN;
    // A user's scripts stay readable, unless there is something in them that only quotes can say.
    const isBlock = text.includes('\n') && text.search(UNREADABLE) === -1 && !/^[\s]/.test(text);
    return isBlock ? Scalar.BLOCK_LITERAL : Scalar.QUOTE_DOUBLE;
  }
}

/**
 * Reads one YAML document as JSON has it; integers keep every digit.
 *
 * @throws Error saying in one line what is wrong
 */
export async function readYaml(text: string): Promise<unknown> {
  const { parseDocument } = await import('./lazy/yaml.ts');
  const document = parseDocument(text, { intAsBigInt: true, prettyErrors: true, logLevel: 'error' });
  const [error] = document.errors;
  if (error !== undefined) throw new Error(error.message.split('\n', 1)[0]?.replace(/:$/, '') ?? error.message);
  return fromRead(document.toJS());
}

/** Numbers with all their digits are BigInts to the library. */
function toWritable(value: unknown): unknown {
  return convert(value, (one) => (JSON.isRawJSON(one) ? BigInt(one.rawJSON) : one));
}

function fromRead(value: unknown): unknown {
  return convert(value, (one) => {
    if (typeof one !== 'bigint') return one;
    return one >= -SAFE && one <= SAFE ? Number(one) : JSON.rawJSON(String(one));
  });
}

function convert(value: unknown, leaf: (value: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => convert(item, leaf));
  if (!isMap(value) || JSON.isRawJSON(value)) return leaf(value);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, convert(item, leaf)]));
}
