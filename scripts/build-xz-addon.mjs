// Builds lzma-native's addon from source for this platform into dist/prebuilds/<platform>-<arch>/node.napi.node.
// npm's own prebuilds compile liblzma without optimisation, and those for linux-arm64 and darwin-arm64 do not work:
// https://github.com/addaleax/lzma-native/issues/144 and /127. Works in a copy: node_modules stays as npm left it.
//
//   node scripts/build-xz-addon.mjs [folder that holds prebuilds/, default dist]
//
// Needs a C++ compiler, make, bzip2 and Python, and node's headers: those next to node or under /usr, else node-gyp
// downloads them. Node-API keeps the addon good for every version of node. On linux it runs with the C library it was
// built with or a newer one: build on the oldest runner that is supported.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { ADDON_FILE, addonFolder } from './xz-addon.mjs';

const root = resolve(import.meta.dirname, '..');
const target = join(resolve(process.argv[2] ?? join(root, 'dist')), addonFolder());
const work = mkdtempSync(join(tmpdir(), 'transship-xz-'));

try {
  const source = copySource(work);
  const built = compile(source);
  strip(built);
  checkAddon(built);
  mkdirSync(target, { recursive: true });
  copyFileSync(built, join(target, ADDON_FILE));
} finally {
  rmSync(work, { recursive: true, force: true });
}
const addon = readFileSync(join(target, ADDON_FILE));
const digest = createHash('sha256').update(addon).digest('hex');
console.log(`${relative(process.cwd(), join(target, ADDON_FILE))}: ${addon.byteLength} bytes, sha256:${digest}`);

/** @param {string} folder */
function copySource(folder) {
  const require = createRequire(import.meta.url);
  const lzma = dirname(require.resolve('lzma-native/package.json', { paths: [root] }));
  const headers = dirname(createRequire(join(lzma, 'index.js')).resolve('node-addon-api/package.json'));
  const copy = join(folder, 'lzma-native');
  cpSync(lzma, copy, { recursive: true, filter: (path) => !/^(build|prebuilds)(\/|$)/.test(relative(lzma, path)) });
  cpSync(headers, join(copy, 'node_modules', 'node-addon-api'), { recursive: true });
  // A script of its own, because npm puts its own node-gyp on the PATH of scripts only.
  const scripts = { compile: 'node-gyp rebuild' };
  writeFileSync(join(copy, 'package.json'), JSON.stringify({ name: 'lzma-native', version: '0.0.0', scripts }));
  return copy;
}

/** @param {string} source */
function compile(source) {
  // liblzma-config.sh drops autoconf's own -O2, so the optimisation has to be asked for. No paths of this machine in it.
  const flags = `-O3 -ffile-prefix-map=${work}=.`;
  const nodedir = [dirname(dirname(process.execPath)), '/usr', '/usr/local'].find((prefix) =>
    existsSync(join(prefix, 'include', 'node', 'node_api.h')),
  );
  const { status, stdout, stderr, error } = spawnSync('npm', ['run', 'compile'], {
    cwd: source,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    shell: process.platform === 'win32',
    env: {
      ...process.env,
      CFLAGS: flags,
      CXXFLAGS: flags,
      MAKEFLAGS: `-j${availableParallelism()}`,
      SOURCE_DATE_EPOCH: '0',
      ...(nodedir === undefined || process.env.npm_config_nodedir ? {} : { npm_config_nodedir: nodedir }),
    },
  });
  // What compilers say of a library that we don't own is worth reading only when it fails.
  if (status !== 0) throw new Error(`The addon does not build.\n${stdout}\n${stderr}`, { cause: error });
  return join(source, 'build', 'Release', 'lzma_native.node');
}

/** @param {string} file */
function strip(file) {
  // macOS keeps the symbols that are bound at run time.
  execFileSync('strip', process.platform === 'darwin' ? ['-x', file] : ['--strip-unneeded', file], {
    stdio: 'inherit',
  });
}

/**
 * Packs and unpacks with it in a process of its own: a broken addon may end the process instead of throwing.
 *
 * @param {string} file
 */
function checkAddon(file) {
  const script = `
    const { Stream, CHECK_CRC64 } = require(${JSON.stringify(file)});
    const run = (start, input) => {
      const stream = new Stream();
      const out = [];
      stream.bufferHandler = (buffer, _processed, error) => {
        if (error) throw error;
        if (buffer) out.push(buffer);
      };
      start(stream);
      stream.code(input, false);
      stream.code(null, false);
      return Buffer.concat(out);
    };
    const plain = Buffer.alloc(8 << 20, 'apiVersion: v1 YZ ');
    const packed = run((s) => s.mtEncoder_({ preset: 1, filters: null, check: CHECK_CRC64, threads: 2 }), plain);
    const again = run((s) => s.streamDecoder_(null, 0), packed);
    if (!again.equals(plain)) throw new Error('what was packed does not unpack to the same bytes');
  `;
  execFileSync(process.execPath, ['-e', script], { stdio: ['ignore', 'inherit', 'inherit'] });
}
