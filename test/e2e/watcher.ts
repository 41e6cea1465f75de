import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { asList, asMap } from './live-object.ts';

const root = resolve(import.meta.dirname, '../..');

/** A line of its log. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A `transship watch` that runs. */
export interface Watcher {
  readonly child: ChildProcess;
  readonly log: readonly LogLine[];
  /** Waits for a message, from the beginning of the log on, or the so-manieth of its like. */
  said(pattern: RegExp, times?: number): Promise<LogLine>;
  /** What it answers on its port: the status and the text. */
  get(path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** The value of a metric. */
  metric(name: string): Promise<number>;
  /** Sends a signal, and waits for the end. */
  end(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<number | null>;
  readonly ended: Promise<number | null>;
}

const PATIENCE_MS = 120_000;

/** Starts `transship watch` from its sources, with JSON logs and a free port to ask. */
export function startWatcher(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Watcher {
  const program = [resolve(root, 'dist/index.js'), 'watch', ...args];
  const child = spawn(
    resolve(root, 'node_modules/.bin/node'),
    [...program, '--log-format', 'json', '--listen', '127.0.0.1:0', '--verbose'],
    {
      env: { ...process.env, KUBECONFIG: undefined, GITHUB_ACTIONS: undefined, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const log: LogLine[] = [];
  const strange: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    const parsed = parseLine(line);
    if (parsed === undefined) strange.push(line);
    else log.push(parsed);
  });
  const ended = once(child, 'close').then(([code]: unknown[]) => (typeof code === 'number' ? code : null));
  const shown = () => [...log.map((line) => JSON.stringify(line)), ...strange].join('\n');

  async function said(pattern: RegExp, times = 1): Promise<LogLine> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = log.filter(({ message }) => pattern.test(message))[times - 1];
      if (found !== undefined) return found;
      if (child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`It did not say ${pattern} (${times} times):\n${shown()}`);
      }
      await delay(20);
    }
  }
  async function get(path: string): Promise<{ status: number; text: string }> {
    const { port } = await said(/^Serving /);
    const response = await fetch(`http://127.0.0.1:${String(port)}${path}`);
    return { status: response.status, text: await response.text() };
  }
  return {
    child,
    log,
    said,
    get,
    ended,
    async metric(name) {
      const { text } = await get('/metrics');
      const line = text.split('\n').find((one) => one.startsWith(`transship_${name} `));
      if (line === undefined) throw new Error(`There is no metric ${name}:\n${text}`);
      return Number(line.slice(line.lastIndexOf(' ') + 1));
    },
    async end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}

function parseLine(line: string): LogLine | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    const { level, message, ...more } = asMap(parsed) ?? {};
    return typeof level === 'string' && typeof message === 'string' ? { ...more, level, message } : undefined;
  } catch {
    return undefined;
  }
}

/** The complete trees in a folder: their ids in order, and of each the names and data of its ConfigMaps. */
export async function readTrees(
  folder: string,
  namespace: string,
): Promise<{ readonly id: string; readonly configMaps: Readonly<Record<string, unknown>> }[]> {
  const [cluster = ''] = await readdir(folder).then((names) => names.filter((name) => !name.startsWith('_')));
  const backup = join(folder, cluster, 'backup');
  const ids = (await readdir(backup)).sort();
  const complete: string[] = [];
  for (const id of ids) {
    const files = await readdir(join(backup, id));
    if (files.includes('manifest') && !id.endsWith('.partial')) complete.push(id);
  }
  return Promise.all(
    complete.map(async (id) => {
      const text = await readFile(join(backup, id, namespace, 'configmaps.json'), 'utf8').catch(() => '{"items":[]}');
      const items = asList(asMap(JSON.parse(text))?.items);
      const configMaps = Object.fromEntries(
        items.map((item) => [String(asMap(asMap(item)?.metadata)?.name), asMap(item)?.data]),
      );
      return { id, configMaps };
    }),
  );
}
