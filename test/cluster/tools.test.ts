import { type ChildProcess, type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { chmod, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentReporter } from '../../src/report/reporter.ts';
import { GREET } from './children/greet.ts';
import { publishedChecksum } from './tool-download.ts';
import { TOOLS, type Tool } from './tool-list.ts';
import { provideTools } from './tools.ts';

// Stands in for Go: counts its calls and builds a program that prints the version, at once or when it is told to.
const FAKE_GO = `#!/bin/sh
echo $$ >> "$TEST_FOLDER/go-calls"
while [ "$1" != -o ]; do shift; done
case "$TEST_GO" in
  fails) echo 'greet.go:1: syntax error' >&2; exit 1 ;;
  waits)
    printf '#!/bin/sh' > "$2/greet"
    chmod +x "$2/greet"
    read -r _ < "$TEST_FOLDER/go-on" ;;
esac
printf '#!/bin/sh\\necho greet v1.2.3\\n' > "$2/greet"
chmod +x "$2/greet"
`;

let folder: string;
let env: NodeJS.ProcessEnv;
const started: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-tools-'));
  await mkdir(join(folder, 'modules/greet'), { recursive: true });
  await writeFile(
    join(folder, 'modules/greet/go.mod'),
    'module test\n\nrequire example.com/greet v1.2.3 // indirect\n',
  );
  await writeProgram('fake-go/go', FAKE_GO);
  env = {
    PATH: `${join(folder, 'fake-go')}:${process.env.PATH}`,
    XDG_CACHE_HOME: join(folder, 'cache'),
    TEST_FOLDER: folder,
  };
});

afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  // A fake Go that still waits reads the end of this pipe; without one that waits, it cannot be opened.
  const pipe = await open(join(folder, 'go-on'), constants.O_WRONLY | constants.O_NONBLOCK).catch(() => undefined);
  await pipe?.close();
  await rm(folder, { recursive: true, force: true });
});

async function writeProgram(path: string, script: string): Promise<string> {
  const file = join(folder, path);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, script);
  await chmod(file, 0o755);
  return file;
}

async function provide(tool: Partial<Tool> = {}, extraEnv: NodeJS.ProcessEnv = {}): Promise<string> {
  const settings = { modules: join(folder, 'modules'), env: { ...env, ...extraEnv }, reporter: silentReporter };
  return (await provideTools(['greet'], { greet: { ...GREET, ...tool } }, settings)).greet;
}

