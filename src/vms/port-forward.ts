import { createServer, type Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { type Clock, systemClock } from '../cluster/clock.ts';
import { type Cluster, ClusterError } from '../cluster/cluster.ts';
import { type Poll, waitFor } from '../cluster/wait.ts';
import { messageOf, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { createDialer } from './dial.ts';
import { findPod, type PodPort, type ServicePort } from './find-pod.ts';
import { joinSockets } from './join-sockets.ts';

/** A port of this machine that leads to a pod; only this machine can connect to it. */
export interface PortForward {
  readonly address: { readonly host: '127.0.0.1'; readonly port: number };
  /**
   * Looks for the pod anew, for pods restart, and waits until it can be connected to. Connections that are open stay.
   *
   * @throws TransshipError `TIMEOUT`, or what {@link openPortForward} throws
   */
  renew(): Promise<void>;
  /** Ends all connections. May be called again. */
  close(): Promise<void>;
}

export interface PortForwardOptions {
  /** Milliseconds for the pod to be there and to answer. */
  readonly timeout: number;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
}

/**
 * Opens a way through the API server to a port of a service, that is of a ready pod behind it. TLS passes through it
 * untouched: who connects must ask for the service's name and verify it.
 *
 * Each connection is a WebSocket of its own. A connection that breaks on the way is reset, never just ended.
 *
 * @throws ClusterError when the service or its port does not exist, or the user may not forward ports: 403 naming the verbs
 * @throws TransshipError `TIMEOUT` saying why no connection came about
 */
export async function openPortForward(
  cluster: Cluster,
  target: ServicePort,
  options: PortForwardOptions,
): Promise<PortForward> {
  const { reporter, signal, timeout, clock = systemClock, env } = options;
  const dialer = await createDialer(cluster, { mask: (secret) => reporter.mask(secret), clock, env });
  const open = new Set<Socket>();
  const dialing = new AbortController();
  let pod: Promise<PodPort> | undefined;
  let isClosed = false;

  function currentPod(): Promise<PodPort> {
    pod ??= findPod(cluster, target, signal);
    return pod;
  }

  async function dial(ended?: AbortSignal): Promise<WebSocket> {
    try {
      const { pod: name, port } = await currentPod();
      const path = `/api/v1/namespaces/${encodeURIComponent(target.namespace)}/pods/${encodeURIComponent(name)}/portforward`;
      return await dialer.dial(`${path}?ports=${port}`, ended);
    } catch (error) {
      // It may have gone to another node or be another pod by now.
      pod = undefined;
      throw error;
    }
  }

  async function renew(): Promise<void> {
    pod = undefined;
    const poll = async (): Promise<Poll<void>> => {
      try {
        (await dial(signal)).terminate();
        return { done: true, value: undefined };
      } catch (error) {
        if (!(error instanceof ClusterError) || !mayPass(error)) throw error;
        return { done: false, state: error.message.replace(/\.$/, '') };
      }
    };
    const describe = `a port-forward to the service ${target.namespace}/${target.service}`;
    await waitFor(poll, { timeout, describe, clock, signal });
  }

  function tell(problem: string): void {
    reporter.debug(`Port-forward to ${target.namespace}/${target.service}: ${problem}`);
  }

  function serve(local: Socket): void {
    open.add(local);
    const ended = new AbortController();
    local.on('close', () => {
      open.delete(local);
      ended.abort();
    });
    local.on('error', (error) => tell(messageOf(error)));
    dial(AbortSignal.any([dialing.signal, ended.signal])).then(
      (remote) =>
        joinSockets(local, remote, (problem) => {
          pod = undefined;
          tell(problem);
        }),
      (error) => {
        if (!local.destroyed) tell(messageOf(error));
        local.resetAndDestroy();
      },
    );
  }

  await renew();
  const server = createServer({ noDelay: true }, serve);
  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address !== null && typeof address === 'object') resolve(address.port);
      else reject(new TransshipError('CLUSTER', 'No port of 127.0.0.1 could be opened.'));
    });
  });
  return {
    address: { host: '127.0.0.1', port },
    renew,
    async close() {
      if (isClosed) return;
      isClosed = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      dialing.abort();
      for (const local of open) local.destroy();
      await closed;
    },
  };
}

/** Whether trying again may help: not against a refusal, nor where there is no such service. */
function mayPass({ status, reason }: ClusterError): boolean {
  const isAwaited = status === 404 && reason !== 'NoService' && reason !== 'NoPort';
  return status === 0 || status === 429 || status >= 500 || isAwaited;
}
