// Bundles src/index.ts into dist/: ncc makes one file a lazily loaded library, esbuild minifies every one of them
// (ncc's own --minify leaves the chunks alone). With --check nothing is written: exits 1 when dist/ is stale.
// Native addons under dist/prebuilds are built by scripts/build-xz-addon.mjs and are left as they are.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { transform } from 'esbuild';
import { useShippedAddon } from './xz-addon.mjs';

const PREBUILDS = 'prebuilds';
/** Before each package of ncc's file of licences: its name is a line, and the next one its licence's short name. */
const LICENSE_HEAD =
  /(?<=^|\n\n)(?=(?:@[\w.-]+\/)?[\w.-]+\n(?:MIT|MIT-0|ISC|0BSD|Apache-2\.0|BSD-[23]-Clause|BlueOak-1\.0\.0|Unlicense|CC0-1\.0|\([\w. -]+\))\n)/;
const root = resolve(import.meta.dirname, '..');
const dist = join(root, 'dist');
const fresh = mkdtempSync(join(tmpdir(), 'transship-dist-'));

try {
  bundle(fresh);
  await minify(fresh);
  shareLicenses(join(fresh, 'licenses.txt'));
  if (process.argv.includes('--check')) check(fresh);
  else install(fresh);
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

/** @param {string} out */
function bundle(out) {
  const ncc = createRequire(import.meta.url).resolve('@vercel/ncc/dist/ncc/cli.js');
  const options = ['--out', out, '--target', 'es2022', '--license', 'licenses.txt', '--no-cache'];
  execFileSync(process.execPath, [ncc, 'build', 'src/index.ts', ...options], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  useShippedAddon(out);
}

/** @param {string} folder */
async function minify(folder) {
  for (const file of filesOf(folder).filter((name) => name.endsWith('.js'))) {
    const path = join(folder, file);
    const { code } = await transform(readFileSync(path, 'utf8'), {
      minify: true,
      format: 'esm',
      target: 'node24',
      legalComments: 'none',
    });
    writeFileSync(path, code);
  }
}

/**
 * Writes each licence once, under all packages that have it word for word: dozens share Apache's eleven kilobytes.
 *
 * @param {string} path
 */
function shareLicenses(path) {
  const sharers = new Map();
  for (const part of readFileSync(path, 'utf8').split(LICENSE_HEAD)) {
    const [name = '', ...lines] = part.trim().split('\n');
    const license = lines.join('\n').trim();
    // Many differ in their line breaks and indents only.
    const words = license.replace(/\s+/g, ' ');
    const shared = sharers.get(words) ?? { license, names: [] };
    sharers.set(words, { ...shared, names: [...shared.names, name] });
  }
  const written = [...sharers.values()].map(({ names, license }) => `${names.join('\n')}\n${license}\n`);
  writeFileSync(path, written.join('\n'));
}

/** @param {string} from */
function install(from) {
  mkdirSync(dist, { recursive: true });
  for (const name of readdirSync(dist)) {
    if (name !== PREBUILDS) rmSync(join(dist, name), { recursive: true });
  }
  cpSync(from, dist, { recursive: true });
  const bytes = filesOf(dist)
    .filter((name) => !name.startsWith(PREBUILDS))
    .reduce((sum, name) => sum + readFileSync(join(dist, name)).byteLength, 0);
  console.log(`dist/ is fresh: ${(bytes / 1e6).toFixed(1)} MB without addons.`);
}

/** @param {string} from */
function check(from) {
  const names = new Set([...filesOf(from), ...(existsSync(dist) ? filesOf(dist) : [])]);
  const stale = [...names].filter(
    (name) => !name.startsWith(PREBUILDS) && !sameFile(join(from, name), join(dist, name)),
  );
  if (stale.length === 0) {
    console.log('dist/ matches a fresh bundle.');
    return;
  }
  console.error(`dist/ is stale: ${stale.join(', ')}. Run npm run build and commit the result.`);
  process.exitCode = 1;
}

/** @param {string} a @param {string} b */
function sameFile(a, b) {
  return existsSync(a) && existsSync(b) && readFileSync(a).equals(readFileSync(b));
}

/** @param {string} folder */
function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}
