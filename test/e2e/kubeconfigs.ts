import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

/** The `cluster` of a kubeconfig's entry: server, certificate authority. */
export type ClusterEntry = Record<string, unknown>;

/** Writes a copy of a cluster's kubeconfig into a folder, with its clusters, and where given its users, changed. */
export async function rewriteKubeconfig(
  cluster: { readonly kubeconfig: string },
  folder: string,
  change: (entry: ClusterEntry) => ClusterEntry,
  user?: Readonly<Record<string, string>>,
): Promise<string> {
  const config = parse(await readFile(cluster.kubeconfig, 'utf8'));
  for (const entry of config.clusters) entry.cluster = change(entry.cluster);
  if (user !== undefined) for (const entry of config.users) entry.user = user;
  const file = join(folder, 'kubeconfig');
  await writeFile(file, stringify(config), { mode: 0o600 });
  return file;
}
