import { writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Fault, type FaultyProxy, type ProxiedRequest, startFaultyProxy } from '../cluster/faulty-proxy.ts';
import { adminOf } from './api.ts';
import type { RunningCluster } from './bed.ts';

/** A way to the API server on which requests fail, and the kubeconfig that takes it. */
export interface ApiProxy extends FaultyProxy {
  readonly kubeconfig: string;
}

/**
 * Starts a proxy in front of an API server that lets requests fail. It is the administrator itself, and speaks plain HTTP
 * to its client.
 *
 * @param folder - for the kubeconfig
 */
export async function startApiProxy(
  cluster: RunningCluster,
  folder: string,
  choose: (request: ProxiedRequest) => Fault | undefined,
  before?: (request: ProxiedRequest) => Promise<void>,
): Promise<ApiProxy> {
  const agent = new Agent({ ...adminOf(cluster), keepAlive: true });
  const proxy = await startFaultyProxy(cluster.server, choose, before, agent);
  const kubeconfig = join(folder, 'proxied.kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'proxied',
    clusters: [{ name: 'proxied', cluster: { server: proxy.url } }],
    contexts: [{ name: 'proxied', context: { cluster: 'proxied', user: 'anybody' } }],
    users: [{ name: 'anybody', user: {} }],
  };
  await writeFile(kubeconfig, stringify(config));
  return {
    ...proxy,
    kubeconfig,
    async stop() {
      await proxy.stop();
      agent.destroy();
    },
  };
}

/** An answer of the API server that says no. */
export function statusAnswer(code: number, reason: string, headers: Record<string, string> = {}): Fault {
  const body = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: reason, reason, code };
  return {
    kind: 'answer',
    status: code,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  };
}
