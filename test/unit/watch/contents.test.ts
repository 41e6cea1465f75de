import { describe, expect, it } from 'vitest';
import { readBody } from '../../../src/archive/entry.ts';
import type { Snapshot } from '../../../src/archive/snapshot.ts';
import { type Contents, compareContents, hasChanges, scopeOf } from '../../../src/watch/contents.ts';
import { describe as describeSnapshot } from './spooled.ts';

const MANAGER = { cluster: 'stage-uid', namespace: 'backup', release: 'transship', path: 's3://bucket/stage' };

function contents(files: Readonly<Record<string, string>>, scope = 'same'): Contents {
  const entries = Object.entries(files).map(([path, sha256]) => [path, { size: 1, sha256 }] as const);
  return { scope, files: new Map(entries) };
}

async function scopeWith(changes: Partial<Snapshot>, id = '26-01-31_12-00-00'): Promise<string> {
  return scopeOf(await readBody(describeSnapshot(id, changes)));
}

describe('the difference between two snapshots', () => {
  it('is the files that are new, changed and gone', () => {
    const before = contents({ '_snapshot.json': '1', 'same.json': '1', 'changed.json': '1', 'gone.json': '1' });
    const after = contents({ '_snapshot.json': '2', 'same.json': '1', 'changed.json': '2', 'new.json': '1' });
    const changes = compareContents(before, after);
    expect(changes).toEqual({ added: ['new.json'], changed: ['changed.json'], removed: ['gone.json'], scope: false });
    expect(hasChanges(changes)).toBe(true);
  });

  it('is none when only _snapshot.json differs and is of the same scope', () => {
    const changes = compareContents(
      contents({ '_snapshot.json': '1', a: '1' }),
      contents({ '_snapshot.json': '2', a: '1' }),
    );
    expect(changes).toEqual({ added: [], changed: [], removed: [], scope: false });
    expect(hasChanges(changes)).toBe(false);
  });

  it('is there when the same files are of another scope', () => {
    expect(hasChanges(compareContents(contents({ a: '1' }), contents({ a: '1' }, 'another')))).toBe(true);
  });
});

describe('the scope of a snapshot', () => {
  it('is the same whatever its id and time, the versions, the name of the context and the kinds served', async () => {
    const kind = { group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true, versions: ['v1'] };
    const other = await scopeWith(
      {
        tool: { name: 'transship', version: '9.9.9' },
        cluster: { uid: 'stage-uid', version: 'v1.36.0', context: 'other' },
        kinds: [kind],
      },
      '26-02-01_00-00-00',
    );
    expect(other).toBe(await scopeWith({}));
  });

  it.each<[string, Partial<Snapshot>]>([
    ['cluster', { cluster: { uid: 'prod-uid', version: 'v1.35.4', context: 'stage' } }],
    ['choice of namespaces', { scope: { namespaces: ['shop'], include: ['resources'], history: 'all' } }],
    ['selector', { scope: { namespaces: ['*'], include: ['resources'], history: 'all', selector: 'app=shop' } }],
    ['manager', { manager: MANAGER }],
  ])('is another one with another %s', async (_what, changes) => {
    expect(await scopeWith(changes)).not.toBe(await scopeWith({}));
  });

  it('is another one when the manager writes elsewhere', async () => {
    const elsewhere = await scopeWith({ manager: { ...MANAGER, path: 's3://bucket/other' } });
    expect(elsewhere).not.toBe(await scopeWith({ manager: MANAGER }));
  });
});
