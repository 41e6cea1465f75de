import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { vi } from 'vitest';
import { startS3, type TestS3 } from '../cluster/s3.ts';
import { type Api, at, openApi } from './api.ts';
import type { Bed, RunningCluster } from './bed.ts';
import { CHART } from './chart-bed.ts';
import { runCommand } from './run-command.ts';
import { type PodProcess, startPod } from './run-pod.ts';
import { script } from './script.ts';

const root = resolve(import.meta.dirname, '../..');
const PUBLISHED_CHART = 'oci://ghcr.io/transship/charts/transship';
const MANAGER = { namespace: 'transship', name: 'transship' };
const READY_WITHIN = { timeout: 150_000, interval: 200 };

/** A section of a guide, with the commands in it. */
export interface Section {
  readonly title: string;
  /** Shell text, a block each. */
  readonly blocks: readonly string[];
}

/** The sections of a guide in `docs/` that have commands. */
export async function readGuide(name: string): Promise<Section[]> {
  const text = await readFile(join(root, 'docs', name), 'utf8');
  return text.split(/^## /m).flatMap((part) => {
    const title = part.split('\n', 1)[0] ?? '';
    const blocks = [...part.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
    return blocks.length === 0 ? [] : [{ title, blocks }];
  });
}

/** The clusters of a guide, and a shell in which its commands run as they stand there. */
export interface GuideBed {
  readonly s3: TestS3;
  readonly apis: ReadonlyMap<string, Api>;
  /** Runs a section's commands, and the pods of what they install; returns what they printed. */
  follow(section: Section | undefined): Promise<string>;
  /** Runs one line. */
  sh(line: string): Promise<string>;
  /** A cluster is lost, with all that runs in it. */
  lose(cluster: string): Promise<void>;
  close(): Promise<void>;
}

export async function startGuide(bed: Bed, names: readonly string[]): Promise<GuideBed> {
  const folder = await mkdtemp(join(bed.scratch, 'guide-'));
  const [s3, ...clusters] = await Promise.all([
    startS3({ bucket: 'backups' }),
    ...names.map((name) => bed.start(name)),
  ]);
  const byName = new Map<string, RunningCluster>(clusters.map((cluster, index) => [names[index] ?? '', cluster]));
  const apis = new Map([...byName].map(([name, cluster]) => [name, openApi(cluster)]));
  const pods = new Map<string, PodProcess>();
  const bin = join(folder, 'bin');
  await mkdir(bin);
  const node = join(root, 'node_modules/.bin/node');
  await script(join(bin, 'transship'), [`exec ${node} ${join(root, 'dist/index.js')} "$@"`]);
  await script(join(bin, 'kubectl'), [`exec ${bed.tools.kubectl} "$@"`]);
  const secrets = Object.entries(s3.env).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(join(folder, 's3.env'), secrets.join(''));
  const first = clusters[0];
  if (first === undefined) throw new Error('A guide needs a cluster');
  const environment = bed.environment(first, 'helm4');
  const env = {
    ...environment,
    ...s3.env,
    PATH: [bin, environment.PATH].join(delimiter),
    KUBECONFIG: clusters.map(({ kubeconfig }) => kubeconfig).join(delimiter),
  };

  async function sh(text: string): Promise<string> {
    // The chart of this checkout; and no half minute of waiting after each change.
    const commands = text
      .replaceAll(PUBLISHED_CHART, CHART)
      .replaceAll('--set on-change=true', '--set on-change=true,settle=1s');
    const { exitCode, stdout, stderr } = await runCommand('/bin/bash', ['-euo', 'pipefail', '-c', commands], {
      env,
      cwd: folder,
    });
    if (exitCode !== 0) throw new Error(`This ended with status ${exitCode}:\n${text}\n${stderr}${stdout}`);
    return `${stderr}${stdout}`;
  }

  /** No kubelet runs what a Deployment asks for: do it in its place, until it is gone. */
  async function runPods(): Promise<void> {
    for (const [name, cluster] of byName) {
      const api = apis.get(name);
      if (api === undefined) continue;
      const path = `/apis/apps/v1/namespaces/${MANAGER.namespace}/deployments/${MANAGER.name}`;
      const { status, body } = await api.send('GET', path);
      const pod = pods.get(name);
      if (status === 404) {
        pods.delete(name);
        await pod?.stop();
      } else if (pod === undefined) {
        const template = at(body, 'spec', 'template');
        const place = await mkdtemp(join(folder, `pod-${name}-`));
        const started = await startPod({ cluster, api, namespace: MANAGER.namespace, template, folder: place });
        pods.set(name, started);
        await ready(started);
      }
    }
  }

  return {
    ...{ s3, apis, sh },
    async follow(section) {
      if (section === undefined) throw new Error('The guide has no such section');
      let said = '';
      for (const block of section.blocks) {
        said += await sh(block);
        await runPods();
      }
      return said;
    },
    async lose(name) {
      pods.get(name)?.kill();
      await pods.get(name)?.ended;
      pods.delete(name);
      apis.get(name)?.close();
      apis.delete(name);
      await byName.get(name)?.stop();
      byName.delete(name);
    },
    async close() {
      await Promise.all([...pods.values()].map((pod) => pod.stop()));
      for (const api of apis.values()) api.close();
      await s3.stop();
    },
  };
}

async function ready({ url, ended, log }: PodProcess): Promise<void> {
  let status: number | null | undefined;
  void ended.then((code) => {
    status = code;
  });
  await vi.waitUntil(async () => {
    if (status !== undefined) throw new Error(`The pod ended with status ${status}:\n${log()}`);
    return fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  }, READY_WITHIN);
}
