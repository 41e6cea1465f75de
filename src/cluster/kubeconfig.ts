import { isAbsolute, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { TransshipError } from '../errors.ts';

// Read here and not by @kubernetes/client-node: that one throws when two merged files name the same cluster, lets the
// last file's current-context win where kubectl takes the first, ignores `tokenFile` and group impersonation, and
// takes four times as long to load as the first request needs.

type Fields = Readonly<Record<string, unknown>>;

/** What merged kubeconfig files say, undecoded: only the entries of the chosen context have to be sound. */
export interface Kubeconfig {
  readonly currentContext: string | undefined;
  readonly contexts: ReadonlyMap<string, Fields>;
  readonly clusters: ReadonlyMap<string, Fields>;
  readonly users: ReadonlyMap<string, Fields>;
}

/** How to reach and trust one API server. */
export interface ServerEntry {
  /** Without a slash at the end; may have a path. */
  readonly server: string;
  readonly caFile?: string | undefined;
  /** Base64 of PEM. */
  readonly caData?: string | undefined;
  readonly serverName?: string | undefined;
  readonly insecure: boolean;
  readonly proxyUrl?: string | undefined;
}

/** A credential plugin: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins */
export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly provideClusterInfo: boolean;
  readonly installHint?: string | undefined;
}

/** How one user proves who it is. Files are absolute paths, data is base64 of PEM. */
export interface UserEntry {
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly certFile?: string | undefined;
  readonly certData?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly keyData?: string | undefined;
  /** `Impersonate-*` headers. */
  readonly impersonate: readonly (readonly [name: string, value: string])[];
  readonly exec?: ExecPlugin | undefined;
  readonly authProvider?: { readonly name: string; readonly config: Fields } | undefined;
}

/** Everything needed to talk to one cluster as one user. */
export interface Login {
  readonly context: string;
  readonly namespace: string | undefined;
  readonly server: ServerEntry;
  readonly user: UserEntry;
}

/**
 * Reads one kubeconfig. The text never appears in an error: it holds credentials.
 *
 * @param name - what to call it in errors: an input's name or a file's path
 * @param folder - what its relative paths start from; absent for text that came from nowhere
 * @throws TransshipError `INPUT`
 */
export function parseKubeconfig(text: string, name: string, folder?: string): Kubeconfig {
  const document = parseDocument(text, { prettyErrors: true, logLevel: 'silent' });
  const [flaw] = document.errors;
  if (flaw !== undefined) {
    const line = flaw.linePos?.[0].line;
    throw invalid(name, `it is not YAML${line === undefined ? '' : ` (line ${line})`}`);
  }
  const root: unknown = document.toJS();
  if (root === null || root === undefined) {
    return { currentContext: undefined, contexts: new Map(), clusters: new Map(), users: new Map() };
  }
  if (!isFields(root)) {
    throw invalid(name, 'it is not a mapping with clusters, users and contexts');
  }
  if (root.kind !== undefined && root.kind !== 'Config') {
    throw invalid(name, 'its kind is not Config');
  }
  return {
    currentContext: textOf(root, 'current-context', name) || undefined,
    contexts: namedEntries(root, 'contexts', 'context', name),
    clusters: mapValues(namedEntries(root, 'clusters', 'cluster', name), (cluster) =>
      withAbsolutePaths(cluster, ['certificate-authority'], name, folder),
    ),
    users: mapValues(namedEntries(root, 'users', 'user', name), (user) =>
      absoluteCommand(withAbsolutePaths(user, ['client-certificate', 'client-key', 'tokenFile'], name, folder), folder),
    ),
  };
}

/** Merges as kubectl does: the first file to name something wins. */
export function mergeKubeconfigs(configs: readonly Kubeconfig[]): Kubeconfig {
  const backwards = configs.toReversed();
  return {
    currentContext: configs.find((config) => config.currentContext !== undefined)?.currentContext,
    contexts: new Map(backwards.flatMap((config) => [...config.contexts])),
    clusters: new Map(backwards.flatMap((config) => [...config.clusters])),
    users: new Map(backwards.flatMap((config) => [...config.users])),
  };
}

/**
 * Decodes one context, its cluster and its user.
 *
 * @param wanted - the context's name; the current one when absent
 * @param name - what to call the kubeconfig in errors
 * @throws TransshipError `INPUT`, naming the contexts there are
 */
export function selectLogin(config: Kubeconfig, wanted: string | undefined, name: string): Login {
  if (config.contexts.size === 0) {
    throw invalid(name, 'it has no contexts');
  }
  const context = wanted ?? config.currentContext;
  const known = [...config.contexts.keys()].sort().join(', ');
  if (context === undefined) {
    throw new TransshipError('INPUT', `${capital(name)} has no current-context. Its contexts: ${known}.`, {
      hint: 'Choose one with the input `context`.',
    });
  }
  const chosen = config.contexts.get(context);
  if (chosen === undefined) {
    throw new TransshipError('INPUT', `${capital(name)} has no context "${context}". Its contexts: ${known}.`);
  }
  const clusterName = textOf(chosen, 'cluster', name);
  const cluster = clusterName === undefined ? undefined : config.clusters.get(clusterName);
  if (cluster === undefined) {
    throw invalid(name, `context "${context}" names the cluster "${clusterName ?? ''}", which is not in it`);
  }
  const userName = textOf(chosen, 'user', name) || undefined;
  const user = userName === undefined ? {} : config.users.get(userName);
  if (user === undefined) {
    throw invalid(name, `context "${context}" names the user "${userName ?? ''}", which is not in it`);
  }
  return {
    context,
    namespace: textOf(chosen, 'namespace', name) || undefined,
    server: decodeServer(cluster, name),
    user: decodeUser(user, name),
  };
}

