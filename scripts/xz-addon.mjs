// How the bundle finds lzma-native's addon.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const ADDON_FILE = 'node.napi.node';

/** Where the addon of a platform lies in the bundle. */
export function addonFolder(platform = process.platform, arch = process.arch) {
  return `prebuilds/${platform}-${arch}`;
}

/**
 * To be called after ncc and before minifying. ncc copies the addon of the machine that builds and names it in the code;
 * afterwards the code names that of the machine that runs, next to the bundle, and the copy is gone. Where there is none,
 * loading the chunk throws, and src/archive/xz.ts falls back to the xz program.
 *
 * @param {string} folder what ncc wrote
 * @throws when the place to change is not there exactly once: ncc or lzma-native works another way than before
 */
export function useShippedAddon(folder) {
  const place = /(__\w+_require__\.ab \+ )"(?:prebuilds|build)\/[^"]+\.node"/g;
  let found = 0;
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.js'))) {
    const code = readFileSync(join(folder, name), 'utf8');
    const changed = code.replace(place, (_match, base) => {
      found++;
      return `${base}\`prebuilds/\${process.platform}-\${process.arch}/${ADDON_FILE}\``;
    });
    if (changed !== code) writeFileSync(join(folder, name), changed);
  }
  if (found !== 1) throw new Error(`The bundle names an addon in ${found} places; 1 was expected.`);
  for (const copied of ['prebuilds', 'build']) rmSync(join(folder, copied), { recursive: true, force: true });
}
