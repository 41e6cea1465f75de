import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, constants, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { arch, homedir, platform } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { messageOf } from '../../src/errors.ts';
import type { Reporter } from '../../src/report/reporter.ts';
import { withLock } from './lock.ts';
import { stderrReporter } from './stderr-reporter.ts';
import { BUILD_ENV, buildFlags, goBuild } from './tool-build.ts';
import { ChecksumError, downloadRelease, isReachable } from './tool-download.ts';
import { type Platform, TOOLS, type Tool, type ToolName } from './tool-list.ts';

const HERE: Platform = { os: platform(), arch: arch() === 'x64' ? 'amd64' : arch() };
const TEMPORARY = 'unfinished-';

/** What {@link provideTools} works with. */
export interface ToolSettings {
  /** The folder that holds a Go module a tool module. */
  readonly modules: string;
  readonly env: NodeJS.ProcessEnv;
  readonly reporter: Reporter;
}

/**
 * Finds or makes the programs of the test bed and returns their paths. Each comes from the first of: the folder
 * KUBEBUILDER_ASSETS, the cache, PATH at a fitting version, its release page with the published checksum verified, a
 * build of the pinned Go module. `TRANSSHIP_TOOLS=build` or `download` allows only that last source.
 *
 * The cache is `$XDG_CACHE_HOME/transship/tools-<hash>/`, one folder a module, so a changed module leaves the others be.
 */
export function ensureTools<N extends ToolName>(
  names: readonly N[],
  reporter: Reporter = stderrReporter(),
): Promise<Record<N, string>> {
  const modules = fileURLToPath(new URL('tools', import.meta.url));
  return provideTools(names, TOOLS, { modules, env: process.env, reporter });
}

/** {@link ensureTools} over any table of tools. */
export async function provideTools<N extends string>(
  names: readonly N[],
  table: Readonly<Record<N, Tool>>,
  settings: ToolSettings,
): Promise<Record<N, string>> {
  const entries: [N, string][] = [];
  const missing = new Map<string, N[]>();
  for (const name of names) {
    const tool = table[name];
    const path = await findTool(tool, await toolModule(tool.module, table, settings), settings);
    if (path !== undefined) entries.push([name, path]);
    else missing.set(tool.module, [...(missing.get(tool.module) ?? []), name]);
  }
  for (const [module, wanted] of missing) {
    const tools = wanted.map((name) => table[name]);
    const { cache } = await makeTools(tools, await toolModule(module, table, settings), settings);
    for (const name of wanted) entries.push([name, join(cache, table[name].binary)]);
  }
  return Object.fromEntries(entries) as Record<N, string>;
}

/** A Go module that pins tools: its folder, where its tools are cached, and how they are built. */
interface ToolModule {
  readonly name: string;
  readonly folder: string;
  readonly cache: string;
  readonly flags: readonly string[];
  versionOf(tool: Tool): string;
}

async function toolModule(
  name: string,
  table: Readonly<Record<string, Tool>>,
  { modules, env }: ToolSettings,
): Promise<ToolModule> {
  const folder = join(modules, name);
  const goMod = await readFile(join(folder, 'go.mod'), 'utf8');
  const goSum = await readFile(join(folder, 'go.sum'), 'utf8').catch(() => ''); // absent where nothing is required
  const versionOf = (tool: Tool): string => requiredVersion(goMod, tool.versionOf);
  const flags = buildFlags(
    Object.values(table).filter((tool) => tool.module === name),
    versionOf,
  );
  const key = JSON.stringify([goMod, goSum, flags, BUILD_ENV, HERE]);
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 16);
  const home = env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return { name, folder, flags, versionOf, cache: join(home, 'transship', `tools-${hash}`) };
}

/** The version of a module as go.mod requires it. */
function requiredVersion(goMod: string, module: string): string {
  for (const line of goMod.split('\n')) {
    const words = line.trim().split(/\s+/);
    const [path, version] = words[0] === 'require' ? words.slice(1) : words;
    if (path === module && version?.startsWith('v')) return version;
  }
  throw new Error(`go.mod does not require ${module}`);
}

