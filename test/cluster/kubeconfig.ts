import { stringify } from 'yaml';

/** One context and the user behind it. */
export interface KubeconfigContext {
  readonly name: string;
  /** `client-certificate-data` and `client-key-data`, or `token`. */
  readonly user: Readonly<Record<string, string>>;
}

/** One cluster and the contexts that reach it. */
export interface KubeconfigCluster {
  readonly name: string;
  readonly server: string;
  /** PEM. */
  readonly ca: string;
  readonly contexts: readonly KubeconfigContext[];
}

/** A kubeconfig whose current context is the first cluster's first; certificates are embedded, so it is one file. */
export function writeKubeconfig(clusters: readonly KubeconfigCluster[]): string {
  const contexts = clusters.flatMap((cluster) => cluster.contexts.map((context) => ({ cluster, context })));
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': contexts[0]?.context.name,
      clusters: clusters.map(({ name, server, ca }) => ({
        name,
        cluster: { server, 'certificate-authority-data': base64(ca) },
      })),
      contexts: contexts.map(({ cluster, context }) => ({
        name: context.name,
        context: { cluster: cluster.name, user: context.name, namespace: 'default' },
      })),
      users: contexts.map(({ context }) => ({ name: context.name, user: context.user })),
    },
    { lineWidth: 0 },
  );
}

/** The bytes of a PEM file as a kubeconfig embeds them. */
export function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
