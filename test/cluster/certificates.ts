import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const DAYS = '7';

/** A certificate and its key, as PEM files and as text. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority that signs for one cluster. */
export interface Authority extends Certificate {
  /**
   * @param subject - such as `/O=system:masters/CN=admin`
   * @param names - a server's, such as `IP:127.0.0.1,DNS:localhost`; absent for a client
   */
  sign(name: string, subject: string, names?: string): Promise<Certificate>;
}

/** Makes a certificate authority in `folder` with the machine's `openssl`: Node can make keys but not sign X.509. */
export async function createAuthority(folder: string, name: string): Promise<Authority> {
  const ca = await newKey(folder, 'ca');
  const config = join(folder, 'ca.cnf');
  await writeFile(
    config,
    [
      '[req]\ndistinguished_name = dn\nx509_extensions = ext\n[dn]',
      '[ext]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign, digitalSignature',
      'subjectKeyIdentifier = hash\n',
    ].join('\n'),
  );
  const subject = `/CN=${name}`;
  await openssl(
    'req',
    '-x509',
    '-new',
    '-config',
    config,
    '-key',
    ca.keyFile,
    '-subj',
    subject,
    '-days',
    DAYS,
    '-out',
    ca.certFile,
  );
  const authority = { ...ca, cert: await readFile(ca.certFile, 'utf8') };
  return {
    ...authority,
    async sign(leafName, leafSubject, names) {
      const leaf = await newKey(folder, leafName);
      const request = join(folder, `${leafName}.csr`);
      const extensions = join(folder, `${leafName}.cnf`);
      const usage = names === undefined ? 'clientAuth' : `serverAuth\nsubjectAltName = ${names}`;
      await writeFile(extensions, `keyUsage = critical, digitalSignature\nextendedKeyUsage = ${usage}\n`);
      await openssl('req', '-new', '-config', config, '-key', leaf.keyFile, '-subj', leafSubject, '-out', request);
      await openssl(
        ...['x509', '-req', '-in', request, '-CA', ca.certFile, '-CAkey', ca.keyFile, '-CAcreateserial'],
        ...['-CAserial', join(folder, `${leafName}.srl`), '-extfile', extensions, '-days', DAYS, '-out', leaf.certFile],
      );
      return { ...leaf, cert: await readFile(leaf.certFile, 'utf8') };
    },
  };
}

/** Writes a new private key, readable by its owner alone. */
export async function newKey(folder: string, name: string): Promise<Omit<Certificate, 'cert'>> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'sec1', format: 'pem' }).toString();
  const keyFile = join(folder, `${name}.key`);
  await writeFile(keyFile, key, { mode: 0o600 });
  return { keyFile, key, certFile: join(folder, `${name}.crt`) };
}

async function openssl(...args: string[]): Promise<void> {
  await promisify(execFile)('openssl', args);
}
