import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../src/archive/entry.ts';
import { fromArchive, intoArchive } from '../../../src/vms/volume-entries.ts';

const body = new Uint8Array();

describe('entries of a volume in a VM archive', () => {
  it.each<[Partial<Entry>, Partial<Entry>]>([
    [{ path: '.', type: 'directory' }, { path: 'volumes/data' }],
    [{ path: 'a/f' }, { path: 'volumes/data/a/f' }],
    [
      { path: 'a/g', type: 'hardlink', linkTarget: 'a/f' },
      { path: 'volumes/data/a/g', linkTarget: 'volumes/data/a/f' },
    ],
    [
      { path: 'a/l', type: 'symlink', linkTarget: '../b' },
      { path: 'volumes/data/a/l', linkTarget: '../b' },
    ],
  ])('stand below its folder: %o as %o', (inVolume, inArchive) => {
    const entry = { path: '', size: 0, body, mode: 0o644, ...inVolume };
    const moved = intoArchive(entry, 'data');
    expect(moved).toEqual({ ...entry, ...inArchive });
    expect(fromArchive(moved, 'data')).toEqual(entry);
  });

  it('are told from those of other volumes, also of one whose name begins the same', () => {
    expect(fromArchive({ path: 'volumes/data-2/f', size: 0, body }, 'data')).toBeUndefined();
    expect(fromArchive({ path: 'resources/vm.yaml', size: 0, body }, 'data')).toBeUndefined();
  });

  it('must not point to another volume', () => {
    const path = 'volumes/data/l';
    for (const [type, linkTarget] of [
      ['symlink', '../other/f'],
      ['hardlink', 'volumes/other/f'],
    ] as const) {
      expect(() => fromArchive({ path, type, linkTarget, size: 0, body }, 'data')).toThrow(
        `The link "${path}" points to "${linkTarget}", which is outside its volume.`,
      );
    }
  });
});
