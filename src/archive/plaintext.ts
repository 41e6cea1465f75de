import { TransshipError } from '../errors.ts';
import type { Entry } from './entry.ts';

/** Where stored revisions of releases are: a record holds the values and all rendered Secrets in plain. */
const RECORDS = '_releases/';
/** The List of Secrets of a namespace. */
const SECRETS = /^(?:[^/]+\/)?secrets\.json$/;
const NO_ITEMS = /"items":\s*\[\s*\]/;

/**
 * Passes entries on until one would put secrets where all can read them.
 *
 * @param where - what they would be readable in, such as `an artifact of the public repository octo-org/shop`
 * @throws TransshipError `INPUT` at the first such entry, before it is passed on, saying what can be done
 */
export async function* refusePlaintext(entries: AsyncIterable<Entry>, where: string): AsyncGenerator<Entry> {
  for await (const entry of entries) {
    const what = secretsIn(entry);
    if (what !== undefined) {
      throw new TransshipError('INPUT', `The snapshot holds ${what}, and everyone could read them in ${where}.`, {
        hint: 'Set encrypt-to to a public key of age, or choose another backend. When nothing in it is secret, set allow-plaintext to true.',
      });
    }
    yield entry;
  }
}

function secretsIn({ path, body }: Entry): string | undefined {
  if (path.startsWith(RECORDS)) {
    const [, namespace, release] = path.split('/');
    return `release records (of ${namespace}/${release}), which have values and Secrets in them`;
  }
  if (!SECRETS.test(path)) return undefined;
  // What is streamed is too much for a List of nothing.
  const isEmpty = body instanceof Uint8Array && NO_ITEMS.test(Buffer.from(body).toString('utf8'));
  return isEmpty ? undefined : `Secrets (${path})`;
}
