import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** A certificate made for a test, with its key; PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  readonly commonName: string;
  readonly organization?: string;
  /** DNS names and IPv4 addresses. */
  readonly names?: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Signs itself when absent. */
  readonly issuer?: TestCertificate & { readonly commonName: string };
  readonly authority?: boolean;
}

/** Makes an X.509 v3 certificate (P-256): Node can read certificates, but not make them. */
export function makeCertificate(options: CertificateOptions): TestCertificate & { readonly commonName: string } {
  const { commonName, issuer, names = [] } = options;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const algorithm = sequence(oid('2a8648ce3d040302'));
  const extensions = [
    extension('551d13', true, sequence(...(options.authority ? [Buffer.from([0x01, 0x01, 0xff])] : []))),
    ...(names.length > 0 ? [extension('551d11', false, sequence(...names.map(alternativeName)))] : []),
  ];
  const tbs = sequence(
    tagged(0xa0, Buffer.from([0x02, 0x01, 0x02])),
    tagged(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(8)])),
    algorithm,
    distinguishedName(issuer?.commonName ?? commonName),
    sequence(time(options.notBefore ?? daysFromNow(-1)), time(options.notAfter ?? daysFromNow(30))),
    distinguishedName(commonName, options.organization),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  );
  const signer: KeyObject | string = issuer?.key ?? privateKey;
  const signature = tagged(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', tbs, signer)]));
  const der = sequence(tbs, algorithm, signature);
  const body = der.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return { commonName, key, cert: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n` };
}

export function daysFromNow(days: number): Date {
  return new Date(Date.now() + days * 86_400_000);
}

function tagged(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const length =
    body.length < 0x80
      ? [body.length]
      : body.length < 0x100
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

function sequence(...content: readonly Uint8Array[]): Buffer {
  return tagged(0x30, ...content);
}

function oid(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'));
}

function attribute(type: string, value: string): Buffer {
  return tagged(0x31, sequence(oid(type), tagged(0x0c, Buffer.from(value))));
}

function distinguishedName(commonName: string, organization?: string): Buffer {
  return sequence(...(organization ? [attribute('55040a', organization)] : []), attribute('550403', commonName));
}

function alternativeName(name: string): Buffer {
  return isIPv4(name) ? tagged(0x87, Buffer.from(name.split('.').map(Number))) : tagged(0x82, Buffer.from(name));
}

function extension(type: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(type), ...(critical ? [Buffer.from([0x01, 0x01, 0xff])] : []), tagged(0x04, value));
}

function time(date: Date): Buffer {
  return tagged(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replace(/[-:T]/g, '')}Z`));
}