function provideInProcess(extraEnv: NodeJS.ProcessEnv = {}): ChildProcessByStdio<null, Readable, Readable> {
  const script = fileURLToPath(new URL('children/provide-tool.ts', import.meta.url));
  const child = spawn(process.execPath, [script, join(folder, 'modules')], {
    env: { ...env, ...extraEnv },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  return child;
}

/** Process ids of the Go runs so far. */
async function goCalls(): Promise<number[]> {
  const calls = await readFile(join(folder, 'go-calls'), 'utf8').catch(() => '');
  return calls.split('\n').filter(Boolean).map(Number);
}

async function run(program: string): Promise<string> {
  return (await promisify(execFile)(program, ['--version'])).stdout;
}

describe('where a tool comes from', () => {
  it('is built once, and then found in the cache', async () => {
    const path = await provide();
    expect(path).toMatch(/\/cache\/transship\/tools-[0-9a-f]{16}\/greet$/);
    expect(await run(path)).toBe('greet v1.2.3\n');
    expect(await provide()).toBe(path);
    expect(await goCalls()).toHaveLength(1);
  });

  it('is built anew when the pinned version changes', async () => {
    const before = await provide();
    await writeFile(join(folder, 'modules/greet/go.mod'), 'module test\n\nrequire (\n\texample.com/greet v1.2.4\n)\n');
    expect(await provide()).not.toBe(before);
    expect(await goCalls()).toHaveLength(2);
  });

  it('is PATH when the version there is the pinned one', async () => {
    const path = await writeProgram('fake-go/greet', '#!/bin/sh\necho greet version 1.2.3+g1234\n');
    expect(await provide()).toBe(path);
  });

  it('is not PATH when the version there is another, or a pre-release of it', async () => {
    for (const version of ['1.2.4', '1.2.3-rc.1']) {
      const path = await writeProgram('fake-go/greet', `#!/bin/sh\necho ${version}\n`);
      expect(await provide()).not.toBe(path);
    }
  });

  it('is PATH for a tool of which any newer version does', async () => {
    const path = await writeProgram('fake-go/greet', '#!/bin/sh\necho v1.31.2-dispatcher\n');
    expect(await provide({ atLeast: 'v1.9.0' })).toBe(path);
    expect(await provide({ atLeast: 'v1.32.0' })).not.toBe(path);
  });

  it('is the folder KUBEBUILDER_ASSETS where a tool is one of envtest', async () => {
    const path = await writeProgram('assets/greet', '#!/bin/sh\n');
    const assets = { KUBEBUILDER_ASSETS: join(folder, 'assets') };
    expect(await provide({ envtest: true }, assets)).toBe(path);
    expect(await provide({}, assets)).not.toBe(path);
  });

  it('is a build when TRANSSHIP_TOOLS says so, whatever PATH holds', async () => {
    const path = await writeProgram('fake-go/greet', '#!/bin/sh\necho 1.2.3\n');
    expect(await provide({}, { TRANSSHIP_TOOLS: 'build' })).not.toBe(path);
  });
});

describe('a build', () => {
  it('happens once when two processes ask at the same time', async () => {
    await promisify(execFile)('mkfifo', [join(folder, 'go-on')]);
    const processes = [provideInProcess({ TEST_GO: 'waits' }), provideInProcess({ TEST_GO: 'waits' })];
    const outputs = processes.map(({ stdout }) => text(stdout));
    // One of them builds, the other says that it waits for it.
    await Promise.race(processes.map(({ stderr }) => lineWith(stderr, 'Waiting 0 s for another process')));
    await writeFile(join(folder, 'go-on'), 'now\n');

    const [first, second] = await Promise.all(outputs);
    expect(first).toMatch(/\/greet$/);
    expect(second).toBe(first);
    expect(await goCalls()).toHaveLength(1);
  });

  it('that was killed leaves nothing that looks finished, and the next one is not held up', async () => {
    await promisify(execFile)('mkfifo', [join(folder, 'go-on')]);
    const killed = provideInProcess({ TEST_GO: 'waits' });
    await expect.poll(goCalls).toHaveLength(1);
    killed.kill('SIGKILL');
    await once(killed, 'exit');

    const path = await provide();
    expect(await run(path)).toBe('greet v1.2.3\n');
    expect(await readdir(join(path, '..'))).toEqual(['greet']);
  });

  it('that fails says what Go said', async () => {
    await expect(provide({}, { TEST_GO: 'fails' })).rejects.toThrow(/status 1:\ngreet.go:1: syntax error/);
  });
});

async function lineWith(stream: Readable, words: string): Promise<void> {
  for await (const line of createInterface({ input: stream })) {
    if (line.includes(words)) return;
  }
  return new Promise(() => {}); // Another process may say it.
}

describe('a download', () => {
  const program = '#!/bin/sh\necho greet v1.2.3, published\n';
  const digest = createHash('sha256').update(program).digest('hex');

  async function serving<T>(files: Record<string, string>, work: (origin: string) => Promise<T>): Promise<T> {
    const server = createServer((request, response) => {
      const body = files[request.url ?? ''];
      response.writeHead(body === undefined ? 404 : 200).end(body);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    try {
      return await work(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  const releaseOf = (origin: string) => () => ({ url: `${origin}/greet-linux`, checksums: `${origin}/sums` });

  it('is taken instead of a build when its checksum is the published one', async () => {
    const files = { '/greet-linux': program, '/sums': `${digest}  greet-linux\n` };
    const path = await serving(files, (origin) => provide({ release: releaseOf(origin) }));
    expect(await run(path)).toBe('greet v1.2.3, published\n');
    expect(await goCalls()).toHaveLength(0);
  });

  it('with another checksum is an error, and nothing is built or kept', async () => {
    const files = { '/greet-linux': `${program}rm -rf /\n`, '/sums': `${digest}  greet-linux\n` };
    const provided = serving(files, (origin) => provide({ release: releaseOf(origin) }));
    await expect(provided).rejects.toThrow(new RegExp(`/greet-linux has the SHA-256 .* says ${digest}`));
    expect(await goCalls()).toHaveLength(0);
    const [cache = ''] = await readdir(join(folder, 'cache/transship'));
    expect(await readdir(join(folder, 'cache/transship', cache))).toEqual([]);
  });

  it('that nobody published is a build', async () => {
    const path = await serving({}, (origin) => provide({ release: releaseOf(origin) }));
    expect(await run(path)).toBe('greet v1.2.3\n');
  });

  it('without a published checksum is a build', async () => {
    const files = { '/greet-linux': program, '/sums': `${digest}  another\n${digest}  greet\n` };
    const path = await serving(files, (origin) => provide({ release: releaseOf(origin) }));
    expect(await run(path)).toBe('greet v1.2.3\n');
  });

  it('that cannot be reached is a build, or an error where only downloads are allowed', async () => {
    const origin = await serving({}, async (served) => served); // Nothing is there any more.
    expect(await run(await provide({ release: releaseOf(origin) }))).toBe('greet v1.2.3\n');
    await rm(join(folder, 'cache'), { recursive: true });
    const provided = provide({ release: () => undefined }, { TRANSSHIP_TOOLS: 'download' });
    await expect(provided).rejects.toThrow(/greet is not published for/);
  });
});

describe('publishedChecksum', () => {
  const [first, second] = ['a'.repeat(64), 'b'.repeat(64)];

  it('reads a file of one checksum, with a name or without', () => {
    expect(publishedChecksum(first, 'tool')).toBe(first);
    expect(publishedChecksum(`${first}  tool\n`, 'tool')).toBe(first);
    expect(publishedChecksum(`${first}  other\n`, 'tool')).toBeUndefined();
  });

  it('reads the line of the name among many', () => {
    const sums = `${first}  tool.tar.gz.sig\n${second} *dist/tool.tar.gz\n`;
    expect(publishedChecksum(sums, 'tool.tar.gz')).toBe(second);
    expect(publishedChecksum(sums, 'tool')).toBeUndefined();
  });

  it("reads GitHub's list of a release's files", () => {
    const release = {
      assets: [
        { name: 'a', digest: null },
        { name: 'tool', digest: `sha256:${second}` },
      ],
    };
    expect(publishedChecksum(JSON.stringify(release), 'tool')).toBe(second);
    expect(publishedChecksum(JSON.stringify(release), 'a')).toBeUndefined();
    expect(publishedChecksum(JSON.stringify({ message: 'rate limited' }), 'a')).toBeUndefined();
  });

  it('takes no page that is not a list of checksums for one', () => {
    expect(publishedChecksum('<html>Not here</html>', 'tool')).toBeUndefined();
  });
});

describe('the tools', () => {
  it.each(Object.entries(TOOLS))('has %s as a tool of its Go module', async (_name, tool) => {
    const goMod = await readFile(new URL(`tools/${tool.module}/go.mod`, import.meta.url), 'utf8');
    const lines = goMod.split('\n').map((line) => line.replace(/^tool /, '').trim());
    expect(lines).toContain(tool.package);
  });

  it('names each published file as its project does', () => {
    const platform = { os: 'linux', arch: 'amd64' };
    const urls = Object.values(TOOLS).map((tool) => tool.release('v1.2.3', platform)?.url);
    expect(urls).toMatchInlineSnapshot(`
      [
        "https://github.com/etcd-io/etcd/releases/download/v1.2.3/etcd-v1.2.3-linux-amd64.tar.gz",
        "https://dl.k8s.io/release/v1.2.3/bin/linux/amd64/kube-apiserver",
        "https://dl.k8s.io/release/v1.2.3/bin/linux/amd64/kube-controller-manager",
        "https://dl.k8s.io/release/v1.2.3/bin/linux/amd64/kube-scheduler",
        "https://dl.k8s.io/release/v1.2.3/bin/linux/amd64/kubectl",
        "https://github.com/kubernetes-sigs/kwok/releases/download/v1.2.3/kwok-linux-amd64",
        "https://get.helm.sh/helm-v1.2.3-linux-amd64.tar.gz",
        "https://get.helm.sh/helm-v1.2.3-linux-amd64.tar.gz",
        "https://github.com/versity/versitygw/releases/download/v1.2.3/versitygw_v1.2.3_Linux_x86_64.tar.gz",
        "https://github.com/nektos/act/releases/download/v1.2.3/act_Linux_x86_64.tar.gz",
        "https://github.com/rhysd/actionlint/releases/download/v1.2.3/actionlint_1.2.3_linux_amd64.tar.gz",
      ]
    `);
  });
});
