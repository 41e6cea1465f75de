import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDON_FILE, addonFolder, useShippedAddon } from '../../../scripts/xz-addon.mjs';
import { run, temporaryFolder } from './helpers.ts';

const root = resolve(import.meta.dirname, '../../..');
const require = createRequire(import.meta.url);

/** Writes an xz to standard output, of what the test has written beside it. */
const PACK = `
import { compressXz } from './index.js';
import { readFileSync } from 'node:fs';
async function* source() {
  yield readFileSync(new URL('plain', import.meta.url));
}
for await (const piece of compressXz(source())) process.stdout.write(piece);
`;

describe('the bundle', () => {
  const bundle = mkdtempSync(join(tmpdir(), 'transship-bundle-'));
  afterAll(() => rmSync(bundle, { recursive: true, force: true }));

  beforeAll(() => {
    const ncc = require.resolve('@vercel/ncc/dist/ncc/cli.js');
    const options = ['--out', bundle, '--target', 'es2022', '--transpile-only', '--no-cache', '--quiet'];
    execFileSync(process.execPath, [ncc, 'build', join(root, 'src/archive/xz.ts'), ...options], { cwd: root });
    useShippedAddon(bundle);
    writeFileSync(join(bundle, 'pack.js'), PACK);
    writeFileSync(join(bundle, 'plain'), 'kind: ConfigMap\n'.repeat(10_000));
  }, 60_000);

  const pack = (env: Record<string, string>) =>
    execFileSync(process.execPath, [join(bundle, 'pack.js')], {
      env,
      cwd: tmpdir(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });

  it('says both ways out where it has no addon and there is no xz program', () => {
    expect(() => pack({ PATH: bundle })).toThrow(/install xz/);
  });

  it('uses the xz program where it has no addon', async () => {
    const packed = pack({ PATH: process.env.PATH ?? '' });
    expect(await run('xz', ['-dc'], packed)).toEqual(readFileSync(join(bundle, 'plain')));
  });

  it('loads the addon that lies beside it, on the platform that it runs on', async () => {
    const folder = join(bundle, addonFolder());
    mkdirSync(folder, { recursive: true });
    copyFileSync(join(root, 'node_modules/lzma-native', addonFolder(), ADDON_FILE), join(folder, ADDON_FILE));
    const packed = pack({ PATH: bundle });
    expect(await run('xz', ['-dc'], packed)).toEqual(readFileSync(join(bundle, 'plain')));
  });
});

describe('useShippedAddon', () => {
  it('refuses a bundle that loads its addon in another way than expected', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'index.js'), 'const native = require("somewhere/else.node");');
    expect(() => useShippedAddon(folder)).toThrow('The bundle names an addon in 0 places; 1 was expected.');
  });
});
