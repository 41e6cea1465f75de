import type { TestCluster } from '../test/cluster/cluster.ts';

/** All that a bare HTTP client needs to be the administrator of a cluster. */
export interface DirectAccess {
  readonly server: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** The administrator's certificate, PEM, without the way through a kubeconfig. */
export function directAccess({ server, access }: TestCluster): DirectAccess {
  const user = access.contexts[0]?.user ?? {};
  const decode = (name: string) => Buffer.from(user[name] ?? '', 'base64').toString('utf8');
  return { server, ca: access.ca, cert: decode('client-certificate-data'), key: decode('client-key-data') };
}
