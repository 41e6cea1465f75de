/** What {@link schemaErrors} understands; a schema with another keyword is refused, lest it pass unchecked. */
const KEYWORDS = new Set(
  '$schema $id $defs $ref title description type properties required additionalProperties items enum const minimum format'.split(
    ' ',
  ),
);

export type Schema = { readonly [keyword: string]: unknown };

/** Where a value differs from a JSON Schema (draft 2020-12, the keywords above), one line a difference. */
export function schemaErrors(value: unknown, root: Schema): string[] {
  return check(value, root, root, '');
}

function check(value: unknown, schema: Schema, root: Schema, path: string): string[] {
  const unknown = Object.keys(schema).filter((keyword) => !KEYWORDS.has(keyword));
  if (unknown.length > 0) throw new Error(`The schema uses ${unknown.join(', ')}, which nothing checks`);
  const errors: string[] = [];
  const wrong = (what: string): void => void errors.push(`${path || '/'}: ${what}`);

  if (typeof schema.$ref === 'string') errors.push(...check(value, resolveRef(schema.$ref, root), root, path));
  if (typeof schema.type === 'string' && !isOfType(value, schema.type)) wrong(`is no ${schema.type}`);
  if ('const' in schema && value !== schema.const) wrong(`is not ${JSON.stringify(schema.const)}`);
  if (Array.isArray(schema.enum) && !schema.enum.includes(value)) wrong(`is none of ${schema.enum.join(', ')}`);
  if (typeof schema.minimum === 'number' && Number(value) < schema.minimum) wrong(`is below ${schema.minimum}`);
  if (schema.format === 'date-time' && Number.isNaN(Date.parse(String(value)))) wrong('is no date-time');
  if (isSchema(schema.properties) && isSchema(value)) {
    const { properties } = schema;
    for (const name of [schema.required].flat()) {
      if (typeof name === 'string' && !(name in value)) wrong(`lacks ${name}`);
    }
    for (const [name, inner] of Object.entries(value)) {
      const own = properties[name];
      if (isSchema(own)) errors.push(...check(inner, own, root, `${path}/${name}`));
      else if (schema.additionalProperties === false) wrong(`has ${name}, which is not described`);
    }
  }
  if (isSchema(schema.items) && Array.isArray(value)) {
    for (const [index, item] of value.entries()) errors.push(...check(item, schema.items, root, `${path}/${index}`));
  }
  return errors;
}

/** The schema that a `$ref` within the same document means. */
export function resolveRef(ref: string, root: Schema): Schema {
  const found = ref
    .replace(/^#\//, '')
    .split('/')
    .reduce<unknown>((at, part) => (isSchema(at) ? at[part] : undefined), root);
  if (!isSchema(found)) throw new Error(`${ref} is nowhere in the schema`);
  return found;
}

export function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'object':
      return isSchema(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}
