import { spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { findAccess } from '../src/cluster/access.ts';
import { systemClock } from '../src/cluster/clock.ts';
import { openCluster } from '../src/cluster/connect.ts';
import { createCredentials } from '../src/cluster/credentials.ts';

export interface BenchContext {
  /** Text or path, of a cluster whose API server is real. */
  readonly kubeconfig: string;
  note(message: string): void;
}

/** One row of the table; `ratio` is the figure to hold against `target`. */
export interface BenchRow {
  readonly name: string;
  readonly ratio: number;
  readonly ours: number;
  readonly theirs: number;
  readonly unit: string;
  readonly target: string;
}

const CONCURRENCY = 8;
const REQUESTS = 3000;
const PAIRS = 9;
const STARTS = 7;
const PATH = '/api/v1/namespaces/default';

/** Counts connections, measures the request rate against bare undici, in alternating pairs, and the time to the first answer. */
export async function benchCluster(context: BenchContext): Promise<BenchRow[]> {
  return [await connectionCount(context), await requestRate(context), await firstRequest(context)];
}

async function connectionCount({ kubeconfig, note }: BenchContext): Promise<BenchRow> {
  const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  const before = sockets();
  const cluster = await openCluster({ kubeconfig, concurrency: CONCURRENCY });
  await rateOf(() => cluster.json({ method: 'GET', path: PATH }));
  const used = sockets() - before;
  await cluster.close();
  await setImmediate();
  const left = sockets() - before;
  note(`${used} connections for ${REQUESTS} requests, ${left} open after close()`);
  return {
    name: `connections of ${REQUESTS} requests, ${left} left open`,
    ratio: left === 0 ? used / CONCURRENCY : Number.POSITIVE_INFINITY,
    ours: used,
    theirs: CONCURRENCY,
    unit: 'connections',
    target: '<= 1',
  };
}

async function requestRate({ kubeconfig, note }: BenchContext): Promise<BenchRow> {
  const { login, remove } = await findAccess({ kubeconfig });
  const { tls, headers } = await createCredentials(login, () => {}, systemClock).current();
  await remove();
  const { ca, cert = '', key = '' } = tls;
  const agent = new Agent({ connections: CONCURRENCY, pipelining: 1, allowH2: false, connect: { ca, cert, key } });
  const options = { dispatcher: agent, headers: ['accept', 'application/json', ...headers] };
  const url = login.server.server + PATH;
  const bare = async () => {
    const { body } = await request(url, options);
    await body.json();
  };
  const cluster = await openCluster({ kubeconfig, concurrency: CONCURRENCY });
  const layer = () => cluster.json({ method: 'GET', path: PATH });

  const rates: { ours: number; theirs: number }[] = [];
  try {
    await rateOf(bare);
    await rateOf(layer);
    for (let pair = 0; pair < PAIRS; pair++) {
      const first = pair % 2 === 0 ? await rateOf(layer) : undefined;
      const theirs = await rateOf(bare);
      const ours = first ?? (await rateOf(layer));
      rates.push({ ours, theirs });
      note(`cluster layer ${ours.toFixed(0)} requests/s, bare undici ${theirs.toFixed(0)}`);
    }
  } finally {
    await cluster.close();
    await agent.destroy();
  }
  return {
    name: `GETs at concurrency ${CONCURRENCY} against bare undici`,
    ratio: median(rates.map(({ ours, theirs }) => ours / theirs)),
    ours: median(rates.map(({ ours }) => ours)),
    theirs: median(rates.map(({ theirs }) => theirs)),
    unit: 'requests/s',
    target: '>= 0.9',
  };
}

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

/** From the start of a process that runs the sources to its first answer, against a process that does nothing. */
async function firstRequest({ kubeconfig, note }: BenchContext): Promise<BenchRow> {
  const script = `
    import { openCluster } from ${JSON.stringify(new URL('../src/cluster/connect.ts', import.meta.url).href)};
    const cluster = await openCluster({ kubeconfig: process.env.BENCH_KUBECONFIG });
    await cluster.json({ method: 'GET', path: '${PATH}' });
    await cluster.close();
  `;
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    ours.push(await timeOf(script, kubeconfig));
    theirs.push(await timeOf('', kubeconfig));
    note(`first answer after ${ours.at(-1)?.toFixed(0)} ms, an empty process ${theirs.at(-1)?.toFixed(0)} ms`);
  }
  const [mine, empty] = [median(ours), median(theirs)];
  return {
    name: 'process start to first answer, from the sources',
    ratio: mine / empty,
    ours: mine,
    theirs: empty,
    unit: 'ms',
    target: 'ours <= 250 ms',
  };
}

async function timeOf(script: string, kubeconfig: string): Promise<number> {
  const begin = performance.now();
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, BENCH_KUBECONFIG: kubeconfig },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const status = await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject));
  if (status !== 0) {
    throw new Error(`The measured process ended with status ${String(status)}.`);
  }
  return performance.now() - begin;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
