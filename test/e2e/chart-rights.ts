import { join } from 'node:path';
import { vi } from 'vitest';
import type { KubeObject } from '../../src/cluster/cluster.ts';
import { messageOf } from '../../src/errors.ts';
import { parseInputs } from '../../src/inputs.ts';
import { run } from '../../src/modes/export.ts';
import { silentReporter } from '../../src/report/reporter.ts';
import { writeKubeconfig } from '../cluster/kubeconfig.ts';
import { type Api, at } from './api.ts';
import { readArchiveFiles } from './archive-files.ts';
import type { RunningCluster } from './bed.ts';
import { asList } from './live-object.ts';
import { issueToken } from './run-pod.ts';

const RBAC = '/apis/rbac.authorization.k8s.io/v1';

/** One right: a verb on one resource, where it is so in a role, on one object. */
export interface Right {
  /** Undefined for that of a ClusterRole. */
  readonly namespace: string | undefined;
  readonly group: string;
  readonly resource: string;
  readonly verb: string;
  readonly name: string | undefined;
}

/** All that the roles among a chart's objects grant. */
export function rightsOf(objects: readonly KubeObject[]): Right[] {
  return objects
    .filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole')
    .flatMap(({ rules, metadata }) => asList(rules).map((rule) => ({ rule, namespace: metadata.namespace })))
    .flatMap(({ rule, namespace }) =>
      texts(rule, 'apiGroups').flatMap((group) =>
        texts(rule, 'resources').flatMap((resource) =>
          texts(rule, 'verbs').flatMap((verb) =>
            (at(rule, 'resourceNames') === undefined ? [undefined] : texts(rule, 'resourceNames')).map((name) => ({
              ...{ namespace, group, resource, verb, name },
            })),
          ),
        ),
      ),
    );
}

/** What became of an export. */
export interface Outcome {
  /** Warnings, the error that ended it, and what the snapshot does not know. */
  readonly troubles: readonly string[];
  /** Paths of its files. */
  readonly files: readonly string[];
}

let count = 0;

/** Exports as a service account of its own that has these rights and no others. */
export async function exportWith(
  { cluster, api, scratch }: { readonly cluster: RunningCluster; readonly api: Api; readonly scratch: string },
  rights: readonly Right[],
  inputs: Readonly<Record<string, string>>,
): Promise<Outcome> {
  count += 1;
  const account = `rights-${count}`;
  await api.create('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: account } });
  await Promise.all(
    [...Map.groupBy(rights, ({ namespace }) => namespace)].map(([, some]) => grant(api, account, some)),
  );
  const token = await issueToken(api, 'default', account);
  const kubeconfig = writeKubeconfig([{ ...cluster.access, contexts: [{ name: account, user: { token } }] }]);
  const troubles: string[] = [];
  const path = join(scratch, account);
  const given = parseInputs({ ...inputs, mode: 'export', path, kubeconfig, compression: 'none' }, 'cli');
  if (given.mode !== 'export') throw new Error(`${given.mode} exports nothing`);
  try {
    const { outputs } = await run(given, {
      reporter: { ...silentReporter, warn: (message) => void troubles.push(message) },
      signal: new AbortController().signal,
      env: {},
      temporaryDirectory: scratch,
      run: account,
      version: '0.0.0',
    });
    const files = await readArchiveFiles(String(outputs.location));
    const description: unknown = JSON.parse(files.get('_snapshot.json') ?? '{}');
    if (at(description, 'cluster', 'uid') === undefined) troubles.push('It is not known which cluster this is.');
    return { troubles, files: [...files.keys()] };
  } catch (error) {
    return { troubles: [...troubles, messageOf(error)], files: [] };
  }
}

async function grant(api: Api, name: string, rights: readonly Right[]): Promise<void> {
  const [{ namespace }] = [rights[0] ?? { namespace: undefined }];
  const where = namespace === undefined ? RBAC : `${RBAC}/namespaces/${namespace}`;
  const kind = namespace === undefined ? 'ClusterRole' : 'Role';
  const plural = namespace === undefined ? 'clusterrole' : 'role';
  const marker = { group: 'test.transship.dev', resource: 'markers', verb: 'get', name: undefined };
  await api.create(`${where}/${plural}s`, {
    metadata: { name },
    rules: [...rights, marker].map((right) => ({
      apiGroups: [right.group],
      resources: [right.resource],
      verbs: [right.verb],
      ...(right.name === undefined ? {} : { resourceNames: [right.name] }),
    })),
  });
  await api.create(`${where}/${plural}bindings`, {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
    subjects: [{ kind: 'ServiceAccount', name, namespace: 'default' }],
  });
  // What the server knows of its roles lags behind.
  await vi.waitFor(
    async () => {
      const { body } = await api.send('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
        spec: {
          user: `system:serviceaccount:default:${name}`,
          resourceAttributes: { ...marker, namespace },
        },
      });
      if (at(body, 'status', 'allowed') !== true)
        throw new Error(`${name} has not got its rights: ${JSON.stringify(body)}`);
    },
    { timeout: 30_000, interval: 20 },
  );
}

function texts(rule: unknown, field: string): string[] {
  return asList(at(rule, field)).map(String);
}
