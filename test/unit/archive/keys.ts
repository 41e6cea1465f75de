import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';

/** A pair of age's keys, made for one test. */
export interface KeyPair {
  readonly identity: string;
  readonly recipient: string;
}

export async function newKeys(): Promise<KeyPair> {
  return pairOf(await generateX25519Identity());
}

export async function newPostQuantumKeys(): Promise<KeyPair> {
  return pairOf(await generateHybridIdentity());
}

async function pairOf(identity: string): Promise<KeyPair> {
  return { identity, recipient: await identityToRecipient(identity) };
}
