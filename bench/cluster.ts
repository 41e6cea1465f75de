import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { openCluster } from '../src/cluster/connect.ts';
import type { TestCluster } from '../test/cluster/cluster.ts';
import type { Bed } from './bed.ts';
import { directAccess } from './direct.ts';
import { type BenchRow, measurePairs, rowOfLimit, rowOfPairs } from './measure.ts';

const CONCURRENCY = 8;
const REQUESTS = 3000;
const PAIRS = 7;
const PATH = '/api/v1/namespaces/default';

/** The cluster layer's connections, and its request rate against bare undici on one Agent. */
export async function benchCluster(bed: Bed): Promise<BenchRow[]> {
  const cluster = await bed.target();
  return [await requestRate(bed, cluster), ...(await connections(cluster))];
}

async function requestRate({ note }: Bed, { kubeconfig, ...testCluster }: TestCluster): Promise<BenchRow> {
  const { server, ca, cert, key } = directAccess({ kubeconfig, ...testCluster });
  const agent = new Agent({ connections: CONCURRENCY, pipelining: 1, allowH2: false, connect: { ca, cert, key } });
  const options = { dispatcher: agent, headers: ['accept', 'application/json', 'user-agent', 'transship'] };
  const url = server + PATH;
  const bare = async () => {
    const { body } = await request(url, options);
    await body.json();
  };
  const cluster = await openCluster({ kubeconfig, concurrency: CONCURRENCY });
  const layer = () => cluster.json({ method: 'GET', path: PATH });
  try {
    await rateOf(bare);
    await rateOf(layer);
    const pairs = await measurePairs(
      PAIRS,
      () => rateOf(layer),
      () => rateOf(bare),
      ({ ours, theirs }) => note(`cluster layer ${ours.toFixed(0)} requests/s, bare undici ${theirs.toFixed(0)}`),
    );
    const name = `GETs by the cluster layer, ${CONCURRENCY} at once, against bare undici`;
    return rowOfPairs(name, 'requests/s', pairs, { atLeast: 0.9 });
  } finally {
    await cluster.close();
    await agent.destroy();
  }
}

async function connections({ kubeconfig }: TestCluster): Promise<BenchRow[]> {
  const sockets: Socket[] = [];
  // https://nodejs.org/docs/latest-v24.x/api/diagnostics_channel.html (event net.client.socket)
  const onSocket = (message: unknown) => {
    if (typeof message !== 'object' || message === null || !('socket' in message)) return;
    if (message.socket instanceof Socket) sockets.push(message.socket);
  };
  subscribe('net.client.socket', onSocket);
  const cluster = await openCluster({ kubeconfig, concurrency: CONCURRENCY });
  await rateOf(() => cluster.json({ method: 'GET', path: PATH }));
  await cluster.close();
  await setImmediate();
  unsubscribe('net.client.socket', onSocket);
  const left = sockets.filter(({ destroyed }) => !destroyed).length;
  return [
    rowOfLimit(`  connections ever made for ${REQUESTS} requests`, '', sockets.length, CONCURRENCY),
    { name: '  connections left open', ours: left, theirs: 0, unit: '', ratio: left, target: { atMost: 0 } },
  ];
}

/** Requests a second. */
async function rateOf(send: () => Promise<unknown>): Promise<number> {
  let left = REQUESTS;
  const worker = async () => {
    while (left-- > 0) {
      await send();
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return REQUESTS / ((performance.now() - start) / 1000);
}
