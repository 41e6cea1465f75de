import type { Decrypter, Encrypter } from 'age-encryption';
import { messageOf, TransshipError } from '../errors.ts';
import { damaged } from './damage.ts';

/** What a person may have pasted that must not be shown. */
const SECRET = /secret|private|plugin/i;
const SHOWN = 60;
/** Kinds of recipients that also withstand quantum computers. */
const POST_QUANTUM = /^age1(?:pq|tagpq)1/;
const RECIPIENTS_HINT = 'Give the public key that age-keygen printed, which begins with age1.';

/** A section of a header: what one recipient needs to open it. */
type Stanzas = readonly { readonly args: readonly string[] }[];

/**
 * @param recipients - age's public keys
 * @throws TransshipError `INPUT` naming one that is none
 */
export async function createEncrypter(recipients: readonly string[]): Promise<Encrypter> {
  const { Encrypter } = await import('./lazy/age.ts');
  const distinct = [...new Set(recipients.map((recipient) => recipient.trim()))];
  if (distinct.length === 0) throw new TransshipError('INPUT', 'encrypt-to names no recipient.');
  const encrypter = new Encrypter();
  for (const recipient of distinct) {
    try {
      encrypter.addRecipient(recipient);
    } catch (error) {
      throw noRecipient(recipient, error);
    }
  }
  const strong = distinct.filter((recipient) => POST_QUANTUM.test(recipient));
  const weak = distinct.find((recipient) => !POST_QUANTUM.test(recipient));
  if (strong.length > 0 && weak !== undefined) {
    // age itself refuses it: https://pkg.go.dev/filippo.io/age#RecipientWithLabels
    throw new TransshipError(
      'INPUT',
      `encrypt-to: ${weak} is not post-quantum and the others are: who opens one recipient's part has all of it.`,
      { hint: 'Give only recipients that begin with age1pq1, or none of them.' },
    );
  }
  return encrypter;
}

function noRecipient(recipient: string, cause: unknown): TransshipError {
  if (SECRET.test(recipient)) {
    return new TransshipError('INPUT', 'encrypt-to holds a secret key, and takes public keys.', {
      hint: `${RECIPIENTS_HINT} Should the secret key stand in a workflow file or a log now, make a new one.`,
    });
  }
  const shown = recipient.length > SHOWN ? `${recipient.slice(0, SHOWN)}…` : recipient;
  return new TransshipError('INPUT', `encrypt-to: ${JSON.stringify(shown)} is no recipient of age.`, {
    hint: /^ssh-/.test(recipient) ? `SSH keys are not taken. ${RECIPIENTS_HINT}` : RECIPIENTS_HINT,
    cause,
  });
}

/**
 * A decrypter that opens what one of the identities opens.
 *
 * @param identities - age's secret keys
 * @throws TransshipError `INPUT` for one that is none, never showing it; and when it is used, when none of them fits
 * @throws TransshipError `ARCHIVE_UNSUPPORTED` when it is used, for what a passphrase opens
 */
export async function createDecrypter(identities: readonly string[]): Promise<Decrypter> {
  const { Decrypter } = await import('./lazy/age.ts');
  const decrypter = new Decrypter();
  for (const [index, identity] of identities.entries()) {
    try {
      decrypter.addIdentity(identity);
    } catch {
      // The library's own error might show it.
      throw noIdentity(identity, index + 1);
    }
  }
  // They are asked in turn, so that the last one is asked only when none has opened it.
  decrypter.addIdentity({
    unwrapFileKey(stanzas: Stanzas): never {
      throw notOpened(stanzas, identities.length);
    },
  });
  return decrypter;
}

function noIdentity(identity: string, number: number): TransshipError {
  const hint = () => {
    if (identity.startsWith('age1'))
      return 'It is a public key, which only encrypts. Give the secret key that belongs to it.';
    if (/AGE ENCRYPTED FILE|^age-encryption/.test(identity)) {
      return 'The file of identities is itself encrypted: decrypt it with age -d first.';
    }
    if (/^AGE-PLUGIN-/i.test(identity)) return "age's plugins can't be used here: decrypt with age -d first.";
    return 'Give what age-keygen wrote: its text, or the path of its file.';
  };
  return new TransshipError('INPUT', `identity: key ${number} is no identity of age (AGE-SECRET-KEY-1…).`, {
    hint: hint(),
  });
}

function notOpened(stanzas: Stanzas, identities: number): TransshipError {
  if (stanzas.some(({ args }) => args[0] === 'scrypt')) {
    return new TransshipError('ARCHIVE_UNSUPPORTED', 'The snapshot is encrypted with a passphrase.', {
      hint: 'Decrypt it with age -d first: only identities are taken here.',
    });
  }
  const recipients = countRecipients(stanzas);
  const encrypted = `The snapshot is encrypted to ${recipients} ${recipients === 1 ? 'recipient' : 'recipients'}`;
  if (identities === 0) {
    return new TransshipError('INPUT', `${encrypted}, and no identity is given.`, {
      hint: 'Set identity to the secret key of one of them (AGE-SECRET-KEY-1…), or to the path of its file.',
    });
  }
  return new TransshipError('INPUT', `${encrypted}, and none of the given identities opens it.`, {
    hint: 'Set identity to the secret key of one of those that encrypt-to named when it was exported.',
  });
}

/** Other programs add some that are for nobody: https://github.com/C2SP/C2SP/blob/main/age.md#stanza-types */
function countRecipients(stanzas: Stanzas): number {
  return stanzas.filter(({ args }) => args[0]?.endsWith('-grease') !== true).length;
}

/**
 * Reads a header without a key.
 *
 * @returns to how many recipients it is addressed
 * @throws TransshipError `ARCHIVE_DAMAGED` when it is no header
 */
export async function readRecipients(header: Uint8Array): Promise<number> {
  const { Decrypter } = await import('./lazy/age.ts');
  const decrypter = new Decrypter();
  let found: Stanzas | undefined;
  decrypter.addIdentity({
    unwrapFileKey(stanzas: Stanzas) {
      found = stanzas;
      return null;
    },
  });
  try {
    await decrypter.decryptHeader(header);
  } catch (error) {
    if (found === undefined) throw damaged(`The header of the encrypted bytes is damaged: ${messageOf(error)}.`, error);
  }
  return countRecipients(found ?? []);
}
