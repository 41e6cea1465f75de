import { describe, expect, it } from 'vitest';
import { createDecrypter, createEncrypter } from '../../../src/archive/encryption-keys.ts';
import { errorOf } from './helpers.ts';
import { newKeys, newPostQuantumKeys } from './keys.ts';

describe('a recipient', () => {
  it.each([
    ['age1short', '"age1short"'],
    ['ssh-ed25519 AAAAC3Nz shop', '"ssh-ed25519 AAAAC3Nz shop"'],
    [`age1${'q'.repeat(200)}`, `"age1${'q'.repeat(56)}…"`],
  ])('that is none is named: %s', async (recipient, shown) => {
    expect(await errorOf(createEncrypter([recipient]))).toMatchObject({
      code: 'INPUT',
      message: `encrypt-to: ${shown} is no recipient of age.`,
      hint: expect.stringContaining('Give the public key that age-keygen printed, which begins with age1.'),
    });
  });

  it('with a typing error is named', async () => {
    const { recipient } = await newKeys();
    const wrong = `${recipient.slice(0, -1)}${recipient.endsWith('q') ? 'p' : 'q'}`;
    expect((await errorOf(createEncrypter([wrong]))).message).toContain(wrong.slice(0, 60));
  });

  it('that is a secret key is refused and not shown', async () => {
    const { identity } = await newKeys();
    const error = await errorOf(createEncrypter([identity]));
    expect(error).toMatchObject({ code: 'INPUT', message: 'encrypt-to holds a secret key, and takes public keys.' });
    expect(JSON.stringify(error)).not.toContain(identity.slice(20, 40));
  });

  it('that is not post-quantum does not go with those that are', async () => {
    const [{ recipient: weak }, { recipient: strong }] = await Promise.all([newKeys(), newPostQuantumKeys()]);
    expect(await errorOf(createEncrypter([strong, weak]))).toMatchObject({
      code: 'INPUT',
      message: expect.stringContaining(`encrypt-to: ${weak} is not post-quantum and the others are`),
    });
  });

  it('is needed', async () => {
    expect(await errorOf(createEncrypter([]))).toMatchObject({ code: 'INPUT' });
  });
});

describe('an identity', () => {
  it.each([
    [
      'a typing error',
      'AGE-SECRET-KEY-1QWGYAFR92NG6YTMVYCQ9TA5Y8335UDF53KWEHF2U82TTJE2JHZTQ6PEQ3X',
      'Give what age-keygen wrote',
    ],
    ['the key of a plugin', 'AGE-PLUGIN-YUBIKEY-1QQPSJQS', "age's plugins can't be used here"],
    ['a public key', 'age1reak8xxtwclad2yc6m6kjzxg3psyrgfaj8allfq5z5ctqnzcms5qgjq03a', 'It is a public key'],
    ['encrypted itself', '-----BEGIN AGE ENCRYPTED FILE-----', 'decrypt it with age -d first'],
  ])('that is %s is refused by its number and not shown', async (_what, identity, hint) => {
    const { identity: good } = await newKeys();
    const error = await errorOf(createDecrypter([good, identity]));
    expect(error).toMatchObject({
      code: 'INPUT',
      message: 'identity: key 2 is no identity of age (AGE-SECRET-KEY-1…).',
      hint: expect.stringContaining(hint),
    });
    expect(`${error.message} ${error.hint}`).not.toContain(identity);
  });
});
