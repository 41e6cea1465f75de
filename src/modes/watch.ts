import { createEncryption } from '../archive/encryption.ts';
import { systemClock } from '../cluster/clock.ts';
import { openCluster } from '../cluster/connect.ts';
import { TransshipError } from '../errors.ts';
import { formatDuration } from '../inputs.ts';
import { createDaemon } from '../watch/daemon.ts';
import { serveStatus } from '../watch/status-server.ts';
import type { RunWatch } from './run.ts';
import { nameIncluded, openStorage, snapshotOutputs } from './storage.ts';
import { createQuietReporter, makeParts } from './watch-parts.ts';

/** Keeps the stored state of a cluster up to date until it is asked to stop, which is no failure. */
export const run: RunWatch = async (inputs, context) => {
  const { reporter, signal, temporaryDirectory, env, version } = context;
  const { kubeconfig, context: kubeContext, concurrency, interval, settle, listen, path } = inputs;
  const backend = openStorage(inputs);
  const { lease: store } = backend;
  if (store === undefined) {
    throw new TransshipError('INPUT', `backend: "${backend.name}" is not for mode watch. Give s3 or local.`);
  }
  // A recipient that is none is told before anything is done.
  if (inputs['encrypt-to'] !== undefined) await createEncryption(inputs['encrypt-to']);
  const cluster = await openCluster({
    kubeconfig,
    context: kubeContext,
    ...{ concurrency, temporaryDirectory, reporter, env },
  });
  try {
    const namespaces = inputs.namespace ?? [cluster.namespace];
    const quiet = createQuietReporter(reporter);
    const parts = makeParts({ cluster, backend, store, namespaces, inputs, context, quiet });
    const daemon = createDaemon(parts, {
      clock: systemClock,
      now: () => new Date(),
      random: Math.random,
      retry: inputs['push-retry'],
      ...{ interval, settle, version, reporter },
    });
    const server = listen === undefined ? undefined : await serveStatus(listen, daemon.status);
    try {
      const when = inputs['on-change']
        ? `when it changes, and every ${formatDuration(interval)}`
        : `every ${formatDuration(interval)}`;
      reporter.info(
        `Keeping the ${nameIncluded(inputs.include)} of ${namespaces.join(', ')} of ${cluster.context} (${cluster.server}) in ${path}: now, ${when}.`,
      );
      if (server !== undefined)
        reporter.info(`Serving /healthz, /readyz and /metrics on port ${server.port}.`, { port: server.port });
      const { stored, last } = await daemon.run(signal);
      return {
        outputs: last === undefined ? {} : snapshotOutputs(last),
        summary: { mode: 'watch', cluster: cluster.context, stored },
        failed: false,
      };
    } finally {
      await server?.close();
    }
  } finally {
    await cluster.close();
  }
};
