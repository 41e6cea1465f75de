import { isIP } from 'node:net';
import {
  checkServerIdentity,
  createSecureContext,
  getCACertificates,
  type PeerCertificate,
  type SecureContext,
} from 'node:tls';

/** The host a request goes to, and whom to take it for. */
export interface Peer {
  readonly host: string;
  readonly port: number;
  /** What its certificate must be for: a DNS name or an address. */
  readonly name: string;
  readonly trust: SecureContext;
}

/** What a TLS connection to a peer is made with. */
export interface PeerTls {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized: true;
  /** Absent for an address, which servers can't be asked for by. */
  readonly servername?: string;
  checkServerIdentity(host: string, certificate: PeerCertificate): Error | undefined;
}

let system: SecureContext | undefined;

/**
 * Whom to trust: the certificates given and nobody else, or whoever this machine trusts.
 *
 * For external links KubeVirt gives the certificate of the Ingress or Route itself where it should be that of its
 * authority, and virtctl takes that: hence a certificate that is given is trusted whether it is an authority's or not.
 * https://github.com/kubevirt/kubevirt/blob/main/pkg/storage/export/export/links.go (findCertByHostName)
 *
 * @param ca - PEM
 */
export function trustFor(ca: string | undefined): SecureContext {
  if (ca !== undefined && ca.trim() !== '') return createSecureContext({ ca, allowPartialTrustChain: true });
  // Without the second one Node does not look where an administrator adds authorities.
  system ??= createSecureContext({
    ca: [...new Set([...getCACertificates('default'), ...getCACertificates('system')])],
  });
  return system;
}

/** Verifies always, whatever the environment says. */
export function tlsTo({ name, trust }: Pick<Peer, 'name' | 'trust'>): PeerTls {
  return {
    secureContext: trust,
    rejectUnauthorized: true,
    ...(isIP(name) === 0 && { servername: name }),
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  };
}