async function findTool(tool: Tool, module: ToolModule, settings: ToolSettings): Promise<string | undefined> {
  const { KUBEBUILDER_ASSETS: assets, PATH = '', TRANSSHIP_TOOLS: source } = settings.env;
  if (tool.envtest === true && assets) {
    const path = join(assets, tool.binary);
    if (await isExecutable(path)) return path;
  }
  const cached = join(module.cache, tool.binary);
  if (await isExecutable(cached)) return cached;
  if (source) return undefined;
  for (const folder of PATH.split(delimiter)) {
    const path = join(folder, tool.binary);
    if ((await isExecutable(path)) && (await fits(path, tool, module.versionOf(tool)))) return path;
  }
  return undefined;
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function fits(path: string, tool: Tool, pinned: string): Promise<boolean> {
  const output = await promisify(execFile)(path, tool.versionArgs, { timeout: 10_000 }).then(
    ({ stdout, stderr }) => stdout + stderr,
    () => '', // A program that cannot tell its version is not the one wanted.
  );
  const version = /\bv?(\d+\.\d+\.\d+(?:-[\w.]+)?)/.exec(output)?.[1];
  if (version === undefined) return false;
  return tool.atLeast === undefined ? `v${version}` === pinned : isAtLeast(version, tool.atLeast.slice(1));
}

function isAtLeast(version: string, least: string): boolean {
  return version.localeCompare(least, 'en', { numeric: true }) >= 0;
}

/** Puts what is missing into the module's cache folder, once, however many processes ask for it at the same time. */
async function makeTools(tools: readonly Tool[], module: ToolModule, settings: ToolSettings): Promise<ToolModule> {
  const { reporter } = settings;
  const waiting = (ms: number): void =>
    reporter.progress(`Waiting ${Math.round(ms / 1000)} s for another process to make the ${module.name} tools`);
  await withLock(`${module.cache}.lock`, waiting, async () => {
    await mkdir(module.cache, { recursive: true });
    for (const left of await readdir(module.cache)) {
      // Only a holder of the lock writes here: what an earlier one left unfinished is nobody's.
      if (left.startsWith(TEMPORARY)) await rm(join(module.cache, left), { recursive: true, force: true });
    }
    const temporary = await mkdtemp(join(module.cache, TEMPORARY));
    try {
      for (const tool of tools) {
        if (await isExecutable(join(module.cache, tool.binary))) continue;
        const program = await download(tool, module, temporary, settings);
        if (program !== undefined) await rename(program, join(module.cache, tool.binary));
      }
      await build(tools, module, temporary, settings);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  });
  return module;
}

async function download(
  tool: Tool,
  module: ToolModule,
  into: string,
  { env: { TRANSSHIP_TOOLS: source }, reporter }: ToolSettings,
): Promise<string | undefined> {
  if (source === 'build') return undefined;
  const version = module.versionOf(tool);
  const release = tool.release(version, HERE);
  if (release === undefined) {
    if (source === 'download') throw new Error(`${tool.binary} is not published for ${HERE.os}-${HERE.arch}`);
    return undefined;
  }
  if (source !== 'download' && !(await isReachable(release.url))) return undefined;
  reporter.info(`Downloading ${tool.binary} ${version} from ${release.url}`);
  try {
    return await downloadRelease(release, into);
  } catch (error) {
    if (source === 'download' || error instanceof ChecksumError) throw error;
    reporter.warn(`${tool.binary} is built, as it could not be downloaded: ${messageOf(error)}`);
    return undefined;
  }
}

async function build(
  tools: readonly Tool[],
  module: ToolModule,
  into: string,
  { env, reporter }: ToolSettings,
): Promise<void> {
  const missing: Tool[] = [];
  for (const tool of tools) {
    if (!(await isExecutable(join(module.cache, tool.binary)))) missing.push(tool);
  }
  if (missing.length === 0) return;
  const names = missing.map((tool) => `${tool.binary} ${module.versionOf(tool)}`).join(', ');
  reporter.info(`Building ${names}; the first time takes minutes, then they are kept in ${module.cache}`);
  await goBuild(
    module.folder,
    module.flags,
    missing.map((tool) => tool.package),
    into,
    env,
    reporter,
  );
  for (const tool of missing) await rename(join(into, builtName(tool)), join(module.cache, tool.binary));
}

// Go names a program after its package's last element that is not a major version.
function builtName({ package: path }: Tool): string {
  return basename(path.replace(/\/v\d+$/, ''));
}
