import { describe, expect, it } from 'vitest';
import { refusePlaintext } from '../../../src/archive/plaintext.ts';
import { collectFiles, entriesOf, errorOf, inPieces, streamOf } from './helpers.ts';

const EMPTY = '{"apiVersion":"v1","kind":"List","metadata":{},"items":[\n]}\n';
const SECRETS = '{"apiVersion":"v1","kind":"List","metadata":{},"items":[\n{"kind":"Secret"}\n]}\n';
const passed = (files: Record<string, string>) => collectFiles(refusePlaintext(entriesOf(files), 'public'));

describe('what all can read', () => {
  it('may hold what is not secret', async () => {
    const files = {
      '_snapshot.json': '{}',
      'shop/configmaps.json': '{}',
      'shop/secrets.json': EMPTY,
      '_index.json': '',
    };
    expect((await passed(files)).map(([path]) => path)).toEqual(Object.keys(files));
    expect(await passed({ 'shop/secrets.bitnami.com.json': SECRETS, 'shop/my-secrets.json': SECRETS })).toHaveLength(2);
  });

  it.each([
    ['_releases/shop/web/1.json', 'release records (of shop/web), which have values and Secrets in them'],
    ['shop/secrets.json', 'Secrets (shop/secrets.json)'],
    ['secrets.json', 'Secrets (secrets.json)'],
  ])('may not hold %s, and no entry from there on is passed on', async (path, what) => {
    const seen: string[] = [];
    const work = (async () => {
      const entries = refusePlaintext(
        entriesOf({ '_snapshot.json': '{}', [path]: SECRETS, 'z.json': '' }),
        'the artifact',
      );
      for await (const entry of entries) seen.push(entry.path);
    })();
    expect(await errorOf(work)).toEqual({
      code: 'INPUT',
      message: `The snapshot holds ${what}, and everyone could read them in the artifact.`,
      hint: 'Set encrypt-to to a public key of age, or choose another backend. When nothing in it is secret, set allow-plaintext to true.',
    });
    expect(seen).toEqual(['_snapshot.json']);
  });

  it('may not hold Secrets that are streamed', async () => {
    const body = inPieces(Buffer.from(SECRETS), 10);
    const entries = refusePlaintext(
      streamOf({ path: 'shop/secrets.json', size: SECRETS.length, body }),
      'the artifact',
    );
    expect(await errorOf(collectFiles(entries))).toMatchObject({ code: 'INPUT' });
  });
});