function decodeServer(cluster: Fields, name: string): ServerEntry {
  const server = (textOf(cluster, 'server', name) ?? '').replace(/\/+$/, '');
  if (!/^https?:\/\//.test(server) || !URL.canParse(server)) {
    throw invalid(name, `the server "${server}" is not an http(s) URL`);
  }
  return {
    server,
    caFile: textOf(cluster, 'certificate-authority', name),
    caData: textOf(cluster, 'certificate-authority-data', name),
    serverName: textOf(cluster, 'tls-server-name', name) || undefined,
    insecure: cluster['insecure-skip-tls-verify'] === true,
    proxyUrl: textOf(cluster, 'proxy-url', name) || undefined,
  };
}

function decodeUser(user: Fields, name: string): UserEntry {
  const { exec, 'auth-provider': provider } = user;
  return {
    token: textOf(user, 'token', name) || undefined,
    tokenFile: textOf(user, 'tokenFile', name) || undefined,
    username: textOf(user, 'username', name) || undefined,
    password: textOf(user, 'password', name),
    certFile: textOf(user, 'client-certificate', name),
    certData: textOf(user, 'client-certificate-data', name),
    keyFile: textOf(user, 'client-key', name),
    keyData: textOf(user, 'client-key-data', name),
    impersonate: impersonation(user, name),
    exec: isFields(exec) ? decodeExec(exec, name) : undefined,
    authProvider: isFields(provider)
      ? { name: textOf(provider, 'name', name) ?? '', config: isFields(provider.config) ? provider.config : {} }
      : undefined,
  };
}

function decodeExec(exec: Fields, name: string): ExecPlugin {
  const command = textOf(exec, 'command', name);
  if (!command) {
    throw invalid(name, 'its credential plugin (`exec`) has no command');
  }
  return {
    apiVersion: textOf(exec, 'apiVersion', name) ?? 'client.authentication.k8s.io/v1',
    command,
    args: listOf(exec.args).filter((argument) => typeof argument === 'string'),
    env: listOf(exec.env)
      .filter(isFields)
      .map((one) => ({ name: textOf(one, 'name', name) ?? '', value: textOf(one, 'value', name) ?? '' })),
    provideClusterInfo: exec.provideClusterInfo === true,
    installHint: textOf(exec, 'installHint', name),
  };
}

/** https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/ */
function impersonation(user: Fields, name: string): [string, string][] {
  const headers: [string, string][] = [];
  const as = textOf(user, 'as', name);
  const uid = textOf(user, 'as-uid', name);
  if (as) {
    headers.push(['Impersonate-User', as]);
  }
  if (uid) {
    headers.push(['Impersonate-Uid', uid]);
  }
  for (const group of listOf(user['as-groups'])) {
    headers.push(['Impersonate-Group', String(group)]);
  }
  const extra = user['as-user-extra'];
  for (const [key, values] of Object.entries(isFields(extra) ? extra : {})) {
    for (const value of listOf(values)) {
      headers.push([`Impersonate-Extra-${encodeURIComponent(key)}`, String(value)]);
    }
  }
  return headers;
}

function namedEntries(root: Fields, list: string, content: string, name: string): Map<string, Fields> {
  const entries = new Map<string, Fields>();
  for (const entry of listOf(root[list])) {
    const key = isFields(entry) ? entry.name : undefined;
    if (!isFields(entry) || typeof key !== 'string') {
      throw invalid(name, `an entry of ${list} has no name`);
    }
    const value = entry[content];
    if (!entries.has(key)) {
      entries.set(key, isFields(value) ? value : {});
    }
  }
  return entries;
}

function withAbsolutePaths(entry: Fields, fields: readonly string[], name: string, folder: string | undefined): Fields {
  const absolute: Record<string, unknown> = { ...entry };
  for (const field of fields) {
    const path = textOf(entry, field, name);
    if (!path || isAbsolute(path)) {
      continue;
    }
    if (folder === undefined) {
      throw invalid(name, `its ${field} is the relative path "${path}", but text has no folder to start from`);
    }
    absolute[field] = resolve(folder, path);
  }
  return absolute;
}

/** A plugin's command with a slash in it starts from the kubeconfig's folder; one without is looked for on PATH. */
function absoluteCommand(user: Fields, folder: string | undefined): Fields {
  const { exec } = user;
  if (folder === undefined || !isFields(exec) || typeof exec.command !== 'string' || !/[\\/]/.test(exec.command)) {
    return user;
  }
  return { ...user, exec: { ...exec, command: resolve(folder, exec.command) } };
}

function textOf(fields: Fields, field: string, name: string): string | undefined {
  const value = fields[field];
  if (value === undefined || value === null) {
    return undefined;
  }
  if (typeof value !== 'string') {
    throw invalid(name, `its field ${field} is not text`);
  }
  return value;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function mapValues(map: Map<string, Fields>, change: (value: Fields) => Fields): Map<string, Fields> {
  return new Map([...map].map(([key, value]) => [key, change(value)]));
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function invalid(name: string, why: string): TransshipError {
  return new TransshipError('INPUT', `${capital(name)} is not a usable kubeconfig: ${why}.`);
}
