import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createBrotliDecompress } from 'node:zlib';
import { type Browser, launch } from 'puppeteer-core';
import { withLock } from './lock.ts';

const START_WITHIN_MS = 30_000;

/**
 * Starts the headless Chromium that the package `@sparticuz/chromium` carries, with the libraries and fonts it carries
 * too, so that a bare machine has all it needs. They are unpacked once, in about two seconds and 200 MB, to
 * `$XDG_CACHE_HOME/transship/chromium-<version>/`: the package itself would do so in the folder of temporary files, and
 * take a half-written one for whole.
 *
 * @returns the browser, and `close`, which ends it and removes its profile
 */
export async function startBrowser(): Promise<{ browser: Browser; close(): Promise<void> }> {
  const folder = await unpackBrowser();
  const profile = await mkdtemp(join(tmpdir(), 'transship-browser-'));
  const browser = await launch({
    executablePath: join(folder, 'chromium'),
    // Containers give no user namespaces, which the sandbox needs.
    args: ['--no-sandbox', '--disable-gpu', '--no-zygote', '--disable-dev-shm-usage', '--no-first-run'],
    headless: 'shell',
    // No port is opened.
    pipe: true,
    timeout: START_WITHIN_MS,
    userDataDir: profile,
    env: {
      ...process.env,
      HOME: profile,
      FONTCONFIG_PATH: folder,
      LD_LIBRARY_PATH: join(folder, 'al2023', 'lib'),
    },
  });
  return {
    browser,
    async close() {
      await browser.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

async function unpackBrowser(): Promise<string> {
  // Beside its entry point `build/…/index.js`; package.json is not among its exports.
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const root = entry.slice(0, entry.lastIndexOf('chromium') + 'chromium'.length);
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const home = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(home, 'transship', `chromium-${version}`);
  await withLock(
    `${folder}.lock`,
    () => {},
    async () => {
      if (await readFile(join(folder, 'fonts.conf')).catch(() => undefined)) return;
      await mkdir(dirname(folder), { recursive: true });
      const unfinished = await mkdtemp(`${folder}-`);
      try {
        await unpackInto(unfinished, join(root, 'bin'), folder);
        await rename(unfinished, folder);
      } finally {
        await rm(unfinished, { recursive: true, force: true });
      }
    },
  );
  return folder;
}

async function unpackInto(folder: string, bin: string, final: string): Promise<void> {
  const inflate = async (name: string, to: string, mode: number): Promise<void> => {
    await pipeline(createReadStream(join(bin, name)), createBrotliDecompress(), createWriteStream(to, { mode }));
  };
  const untar = async (name: string, to: string): Promise<void> => {
    const tar = join(folder, 'unpacking.tar');
    await mkdir(to, { recursive: true });
    await inflate(name, tar, 0o600);
    await promisify(execFile)('tar', ['-xf', tar, '-C', to, '--no-same-owner']);
    await rm(tar);
  };
  await inflate('chromium.br', join(folder, 'chromium'), 0o700);
  await untar('al2023.tar.br', join(folder, 'al2023'));
  await untar('fonts.tar.br', join(folder, 'fonts'));
  const fonts = `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>${join(final, 'fonts')}</dir><cachedir>${join(final, 'fonts-cache')}</cachedir></fontconfig>\n`;
  await writeFile(join(folder, 'fonts.conf'), fonts);
}
